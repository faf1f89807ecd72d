"""Matrix products in the code of one element: what is multiplied, and what becomes of it."""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING

from helion_msl._helion import slices
from helion_msl._helion.markers import FOLD_MARKER, INDEX_MARKER, SCAN_MARKER, VALUE_MARKER
from helion_msl._helion.markers import MATMUL_MARKER as MARKER

if TYPE_CHECKING:
    from helion_msl._helion.elements import Dimension

# simdgroup_matrix multiplies blocks of 8x8 (Metal Shading Language Specification, section 2.3.2).
BLOCK = 8
_CASTS = frozenset({"ml.float32", "ml.float16", "ml.bfloat16"})


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
            value = slices.replaced(value, marker, product)
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


class NotASumError(Exception):
    """A loop that does more than adding products to tiles."""


def match_loop(loop: ast.For, reassigned: set[str]) -> Region:
    """Takes a loop apart in which variables only have products added to them.

    Raises:
        NotASumError: it does anything else with them.
    """
    if not all(isinstance(statement, ast.Assign) for statement in loop.body):
        raise NotASumError
    if any(
        next(slices.calls(loop, name), None) is not None
        for name in (VALUE_MARKER, INDEX_MARKER, SCAN_MARKER, FOLD_MARKER)
    ):
        raise NotASumError
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
            raise NotASumError
        terms += [Term(name, product, value) for product in products]
    if not terms:
        raise NotASumError
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
        first: text of the place of the first element in the tile, None for 0.
    """

    dimension: Dimension | None
    extent: int
    base: str
    limit: str | None = None
    first: str | None = None

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


def padded(extent: int) -> int:
    """Elements with those that fill up the last block of 8."""
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


def constant(node: ast.AST) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body
