"""Makes a kernel that fails as small as it stays failing: statements go, expressions become one of their parts.

A part can leave the bounds that the generator keeps, so read what remains before you believe it.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from helion_msl import reference

from .execute import check, function_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .execute import Failure
    from .kernels import Kernel

_BODIES = ("body", "orelse")
SECONDS = 20  # an edit can leave a loop without an end


def _statement_edits(tree: ast.Module) -> Iterator[ast.Module]:
    """Yield the program without one statement, or with the blocks of one in its place."""
    count = sum(isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef) for node in ast.walk(tree))
    for number in range(count):
        for keeps_blocks in (False, True):
            edited = copy.deepcopy(tree)
            if _edit(edited, number, keeps_blocks):
                yield edited
    for place, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef) and place + 1 < len(tree.body):
            edited = copy.deepcopy(tree)
            del edited.body[place]
            yield edited


def _edit(tree: ast.Module, number: int, keeps_blocks: bool) -> bool:
    seen = 0
    for parent in ast.walk(tree):
        for name in _BODIES:
            block = getattr(parent, name, None)
            if not isinstance(block, list):
                continue
            for place, node in enumerate(block):
                if not isinstance(node, ast.stmt) or isinstance(node, ast.FunctionDef):
                    continue
                if seen == number:
                    inner = [part for each in _BODIES for part in getattr(node, each, [])] if keeps_blocks else []
                    if (keeps_blocks and not inner) or (isinstance(node, ast.Pass) and len(block) == 1):
                        return False
                    block[place : place + 1] = inner
                    if not block and name == "body":
                        block.append(ast.Pass())
                    return True
                seen += 1
    return False


def _expression_edits(tree: ast.Module) -> Iterator[ast.Module]:
    """Yield the program with one expression replaced by one of its parts, or by a number."""
    places = [
        (node, name, index)
        for node in ast.walk(tree)
        for name, value in ast.iter_fields(node)
        for index, part in enumerate(value if isinstance(value, list) else [value])
        if isinstance(part, ast.expr) and name not in ("targets", "target", "func", "annotation", "slice")
    ]
    for number in range(len(places)):
        node, name, index = places[number]
        value = getattr(node, name)
        original = value[index] if isinstance(value, list) else value
        if isinstance(original, ast.Name | ast.Constant):
            continue
        parts = [part for part in ast.iter_child_nodes(original) if isinstance(part, ast.expr)]
        for part in [*parts, ast.Constant(1), ast.Constant(0)]:
            if isinstance(value, list):
                value[index] = part
            else:
                setattr(node, name, part)
            yield tree
            if isinstance(value, list):
                value[index] = original
            else:
                setattr(node, name, original)


def _text(tree: ast.Module) -> str:
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def reduced(failure: Failure, most: int = 1500) -> Failure:
    """Return the failure of a smaller kernel.

    Args:
        failure: of the whole kernel.
        most: kernels that are tried.
    """
    best, tried = failure, 0
    stays_small = failure.kind == "differs" and _stays_small(failure.kernel)
    improved = True
    while improved and tried < most:
        improved = False
        for edits in (_statement_edits, _expression_edits):
            for edited in edits(ast.parse(best.kernel.source)):
                tried += 1
                smaller = _failing(replace(best.kernel, source=_text(edited)), failure.kind, stays_small)
                if smaller is not None and len(smaller.kernel.source) < len(best.kernel.source):
                    best, improved = smaller, True
                    break
                if tried >= most:
                    return best
            if improved:
                break
    return best


class _Checked(ast.NodeTransformer):
    """Lets every operator check that its result is small enough for int32."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        operator = ast.unparse(ast.BinOp(ast.Name("a"), node.op, ast.Name("b")))
        function = ast.parse(f"lambda a, b: _within({operator}, a, b)", mode="eval").body
        return ast.Call(function, [node.left, node.right], [])

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        self.generic_visit(node)
        target = ast.parse(ast.unparse(node.target), mode="eval").body
        return [node, ast.Expr(ast.Call(ast.Name("_within", ast.Load()), [target], []))]


def _within(value: Any, *operands: Any) -> Any:
    if any(isinstance(each, int) and not -(1 << 31) <= each < 1 << 31 for each in operands):
        return value  # wide from the start
    if isinstance(value, int) and not -(1 << 31) <= value < 1 << 31:
        raise OverflowError(f"{value} is wider than an int32")
    return value


def _stays_small(kernel: Kernel) -> bool:
    """Whether no operator of a kernel leaves the range of int32."""
    tree = _Checked().visit(ast.parse(kernel.source))
    function = function_of(replace(kernel, source=_text(tree)), {"_within": _within})
    try:
        reference.run(function, kernel.arguments(), kernel.grid, kernel.block_dims)
    except Exception:
        return False
    return True


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    """Raise TimeoutError in Python code that takes too long."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _failing(kernel: Kernel, kind: str, stays_small: bool) -> Failure | None:
    try:
        with _time_limit():
            if stays_small and not _stays_small(kernel):
                return None
            found = check([kernel])
    except (SyntaxError, TimeoutError):
        return None
    return found[0] if found and found[0].kind == kind else None
