"""Functions of numbers: what each is in MSL, and in which type it computes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .. import language_math
from . import fold, ir, operators
from .types import BOOL, FLOAT32, ScalarType, promote


@dataclass(frozen=True, slots=True)
class Function:
    """A function of numbers in MSL.

    Attributes:
        msl: its qualified name.
        operands: ``"float32"``: operands become float32; ``"float"``: half stays half; ``"number"``: integers too stay
            what they are, narrow ones become int32; all operands have one type.
        result: None for the operands' type.
    """

    msl: str
    operands: Literal["float32", "float", "number"] = "float32"
    result: ScalarType | None = None


_PRECISE = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cos",
    "cosh",
    "cospi",
    "exp",
    "exp2",
    "exp10",
    "log",
    "log2",
    "log10",
    "pow",
    "rsqrt",
    "sin",
    "sinh",
    "sinpi",
    "sqrt",
    "tan",
    "tanh",
    "tanpi",
    "fmod",
]
_PRELUDE = ["erf", "erfc", "expm1", "hypot", "log1p", "sigmoid"]

FUNCTIONS: dict[object, Function] = {
    **{getattr(language_math, name): Function(f"metal::precise::{name}") for name in _PRECISE},
    **{getattr(language_math, name): Function(f"helion_msl::{name}") for name in _PRELUDE},
    **{
        getattr(language_math, name): Function(f"metal::{name}", "float")
        for name in [
            "ceil",
            "floor",
            "fract",
            "rint",
            "trunc",
            "fma",
            "copysign",
            "mix",
            "saturate",
            "step",
            "smoothstep",
        ]
    },
    **{
        getattr(language_math, name): Function(f"metal::{name}", "float", BOOL)
        for name in ["isnan", "isinf", "isfinite", "signbit"]
    },
    language_math.fmod: Function("metal::fmod"),
    language_math.round_away: Function("metal::round", "float"),
    language_math.sign: Function("helion_msl::sign", "number"),
    language_math.maximum: Function("helion_msl::maximum", "number"),
    language_math.minimum: Function("helion_msl::minimum", "number"),
    language_math.fmax: Function("metal::fmax", "float"),
    language_math.fmin: Function("metal::fmin", "float"),
    # Python's math module, where it has the same meaning.
    **{
        getattr(math, name): Function(f"metal::precise::{name}")
        for name in [
            "acos",
            "acosh",
            "asin",
            "asinh",
            "atan",
            "atan2",
            "atanh",
            "cos",
            "cosh",
            "exp",
            "log2",
            "log10",
            "pow",
            "sin",
            "sinh",
            "sqrt",
            "tan",
            "tanh",
        ]
    },
    **{getattr(math, name): Function(f"helion_msl::{name}") for name in ["erf", "erfc", "expm1", "hypot", "log1p"]},
    **{getattr(math, name): Function(f"metal::{name}", "float", BOOL) for name in ["isnan", "isinf", "isfinite"]},
    math.fmod: Function("metal::fmod"),
    math.fabs: Function("metal::abs", "float"),
    math.copysign: Function("metal::copysign", "float"),
}
if hasattr(math, "exp2"):
    FUNCTIONS[math.exp2] = Function("metal::precise::exp2")


def apply(function: Function, numbers: list[ir.Expression]) -> ir.Expression:
    """Return a call of a function on numbers, converted to what it takes."""
    scalar = operators.scalar_type(numbers[0])
    for number in numbers[1:]:
        scalar = operators.common_type(
            fold.convert(numbers[0], scalar) if number is numbers[0] else ir.Cast(numbers[0], scalar), number
        )
    if len(numbers) == 1 and operators.is_weak(numbers[0]):
        scalar = operators.scalar_type(numbers[0])
    scalar = promote(scalar, scalar)
    if (
        function.operands == "float32"
        or (scalar.is_float and scalar.name == "bfloat16")
        or (function.operands == "float" and not scalar.is_float)
    ):
        scalar = FLOAT32
    arguments = tuple(fold.convert(number, scalar) for number in numbers)
    return ir.Call(function.msl, arguments, function.result or scalar)
