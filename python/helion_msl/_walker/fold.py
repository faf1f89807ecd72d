"""Constructors of IR that leave out what does nothing: ``x * 1``, ``0 + x``, ``True and c``, casts to the same type."""

from __future__ import annotations

import struct

from .. import language
from . import ir
from .types import BFLOAT16, BOOL, FLOAT16, FLOAT32, INT32, ScalarType, integer_type_of


def weak_constant(value: ir.Number, name: str | None = None) -> ir.Constant | None:
    """Return a Python literal, which takes the type of what it meets; None for an integer above 64 bits."""
    if isinstance(value, bool):
        return ir.Constant(value, BOOL, name=name)
    if isinstance(value, int):
        scalar = integer_type_of(value)
        return None if scalar is None else ir.Constant(value, scalar, name=name)
    return ir.Constant(value, FLOAT32, name=name)


def integer(value: int) -> ir.Constant:
    """Return an integer literal of at most 64 bits."""
    constant = weak_constant(value)
    assert constant is not None
    return constant


def is_constant(node: ir.Expression, *values: ir.Number) -> bool:
    """Whether a node is a constant with one of these values."""
    return isinstance(node, ir.Constant) and node.value in values


def _wrap(value: int, scalar: ScalarType) -> int:
    low_bits = value & ((1 << scalar.bits) - 1)
    return low_bits - (1 << scalar.bits) if low_bits > scalar.maximum else low_bits


def convert(node: ir.Expression, target: ScalarType) -> ir.Expression:
    """Return a scalar expression converted to a type, as C++ converts; nothing is added where it has that type."""
    if node.type is target:
        return (
            ir.Constant(node.value, target, False, node.name)
            if isinstance(node, ir.Constant) and node.is_weak
            else node
        )
    if isinstance(node, ir.Constant):
        return _convert_constant(node, target)
    if (
        isinstance(node, ir.Cast)
        and isinstance(node.type, ScalarType)
        and node.type is not BOOL
        and _keeps_all(node.operand.type, node.type)
    ):
        # float(half(x)) must round, long(int(short)) need not pass through int.
        return convert(node.operand, target)
    return ir.Cast(node, target)


def _keeps_all(source: object, target: ScalarType) -> bool:
    """Whether every value of the source type is a value of the target type."""
    if not isinstance(source, ScalarType) or source is target:
        return isinstance(source, ScalarType)
    if source is BOOL:
        return True
    if target.is_float:
        return target is FLOAT32 and source.bits <= 16
    return (
        source.is_integer
        and target.is_integer
        and (target.minimum <= source.minimum and source.maximum <= target.maximum)
    )


def value_of(node: ir.Constant) -> ir.Number:
    """Return the value of a constant: where a type was asked for, as a number of that type."""
    if node.is_weak or not isinstance(node.type, ScalarType) or not node.type.is_float:
        return node.value
    # As the literal of it in MSL is rounded: to float32, and from there to a narrower type.
    rounded: float = getattr(language, node.type.name)(language.float32(node.value))
    return rounded


def _convert_constant(node: ir.Constant, target: ScalarType) -> ir.Expression:
    value = value_of(node)
    if target is BOOL:
        return ir.Constant(bool(value), BOOL, False)
    if target.is_float:
        # float() of a huge integer overflows; the value is then infinite in every type that Metal has.
        try:
            keeps_name = target is FLOAT32 and isinstance(value, float)
            return ir.Constant(float(value), target, False, node.name if keeps_name else None)
        except OverflowError:
            return ir.Constant(float("inf") if value > 0 else float("-inf"), target, False)
    if value != value or value in (float("inf"), float("-inf")):
        return ir.Cast(ir.Constant(value, FLOAT32, False), target)
    whole = int(value)
    name = node.name if whole == _wrap(whole, target) else None
    return ir.Constant(_wrap(whole, target), target, False, name)


def is_exact(value: float, target: ScalarType) -> bool:
    """Whether a number is a value of a floating-point type."""
    if value != value or value in (float("inf"), float("-inf")):
        return True
    try:
        if target is FLOAT16:
            return bool(struct.unpack("e", struct.pack("e", value))[0] == value)
        single = struct.pack(">f", value)
        return bool(struct.unpack(">f", single)[0] == value) and (target is not BFLOAT16 or single[2:] == b"\0\0")
    except OverflowError:
        return False


