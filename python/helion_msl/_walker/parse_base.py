"""What both halves of the parser share: the state of one pass, names, arguments, temporaries, errors."""

# ruff: noqa: N802 - the visitors are named after the classes of the ast module

from __future__ import annotations

import ast
import builtins
import numbers
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING

from ..language import DType
from . import fold, ir, operators, values
from .types import (
    BOOL,
    INT32,
    INT64,
    ScalarType,
    SimdgroupMatrixType,
    TensorType,
    ThreadgroupArrayType,
    TupleType,
    VectorType,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..errors import TranslationError
    from .infer import Variables
    from .program import Program
    from .source import Source
    from .values import Value

NODE_CLASSES = [kind for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)]
_PASSED_BY_VALUE = (ScalarType, VectorType, SimdgroupMatrixType)
_NUMBERS = (bool, int, float)
_PLAIN_OBJECTS = (ModuleType, FunctionType, BuiltinFunctionType, type, DType)
MAXIMUM_BUFFERS = 31  # Metal Feature Set Tables, "maximum number of entries in the buffer argument table"


def leaves_of(items: Sequence[Value]) -> list[ir.Expression]:
    """Return the expressions among values, tuples taken apart."""
    found: list[ir.Expression] = []
    for item in items:
        if isinstance(item, values.TupleValue):
            found += leaves_of(item.items)
        elif values.is_expression(item):
            found.append(item)
    return found


def fields_of(value: ir.Expression) -> values.TupleValue:
    """Return the items of a tuple that a call returns; the value stands in each of them."""
    assert isinstance(value.type, TupleType)
    return values.TupleValue(tuple(ir.Field(value, index, item) for index, item in enumerate(value.type.items)))


