"""The mathematical functions of :mod:`helion_msl.language`, with their plain-Python meaning.

In a kernel they compute and return float32 (half and bfloat operands are widened), in Metal's ``precise`` variants; in
plain Python they compute in double precision. Where Python's :mod:`math` raises for a value outside a function's
domain, these return NaN or infinity, as Metal does.
"""

from __future__ import annotations

import functools
import inspect
import math
from typing import TYPE_CHECKING, Any

from .language_vectors import Vector, elementwise_call

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "clamp",
    "copysign",
    "cos",
    "cosh",
    "cospi",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "exp10",
    "expm1",
    "floor",
    "fma",
    "fmax",
    "fmin",
    "fmod",
    "fract",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log1p",
    "log2",
    "log10",
    "maximum",
    "minimum",
    "mix",
    "pow",
    "rint",
    "round_away",
    "rsqrt",
    "saturate",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sinpi",
    "smoothstep",
    "sqrt",
    "step",
    "tan",
    "tanh",
    "tanpi",
    "trunc",
    "where",
]


def exp(x: float) -> float:
    """E to the power of x."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def exp2(x: float) -> float:
    """2 to the power of x."""
    return pow(2.0, x)


def exp10(x: float) -> float:
    """10 to the power of x."""
    return pow(10.0, x)


def expm1(x: float) -> float:
    """E to the power of x, minus 1, exact near 0."""
    try:
        return math.expm1(x)
    except OverflowError:
        return math.inf


def _logarithm(x: float, base: float | None) -> float:
    if x == 0:
        return -math.inf
    if x < 0 or math.isnan(x):
        return math.nan
    return math.log(x) if base is None else math.log2(x) if base == 2 else math.log10(x)


def log(x: float) -> float:
    """The natural logarithm of x."""
    return _logarithm(x, None)


def log2(x: float) -> float:
    """The logarithm of x to base 2."""
    return _logarithm(x, 2)


def log10(x: float) -> float:
    """The logarithm of x to base 10."""
    return _logarithm(x, 10)


def log1p(x: float) -> float:
    """The natural logarithm of 1 + x, exact near 0."""
    return _logarithm(1 + x, None) if x <= -1 else math.log1p(x)


def sqrt(x: float) -> float:
    """The square root of x; NaN below 0."""
    return math.sqrt(x) if x >= 0 else math.nan


def rsqrt(x: float) -> float:
    """1 / sqrt(x)."""
    return math.inf if x == 0 else 1 / sqrt(x)


def pow(x: float, y: float) -> float:  # noqa: A001
    """X to the power of y; NaN for a negative x with a fractional y."""
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and y % 2 == 1 else math.inf
    except ValueError:
        return math.inf if x == 0 else math.nan


def sin(x: float) -> float:
    """The sine of x radians."""
    return math.sin(x) if math.isfinite(x) else math.nan


def cos(x: float) -> float:
    """The cosine of x radians."""
    return math.cos(x) if math.isfinite(x) else math.nan


def tan(x: float) -> float:
    """The tangent of x radians."""
    return math.tan(x) if math.isfinite(x) else math.nan


def sinpi(x: float) -> float:
    """The sine of x half turns."""
    return sin(math.pi * math.fmod(x, 2)) if math.isfinite(x) else math.nan


def cospi(x: float) -> float:
    """The cosine of x half turns."""
    return cos(math.pi * math.fmod(x, 2)) if math.isfinite(x) else math.nan


def tanpi(x: float) -> float:
    """The tangent of x half turns."""
    return tan(math.pi * math.fmod(x, 1)) if math.isfinite(x) else math.nan


def asin(x: float) -> float:
    """The arc sine of x, in radians."""
    return math.asin(x) if -1 <= x <= 1 else math.nan


def acos(x: float) -> float:
    """The arc cosine of x, in radians."""
    return math.acos(x) if -1 <= x <= 1 else math.nan


def atan(x: float) -> float:
    """The arc tangent of x, in radians."""
    return math.atan(x)


def atan2(y: float, x: float) -> float:
    """The angle of the point (x, y), in radians."""
    return math.atan2(y, x)


def sinh(x: float) -> float:
    """The hyperbolic sine of x."""
    try:
        return math.sinh(x)
    except OverflowError:
        return math.copysign(math.inf, x)


def cosh(x: float) -> float:
    """The hyperbolic cosine of x."""
    try:
        return math.cosh(x)
    except OverflowError:
        return math.inf


def tanh(x: float) -> float:
    """The hyperbolic tangent of x."""
    return math.tanh(x)


def asinh(x: float) -> float:
    """The inverse hyperbolic sine of x."""
    return math.asinh(x)


def acosh(x: float) -> float:
    """The inverse hyperbolic cosine of x; NaN below 1."""
    return math.acosh(x) if x >= 1 else math.nan


def atanh(x: float) -> float:
    """The inverse hyperbolic tangent of x."""
    return math.copysign(math.inf, x) if abs(x) == 1 else math.atanh(x) if abs(x) < 1 else math.nan


def erf(x: float) -> float:
    """The error function."""
    return math.erf(x)


def erfc(x: float) -> float:
    """1 - erf(x), exact for large x."""
    return math.erfc(x)


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + exp(-x))


def fmod(x: float, y: float) -> float:
    """The remainder of x / y with the sign of x, as in C; Python's ``%`` has the sign of y."""
    return math.fmod(x, y) if y != 0 and math.isfinite(x) else math.nan