def binary(operator: str, left: ir.Expression, right: ir.Expression, scalar: ScalarType) -> ir.Expression:
    """Return an arithmetic operator of C++ on operands that have been converted to ``scalar``."""
    if isinstance(left, ir.Constant) or isinstance(right, ir.Constant):
        simpler = _simplified(operator, left, right, scalar)
        if simpler is not None:
            return simpler
    return ir.Binary(operator, left, right, scalar)


def _simplified(operator: str, left: ir.Expression, right: ir.Expression, scalar: ScalarType) -> ir.Expression | None:
    """Return what an operator on a constant comes to without it; None where it does something."""
    if scalar.is_integer:
        if operator in ("*", "/") and is_constant(right, 1):
            return left
        if operator == "/" and _is_below(left, right):
            return ir.Constant(0, scalar, False)
        if operator == "*" and is_constant(left, 1):
            return right
        if operator in ("+", "-", "|", "^", "<<", ">>") and is_constant(right, 0):
            return left
        if operator in ("+", "|", "^") and is_constant(left, 0):
            return right
        if operator == "*" and (is_constant(left, 0) or is_constant(right, 0)):
            other = right if is_constant(left, 0) else left
            if not ir.has_effect(other):
                return ir.Constant(0, scalar, False)
    elif scalar.is_float and operator == "*":
        if is_constant(right, 1.0):
            return left
        if is_constant(left, 1.0):
            return right
    return None


def _is_below(left: ir.Expression, right: ir.Expression) -> bool:
    """Whether a position never reaches a constant."""
    bound = left.exclusive_bound if isinstance(left, ir.Position) else None
    return bound is not None and isinstance(right, ir.Constant) and bound <= right.value


def add(left: ir.Expression, right: ir.Expression) -> ir.Expression:
    """Return the sum of two integers of one type."""
    return _folded("+", left, right)


def multiply(left: ir.Expression, right: ir.Expression) -> ir.Expression:
    """Return the product of two integers of one type."""
    return _folded("*", left, right)


def _folded(operator: str, left: ir.Expression, right: ir.Expression) -> ir.Expression:
    assert isinstance(left.type, ScalarType)
    if isinstance(left, ir.Constant) and isinstance(right, ir.Constant):
        value = left.value + right.value if operator == "+" else left.value * right.value
        return ir.Constant(_wrap(int(value), left.type), left.type, False)
    return binary(operator, left, right, left.type)


def logical_not(node: ir.Expression) -> ir.Expression:
    """Return the negation of a truth value."""
    if isinstance(node, ir.Constant):
        return ir.Constant(not node.value, BOOL)
    if isinstance(node, ir.Unary) and node.operator == "!":
        return node.operand
    return ir.Unary("!", node, BOOL)


def logical_and(left: ir.Expression, right: ir.Expression) -> ir.Expression:
    """Return ``left && right``."""
    if isinstance(left, ir.Constant):
        return right if left.value else left
    if isinstance(right, ir.Constant) and (right.value or not ir.is_ordered(left)):
        return left if right.value else right
    return ir.Binary("&&", left, right, BOOL)


def logical_or(left: ir.Expression, right: ir.Expression) -> ir.Expression:
    """Return ``left || right``."""
    if isinstance(left, ir.Constant):
        return left if left.value else right
    if isinstance(right, ir.Constant) and (not right.value or not ir.is_ordered(left)):
        return right if right.value else left
    return ir.Binary("||", left, right, BOOL)


def truth(node: ir.Expression) -> ir.Expression:
    """Return Python's truth value of a number: whether it differs from zero (NaN does)."""
    if node.type is BOOL:
        return node
    if isinstance(node, ir.Constant):
        return ir.Constant(bool(value_of(node)), BOOL)
    assert isinstance(node.type, ScalarType)
    operand = convert(node, INT32) if node.type.is_narrow else node
    assert isinstance(operand.type, ScalarType)
    return ir.Binary("!=", operand, convert(integer(0), operand.type), BOOL)


def conditional(test: ir.Expression, body: ir.Expression, orelse: ir.Expression, scalar: ScalarType) -> ir.Expression:
    """Return ``test ? body : orelse`` for operands that have been converted to ``scalar``."""
    if isinstance(test, ir.Constant):
        return body if test.value else orelse
    return ir.Conditional(test, body, orelse, scalar)


def load(element: ir.Element, mask: ir.Expression | None, other: ir.Expression | None) -> ir.Expression:
    """Return an element, or ``other`` where the mask is false, without touching memory there."""
    dtype = element.base.type.dtype
    if mask is None or is_constant(mask, True):
        return ir.Load(element, dtype)
    assert other is not None
    return other if is_constant(mask, False) else ir.Load(element, dtype, mask, other)
