"""Expressions of Python to IR: one method for each node class."""

# ruff: noqa: N802 - the visitors are named after the classes of the ast module

from __future__ import annotations

import ast
import functools
from typing import TYPE_CHECKING, ClassVar

from . import fold, ir, operators, values
from .parse_base import ParserBase
from .types import BOOL, FLOAT32, ScalarType, TensorType, ThreadgroupArrayType, join
from .values import DottedName, PythonObject, TensorMethod, TupleValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from .values import Value

_LARGEST_FLOAT32 = 3.4028235677973366e38  # halfway to the next power of two rounds to infinity from here on

# What Python has and a kernel does not: the cause, and what to write instead.
REFUSED_EXPRESSIONS: dict[type[ast.AST], tuple[str, str]] = {
    ast.List: (
        "a list cannot live on the GPU",
        "use ml.threadgroup_array, separate variables, or a tuple of constants",
    ),
    ast.Dict: ("a dict cannot live on the GPU", "pass values as arguments, or index a tensor"),
    ast.Set: ("a set cannot live on the GPU", "compare with each value: `x == 1 or x == 2`"),
    ast.ListComp: ("a list cannot live on the GPU", "write a `for` loop"),
    ast.SetComp: ("a set cannot live on the GPU", "write a `for` loop"),
    ast.DictComp: ("a dict cannot live on the GPU", "write a `for` loop"),
    ast.GeneratorExp: ("a generator cannot run on the GPU", "write a `for` loop"),
    ast.Lambda: ("a lambda cannot run on the GPU", "write the expression where it is used"),
    ast.Await: ("a kernel cannot wait for a coroutine", "await on the host, before the launch"),
    ast.Yield: ("a kernel cannot be a generator", "store results into an output tensor"),
    ast.YieldFrom: ("a kernel cannot be a generator", "store results into an output tensor"),
    ast.JoinedStr: ("a kernel has no strings", "format text on the host"),
    ast.Starred: ("a starred expression has no fixed length", "write the items out"),
    ast.Slice: ("a slice is a tensor, and a thread computes with single numbers", "loop over the indices"),
}