def fma(x: float, y: float, z: float) -> float:
    """X * y + z, rounded once."""
    return x * y + z


def hypot(x: float, y: float) -> float:
    """Return the length of the vector (x, y), also where the squares would overflow."""
    return math.hypot(x, y)


def mix(x: float, y: float, t: float) -> float:
    """Return ``x + (y - x) * t``: the number between x and y at t."""
    return x + (y - x) * t


def saturate(x: float) -> float:
    """Return x, but 0 below 0 and 1 above 1; 0 for NaN."""
    return min(max(x, 0.0), 1.0) if x == x else 0.0


def step(edge: float, x: float) -> float:
    """Return 0 where x is below the edge, else 1."""
    return 0.0 if x < edge else 1.0


def smoothstep(low: float, high: float, x: float) -> float:
    """Return 0 up to ``low``, 1 from ``high`` on, and between them ``t * t * (3 - 2 * t)``; low < high."""
    t = saturate((x - low) / (high - low))
    return t * t * (3 - 2 * t)


def fract(x: float) -> float:
    """Return ``x - floor(x)``, which is below 1."""
    return x - math.floor(x)


def floor(x: float) -> float:
    """The largest whole number up to x, as a float; ``math.floor`` returns an integer."""
    return float(math.floor(x)) if math.isfinite(x) else x


def ceil(x: float) -> float:
    """The smallest whole number from x on, as a float."""
    return float(math.ceil(x)) if math.isfinite(x) else x


def trunc(x: float) -> float:
    """X without its fraction, as a float."""
    return float(math.trunc(x)) if math.isfinite(x) else x


def rint(x: float) -> float:
    """The nearest whole number as a float, halves to even."""
    return float(round(x)) if math.isfinite(x) else x


def round_away(x: float) -> float:
    """The nearest whole number as a float, halves away from 0."""
    return math.copysign(float(math.floor(abs(x) + 0.5)), x) if math.isfinite(x) else x


def copysign(x: float, y: float) -> float:
    """X with the sign of y."""
    return math.copysign(x, y)


def sign(x: float) -> float:
    """-1, 0 or 1, of the type of x."""
    return (x > 0) - (x < 0)


def signbit(x: float) -> bool:
    """Whether the sign bit of a float is set, also that of -0.0."""
    return math.copysign(1, x) < 0


def isnan(x: float) -> bool:
    """Whether x is not a number."""
    return math.isnan(x)


def isinf(x: float) -> bool:
    """Whether x is infinite."""
    return math.isinf(x)


def isfinite(x: float) -> bool:
    """Whether x is neither infinite nor NaN."""
    return math.isfinite(x)


def maximum(x: float, y: float) -> float:
    """The larger one; NaN where either is NaN, as ``torch.maximum``."""
    return x if x > y or x != x else y


def minimum(x: float, y: float) -> float:
    """The smaller one; NaN where either is NaN, as ``torch.minimum``."""
    return x if x < y or x != x else y


def fmax(x: float, y: float) -> float:
    """The larger one; the other one where one is NaN, as in C."""
    return y if x != x else x if y != y else max(x, y)


def fmin(x: float, y: float) -> float:
    """The smaller one; the other one where one is NaN, as in C."""
    return y if x != x else x if y != y else min(x, y)


def clamp(x: float, low: float, high: float) -> float:
    """X brought into the range from low to high; NaN stays NaN."""
    return minimum(maximum(x, low), high)


def where(condition: bool, x: float, y: float) -> float:
    """X where the condition holds, else y. Both are evaluated; ``x if condition else y`` evaluates one."""
    return x if condition else y


def _elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of numbers that works on vectors too, component by component."""

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        if any(isinstance(argument, Vector) for argument in (*arguments, *keywords.values())):
            bound = inspect.signature(function).bind(*arguments, **keywords)
            return elementwise_call(function, tuple(bound.arguments.values()))
        return function(*arguments, **keywords)

    return call


for _name in __all__:
    globals()[_name] = _elementwise(globals()[_name])
