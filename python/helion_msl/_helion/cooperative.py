"""Kernels that multiply matrices: the code of a whole threadgroup from the code of one element.

Helion generates the work of one element of a tile. Here every thread of a threadgroup takes part in everything:

- what is the same for all elements stays where it is;
- a *region* stands for a matrix product: the threads fill the operands into threadgroup memory, evaluating for each
  element of an operand the statements that it depends on, and multiply them;
- a store is done in a loop over the elements of its tile, again with the statements that its value depends on.

No value of a single element outlives such a loop, so a tile may have any size. What would have to (a running maximum, a
sum over a loop that is no matrix product) is refused.
"""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING

from helion import exc

from helion_msl._helion import slices
from helion_msl._helion.matmul import MARKER
from helion_msl._helion.products import Region, Term, match_loop
from helion_msl._helion.reductions import INDEX_MARKER, VALUE_MARKER
from helion_msl._helion.regions import Emitter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from helion._compiler.device_function import DeviceFunction

    from helion_msl._helion.products import Dimension


def cooperate(fn: DeviceFunction, statements: list[ast.stmt]) -> tuple[list[ast.stmt], int]:
    """Return the statements of a threadgroup's threads for the `statements` of an element, and how many threads.

    Raises:
        helion.exc.BackendUnsupported: values of single elements would have to outlive a loop over a tile.
    """
    for statement in statements:
        for marker in (VALUE_MARKER, INDEX_MARKER):
            if next(slices.calls(statement, marker), None) is not None:
                raise exc.BackendUnsupported(
                    "metal",
                    "a reduction in a kernel that multiplies matrices: store the product, and reduce in another kernel",
                )
    program = _Program(fn, statements)
    body = program.block(statements, _Scope([], []))
    return slices.extended([*program.emitter.arrays, *body]), program.emitter.threads


@dataclasses.dataclass
class _Scope:
    """What is known at a place of the kernel.

    Attributes:
        pure: statements of single elements that later ones may depend on, in their order.
        dimensions: the dimensions of the tiles that the place is inside of.
    """

    pure: list[ast.stmt]
    dimensions: list[Dimension]

    def inner(self) -> _Scope:
        return _Scope([*self.pure], [*self.dimensions])