class ExpressionParser(ParserBase):
    """Turns expressions into IR, or into objects that exist at translation only (:mod:`.values`)."""

    refused: ClassVar[dict[type[ast.AST], tuple[str, str]]] = REFUSED_EXPRESSIONS

    # ---- Ways in ---------------------------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> Value:
        """Return what an expression stands for."""
        method: Callable[[ast.AST], Value] | None = getattr(self, f"visit_{type(node).__name__}", None)
        return method(node) if method is not None else self.refuse(node)

    def refuse(self, node: ast.AST) -> Value:
        """Refuse a node that no method handles."""
        kind = type(node)
        cause, remedy = self.refused.get(kind, (f"Python's {kind.__name__} is not supported in a kernel", ""))
        raise self.error(node, cause, remedy)

    def scalar(self, node: ast.expr) -> ir.Expression:
        """Return an expression that is one number; a tensor of rank 0 is read."""
        return self.as_scalar(node, self.value(node))

    def as_scalar(self, node: ast.expr, value: Value) -> ir.Expression:
        """Return a value as one number.

        Raises:
            TranslationError: it is none.
        """
        if isinstance(value, ir.TensorReference) and value.type.rank == 0:
            return ir.Load(ir.Element(value, (fold.convert(fold.integer(0), self.index_type),)), value.type.dtype)
        if values.is_expression(value) and isinstance(value.type, ScalarType):
            return value
        if isinstance(value, ir.TensorReference | ir.ThreadgroupArrayReference):
            indices = (
                "i" if len(getattr(value.type, "shape", ())) == 1 or getattr(value.type, "rank", 0) == 1 else "i, j"
            )
            raise self.error(
                node,
                f"{values.describe(value)} is used where one number is needed",
                f"read an element, as in {ast.unparse(node)}[{indices}]",
            )
        remedy = ""
        if isinstance(value, PythonObject) and isinstance(value.value, str):
            remedy = "a kernel has no strings; pass a number"
        elif isinstance(value, PythonObject) and callable(value.value):
            remedy = "call it"
        raise self.error(node, f"{values.describe(value)} is used where a number is needed", remedy)

    def integer(self, node: ast.expr, what: str) -> ir.Expression:
        """Return an expression that is an integer; ``what`` names it in the error."""
        number = self.scalar(node)
        if number.type is BOOL:
            return fold.convert(number, self.index_type)
        if isinstance(number.type, ScalarType) and number.type.is_integer:
            return number
        raise self.error(node, f"{what} must be an integer, this is a {number.type}", "convert it: int(x)")

    def constant_integer(self, node: ast.expr, what: str) -> int:
        """Return an integer that is known at translation."""
        number = self.scalar(node)
        if isinstance(number, ir.Constant) and isinstance(number.value, int):
            return int(number.value)
        raise self.error(node, f"{what} must be known at translation", "use a literal or an ml.constexpr parameter")

    # ---- Literals, tuples, attributes ------------------------------------------------------------------------------

    def visit_Constant(self, node: ast.Constant) -> Value:
        """Return a literal."""
        value = node.value
        if isinstance(value, float):
            if _LARGEST_FLOAT32 <= abs(value) < float("inf"):
                raise self.error(node, f"{value} is beyond the range of float32, about 3.4e38", "write float('inf')")
            return ir.Constant(value, FLOAT32)
        if isinstance(value, bool | int):
            constant = fold.weak_constant(value)
            if constant is None:
                raise self.error(node, f"{value} does not fit 64 bits", "compute with a float")
            return constant
        if isinstance(value, complex | bytes) or value is Ellipsis:
            raise self.error(node, f"a kernel has no {type(value).__name__}", "")
        return PythonObject(value)

    def visit_Tuple(self, node: ast.Tuple) -> Value:
        """Return a tuple, which exists at translation only."""
        return TupleValue(tuple(self.value(item) for item in node.elts))

    def visit_Attribute(self, node: ast.Attribute) -> Value:
        """Return an attribute of a tensor, of a module or of another Python object."""
        owner = self.value(node.value)
        if isinstance(owner, ir.TensorReference):
            return self._tensor_attribute(node, owner)
        if isinstance(owner, ir.ThreadgroupArrayReference) and node.attr == "shape":
            return TupleValue(tuple(fold.integer(size) for size in owner.type.shape))
        if isinstance(owner, DottedName):
            return DottedName(f"{owner.path}.{node.attr}")
        if isinstance(owner, PythonObject):
            return self._object_attribute(node, owner.value)
        raise self.error(node, f"{values.describe(owner)} has no attribute `{node.attr}` in a kernel")

    def _tensor_attribute(self, node: ast.Attribute, tensor: ir.TensorReference) -> Value:
        name = node.attr
        if name == "shape":
            return TupleValue(tuple(self.size_of(tensor, dimension) for dimension in range(tensor.type.rank)))
        if name == "ndim":
            return fold.integer(tensor.type.rank)
        if name == "dtype":
            from .. import language

            return PythonObject(getattr(language, "bool_" if tensor.type.dtype is BOOL else tensor.type.dtype.name))
        if name in ("size", "stride", "numel", "dim", "item"):
            return TensorMethod(tensor, name)
        raise self.error(
            node,
            f"a tensor has no `{name}` in a kernel",
            "there are shape, size, stride, numel, dim, ndim, dtype and item; call torch on the host",
        )

    def _object_attribute(self, node: ast.Attribute, owner: object) -> Value:
        from .. import language
        from .threads import THREAD_VALUES

        if owner is language and node.attr in THREAD_VALUES:
            return self.position(THREAD_VALUES[node.attr], None)
        try:
            found = getattr(owner, node.attr)
        except AttributeError:
            name = getattr(owner, "__name__", repr(owner))
            raise self.error(node, f"`{name}` has no `{node.attr}`", self._nearest(owner, node.attr)) from None
        value = self.outer_value(node, found)
        # A number found by its path has no name of its own to print.
        return ir.Constant(value.value, value.type) if isinstance(value, ir.Constant) else value

    @staticmethod
    def _nearest(owner: object, name: str) -> str:
        import difflib

        if name in ("float64", "double"):
            return "Metal has no 64-bit floats; use ml.float32"
        close = difflib.get_close_matches(name, dir(owner), 1)
        return f"did you mean `{close[0]}`?" if close else ""

    def position(self, kind: ir.PositionKind, axis: int | None) -> ir.Expression:
        """Return a coordinate of the thread; a constant where the size of the threadgroup decides it."""
        bound = None
        if self.block_dims is not None:
            x, y, z = self.block_dims
            if kind == "threads_per_threadgroup" and axis is not None:
                return ir.Constant(self.block_dims[axis], self.index_type, True)
            if kind == "thread_position_in_threadgroup" and axis is not None:
                bound = self.block_dims[axis]
            elif kind == "thread_index_in_threadgroup":
                bound = x * y * z
            elif kind == "simdgroup_index_in_threadgroup":
                bound = (x * y * z + 31) // 32
            elif kind == "simdgroups_per_threadgroup":
                return ir.Constant((x * y * z + 31) // 32, self.index_type, True)
        if kind == "thread_index_in_simdgroup":
            bound = 32
        return ir.Position(kind, axis, self.index_type, bound)

    # ---- Operators -------------------------------------------------------------------------------------------------

    def visit_BinOp(self, node: ast.BinOp) -> Value:
        """Return an operator with two operands."""
        return self.binary(node, node.op, self.scalar(node.left), self.scalar(node.right))

    def binary(self, node: ast.AST, kind: ast.operator, left: ir.Expression, right: ir.Expression) -> ir.Expression:
        """Apply an operator to two numbers."""
        try:
            folded = operators.fold_constants(type(kind), left, right)
            if folded is not None:
                return folded
            build = self.binary_operators.get(type(kind))
            if build is None:
                raise self.error(
                    node, "`@` multiplies matrices, and a thread computes with single numbers", "write the loops"
                )
            return self.in_order(node, (left, right), build)
        except operators.OperatorError as error:
            raise self.located(node, error) from None

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Value:
        """Return an operator with one operand."""
        if isinstance(node.op, ast.Not):
            return fold.logical_not(self.truth_of(node.operand, self.as_number(node.operand)))
        operand = self.scalar(node.operand)
        try:
            return self.unary(node.op, operand)
        except operators.OperatorError as error:
            raise self.located(node, error) from None

    def unary(self, kind: ast.unaryop, operand: ir.Expression) -> ir.Expression:
        """Apply ``-``, ``+`` or ``~``."""
        if isinstance(kind, ast.USub):
            return operators.negative(operand)
        if isinstance(kind, ast.UAdd):
            return operators.positive(operand)
        return operators.invert(operand)

    def as_number(self, node: ast.expr) -> Value:
        """Return a value, a tensor of rank 0 as its number."""
        value = self.value(node)
        return self.as_scalar(node, value) if isinstance(value, ir.TensorReference) and not value.type.rank else value

    def visit_BoolOp(self, node: ast.BoolOp) -> Value:
        """Return ``and`` or ``or``: the operand that decides, the others are not evaluated."""
        is_and = isinstance(node.op, ast.And)
        found = self.as_number(node.values[0])
        for index, following in enumerate(node.values[1:]):
            test = self.truth_of(node.values[index], found)
            if isinstance(test, ir.Constant):
                if bool(test.value) is is_and:
                    found = self.as_number(following)
                    continue
                return found
            assigned = set(self.assigned) if self.assigned is not None else None
            right = self.as_number(following)
            self.assigned = assigned
            found = self._decide(node, is_and, found, right, following)
        return found

    def _decide(self, node: ast.AST, is_and: bool, left: Value, right: Value, right_node: ast.expr) -> ir.Expression:
        combine = fold.logical_and if is_and else fold.logical_or
        right_number = self.as_scalar(right_node, right) if not self._is_number(right) else right
        assert values.is_expression(left)
        assert values.is_expression(right_number)
        if left.type is BOOL and right_number.type is BOOL:
            return combine(left, right_number)
        first, again = self.kept(node, left)
        scalar = self.joined(left, right_number)
        test = fold.truth(first)
        kept, other = fold.convert(again, scalar), fold.convert(right_number, scalar)
        return fold.conditional(test, other, kept, scalar) if is_and else fold.conditional(test, kept, other, scalar)

    @staticmethod
    def _is_number(value: Value) -> bool:
        return values.is_expression(value) and isinstance(value.type, ScalarType)

    def condition(self, node: ast.expr) -> ir.Expression:
        """Return the truth value of an expression that is only tested: ``and`` and ``or`` need no operand's value."""
        if isinstance(node, ast.BoolOp):
            is_and = isinstance(node.op, ast.And)
            test = self.condition(node.values[0])
            when_true = set(self.assigned or ()) | self.assigned_when_true
            for following in node.values[1:]:
                if isinstance(test, ir.Constant) and bool(test.value) is not is_and:
                    break
                assigned = set(self.assigned) if self.assigned is not None else None
                if is_and and self.assigned is not None:
                    self.assigned |= when_true
                right = self.condition(following)
                when_true |= set(self.assigned or ()) | self.assigned_when_true
                self.assigned = assigned
                test = fold.logical_and(test, right) if is_and else fold.logical_or(test, right)
            self.assigned_when_true = when_true if is_and else set()
            return test
        self.assigned_when_true = set()
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            test = fold.logical_not(self.condition(node.operand))
            self.assigned_when_true = set()
            return test
        return self.truth_of(node, self.as_number(node))

    def joined(self, left: ir.Expression, right: ir.Expression) -> ScalarType:
        """Return the type that holds either of two values; a literal adapts to the other one where it fits."""
        left_type, right_type = operators.scalar_type(left), operators.scalar_type(right)
        for literal, other in ((left, right_type), (right, left_type)):
            if isinstance(literal, ir.Constant) and literal.is_weak and other is not BOOL:
                if other.is_float and fold.is_exact(float(literal.value), other):
                    return other
                is_whole = other.is_integer and not isinstance(literal.value, float)
                if is_whole and other.minimum <= literal.value <= other.maximum:
                    return other
        return join(left_type, right_type)

    # ---- Comparisons and conditions --------------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> Value:
        """Return a comparison; a chain is a conjunction that evaluates each operand at most once."""
        result: ir.Expression = ir.Constant(True, BOOL)
        left: Value = self.as_number(node.left)
        left_node = node.left
        for index, (kind, right_node) in enumerate(zip(node.ops, node.comparators, strict=True)):
            right: Value = self.as_number(right_node)
            again = right
            if index + 1 < len(node.ops) and self._is_number(right):
                assert values.is_expression(right)
                right, again = self.kept(right_node, right)
            test = self.compared(node, kind, left_node, left, right_node, right)
            result = fold.logical_and(result, test)
            if isinstance(result, ir.Constant) and not result.value:
                return result
            left, left_node = again, right_node
        return result

    def compared(
        self, node: ast.AST, kind: ast.cmpop, left_node: ast.expr, left: Value, right_node: ast.expr, right: Value
    ) -> ir.Expression:
        """Return one comparison of a chain."""
        if isinstance(kind, ast.Is | ast.IsNot):
            return self._identity(node, isinstance(kind, ast.Is), left, right)
        if isinstance(kind, ast.In | ast.NotIn):
            return self._membership(node, isinstance(kind, ast.In), left_node, left, right)
        are_objects = isinstance(left, PythonObject) and isinstance(right, PythonObject)
        if are_objects and isinstance(kind, ast.Eq | ast.NotEq):
            return ir.Constant((left == right) is isinstance(kind, ast.Eq), BOOL)
        operands = (self.as_scalar(left_node, left), self.as_scalar(right_node, right))
        try:
            return self.in_order(node, operands, functools.partial(operators.compare, type(kind)))
        except operators.OperatorError as error:
            raise self.located(node, error) from None

    def _identity(self, node: ast.AST, is_same: bool, left: Value, right: Value) -> ir.Expression:
        if not any(isinstance(side, PythonObject) for side in (left, right)):
            raise self.error(node, "`is` compares objects, and a kernel has numbers", "write `==` or `!=`")
        same = isinstance(left, PythonObject) and isinstance(right, PythonObject) and left.value is right.value
        return ir.Constant(same is is_same, BOOL)

    def _membership(self, node: ast.AST, is_in: bool, left_node: ast.expr, left: Value, right: Value) -> ir.Expression:
        if not isinstance(right, TupleValue):
            raise self.error(node, "`in` needs a tuple written out", "write `x in (1, 2)`, or loop over the elements")
        first, again = self.kept(left_node, self.as_scalar(left_node, left))
        result: ir.Expression = ir.Constant(False, BOOL)
        for item in right.items:
            test = self.compared(node, ast.Eq(), left_node, first, left_node, item)
            result, first = fold.logical_or(result, test), again
        return result if is_in else fold.logical_not(result)

    def visit_IfExp(self, node: ast.IfExp) -> Value:
        """Return a conditional expression: only the branch chosen is evaluated."""
        test = self.condition(node.test)
        if isinstance(test, ir.Constant):
            return self.value(node.body if test.value else node.orelse)
        before = set(self.assigned) if self.assigned is not None else None
        if self.assigned is not None:
            self.assigned |= self.assigned_when_true
        body = self.scalar(node.body)
        self.assigned = set(before) if before is not None else None
        orelse = self.scalar(node.orelse)
        self.assigned = before
        scalar = self.joined(body, orelse)
        return fold.conditional(test, fold.convert(body, scalar), fold.convert(orelse, scalar), scalar)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> Value:
        """Return ``name := value``."""
        value = self.scalar(node.value)
        variable, converted = self.assign_name(node.target, node.target.id, value)
        return ir.AssignExpression(variable, converted, variable.type)

    def assign_name(self, node: ast.AST, name: str, value: ir.Expression) -> tuple[ir.Variable, ir.Expression]:
        """Record an assignment to a name; implemented with the statements."""
        raise NotImplementedError

    # ---- Subscripts and calls --------------------------------------------------------------------------------------

    def visit_Subscript(self, node: ast.Subscript) -> Value:
        """Return an element of a tensor, an array, a tuple or a position."""
        from ..language import Position
        from .threads import POSITIONS

        owner = self.value(node.value)
        if isinstance(owner, ir.TensorReference | ir.ThreadgroupArrayReference):
            element = self.element(node, owner)
            return fold.load(element, None, None)
        if isinstance(owner, TupleValue):
            index = self.constant_integer(node.slice, "the index into a tuple")
            if not -len(owner.items) <= index < len(owner.items):
                raise self.error(node, f"the tuple has {len(owner.items)} items, not item {index}")
            return owner.items[index]
        if isinstance(owner, PythonObject) and isinstance(owner.value, Position):
            return self.position(POSITIONS[id(owner.value)], self.axis(node))
        if isinstance(owner, PythonObject) and callable(owner.value):
            raise self.error(node, f"{values.describe(owner)} cannot be subscripted", "call it with parentheses")
        raise self.error(node, f"{values.describe(owner)} cannot be subscripted")

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
        from . import intrinsics

        function = self.value(node.func)
        if isinstance(function, TensorMethod):
            return intrinsics.call_tensor_method(self, node, function)
        if isinstance(function, PythonObject):
            return intrinsics.call_object(self, node, function.value)
        raise self.error(node, f"{values.describe(function)} cannot be called")
