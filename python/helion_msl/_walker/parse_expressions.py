"""Subscripts and calls of Python to IR."""

# ruff: noqa: N802 - the visitors are named after the classes of the ast module

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from ..language import Position
from . import fold, intrinsics, ir, operators, sequences, values, vectors
from .parse_base import fields_of
from .parse_conditions import ConditionParser
from .threads import POSITIONS
from .types import BOOL, TensorType, ThreadgroupArrayType, TupleType, VectorType
from .values import PythonObject, TensorMethod, TupleValue

if TYPE_CHECKING:
    from .values import Value


class ExpressionParser(ConditionParser):
    """Turns expressions into IR, or into objects that exist at translation only (:mod:`.values`)."""

    def visit_Subscript(self, node: ast.Subscript) -> Value:
        """Return an element of a tensor, an array, a tuple or a position."""
        owner = self.value(node.value)
        if isinstance(owner, ir.MEMORY):
            element = self.element(node, owner)
            return fold.load(element, None, None)
        is_call = values.is_expression(owner) and isinstance(owner.type, TupleType)
        call = owner
        if is_call:
            owner = fields_of(owner)  # type: ignore[arg-type]
        if isinstance(owner, TupleValue):
            if isinstance(node.slice, ast.Slice):
                items = sequences.as_tuple(self, call) if is_call else owner
                return sequences.sliced(self, node.slice, items)  # type: ignore[arg-type]
            number = self.integer(node.slice, "the index into a tuple")
            if not self.is_known(number):
                items = sequences.as_tuple(self, call) if is_call else owner
                return sequences.chosen(self, node, items, number)  # type: ignore[arg-type]
            index = self.known_integer(node.slice, number, "the index into a tuple")
            if not -len(owner.items) <= index < len(owner.items):
                raise self.error(node, f"the tuple has {len(owner.items)} items, not item {index}")
            # Each field of a call's result is the call, so that no item's effect is lost.
            return owner.items[index] if is_call else self.item_of(node, owner.items, index % len(owner.items))
        if values.is_expression(owner) and isinstance(owner.type, VectorType):
            return vectors.indexed(self, node, owner)
        if isinstance(owner, PythonObject) and isinstance(owner.value, Position):
            return self.position(POSITIONS[id(owner.value)], self.axis(node))
        if isinstance(owner, PythonObject) and callable(owner.value):
            raise self.error(node, f"{values.describe(owner)} cannot be subscripted", "call it with parentheses")
        remedy = f"call it: x.{owner.name}(0)" if isinstance(owner, TensorMethod) else "subscript a tensor or a tuple"
        raise self.error(node, f"{values.describe(owner)} cannot be subscripted", remedy)

    def axis(self, node: ast.Subscript) -> int:
        """Return the axis that subscripts a position: 0, 1 or 2."""
        axis = self.constant_integer(node.slice, "the axis of a position")
        if not 0 <= axis <= 2:
            raise self.error(node.slice, f"a launch has three dimensions, not a dimension {axis}", "use 0, 1 or 2")
        return axis

    def element(self, node: ast.Subscript, base: ir.TensorReference | ir.ThreadgroupArrayReference) -> ir.Element:
        """Return the place that a subscript names."""
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for part in parts:
            if isinstance(part, ast.Slice):
                self.refuse(part)
            if isinstance(part, ast.Constant) and part.value is None:
                raise self.error(
                    part, "None adds a dimension, and a thread computes with single numbers", "leave it out"
                )
        return self.element_at(node, base, list(parts))

    def element_at(
        self, node: ast.AST, base: ir.TensorReference | ir.ThreadgroupArrayReference, parts: list[ast.expr]
    ) -> ir.Element:
        """Return the element at indices given as expressions of the source."""
        kind = base.type
        rank = kind.rank if isinstance(kind, TensorType) else len(kind.shape)
        if (
            isinstance(kind, TensorType)
            and rank == 0
            and all(isinstance(part, ast.Constant) and part.value == 0 for part in parts)
        ):
            return ir.Element(base, (fold.convert(fold.integer(0), self.index_type),))
        if len(parts) != rank:
            name = base.argument.name if isinstance(base, ir.TensorReference) else base.array.name
            wanted = ", ".join("ijklmnop"[dimension % 8] for dimension in range(rank))
            raise self.error(
                node,
                f"`{name}` has {rank} dimension{'s' if rank != 1 else ''}, the subscript has {len(parts)}",
                f"write {name}[{wanted}]" if rank else f"write {name} for its value",
            )
        indices = [self.integer(part, "an index") for part in parts]
        if len(indices) > 1 and any(ir.is_ordered(index) for index in indices):
            raise self.error(node, "an index among others changes memory or a variable", "assign it to a name first")
        indices = [self._from_end(base, dimension, index) for dimension, index in enumerate(indices)]
        if isinstance(kind, ThreadgroupArrayType):
            for part, index, size in zip(parts, indices, kind.shape, strict=True):
                if isinstance(index, ir.Constant) and not 0 <= index.value < size:
                    raise self.error(part, f"the index {index.value} is outside of the {size} elements")
            return ir.Element(base, tuple(indices))
        assert isinstance(base, ir.TensorReference)
        return ir.Element(base, (self.offset(base, indices),))

    def _from_end(
        self, base: ir.TensorReference | ir.ThreadgroupArrayReference, dimension: int, index: ir.Expression
    ) -> ir.Expression:
        if not (isinstance(index, ir.Constant) and index.value < 0):
            return index
        if isinstance(base, ir.ThreadgroupArrayReference):
            return fold.integer(base.type.shape[dimension] + int(index.value))
        size = fold.convert(self.size_of(base, dimension), self.index_type)
        return ir.Binary("-", size, ir.Constant(-index.value, self.index_type, False), self.index_type)

    def offset(self, tensor: ir.TensorReference, indices: list[ir.Expression]) -> ir.Expression:
        """Return the linear offset of an element: the sum of index times stride."""
        total: ir.Expression = ir.Constant(0, self.index_type, False)
        scalar = self.index_type
        for index in indices:
            kind = operators.scalar_type(index)
            if kind.bits == 64:
                scalar = kind if scalar.bits < 64 else scalar
        if len(indices) == 1 and fold.is_constant(self.stride_of(tensor, 0), 1):
            return indices[0] if indices[0].type is not BOOL else fold.convert(indices[0], scalar)
        total = fold.convert(total, scalar)
        for dimension, index in enumerate(indices):
            stride = fold.convert(self.stride_of(tensor, dimension), scalar)
            total = fold.add(total, fold.multiply(fold.convert(index, scalar), stride))
        return total

    def visit_Call(self, node: ast.Call) -> Value:
        """Return the value of a call: a method of a tensor, a type, or a function that has a meaning in a kernel."""
        function = self.value(node.func)
        node = sequences.starred_arguments(self, node)
        if isinstance(function, TensorMethod):
            return intrinsics.call_tensor_method(self, node, function)
        if isinstance(function, PythonObject):
            return intrinsics.call_object(self, node, function.value)
        remedy = "subscript it: x.shape[0]" if isinstance(function, TupleValue) else "call a function"
        raise self.error(node, f"{values.describe(function)} cannot be called", remedy)