class _Program:
    def __init__(self, fn: DeviceFunction, statements: list[ast.stmt]) -> None:
        self.fn = fn
        self.emitter = Emitter(fn)
        # Names whose value differs between the elements of a tile.
        self.varying = _varying(statements, set(self.emitter.by_index))
        assigned = [name for statement in statements for name in slices.names(statement, ast.Store)]
        self.reassigned = {name for name in self.varying if assigned.count(name) > 1}
        self._stored: set[str] = set()
        self._stored_before: dict[int, set[str]] = {}
        self._synchronized: set[str] = set()

    # ---- statements -----------------------------------------------------------------------------------------------

    def block(self, statements: Sequence[ast.stmt], scope: _Scope) -> list[ast.stmt]:
        """The threadgroup's statements for those of an element; in loops over parts of the tile where it is large."""
        own = [dimension for statement in statements if (dimension := self._declared(statement)) is not None]
        regions = [region for statement in statements if (region := self._region(statement)) is not None]
        if not regions:
            return self._statements(statements, scope)
        around = self.emitter.divide([*scope.dimensions, *own], regions)
        body = self._statements(statements, scope)
        for name, size, step in reversed(around):
            body = [_loop(name, f"range(0, {size}, {step})", body)]
        self.emitter.undivide()
        return body

    def _declared(self, statement: ast.stmt) -> Dimension | None:
        """The dimension whose index a statement assigns."""
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            return self.emitter.by_index.get(statement.targets[0].id)
        return None

    def _region(self, statement: ast.stmt) -> Region | None:
        """The matrix product that a statement is, without what only its place decides."""
        marker = _marker(statement)
        if isinstance(statement, ast.For) and marker is not None:
            inner = self.emitter.dimension(Term("", marker, marker).blocks[2])
            is_inner = any(self._declared(part) is inner for part in statement.body)
            return match_loop(statement, self.reassigned) if inner is not None and is_inner else None
        if marker is None or isinstance(statement, ast.If):
            return None
        assert isinstance(statement, ast.Assign)
        target = statement.targets[0]
        assert isinstance(target, ast.Name)
        return Region(None, [], [Term(target.id, marker, statement.value)])

    def _statements(self, statements: Sequence[ast.stmt], scope: _Scope) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        stores: list[ast.Call] = []

        def flush() -> None:
            self._check_order(scope.pure, stores)
            out.extend(self.emitter.stores(scope.pure, scope.dimensions, stores))
            self._stored |= {self._tensor(store) for store in stores}
            stores.clear()

        for statement in statements:
            dimension = self._declared(statement)
            if dimension is not None:
                scope.dimensions.append(dimension)
                continue
            if self._is_store(statement):
                assert isinstance(statement, ast.Expr)
                assert isinstance(statement.value, ast.Call)
                stores.append(statement.value)
                continue
            loaded = {self._tensor(load) for load in slices.calls(statement, "tl.load")}
            if loaded & {self._tensor(store) for store in stores}:
                flush()
            if (loaded & self._stored) - self._synchronized:
                out.append(_statement('ml.barrier("all")'))
                self._synchronized |= self._stored
            region = self._region(statement)
            if region is not None:
                flush()
                out += self._multiply(region, scope)
            elif isinstance(statement, ast.For | ast.If) and self._has_effect(statement):
                flush()
                out.append(self._nested(statement, scope))
            elif isinstance(statement, ast.Expr):
                if isinstance(statement.value, ast.Call) and ast.unparse(statement.value.func) == "tl.debug_barrier":
                    flush()
                    out.append(statement)
            elif self._is_uniform(statement):
                out.append(statement)
            else:
                self._remember(statement, scope)
        flush()
        return out

    def _remember(self, statement: ast.stmt, scope: _Scope) -> None:
        if isinstance(statement, ast.For | ast.While) and any(
            self._declared(part) is not None for part in ast.walk(statement) if isinstance(part, ast.stmt)
        ):
            raise exc.BackendUnsupported(
                "metal", "a loop over tiles that carries values, in a kernel that multiplies matrices"
            )
        self.varying |= slices.writes(statement)
        self._stored_before[id(statement)] = set(self._stored)
        scope.pure.append(statement)

    def _is_uniform(self, statement: ast.stmt) -> bool:
        assigned = slices.writes(statement)
        return not assigned & self.varying and not slices.reads(statement) & self.varying

    def _nested(self, statement: ast.For | ast.If, scope: _Scope) -> ast.stmt:
        """A loop over tiles, or a branch that the whole threadgroup takes."""
        outside = {name for part in scope.pure for name in slices.writes(part)}
        carried = outside & slices.writes(statement) - set(self.emitter.by_index)
        if carried:
            raise exc.BackendUnsupported(
                "metal",
                f"{', '.join(sorted(carried))}: a tile that a loop carries in a kernel that multiplies matrices; a "
                "loop may only add products to it: store it, and go on in another kernel",
            )
        if isinstance(statement, ast.For):
            self._check_uniform(statement.iter, "the bounds of a loop")
            body = self.block(statement.body, scope.inner())
            return ast.For(target=statement.target, iter=statement.iter, body=body or [ast.Pass()], orelse=[])
        self._check_uniform(statement.test, "a condition")
        body = self.block(statement.body, scope.inner()) or [ast.Pass()]
        return ast.If(test=statement.test, body=body, orelse=self.block(statement.orelse, scope.inner()))

    def _check_uniform(self, node: ast.expr, what: str) -> None:
        varying = slices.reads(node) & self.varying
        if varying:
            raise exc.BackendUnsupported(
                "metal", f"{what} that differs between the elements of a tile, in a kernel that multiplies matrices"
            )

    # ---- products --------------------------------------------------------------------------------------------------

    def _multiply(self, region: Region, scope: _Scope) -> list[ast.stmt]:
        inner = scope.inner()
        uniform: list[ast.stmt] = []
        for statement in region.statements:
            if self._declared(statement) is not None:
                continue
            if self._has_effect(statement) or isinstance(statement, ast.For | ast.While):
                raise exc.BackendUnsupported(
                    "metal",
                    "a loop that multiplies matrices and does something else: put the rest in a loop of its own",
                )
            if self._is_uniform(statement):
                uniform.append(statement)
            else:
                self._remember(statement, inner)
        for term in region.terms:
            self._check_order(inner.pure, [term.marker])
        code = self.emitter.region(region, inner.pure, uniform, scope.dimensions)
        for name, product in code.products.items():
            initial = None
            if region.loop is not None and not _is_zero(scope.pure, name):
                initial = self.fn.new_var(f"{name}_initial")
                scope.pure[:] = [self._renamed(part, name, initial) for part in scope.pure]
            self._remember(region.result(name, initial, product), scope)
        return code.statements

    def _renamed(self, statement: ast.stmt, old: str, new: str) -> ast.stmt:
        copy: ast.stmt = slices.renamed(statement, {old: new})
        self._stored_before[id(copy)] = self._stored_before[id(statement)]
        return copy

    # ---- memory ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _tensor(call: ast.Call) -> str:
        pointer = call.args[0]
        while isinstance(pointer, ast.BinOp):
            pointer = pointer.left
        return ast.unparse(pointer)

    @staticmethod
    def _is_store(statement: ast.stmt) -> bool:
        call = statement.value if isinstance(statement, ast.Expr) else None
        return isinstance(call, ast.Call) and ast.unparse(call.func) == "tl.store"

    def _has_effect(self, statement: ast.stmt) -> bool:
        return any(self._is_store(part) or _marker(part) for part in ast.walk(statement) if isinstance(part, ast.stmt))

    def _check_order(self, pure: list[ast.stmt], effects: Iterable[ast.AST]) -> None:
        """Refuses what would read a tensor after a store that stands behind the read."""
        for statement in slices.backward(pure, slices.reads(*effects)):
            later = self._stored - self._stored_before.get(id(statement), self._stored)
            for load in slices.calls(statement, "tl.load"):
                if self._tensor(load) in later:
                    raise exc.BackendUnsupported(
                        "metal",
                        f"{self._tensor(load)} is read and then written in a kernel that multiplies matrices: write to "
                        "another tensor",
                    )