class ParserBase:
    """The state of one pass. A pass is repeated, with the variables of the one before, until no type changes.

    ``assigned`` holds the names that every path to the current statement has assigned; None where no path leads.
    """

    binary_operators: Mapping[type[ast.operator], operators.BinaryOperator] = operators.PYTHON

    def __init__(
        self,
        source: Source,
        parameters: Mapping[str, object],
        namespace: Mapping[str, object],
        variables: Variables,
        block_dims: tuple[int, int, int] | None,
        program: Program,
    ) -> None:
        self.source = source
        self.program = program
        self.namespace = namespace
        self.variables = variables
        self.block_dims = block_dims
        self.parameters: dict[str, Value] = {}
        self.arguments: list[ir.Argument] = []
        self.threadgroup_arrays: dict[str, ir.ThreadgroupArray] = {}
        self._arrays: dict[object, ir.ThreadgroupArray] = {}
        self.assigned: set[str] | None = set()
        # Names that the last condition assigned where it was true: `if (a := x) and (b := y)` assigns both.
        self.assigned_when_true: set[str] = set()
        # What the variables of unrolled loops stand for in the turn that is parsed, innermost last.
        self.bound: dict[str, list[Value]] = {}
        # The names that each of the loops around the current statement assigns.
        self.looping: list[set[str]] = []
        self.index_type = INT32
        self._sizes: dict[tuple[str, int, int], ir.Argument] = {}
        self._parameter_count = 0
        for name, described in parameters.items():
            self.parameters[name] = self._parameter(name, described)

    def _parameter(self, name: str, described: object) -> Value:
        if isinstance(described, TupleType):
            items = enumerate(described.items)
            return values.TupleValue(tuple(self._parameter(f"{name}_{index}", item) for index, item in items))
        index = self._parameter_count
        self._parameter_count += 1
        if isinstance(described, ThreadgroupArrayType):
            array = ir.ThreadgroupArray(name, described, index)
            self.threadgroup_arrays[name] = array
            return ir.ThreadgroupArrayReference(array, described)
        if isinstance(described, TensorType):
            if described.is_large:
                self.index_type = INT64
            argument = ir.Argument(name, described, "tensor", index)
            self.arguments.append(argument)
            return ir.TensorReference(argument, described)
        if isinstance(described, _PASSED_BY_VALUE):
            argument = ir.Argument(name, described, "scalar", index)
            self.arguments.append(argument)
            return ir.ArgumentRead(argument, described)
        if isinstance(described, _NUMBERS):
            constant = fold.weak_constant(described, name)
            if constant is not None:
                return constant
            raise self.error(self.source.definition, f"the constant {name} = {described} does not fit 64 bits")
        if isinstance(described, tuple):
            self._parameter_count -= 1
            return self.outer_value(self.source.definition, described)
        return values.PythonObject(described)

    def parse_function(self) -> ir.Function:
        """Run one pass over a function that a kernel calls; implemented with the statements."""
        raise NotImplementedError

    def array_of(self, key: object, kind: ThreadgroupArrayType, name: str = "array") -> ir.ThreadgroupArray:
        """Return the threadgroup array that belongs to a place of the source, however often that is parsed."""
        found = self._arrays.get(key)
        if found is None:
            found = self._arrays[key] = ir.ThreadgroupArray(name, kind)
        return found

    @property
    def all_arrays(self) -> list[ir.ThreadgroupArray]:
        """The threadgroup arrays of the function, in the order of the source."""
        arrays = (*self.threadgroup_arrays.values(), *self._arrays.values())
        return list({id(array): array for array in arrays}.values())

    # ---- Errors ----------------------------------------------------------------------------------------------------

    def error(self, node: ast.AST, cause: str, remedy: str = "") -> TranslationError:
        """Return the error that points at a node."""
        return self.source.error(node, cause, remedy)

    def located(self, node: ast.AST, error: operators.OperatorError) -> TranslationError:
        """Give the place of a node to an error of the operator tables."""
        return self.source.error(node, error.cause, error.remedy)

    # ---- Names -----------------------------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> Value:
        """Return what a name stands for: a local variable, a parameter, or an object around the function."""
        name = node.id
        if self.bound.get(name):
            return self.bound[name][-1]
        if name in self.variables.local_names:
            return self._read_local(node)
        if name in self.threadgroup_arrays:
            array = self.threadgroup_arrays[name]
            return ir.ThreadgroupArrayReference(array, array.type)
        if name in self.parameters:
            return self.parameters[name]
        if name in self.namespace:
            return self.outer_value(node, self.namespace[name])
        if hasattr(builtins, name):
            return values.PythonObject(getattr(builtins, name))
        return self.unknown_name(node)

    def unknown_name(self, node: ast.Name) -> Value:
        """Refuse a name that nothing defines; dialects give some a meaning."""
        hint = (
            f"write ml.{node.id}, after `from helion_msl import language as ml`" if self._is_language(node.id) else ""
        )
        raise self.error(node, f"the name `{node.id}` is not defined", hint)

    @staticmethod
    def _is_language(name: str) -> bool:
        from .. import language

        return name in language._THREAD_VALUES or hasattr(language, name)

    def _read_local(self, node: ast.Name) -> Value:
        if node.id in self.threadgroup_arrays:
            array = self.threadgroup_arrays[node.id]
            return ir.ThreadgroupArrayReference(array, array.type)
        if self.assigned is not None and node.id not in self.assigned:
            parameter = self.parameters.get(node.id)
            if isinstance(parameter, values.PythonObject) and not self._may_be_assigned(node.id):
                return parameter
            if not self.variables.is_known(node.id):
                raise self.error(node, f"`{node.id}` is used before it is assigned", "assign it first")
            raise self.error(
                node,
                f"`{node.id}` is not assigned on every path that leads here",
                f"assign it before the branch or loop that assigns it (line {self.variables.line_of(node.id)})",
            )
        return self._read_variable(node.id)

    def _may_be_assigned(self, name: str) -> bool:
        """Whether this pass has assigned the name, or the rest of a loop around may have."""
        return self.variables.is_assigned(name) or any(name in assigned for assigned in self.looping)

    def _read_variable(self, key: str) -> Value:
        count = self.variables.tuple_length(key)
        if count is None:
            return self.variables.read(key)
        return values.TupleValue(tuple(self._read_variable(f"{key}.{index}") for index in range(count)))

    def outer_value(self, node: ast.AST, value: object) -> Value:
        """Return a global or a captured variable: numbers become constants, tensors are refused."""
        if isinstance(value, _PLAIN_OBJECTS):
            return values.PythonObject(value)
        if isinstance(value, _NUMBERS):
            constant = fold.weak_constant(value, node.id if isinstance(node, ast.Name) else None)
            if constant is None:
                raise self.error(node, f"the constant {value} does not fit 64 bits")
            return constant
        if isinstance(value, tuple):
            # Without the node, by whose name the first number would be called.
            return values.TupleValue(tuple(self._item(node, item) for item in value))
        if isinstance(value, list | dict | set | frozenset):
            raise self.error(
                node, f"a {type(value).__name__} outside the kernel cannot be read in it", "use a tuple of numbers"
            )
        if isinstance(value, numbers.Number):
            name = f"{type(value).__module__.split('.')[0]}.{type(value).__name__}"
            raise self.error(
                node, f"a {name} outside the kernel cannot be read in it", "make it an int or a float: N = int(N)"
            )
        if hasattr(value, "__dlpack__"):
            raise self.error(node, "a tensor outside the kernel cannot be read in it", "pass it as an argument")
        return values.PythonObject(value)

    def _item(self, node: ast.AST, value: object) -> Value:
        """Return one item of a tuple around the function, which has no name to be called by."""
        found = self.outer_value(node, value)
        return ir.Constant(found.value, found.type) if isinstance(found, ir.Constant) else found

    # ---- Arguments that the launch adds ----------------------------------------------------------------------------

    def size_of(self, tensor: ir.TensorReference, dimension: int) -> ir.Expression:
        """Return the size of a dimension: a constant where it is fixed, else an argument that the launch fills."""
        whole = tensor.argument.type
        if isinstance(whole, TensorType) and tensor.type.is_flat:
            return self._span_of(ir.TensorReference(tensor.argument, whole))
        fixed = tensor.type.sizes[dimension] if tensor.type.sizes is not None else None
        return self._measure("size", tensor, dimension, fixed)

    def _span_of(self, tensor: ir.TensorReference) -> ir.Expression:
        """Return how many elements lie between the first and the last of a tensor, both counted; 0 for an empty one."""
        count: ir.Expression = ir.Constant(1, self.index_type, False)
        span = count
        for dimension in range(tensor.type.rank):
            size = fold.convert(self.size_of(tensor, dimension), self.index_type)
            count = fold.multiply(count, size)
            steps = fold.add(size, ir.Constant(-1, self.index_type, False))
            stride = fold.convert(self.stride_of(tensor, dimension), self.index_type)
            span = fold.add(span, fold.multiply(steps, stride))
        if tensor.type.strides is None:
            return count
        nothing = ir.Constant(0, self.index_type, False)
        return ir.Conditional(ir.Binary("==", count, nothing, BOOL), nothing, span, self.index_type)

    def stride_of(self, tensor: ir.TensorReference, dimension: int) -> ir.Expression:
        """Return the stride of a dimension in elements."""
        if tensor.type.strides is not None:
            return self._measure("stride", tensor, dimension, tensor.type.strides[dimension])
        stride: ir.Expression = ir.Constant(1, self.index_type, False)
        for inner in range(tensor.type.rank - 1, dimension, -1):
            stride = fold.multiply(stride, fold.convert(self.size_of(tensor, inner), self.index_type))
        return stride

    def _measure(self, kind: str, tensor: ir.TensorReference, dimension: int, fixed: int | None) -> ir.Expression:
        if fixed is not None:
            return fold.integer(fixed)
        owner = tensor.argument
        key = (kind, owner.parameter, dimension)
        argument = self._sizes.get(key)
        if argument is None:
            name = f"{owner.name}_{kind}_{dimension}"
            argument = ir.Argument(name, self.index_type, "size", owner.parameter, dimension)
            if kind == "stride":
                argument.kind = "stride"
            self._sizes[key] = argument
            self.arguments.append(argument)
        return ir.ArgumentRead(argument, self.index_type, is_non_negative=kind == "size")

    # ---- Values that an expression needs twice ---------------------------------------------------------------------

    def kept(self, node: ast.AST, value: ir.Expression, name: str = "value") -> tuple[ir.Expression, ir.Expression]:
        """Return a value twice: to be evaluated first, and to be used again; itself where nothing is gained."""
        if ir.is_simple(value) and not ir.has_effect(value):
            return value, value
        temporary = ir.Variable(name, value.type, self.source.line(node), is_temporary=True)
        temporary.is_non_negative = ir.is_non_negative(value)
        return ir.AssignExpression(temporary, value, value.type), ir.Read(temporary, value.type)

    def items_of(self, node: ast.AST, value: ir.Expression, before: list[ir.Expression]) -> values.TupleValue:
        """Return the items of a tuple that a call returns; what computes it is added to ``before``."""
        assert isinstance(value.type, TupleType)
        if not isinstance(value, ir.Read):
            temporary = ir.Variable("value", value.type, self.source.line(node), is_temporary=True)
            before.append(ir.AssignExpression(temporary, value, value.type))
            value = ir.Read(temporary, value.type)
        return fields_of(value)

    def after(self, others: Sequence[Value], value: ir.Expression) -> ir.Expression:
        """Return a value, evaluated after others of which only the effects count."""
        for other in reversed(leaves_of(others)):
            if ir.is_ordered(other):
                value = ir.Sequence(other, value, value.type)
        return value

    def item_of(self, node: ast.AST, items: Sequence[Value], index: int) -> Value:
        """Return one item of a tuple that is written out; the others are evaluated for their effects."""
        before, following = leaves_of(items[:index]), leaves_of(items[index + 1 :])
        if not any(map(ir.has_effect, (*before, *following))):
            return items[index]
        result = items[index]
        if not values.is_number(result):
            raise self.error(node, "other items of this tuple have an effect", "assign the tuple to a name first")
        if any(map(ir.has_effect, following)):
            temporary = ir.Variable("item", result.type, self.source.line(node), is_temporary=True)
            before.append(ir.AssignExpression(temporary, result, result.type))
            result = self.after(following, ir.Read(temporary, result.type))
        for first in reversed(before):
            if ir.has_effect(first):
                result = ir.Sequence(first, result, result.type)
        return result

    def in_order(
        self, node: ast.AST, parts: Sequence[ir.Expression | None], build: Callable[..., ir.Expression]
    ) -> ir.Expression:
        """Return ``build(*parts)`` with the parts evaluated from left to right, which C++ leaves open.

        Parts in front of one that has an effect are kept in temporaries first.
        """
        last = len(parts) - 1
        while last > 0 and (parts[last] is None or not ir.is_ordered(parts[last])):  # type: ignore[arg-type]
            last -= 1
        if last <= 0:
            return build(*parts)
        before: list[ir.Expression] = []
        operands = list(parts)
        for index, part in enumerate(parts[: last + 1]):
            if part is None or isinstance(part, ir.Constant) or not values.is_number(part):
                continue
            later = [other for other in parts[index:] if other is not None]
            if isinstance(part, ir.Read) and not any(ir.assigns(other, part.variable) for other in later):
                continue
            temporary = ir.Variable("operand", part.type, self.source.line(node), is_temporary=True)
            temporary.is_non_negative = ir.is_non_negative(part)
            before.append(ir.AssignExpression(temporary, part, part.type))
            operands[index] = ir.Read(temporary, part.type)
        result = build(*operands)
        for first in reversed(before):
            result = ir.Sequence(first, result, result.type)
        return result

    def join_assigned(self, *paths: set[str] | None) -> set[str] | None:
        """Return the names assigned on every one of these paths that leads anywhere."""
        live = [path for path in paths if path is not None]
        return set.intersection(*live) if live else None

    def truth_of(self, node: ast.AST, value: Value) -> ir.Expression:
        """Return Python's truth value of a value."""
        if isinstance(value, values.PythonObject):
            return ir.Constant(bool(value.value), BOOL)
        if isinstance(value, values.TupleValue):
            return self.after(value.items, ir.Constant(bool(value.items), BOOL))
        if not values.is_expression(value) or not isinstance(value.type, ScalarType):
            is_vector = values.is_expression(value) and isinstance(value.type, VectorType)
            remedy = "write ml.any(v) or ml.all(v)" if is_vector else "compare an element: `if x[i] != 0:`"
            raise self.error(node, f"{values.describe(value)} has no truth value", remedy)
        return fold.truth(value)
