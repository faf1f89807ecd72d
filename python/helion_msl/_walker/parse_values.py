"""Names, literals, attributes and arithmetic of Python to IR."""

# ruff: noqa: N802 - the visitors are named after the classes of the ast module

from __future__ import annotations

import ast
import enum
from typing import TYPE_CHECKING, Any, ClassVar

from .. import language
from . import fold, hints, ir, operators, sequences, values, vectors
from .parse_base import NODE_CLASSES, ParserBase
from .threads import POSITIONS, THREAD_VALUES
from .types import BOOL, FLOAT32, ScalarType, VectorType
from .values import DottedName, PythonObject, TensorMethod, TupleValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from .values import Value

_LARGEST_FLOAT32 = 3.4028235677973366e38  # halfway to the next power of two rounds to infinity from here on

_DOTTED = (ast.Attribute, ast.Name)

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


class ValueParser(ParserBase):
    """Turns expressions into IR, or into objects that exist at translation only (:mod:`.values`)."""

    refused: ClassVar[dict[type[ast.AST], tuple[str, str]]] = REFUSED_EXPRESSIONS
    visitors: ClassVar[dict[type[ast.AST], Callable[[Any, Any], Value]]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.visitors = {kind: getattr(cls, f"visit_{kind.__name__}", cls.refuse) for kind in NODE_CLASSES}

    # ---- Ways in ---------------------------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> Value:
        """Return what an expression stands for."""
        return self.visitors[type(node)](self, node)

    def refuse(self, node: ast.AST) -> Value:
        """Refuse a node that no method handles."""
        kind = type(node)
        cause, remedy = self.refused.get(kind, (f"Python's {kind.__name__} is not supported in a kernel", ""))
        raise self.error(node, cause, remedy)

    def scalar(self, node: ast.expr) -> ir.Expression:
        """Return an expression that is one number; a tensor of rank 0 is read."""
        return self.as_scalar(node, self.value(node))

    def number(self, node: ast.expr) -> ir.Expression:
        """Return an expression that is a number or a vector."""
        return self.as_operand(node, self.value(node))

    def as_operand(self, node: ast.expr, value: Value) -> ir.Expression:
        """Return a value as a number or a vector."""
        return value if values.is_number(value) else self.as_scalar(node, value)

    def as_scalar(self, node: ast.expr, value: Value) -> ir.Expression:
        """Return a value as one number.

        Raises:
            TranslationError: it is none.
        """
        if values.is_expression(value) and type(value.type) is ScalarType:
            return value
        if isinstance(value, ir.TensorReference) and value.type.rank == 0:
            return ir.Load(ir.Element(value, (fold.convert(fold.integer(0), self.index_type),)), value.type.dtype)
        if isinstance(value, ir.MEMORY):
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
            remedy = "a kernel has no strings; pass a number, and write f-strings in print"
        elif isinstance(value, PythonObject) and isinstance(value.value, language.Position):
            remedy = f"take one coordinate: {value.value!r}[0]"
        elif isinstance(value, TensorMethod) or (isinstance(value, PythonObject) and callable(value.value)):
            remedy = "call it"
        elif isinstance(value, TupleValue):
            remedy = "take an item of it, as in t[0]"
        elif isinstance(value.type if values.is_expression(value) else None, VectorType):
            remedy = "take a component, as in v.x"
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
        return self.known_integer(node, self.value(node), what)

    @staticmethod
    def is_known(number: ir.Expression) -> bool:
        """Whether a number is known at translation."""
        return isinstance(number, ir.Constant) or (isinstance(number, ir.Read) and number.variable.constant is not None)

    def known_integer(self, node: ast.expr, value: Value, what: str) -> int:
        """Return a value as an integer that is known at translation; ``what`` names it in the error."""
        number = self.as_scalar(node, value)
        if isinstance(number, ir.Constant) and isinstance(number.value, int):
            return int(number.value)
        if isinstance(number, ir.Read) and number.variable.constant is not None:
            # Its only value: were another one assigned, the pass would be repeated without it.
            number.variable.is_constant_used = True
            constant = number.variable.constant.value
            if isinstance(constant, int):
                return int(constant)
        raise self.error(node, f"{what} must be known at translation", "use a literal or an ml.constexpr parameter")

    # ---- Literals, tuples, attributes ------------------------------------------------------------------------------

    def visit_Constant(self, node: ast.Constant) -> Value:
        """Return a literal."""
        value = node.value
        if isinstance(value, float):
            if _LARGEST_FLOAT32 <= abs(value) < float("inf"):
                raise self.error(node, f"{value} is beyond the range of float32, about 3.4e38", "write float('inf')")
            return ir.Constant(value, FLOAT32)
        if isinstance(value, int):  # or bool, which is one
            constant = fold.weak_constant(value)
            if constant is None:
                raise self.error(node, f"{value} does not fit 64 bits", "compute with a float")
            return constant
        if isinstance(value, complex):
            raise self.error(node, "a kernel has no complex numbers", "keep the real and the imaginary part apart")
        if isinstance(value, bytes):
            raise self.error(node, "a kernel has no bytes", "pass them as a tensor of uint8")
        if value is Ellipsis:
            raise self.error(node, "`...` is no number", "write every index out")
        return PythonObject(value)

    def visit_Tuple(self, node: ast.Tuple) -> Value:
        """Return a tuple, which exists at translation only."""
        return sequences.display(self, node)  # type: ignore[arg-type]

    def visit_Attribute(self, node: ast.Attribute) -> Value:
        """Return an attribute of a tensor, of a module or of another Python object."""
        owner = self.value(node.value)
        if isinstance(owner, ir.TensorReference):
            return self._tensor_attribute(node, owner)
        if values.is_expression(owner) and isinstance(owner.type, VectorType):
            return vectors.swizzle(owner, vectors.places_of(self, node, owner.type))  # type: ignore[arg-type]
        if isinstance(owner, ir.ThreadgroupArrayReference) and node.attr == "shape":
            return TupleValue(tuple(fold.integer(size) for size in owner.type.shape))
        if isinstance(owner, DottedName):
            return DottedName(f"{owner.path}.{node.attr}")
        if isinstance(owner, PythonObject):
            return self._object_attribute(node, owner.value)
        if isinstance(owner, ir.Constant) and isinstance(node.value, _DOTTED):
            member = self.python_object(node.value)
            if isinstance(member, enum.Enum) and node.attr in ("value", "name"):
                return self.outer_value(node, getattr(member, node.attr))
        remedy = hints.of_number(node.attr) if values.is_number(owner) else ""
        raise self.error(node, f"{values.describe(owner)} has no attribute `{node.attr}` in a kernel", remedy)

    def python_object(self, node: ast.expr) -> object:
        """Return the object around the function that a dotted name stands for; None where it is none."""
        if isinstance(node, ast.Name):
            return None if node.id in self.variables.local_names else self.namespace.get(node.id)
        return getattr(self.python_object(node.value), node.attr, None) if isinstance(node, ast.Attribute) else None

    def _tensor_attribute(self, node: ast.Attribute, tensor: ir.TensorReference) -> Value:
        name = node.attr
        if name == "shape":
            return TupleValue(tuple(self.size_of(tensor, dimension) for dimension in range(tensor.type.rank)))
        if name == "ndim":
            return fold.integer(tensor.type.rank)
        if name == "dtype":
            return PythonObject(getattr(language, "bool_" if tensor.type.dtype is BOOL else tensor.type.dtype.name))
        if name in ("size", "stride", "numel", "dim", "item"):
            return TensorMethod(tensor, name)
        raise self.error(
            node,
            f"a tensor has no `{name}` in a kernel",
            "there are shape, size, stride, numel, dim, ndim, dtype and item; call torch on the host",
        )

    def _object_attribute(self, node: ast.Attribute, owner: object) -> Value:
        if isinstance(owner, language.Position) and node.attr in ("x", "y", "z"):
            return self.position(POSITIONS[id(owner)], "xyz".index(node.attr))
        if owner is language and node.attr in THREAD_VALUES:
            return self.position(THREAD_VALUES[node.attr], None)
        try:
            found = getattr(owner, node.attr)
        except AttributeError:
            name = getattr(owner, "__name__", repr(owner))
            raise self.error(node, f"`{name}` has no `{node.attr}`", hints.of_attribute(owner, node.attr)) from None
        value = self.outer_value(node, found)
        # A number found by its path has no name of its own to print.
        return ir.Constant(value.value, value.type) if isinstance(value, ir.Constant) else value

    def position(self, kind: ir.PositionKind, axis: int | None) -> ir.Expression:
        """Return a coordinate of the thread; a constant where the size of the threadgroup decides it."""
        bound = None
        if self.block_dims is not None:
            x, y, z = self.block_dims
            if kind == "threads_per_threadgroup" and axis is not None:
                return ir.Constant(self.block_dims[axis], self.index_type, is_weak=False)
            if kind == "thread_position_in_threadgroup" and axis is not None:
                bound = self.block_dims[axis]
            elif kind == "thread_index_in_threadgroup":
                bound = x * y * z
            elif kind == "simdgroup_index_in_threadgroup":
                bound = (x * y * z + 31) // 32
            elif kind == "simdgroups_per_threadgroup":
                return ir.Constant((x * y * z + 31) // 32, self.index_type, is_weak=False)
        if kind in ("thread_index_in_simdgroup", "thread_index_in_quadgroup"):
            bound = 32 if kind == "thread_index_in_simdgroup" else 4
        return ir.Position(kind, axis, self.index_type, bound)

    # ---- Operators -------------------------------------------------------------------------------------------------

    def visit_BinOp(self, node: ast.BinOp) -> Value:
        """Return an operator with two operands."""
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(left, TupleValue) or isinstance(right, TupleValue):
            combined = sequences.combined(self, node, left, right)  # type: ignore[arg-type]
            if combined is not None:
                return combined
        return self.binary(node, node.op, self.as_operand(node.left, left), self.as_operand(node.right, right))

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
            if vectors.is_vector(left) or vectors.is_vector(right):
                return self.in_order(node, (left, right), lambda *sides: vectors.lifted(self, node, sides, build))  # type: ignore[arg-type]
            return self.in_order(node, (left, right), build)
        except operators.OperatorError as error:
            raise self.located(node, error) from None

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Value:
        """Return an operator with one operand."""
        if isinstance(node.op, ast.Not):
            return fold.logical_not(self.truth_of(node.operand, self.as_number(node.operand)))
        operand = self.number(node.operand)
        try:
            if vectors.is_vector(operand):
                return self._unary_of_vector(node, operand)
            return self.unary(node.op, operand)
        except operators.OperatorError as error:
            raise self.located(node, error) from None

    def _unary_of_vector(self, node: ast.UnaryOp, operand: ir.Expression) -> ir.Expression:
        if isinstance(node.op, ast.Invert) and operand.type.element is BOOL:  # type: ignore[union-attr]
            return ir.Unary("!", operand, operand.type)  # type: ignore[arg-type]
        return vectors.lifted(self, node, (operand,), lambda part: self.unary(node.op, part))  # type: ignore[arg-type]

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
