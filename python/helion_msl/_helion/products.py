"""Matrix products in the code of one element: what is multiplied, and what becomes of it."""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING

from helion import exc

from helion_msl._helion import slices
from helion_msl._helion.matmul import MARKER

if TYPE_CHECKING:
    from collections.abc import Callable

# simdgroup_matrix multiplies blocks of 8x8 (Metal Shading Language Specification, section 2.3.2).
BLOCK = 8
_CASTS = frozenset({"ml.float32", "ml.float16", "ml.bfloat16"})


@dataclasses.dataclass(frozen=True)
class Dimension:
    """One dimension of a tile.

    Attributes:
        block: Helion's id of it.
        index: the variable that holds the index of an element.
        offset: the variable that holds the index of the tile's first element.
        size: elements of the tile.
    """

    block: int
    index: str
    offset: str
    size: int

    @property
    def position(self) -> str:
        """Stands for an element's place in its part of the tile, until a loop over elements gives it a variable."""
        return f"_position_{self.block}"


@dataclasses.dataclass(frozen=True)
class Term:
    """A product, and the variable that it is added to or part of the value of."""

    target: str
    marker: ast.Call
    value: ast.expr

    @property
    def blocks(self) -> tuple[int | None, int | None, int | None]:
        """Block ids of rows, columns and inner dimension; None for a dimension of one element."""
        rows, columns, inner = (constant(argument) for argument in self.marker.args[2:5])
        return rows, columns, inner  # type: ignore[return-value]

    @property
    def dtype(self) -> str:
        """Type of the operands, under its name in the language."""
        return f"ml.{str(constant(self.marker.args[5])).removeprefix('torch.')}"


@dataclasses.dataclass(frozen=True)
class Region:
    """Products that are computed together.

    Attributes:
        loop: the loop over the inner dimension, None for a product of whole tiles.
        statements: what the loop contains beside the products.
        terms: the products.
    """

    loop: ast.For | None
    statements: list[ast.stmt]
    terms: list[Term]

    def result(self, target: str, initial: str | None, product: ast.expr) -> ast.stmt:
        """The statement that gives `target` its value, once the sum of its products is there.

        Args:
            target: the variable.
            initial: the variable with what the products are added to, None for nothing.
            product: where the sum is found.
        """
        value = next(term.value for term in self.terms if term.target == target)
        if self.loop is None:
            marker = next(term.marker for term in self.terms if term.target == target)
            value = _replaced(value, marker, product)
        else:
            casts = _outer_casts(value)
            value = product
            if initial is not None:
                start = ast.Call(expression("ml.float32"), [ast.Name(initial, ast.Load())], [])
                value = ast.BinOp(start, ast.Add(), product)
            for cast in reversed(casts):
                value = ast.Call(expression(cast), [value], [])
        return ast.Assign(targets=[ast.Name(target, ast.Store())], value=value, lineno=0)


@dataclasses.dataclass
class Code:
    """A region's statements, and for each variable where an element of its sum is found."""

    statements: list[ast.stmt]
    products: dict[str, ast.expr]


def match_loop(loop: ast.For, reassigned: set[str]) -> Region:
    """Takes a loop apart in which variables only have products added to them.

    Raises:
        helion.exc.BackendUnsupported: it does anything else with them.
    """
    values = {
        statement.targets[0].id: statement.value
        for statement in loop.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    carried = {name for name in values if name in reassigned and name in slices.reads(*loop.body)}
    tainted = set(carried)
    for statement in loop.body:
        if slices.reads(statement) & tainted or next(slices.calls(statement, MARKER), None) is not None:
            tainted |= slices.writes(statement)

    def expanded(node: ast.expr) -> ast.expr:
        inner = {name: expanded(values[name]) for name in slices.reads(node) if name in tainted - carried}
        copy: ast.expr = slices.renamed(node, inner)
        return copy

    terms = []
    for name in sorted(tainted & reassigned):
        value = expanded(values[name])
        parts = list(_addends(value))
        products = [part for part in parts if isinstance(part, ast.Call) and ast.unparse(part.func) == MARKER]
        starts = [part for part in parts if isinstance(part, ast.Name) and part.id == name]
        if not products or len(starts) != 1 or len(products) + 1 != len(parts):
            raise exc.BackendUnsupported(
                "metal",
                f"a loop that computes {name} = {_described(value)}: in a loop that multiplies matrices a tile can "
                "only have products added to it",
            )
        terms += [Term(name, product, value) for product in products]
    if not terms:
        raise exc.BackendUnsupported("metal", "a matrix product in a loop that is not summed up there")
    statements = [statement for statement in loop.body if not slices.writes(statement) & tainted]
    return Region(loop, statements, terms)


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of a matrix in threadgroup memory.

    Attributes:
        dimension: the dimension of the tile, None for a side of one element.
        extent: elements that are in use.
        base: text of the index of the first one.
        limit: text of how many elements are left, where they may be fewer.
    """

    dimension: Dimension | None
    extent: int
    base: str
    limit: str | None = None

    @property
    def bounds(self) -> list[str]:
        """What an element's place must be less than, so that the element exists."""
        padding = [str(self.extent)] if self.padded != self.extent else []
        return padding + ([self.limit] if self.limit is not None else [])

    @property
    def padded(self) -> int:
        """Elements with those that fill up the last block."""
        return padded(self.extent)

    @property
    def position(self) -> str:
        """What an element's place along this side is called until it has a variable."""
        return self.dimension.position if self.dimension is not None else "0"

    def bind(
        self, place: str, replacements: dict[str, str | ast.expr], new_name: Callable[[str], str]
    ) -> list[ast.stmt]:
        """Gives the variables of this dimension their values for the element at `place`."""
        if self.dimension is None:
            return []
        index = new_name(self.dimension.index)
        replacements[self.dimension.index] = index
        replacements[self.dimension.position] = place
        return ast.parse(f"{index} = {self.base} + {place}").body


def padded(extent: int) -> int:
    return -(-extent // BLOCK) * BLOCK


def _addends(node: ast.expr) -> list[ast.expr]:
    """The terms of a sum, through conversions of floating-point types."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_addends(node.left), *_addends(node.right)]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in _CASTS and len(node.args) == 1:
        return _addends(node.args[0])
    return [node]


def _outer_casts(node: ast.expr) -> list[str]:
    casts = []
    while isinstance(node, ast.Call) and ast.unparse(node.func) in _CASTS:
        casts.append(ast.unparse(node.func))
        node = node.args[0]
    return casts


def _replaced(node: ast.expr, old: ast.AST, new: ast.expr) -> ast.expr:
    """A copy of `node` with the call that reads like `old` replaced."""
    text = ast.unparse(old)

    class Replacement(ast.NodeTransformer):
        def visit_Call(self, call: ast.Call) -> ast.expr:
            if ast.unparse(call) == text:
                return new
            return self.generic_visit(call)  # type: ignore[return-value]

    copy: ast.expr = Replacement().visit(slices.renamed(node, {}))
    return copy


def _described(value: ast.expr) -> str:
    """A value as a message shows it: products by what they multiply."""

    class Short(ast.NodeTransformer):
        def visit_Call(self, call: ast.Call) -> ast.expr:
            self.generic_visit(call)
            if ast.unparse(call.func) == MARKER:
                return ast.BinOp(call.args[0], ast.MatMult(), call.args[1])
            return call

    return ast.unparse(Short().visit(slices.renamed(value, {})))


def constant(node: ast.AST) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body
