"""Values in the text of a kernel: Metal Python with a dtype, literals and conversions."""

from __future__ import annotations

from typing import Any

import torch
from helion import exc
from torch._inductor.virtualized import OpsValue

# The types of Metal (specification, section 2.1 "Scalar Data Types") under their names in helion_msl.language.
METAL_TYPES: dict[torch.dtype, str] = {
    torch.bool: "ml.bool_",
    torch.int8: "ml.int8",
    torch.uint8: "ml.uint8",
    torch.int16: "ml.int16",
    torch.uint16: "ml.uint16",
    torch.int32: "ml.int32",
    torch.uint32: "ml.uint32",
    torch.int64: "ml.int64",
    torch.uint64: "ml.uint64",
    torch.float16: "ml.float16",
    torch.bfloat16: "ml.bfloat16",
    torch.float32: "ml.float32",
}

HALF_TYPES = (torch.float16, torch.bfloat16)
NARROW_INTEGERS = (torch.int8, torch.uint8, torch.int16, torch.uint16)


class Value(str):
    """Metal Python text of one value, with its dtype.

    Attributes:
        dtype: the type that evaluating the text gives in Metal.
        literal: the Python number where the text is a literal; it then takes any dtype of its kind.
    """

    __slots__ = ("dtype", "literal")

    dtype: torch.dtype
    literal: float | bool | None

    def __new__(cls, text: str, dtype: torch.dtype, literal: float | bool | None = None) -> Value:
        value = super().__new__(cls, text)
        value.dtype = dtype
        value.literal = literal
        return value


def literal_text(number: float | bool) -> str:
    """Return Python text that evaluates to `number`, non-finite floats included."""
    if isinstance(number, float) and (number != number or number in (float("inf"), float("-inf"))):
        return "ml.nan" if number != number else "ml.inf" if number > 0 else "(-ml.inf)"
    return f"({number!r})" if not isinstance(number, bool) and number < 0 else repr(number)


def metal_type(dtype: torch.dtype) -> str:
    """Return Metal's name of `dtype`; raises BackendUnsupported where Metal has no such type."""
    if dtype not in METAL_TYPES:
        reason = f"the dtype {dtype}: Metal has no such type"
        if dtype == torch.float64:
            reason += "; use torch.float32"
        raise exc.BackendUnsupported("metal", reason)
    return METAL_TYPES[dtype]


def cast(value: Value, dtype: torch.dtype) -> Value:
    """Converts as ``tensor.to(dtype)`` does."""
    if value.dtype == dtype:
        return value
    target = metal_type(dtype)
    if value.literal is not None and dtype.is_floating_point and dtype not in HALF_TYPES:
        return constant(value.literal, dtype)
    text: str = value
    if value.dtype.is_floating_point and dtype in NARROW_INTEGERS:
        # A float outside a narrow type's range is undefined in Metal. PyTorch goes through a wide integer and wraps.
        text = f"ml.int32({text})"
    return Value(f"{target}({text})", dtype)


def constant(number: float | bool, dtype: torch.dtype) -> Value:
    """A literal of `dtype`. An integer that it does not hold wraps around, as in PyTorch: -3 becomes 253 in uint8."""
    if dtype == torch.bool:
        number = bool(number)
    elif dtype.is_floating_point:
        number = float(number)
    else:
        limits = torch.iinfo(dtype)
        number = (int(number) - limits.min) % (1 << limits.bits) + limits.min
    return Value(literal_text(number), dtype, number)


def as_value(value: Any) -> Value:
    """What an Inductor function passes or returns under :class:`MetalExpressions`, as a value."""
    if isinstance(value, OpsValue):
        value = value.value
    if isinstance(value, Value):
        return value
    if isinstance(value, bool):
        return constant(value, torch.bool)
    if isinstance(value, int):
        return constant(value, torch.int64)
    if isinstance(value, float):
        return constant(value, torch.float32)
    raise exc.BackendUnsupported("metal", f"an operand of type {type(value).__name__} in an element-wise operation")


def compute_type(dtype: torch.dtype) -> torch.dtype:
    """The type in which PyTorch computes on `dtype`: its `opmath` type."""
    if dtype in HALF_TYPES:
        return torch.float32
    if dtype == torch.float64:
        # Python's own floats; Metal computes them in single precision.
        return torch.float32
    return dtype
