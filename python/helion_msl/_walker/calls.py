"""Calls of Python functions: what each argument is, the function for it, and what the call passes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from . import fold, ir, values
from .annotations import is_constexpr
from .binding import bind
from .types import ScalarType, SimdgroupMatrixType, TensorType, ThreadgroupArrayType, TupleType, VectorType
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Hashable

    from .parse_expressions import ExpressionParser
    from .values import Value


def call_function(parser: ExpressionParser, node: ast.Call, function: Callable[..., object]) -> Value:
    """Return the value of a call of a Python function.

    Raises:
        TranslationError: the arguments do not fit it, or it cannot be translated.
    """
    signature = inspect.signature(function)
    bound = bind(parser, node, function, signature)
    arguments = _Arguments(parser, node)
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise parser.error(
                node, f"`{function.__name__}` takes any number of arguments", "give it a fixed number of parameters"
            )
        place = bound.get(name, node)
        value = parser.value(bound[name]) if name in bound else parser.outer_value(node, parameter.default)
        arguments.add(place, name, value, is_constant=is_constexpr(parameter.annotation))
    callee = parser.program.specialize(parser, node, function, arguments.described, tuple(arguments.keys))
    result = parser.in_order(node, arguments.leaves, lambda *leaves: _call(parser, node, callee, leaves))
    for first in reversed(arguments.first):
        result = ir.Sequence(first, result, result.type)
    return result


_PASSED = (ScalarType, VectorType, SimdgroupMatrixType, TensorType, ThreadgroupArrayType)


class _Arguments:
    """The arguments of one call: a type for each parameter, and what is passed for it.

    Attributes:
        described: what the function's parser takes for each parameter.
        keys: what tells specializations apart.
        leaves: the values, tuples taken apart.
        first: what must be evaluated before the leaves.
    """

    def __init__(self, parser: ExpressionParser, node: ast.Call) -> None:
        self._parser, self._node = parser, node
        self.described: dict[str, object] = {}
        self.keys: list[Hashable] = []
        self.leaves: list[Any] = []
        self.first: list[ir.Expression] = []

    def add(self, place: ast.AST, name: str, value: Value, is_constant: bool) -> None:
        """Add the value of a parameter."""
        if is_constant:
            described = self._constant(place, name, value)
            self.leaves += [None] * _count(described)
        else:
            described = self._describe(place, value)
        self.described[name] = described
        self.keys.append(_key(described))

    def _constant(self, place: ast.AST, name: str, value: Value) -> object:
        if isinstance(value, TupleValue):
            return tuple(self._constant(place, name, item) for item in value.items)
        if isinstance(value, ir.Constant | PythonObject):
            return value.value
        raise self._parser.error(
            place, f"`{name}` is a constant of the function, and this is not known at translation", "pass a constant"
        )

    def _describe(self, place: ast.AST, value: Value) -> object:
        if values.is_expression(value) and isinstance(value.type, TupleType):
            value = self._parser.items_of(place, value, self.first)
        if isinstance(value, TupleValue):
            items = [self._describe(place, item) for item in value.items]
            return TupleType(tuple(items))  # type: ignore[arg-type]  # objects known at translation are among them
        if isinstance(value, PythonObject):
            self.leaves.append(None)
            return value.value
        if not values.is_expression(value):
            raise self._parser.error(place, f"{values.describe(value)} cannot be passed to a function")
        if not isinstance(value.type, _PASSED):
            raise self._parser.error(
                place, f"{values.describe(value)} cannot be passed to a function", "pass numbers, tensors or arrays"
            )
        if isinstance(value.type, ScalarType):
            value = fold.convert(value, value.type)
        self.leaves.append(value)
        return value.type


def _count(described: object) -> int:
    return 0 if isinstance(described, tuple) else 1


def _key(described: object) -> Hashable:
    if isinstance(described, bool | int | float):
        # 1, 1.0 and True are equal to Python, and 0.0 and -0.0.
        return (type(described), repr(described))
    if isinstance(described, tuple):
        return tuple(_key(item) for item in described)
    try:
        hash(described)
    except TypeError:
        return id(described)
    return described


def _call(parser: ExpressionParser, node: ast.Call, callee: ir.Function, leaves: tuple[Any, ...]) -> ir.Expression:
    """Return the call, with the sizes, strides and arrays that the function needs beside its parameters."""
    passed: list[ir.Expression] = []
    for argument in callee.arguments:
        leaf = leaves[argument.parameter]
        if argument.kind in ("size", "stride"):
            measure = parser.size_of if argument.kind == "size" else parser.stride_of
            leaf = fold.convert(measure(leaf, argument.dimension), parser.index_type)
        elif isinstance(argument.type, TensorType) and argument.is_written:
            leaf.argument.is_written = True
        passed.append(leaf)
    arrays = []
    for number, array in enumerate(callee.threadgroup_arrays):
        if array.argument is not None:
            arrays.append(leaves[array.argument])
            continue
        own = parser.array_of((id(node), number), array.type, array.name)
        arrays.append(ir.ThreadgroupArrayReference(own, own.type))
    return ir.FunctionCall(callee, tuple(passed), tuple(arrays), callee.result)
