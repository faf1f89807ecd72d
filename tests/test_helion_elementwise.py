"""Element-wise operations through Helion, each against torch on the same values, special values included."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import helion
import helion.language as hl
import torch
from torch.nn import functional as F

import helion_msl

if TYPE_CHECKING:
    from collections.abc import Callable

helion_msl.register_helion_backend()

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
INF, NAN = math.inf, math.nan
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
SIGNED = (torch.int64, torch.int32, torch.int16, torch.int8)
INTEGERS = (*SIGNED, torch.uint8)


@helion.kernel(backend="metal", config=helion.Config(block_sizes=[128]))
def unary(x: torch.Tensor, fn: Callable[[torch.Tensor], torch.Tensor], out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        out[tile] = fn(x[tile])
    return out


@helion.kernel(backend="metal", config=helion.Config(block_sizes=[128]))
def binary(
    x: torch.Tensor, y: torch.Tensor, fn: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], out: torch.Tensor
) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        out[tile] = fn(x[tile], y[tile])
    return out


def values(dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    """Random values and the special ones of a type, in a number that no block size divides."""
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        return torch.rand(201, generator=generator) > 0.5
    if dtype.is_floating_point:
        random = torch.randn(189, generator=generator) * 3
        special = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, INF, -INF, NAN, 1e-3]
        return torch.cat([random, torch.tensor(special)]).to(dtype)
    limits = torch.iinfo(dtype)
    random = torch.randint(max(limits.min, -1000), min(limits.max, 1000), (195,), generator=generator)
    special = [0, 1, 2, limits.max, limits.min, 7]
    return torch.cat([random, torch.tensor(special)]).to(dtype)


def check(fn: Callable[..., torch.Tensor], *arguments: torch.Tensor, ulps: float = 4) -> None:
    """Runs `fn` in a kernel and in torch, and compares dtype and values."""
    expected = fn(*arguments)
    devices = [argument.to(DEVICE) for argument in arguments]
    out = torch.empty_like(expected, device=DEVICE)
    result = (unary(devices[0], fn, out) if len(arguments) == 1 else binary(*devices, fn, out)).cpu()
    if expected.dtype.is_floating_point:
        tolerance = ulps * torch.finfo(expected.dtype).eps
        torch.testing.assert_close(result, expected, rtol=tolerance, atol=tolerance / 4, equal_nan=True)
    else:
        torch.testing.assert_close(result, expected, rtol=0, atol=0)


EXACT_UNARY = {
    "neg": torch.neg,
    "abs": torch.abs,
    "relu": torch.relu,
    "sign": torch.sign,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "trunc": torch.trunc,
    "round": torch.round,
    "isnan": torch.isnan,
    "isinf": torch.isinf,
    "isfinite": torch.isfinite,
    "signbit": torch.signbit,
    "square": torch.square,
    "reciprocal": torch.reciprocal,
    "logical_not": torch.logical_not,
    "clamp": lambda x: torch.clamp(x, -0.75, 1.25),
    "clamp_min": lambda x: torch.clamp(x, min=0.3),
    "add_scalar": lambda x: x + 0.1,
    "rsub_scalar": lambda x: 1 - x,
    "mul_scalar": lambda x: x * 0.3,
    "div_scalar": lambda x: x / 3,
    "greater_scalar": lambda x: x > 0.1,
    "equal_scalar": lambda x: x == 1.5,
}

CLOSE_UNARY = {
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "log": torch.log,
    "log2": torch.log2,
    "log10": torch.log10,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "softplus": F.softplus,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "pow2": lambda x: x**2,
    "pow_half": lambda x: torch.abs(x) ** 0.5,
    "pow_2.7": lambda x: torch.abs(x) ** 2.7,
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["relu", "round", "clamp", "add_scalar", "div_scalar", "greater_scalar"])
def test_exact_unary_half(name: str, dtype: torch.dtype) -> None:
    check(EXACT_UNARY[name], values(dtype), ulps=1)


@pytest.mark.parametrize("name", sorted(EXACT_UNARY))
def test_exact_unary_float32(name: str) -> None:
    check(EXACT_UNARY[name], values(torch.float32), ulps=1)


def finite(x: torch.Tensor, name: str) -> torch.Tensor:
    """Without infinities for gelu, of which PyTorch's CPU kernels say NaN where the limit is infinity."""
    return torch.where(x.isinf(), torch.ones_like(x), x) if name.startswith("gelu") else x


@pytest.mark.parametrize("name", sorted(CLOSE_UNARY))
def test_close_unary_float32(name: str) -> None:
    check(CLOSE_UNARY[name], finite(values(torch.float32), name), ulps=16)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["exp", "sqrt", "silu", "gelu", "gelu_tanh"])
def test_close_unary_half(name: str, dtype: torch.dtype) -> None:
    check(CLOSE_UNARY[name], finite(values(dtype), name), ulps=1.01)


BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "where": lambda x, y: torch.where(x > y, x, y),
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
}
FLOAT_BINARY = {
    "div": torch.div,
    "fmod": torch.fmod,
    "remainder": torch.remainder,
    "floor_divide": torch.floor_divide,
    "div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "atan2": torch.atan2,
    "copysign": torch.copysign,
    "hypot": torch.hypot,
    "pow": torch.pow,
    "add_alpha": lambda x, y: torch.add(x, y, alpha=2.5),
    "lerp": lambda x, y: torch.lerp(x, y, 0.25),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32], ids=str)