def _varying(statements: list[ast.stmt], names: set[str]) -> set[str]:
    """The `names`, and all that are anywhere assigned a product or something that depends on them."""
    parts = [part for statement in statements for part in ast.walk(statement) if isinstance(part, ast.Assign)]
    while True:
        found = {
            name
            for part in parts
            if slices.reads(part.value) & names or _marker(part) is not None
            for name in slices.writes(part)
        }
        if found <= names:
            return names
        names = names | found


def _is_zero(pure: list[ast.stmt], name: str) -> bool:
    """Whether a variable is all zeros after the statements `pure`."""
    assignments = [statement for statement in pure if name in slices.writes(statement)]
    value = assignments[-1].value if assignments and isinstance(assignments[-1], ast.Assign) else None
    while isinstance(value, ast.Call) and len(value.args) == 1:
        value = value.args[0]
    return isinstance(value, ast.Constant) and value.value == 0


def _marker(node: ast.AST) -> ast.Call | None:
    return next(slices.calls(node, MARKER), None)


def _statement(text: str) -> ast.stmt:
    return ast.parse(text).body[0]


def _loop(name: str, bounds: str, body: list[ast.stmt]) -> ast.stmt:
    loop = _statement(f"for {name} in {bounds}:\n    pass")
    assert isinstance(loop, ast.For)
    loop.body = body or [ast.Pass()]
    return loop
