"""Functions of two elements, which scans and reductions combine a tile's elements with, as Metal Python."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
from helion import exc

from helion_msl._helion import wrapping
from helion_msl._helion.values import Value, cast, constant

if TYPE_CHECKING:
    from collections.abc import Callable

aten = torch.ops.aten

_ARITHMETIC = {
    aten.add: "+",
    aten.sub: "-",
    aten.mul: "*",
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
}
_BINARY = {
    aten.maximum: "ml.maximum({}, {})",
    aten.minimum: "ml.minimum({}, {})",
    aten.bitwise_and: "({} & {})",
    aten.bitwise_or: "({} | {})",
    aten.bitwise_xor: "({} ^ {})",
}
_TESTS = {
    aten.eq: "({} == {})",
    aten.ne: "({} != {})",
    aten.lt: "({} < {})",
    aten.le: "({} <= {})",
    aten.gt: "({} > {})",
    aten.ge: "({} >= {})",
    aten.logical_and: "({} and {})",
    aten.logical_or: "({} or {})",
}
_UNARY = {aten.neg: "(-{})", aten.exp: "ml.exp({})", aten.abs: "abs({})", aten.logical_not: "(not {})"}


def combine_texts(graph: torch.fx.Graph) -> list[str]:
    """The results of a function of two elements, or of two tuples of elements, as text.

    Args:
        graph: the function, traced by Helion; its placeholders are all of the left element, then all of the right one.

    Returns:
        Metal Python in which ``_left_0``, ``_right_0``, ``_left_1`` and so on stand for the operands.
    """
    values: dict[torch.fx.Node, Any] = {}
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    half = len(placeholders) // 2
    for number, node in enumerate(placeholders):
        side = "left" if number < half else "right"
        values[node] = Value(f"_{side}_{number % half}", node.meta["val"].dtype)
    for node in graph.nodes:
        if node.op == "call_function":
            values[node] = _text(node, [values.get(a, a) if isinstance(a, torch.fx.Node) else a for a in node.args])
        elif node.op == "output":
            results = node.args[0]
            results = results if isinstance(results, (list, tuple)) else [results]
            return [values[result] for result in results]
    raise AssertionError("a graph without output")


def _text(node: torch.fx.Node, arguments: list[Any]) -> Value:
    target: Any = node.target
    packet = getattr(target, "overloadpacket", target)
    result = node.meta["val"].dtype if isinstance(node.meta.get("val"), torch.Tensor) else None
    if packet in _TESTS:
        dtype = _common(arguments)
        return Value(_TESTS[packet].format(*(_as(argument, dtype) for argument in arguments)), torch.bool)
    if result is None:
        raise _refusal(target)
    if packet in _ARITHMETIC and not node.kwargs:
        left, right = (_as(argument, result) for argument in arguments[:2])
        return _rounded(f"({wrapping.arithmetic(_ARITHMETIC[packet], left, right, result)})", result)
    if packet in _BINARY:
        return _rounded(_BINARY[packet].format(*(_as(argument, result) for argument in arguments[:2])), result)
    if packet in (aten.neg, aten.abs) and not result.is_floating_point:
        function = wrapping.negation if packet is aten.neg else wrapping.absolute
        return Value(f"({function(_as(arguments[0], result))})", result)
    if packet in _UNARY:
        return _rounded(_UNARY[packet].format(_as(arguments[0], result)), result)
    if packet is aten.where:
        test, yes, no = arguments
        return Value(f"({_as(yes, result)} if {test} else {_as(no, result)})", result)
    if packet in (aten._to_copy, torch.ops.prims.convert_element_type):
        return Value(f"({_as(arguments[0], result)})", result)
    if packet in (aten.clone, aten.alias, aten.detach):
        return Value(arguments[0], result)
    raise _refusal(target)


def _rounded(text: str, dtype: torch.dtype) -> Value:
    return Value(str(cast(Value(text, torch.float32), dtype)), dtype) if dtype.is_floating_point else Value(text, dtype)


def _as(argument: Any, dtype: torch.dtype) -> Value:
    if isinstance(argument, Value):
        return cast(argument, dtype)
    return constant(argument, dtype)


def _common(arguments: list[Any]) -> torch.dtype:
    dtypes = [argument.dtype for argument in arguments if isinstance(argument, Value)]
    common: torch.dtype = dtypes[0]
    for dtype in dtypes[1:]:
        common = torch.promote_types(common, dtype)
    return common


def _refusal(target: Callable[..., object]) -> exc.BackendUnsupported:
    return exc.BackendUnsupported(
        "metal",
        f"{target} in the function of a scan or reduction: it may add, subtract, multiply, compare, choose with "
        "torch.where, and take maxima and minima",
    )