@pytest.mark.parametrize("name", sorted(BINARY))
def test_binary(name: str, dtype: torch.dtype) -> None:
    check(BINARY[name], values(dtype), values(dtype, 1).flip(0), ulps=1)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.int64, torch.int16, torch.int8, torch.uint8], ids=str
)
@pytest.mark.parametrize("name", ["add", "mul", "maximum"])
def test_binary_other_types(name: str, dtype: torch.dtype) -> None:
    check(BINARY[name], values(dtype), values(dtype, 1).flip(0), ulps=1)


@pytest.mark.parametrize("name", ["add", "mul", "maximum", "eq", "where", "logical_xor"])
def test_binary_bool(name: str) -> None:
    fn = BINARY[name] if name != "where" else (lambda x, y: torch.where(x, y, ~y))
    check(fn, values(torch.bool), values(torch.bool, 1))


@pytest.mark.parametrize("name", sorted(FLOAT_BINARY))
def test_float_binary(name: str) -> None:
    check(FLOAT_BINARY[name], values(torch.float32), values(torch.float32, 1).roll(1), ulps=16)


def test_floor_division_is_exact_where_the_quotient_rounds_up() -> None:
    x = torch.tensor([1.0, 6.0, -1.0, 0.3, 1e8, 7.0])
    y = torch.tensor([0.1, 0.2, 0.1, 0.1, 0.3, -2.0])
    check(torch.floor_divide, x, y, ulps=0)
    check(lambda a, b: a // b, x, y, ulps=0)


INTEGER_BINARY = {
    "floor_divide": torch.floor_divide,
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "div": torch.div,
    "bitwise_and": torch.bitwise_and,
    "bitwise_or": torch.bitwise_or,
    "bitwise_xor": torch.bitwise_xor,
}


@pytest.mark.parametrize("dtype", [torch.int32, torch.int8, torch.uint8], ids=str)
@pytest.mark.parametrize("name", sorted(INTEGER_BINARY))
def test_integer_binary(name: str, dtype: torch.dtype) -> None:
    x, y = values(dtype), values(dtype, 1).roll(1)
    # The most negative number divided by -1 overflows.
    y = torch.where((y == 0) | (y == -1 if dtype.is_signed else False), torch.tensor(3, dtype=dtype), y)
    check(INTEGER_BINARY[name], x, y)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint8], ids=str)
def test_shifts(dtype: torch.dtype) -> None:
    width = dtype.itemsize * 8
    y = (torch.arange(201) % width).to(dtype)
    check(torch.bitwise_left_shift, values(dtype), y)
    check(torch.bitwise_right_shift, values(dtype), y)
    check(lambda x: (x << 3) >> 1, values(dtype))


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integer_unary(dtype: torch.dtype) -> None:
    check(lambda x: torch.bitwise_not(x), values(dtype))
    check(lambda x: torch.abs(x) + torch.neg(x) * 2, values(dtype))
    check(lambda x: torch.sign(x) + torch.clamp(x, 3, 100), values(dtype))


CONVERSIONS = [
    (torch.float32, torch.float16),
    (torch.float32, torch.bfloat16),
    (torch.float32, torch.int32),
    (torch.float32, torch.uint8),
    (torch.float32, torch.bool),
    (torch.float16, torch.float32),
    (torch.float16, torch.bfloat16),
    (torch.bfloat16, torch.int64),
    (torch.int64, torch.float32),
    (torch.int64, torch.int8),
    (torch.int8, torch.uint8),
    (torch.int8, torch.int64),
    (torch.uint8, torch.float16),
    (torch.uint8, torch.int16),
    (torch.bool, torch.float32),
    (torch.bool, torch.int32),
    (torch.int32, torch.bool),
]


@pytest.mark.parametrize(("source", "target"), CONVERSIONS, ids=str)
def test_conversion(source: torch.dtype, target: torch.dtype) -> None:
    x = values(source)
    if source.is_floating_point and not target.is_floating_point and target != torch.bool:
        # Outside of the target's range, and for NaN, the result is undefined.
        x = torch.where(x.abs() < 100, x, torch.zeros_like(x)).abs()
    check(lambda v: v.to(target), x, ulps=0)


def test_integers_stay_exact_beyond_the_precision_of_float() -> None:
    x = torch.tensor([2**24 + 1, 2**53 + 1, -(2**62) - 1])
    check(lambda v: v + 1, x)
    check(lambda v: v * 3 - 2**40, torch.tensor([2**24 + 1, 2**40 + 1, -(2**30)]))


def test_composite_rounds_each_operation_as_eager_mode_does() -> None:
    x, y = values(torch.float16), values(torch.float16, 1)
    check(lambda a, b: (a * b + a) / (b + 2.5) - a * 0.1, x, y, ulps=1)


@pytest.mark.parametrize(
    ("fn", "reason"),
    [
        (lambda x: x.to(torch.float64), "float64"),
        (lambda x: torch.special.i0(x), "i0"),
    ],
    ids=["float64", "i0"],
)
def test_what_metal_lacks_is_refused_by_name(fn: Callable[[torch.Tensor], torch.Tensor], reason: str) -> None:
    x = torch.rand(10, device=DEVICE)
    with pytest.raises(helion.exc.BackendUnsupported, match=reason):
        unary(x, fn, torch.empty_like(x))
