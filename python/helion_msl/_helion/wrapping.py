"""Arithmetic of integers that wraps around, as PyTorch's does.

MSL leaves open what a signed integer beyond its range becomes, as C++ does. Unsigned ones wrap around by definition,
and converting one to the signed type of its size keeps the bits: signed data is computed in the unsigned type, and
narrow types in `int`, which holds what they compute, before they are cut off.
"""

from __future__ import annotations

import torch

from helion_msl._helion.values import NARROW_INTEGERS, Value, literal_text, metal_type

UNSIGNED = {
    torch.int8: torch.uint8,
    torch.int16: torch.uint16,
    torch.int32: torch.uint32,
    torch.int64: torch.uint64,
}


def arithmetic(operator: str, left: Value, right: Value, dtype: torch.dtype, *, stays_in_range: bool = False) -> str:
    """Return the text of a sum, a difference or a product of type `dtype`, which both operands have.

    Args:
        operator: ``+``, ``-`` or ``*``.
        left: an operand.
        right: the other one.
        dtype: their type.
        stays_in_range: the exact result is known to be one of `dtype`.
    """
    text = f"{left} {operator} {right}"
    if dtype.is_floating_point or (left.literal is not None and right.literal is not None):
        return text
    if dtype == torch.bool:
        return f"{metal_type(dtype)}({text})"
    if dtype == torch.uint16 and operator == "*":
        # 65535 * 65535 is no `int`.
        text = f"{metal_type(torch.uint32)}({left}) {operator} {right}"
    if dtype in NARROW_INTEGERS:
        return f"{metal_type(dtype)}({text})"
    if stays_in_range:
        return text
    if operator == "+" and right.literal is not None and right.literal < 0:
        operator, right = "-", _magnitude(right)
    text = f"{_unsigned(left, dtype)} {operator} {_unsigned(right, dtype)}"
    return f"{metal_type(dtype)}({text})" if dtype in UNSIGNED else text


def negation(operand: Value, *, stays_in_range: bool = False) -> str:
    """Return the text of ``-operand``, in its type."""
    dtype = operand.dtype
    if dtype in UNSIGNED and dtype not in NARROW_INTEGERS and operand.literal is None and not stays_in_range:
        return f"{metal_type(dtype)}(-{_unsigned(operand, dtype)})"
    return f"{metal_type(dtype)}(-{operand})" if dtype in NARROW_INTEGERS else f"-{operand}"


def absolute(operand: Value) -> str:
    """Return the text of the absolute value of a signed integer; that of the lowest one is itself."""
    return f"{negation(operand)} if {operand} < 0 else {operand}"


def left_shift(operand: Value, count: Value, *, stays_in_range: bool = False) -> str:
    """Return the text of ``operand << count`` in the type of the operand; nothing is left beyond its width.

    C++ leaves it open for negative operands, too.
    """
    dtype = operand.dtype
    count = shift_count(count)
    if operand.literal is not None:
        # On its own it would be an `int`, whatever the count's type is.
        operand = Value(f"{metal_type(dtype)}({operand})", dtype)
    if dtype not in UNSIGNED or (stays_in_range and dtype not in NARROW_INTEGERS):
        text = f"{operand} << {count}"
        return f"{metal_type(dtype)}({text})" if dtype in NARROW_INTEGERS else text
    return f"{metal_type(dtype)}({_unsigned(operand, dtype)} << {count})"


def shift_count(count: Value) -> Value:
    """Return a count for Python's shifts, which take any that is not negative: a negative one becomes a large one."""
    if count.literal is not None or count.dtype not in UNSIGNED:
        return count
    unsigned = UNSIGNED[count.dtype]
    return Value(f"{metal_type(unsigned)}({count})", unsigned)


def _magnitude(literal: Value) -> Value:
    assert literal.literal is not None
    return Value(literal_text(-literal.literal), literal.dtype, -literal.literal)


def _unsigned(operand: Value, dtype: torch.dtype) -> str:
    """The operand in the unsigned type of the size of `dtype`."""
    if operand.literal is not None:
        return str(int(operand.literal) & ((1 << dtype.itemsize * 8) - 1))
    return f"{metal_type(UNSIGNED[dtype])}({operand})" if dtype in UNSIGNED else str(operand)
