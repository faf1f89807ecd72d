"""<metal_math> and <metal_common> on scalars and vectors, against numpy in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from msl_evaluation import FLOAT_SPECIALS, assert_close, assert_same_bits, evaluate, floats, pairs, shuffled


def in_turns(function):
    """f(pi x) with the argument reduced in double, where it is exact; pi is not, so zeros have to be made."""

    def reduced(x: np.ndarray) -> np.ndarray:
        value = function(np.pi * np.fmod(x, 2.0))
        return np.where((np.abs(value) < 1e-15) & (np.fmod(2 * x, 1.0) == 0), 0.0, value)

    return reduced


def fract(x: np.ndarray) -> np.ndarray:
    return np.minimum(x - np.floor(x), np.float64(np.float32(1) - np.float32(2.0**-24)))


def round_half_away(x: np.ndarray) -> np.ndarray:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


# Name -> (double-precision reference, units in the last place). The Metal Shading Language Specification ("ULP Values
# and Relative Error") allows more for each of the inexact ones.
UNARY = {
    "acos": (np.arccos, 2),
    "acosh": (np.arccosh, 2),
    "asin": (np.arcsin, 2),
    "asinh": (np.arcsinh, 2),
    "atan": (np.arctan, 2),
    "atanh": (np.arctanh, 2),
    "ceil": (np.ceil, 0),
    "cos": (np.cos, 2),
    "cosh": (np.cosh, 2),
    "cospi": (in_turns(np.cos), 4),
    "exp": (np.exp, 2),
    "exp10": (lambda x: np.power(10.0, x), 2),
    "exp2": (np.exp2, 2),
    "fabs": (np.abs, 0),
    "abs": (np.abs, 0),
    "floor": (np.floor, 0),
    "fract": (fract, 0),
    "log": (np.log, 2),
    "log10": (np.log10, 2),
    "log2": (np.log2, 2),
    "rint": (np.rint, 0),
    "round": (round_half_away, 0),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 2),
    "saturate": (lambda x: np.fmin(np.fmax(x, 0), 1), 0),
    "sign": (lambda x: np.where(np.isnan(x), 0.0, np.sign(x)), 0),
    "sin": (np.sin, 2),
    "sinh": (np.sinh, 2),
    "sinpi": (in_turns(np.sin), 4),
    "sqrt": (np.sqrt, 0),
    "tan": (np.tan, 2),
    "tanh": (np.tanh, 2),
    "trunc": (np.trunc, 0),
}

BINARY = {
    "atan2": (np.arctan2, 2),
    "copysign": (np.copysign, 0),
    "divide": (np.divide, 0),
    "fdim": (lambda x, y: np.where(np.isnan(x) | np.isnan(y), np.nan, np.where(x > y, x - y, 0.0)), 0),
    "fmax": (np.fmax, 0),
    "fmin": (np.fmin, 0),
    "max": (np.fmax, 0),
    "min": (np.fmin, 0),
    "fmod": (np.fmod, 0),
    "pow": (np.power, 2),
    "step": (lambda edge, x: np.where(x < edge, 0.0, 1.0), 0),
}


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


@pytest.fixture(scope="module")
def unary_results():
    x = floats()
    outputs = {name: ("float", f"{name}(x)") for name in UNARY}
    outputs |= {f"precise::{name}": ("float", f"precise::{name}(x)") for name in UNARY}
    outputs |= {f"fast::{name}": ("float", f"fast::{name}(x)") for name in UNARY}
    return x, evaluate(outputs, {"x": ("float", x)}, per_kernel=29)


@pytest.mark.parametrize("variant", ["", "precise::", "fast::"])
@pytest.mark.parametrize("name", UNARY)
def test_function_of_one_float(unary_results, name, variant):
    x, results = unary_results
    reference, ulps = UNARY[name]
    assert_close(results[variant + name], reference(x.double().numpy()), ulps=ulps, context=name, inputs=[x])


@pytest.fixture(scope="module")
def binary_results():
    x, y = pairs(FLOAT_SPECIALS)
    more = floats(random=2000, seed=3)
    x, y = torch.cat([x, more]), torch.cat([y, shuffled(more, 1)])
    results = evaluate({name: ("float", f"{name}(x, y)") for name in BINARY}, {"x": ("float", x), "y": ("float", y)})
    return x, y, results


@pytest.mark.parametrize("name", BINARY)
def test_function_of_two_floats(binary_results, name):
    x, y, results = binary_results
    reference, ulps = BINARY[name]
    expected = reference(x.double().numpy(), y.double().numpy())
    assert_close(results[name], expected, ulps=ulps, context=name, inputs=[x, y])


def test_zeros_keep_their_sign():
    x = torch.tensor([0.0, -0.0])
    names = ["sin", "tan", "asin", "atan", "sinh", "tanh", "sqrt", "floor", "ceil", "trunc", "rint", "round", "sinpi",
             "tanpi", "sign", "asinh", "atanh"]  # fmt: skip
    for name, result in evaluate({n: ("float", f"{n}(x)") for n in names}, {"x": ("float", x)}).items():
        assert_same_bits(result, x, name)


def test_max_and_min_take_the_first_of_equal_arguments():
    """ "Returns y if x < y, otherwise it returns x", also for zeros of different sign."""
    x, y = torch.tensor([0.0, -0.0]), torch.tensor([-0.0, 0.0])
    inputs = {"x": ("float", x), "y": ("float", y)}
    results = evaluate({n: ("float", f"{n}(x, y)") for n in ["max", "min", "fmax", "fmin"]}, inputs)
    for name, result in results.items():
        assert_same_bits(result, x, name)


def test_tanpi():
    x = torch.cat([torch.linspace(-4, 4, 801), torch.tensor([0.25, 0.5, -0.5, 1e6, 1e10])])
    result = evaluate({"y": ("float", "tanpi(x)")}, {"x": ("float", x)})["y"]
    turns = np.fmod(x.double().numpy(), 2.0)
    exact = in_turns(np.tan)(turns)
    is_pole = torch.from_numpy(np.abs(np.fmod(turns, 1.0)) == 0.5)
    assert_close(result[~is_pole], exact[~is_pole.numpy()], ulps=6, context="tanpi", inputs=[x[~is_pole]])
    assert int(is_pole.sum()) > 2
    assert bool(result[is_pole].isinf().all())


def test_powr_is_undefined_for_negative_numbers():
    cases = [(-1.0, 2.0), (0.0, 0.0), (float("inf"), 0.0), (1.0, float("inf")), (2.0, float("nan"))]
    x = torch.tensor([c[0] for c in cases] + [2.0, 0.0, 4.0])
    y = torch.tensor([c[1] for c in cases] + [10.0, 3.0, 0.5])
    result = evaluate({"p": ("float", "powr(x, y)")}, {"x": ("float", x), "y": ("float", y)})["p"]
    assert result.isnan().tolist() == [True] * len(cases) + [False] * 3
    assert result[-3:].tolist() == [1024.0, 0.0, 2.0]


def test_functions_of_three_floats():
    rng = np.random.default_rng(5)
    x, y, z = (torch.from_numpy(rng.uniform(-4, 4, 500).astype(np.float32)) for _ in range(3))
    inputs = {"x": ("float", x), "y": ("float", y), "z": ("float", z)}
    xs, ys, zs = (t.double().numpy() for t in (x, y, z))
    stacked = np.stack([xs, ys, zs])
    expected = {
        "fma(x, y, z)": xs * ys + zs,
        "mix(x, y, 0.25f)": xs + (ys - xs) * 0.25,
        "clamp(x, -1.0f, 1.0f)": np.clip(xs, -1, 1),
        "max3(x, y, z)": stacked.max(0),
        "min3(x, y, z)": stacked.min(0),
        "median3(x, y, z)": np.median(stacked, axis=0),
        "fmax3(x, y, z)": stacked.max(0),
        "fmin3(x, y, z)": stacked.min(0),
        "fmedian3(x, y, z)": np.median(stacked, axis=0),
    }
    results = evaluate({expression: ("float", expression) for expression in expected}, inputs)
    for expression, result in results.items():
        # Cancellation in mix makes its relative error unbounded.
        if expression.startswith("mix"):
            np.testing.assert_allclose(result.numpy(), expected[expression], atol=1e-6)
        else:
            assert_close(result, expected[expression], ulps=0.5001, context=expression, inputs=[x, y, z])
    t = np.clip((xs + 1) / 3, 0, 1)
    smooth = evaluate({"s": ("float", "smoothstep(-1.0f, 2.0f, x)")}, {"x": ("float", x)})["s"]
    np.testing.assert_allclose(smooth.numpy(), t * t * (3 - 2 * t), rtol=1e-6, atol=1e-7)


def test_clamp_and_saturate_turn_nan_into_the_lower_bound():
    x = torch.tensor([float("nan"), float("inf"), float("-inf")])
    results = evaluate({"c": ("float", "clamp(x, -1.0f, 2.0f)"), "s": ("float", "saturate(x)")}, {"x": ("float", x)})
    assert results["c"].tolist() == [-1.0, 2.0, -1.0]
    assert results["s"].tolist() == [0.0, 1.0, 0.0]


def test_frexp_ldexp_ilogb_modf_sincos():
    x = floats()
    finite = x[x.isfinite()]
    outputs = {
        "mantissa": ("float", "m"),
        "exponent": ("int", "e"),
        "scaled": ("float", "ldexp(m, e)"),
        "ilogb": ("int", "ilogb(x)"),
        "fraction": ("float", "f"),
        "whole": ("float", "w"),
        "sine": ("float", "s"),
        "cosine": ("float", "c"),
    }
    body = "int e; float m = frexp(x, e); float w; float f = modf(x, w); float c; float s = sincos(x, c);"
    results = evaluate(outputs, {"x": ("float", finite)}, body=body)
    mantissa, exponent = np.frexp(finite.numpy())
    assert_same_bits(results["mantissa"], torch.from_numpy(mantissa))
    assert_same_bits(results["exponent"], torch.from_numpy(exponent))
    assert_same_bits(results["scaled"], finite)
    nonzero = finite != 0
    assert results["ilogb"][nonzero].tolist() == (exponent[nonzero.numpy()] - 1).tolist()
    fraction, whole = np.modf(finite.numpy())
    assert_same_bits(results["fraction"], torch.from_numpy(fraction))
    assert_same_bits(results["whole"], torch.from_numpy(whole))
    assert_close(results["sine"], np.sin(finite.double().numpy()), ulps=2)
    assert_close(results["cosine"], np.cos(finite.double().numpy()), ulps=2)


def test_modf_of_infinities():
    x = torch.tensor([float("inf"), float("-inf")])
    body = "float w; float f = modf(x, w);"
    results = evaluate({"f": ("float", "f"), "w": ("float", "w")}, {"x": ("float", x)}, body=body)
    assert_same_bits(results["f"], torch.tensor([0.0, -0.0]))
    assert_same_bits(results["w"], x)


def test_ldexp_into_and_out_of_the_range():
    x = torch.tensor([1.0, -1.0, 1.5, 1.0, 1e-45, 1.0])
    e = torch.tensor([200, -200, -149, 127, 150, -149], dtype=torch.int32)
    result = evaluate({"y": ("float", "ldexp(x, e)")}, {"x": ("float", x), "e": ("int", e)})["y"]
    assert_same_bits(result, torch.from_numpy(np.ldexp(x.numpy(), e.numpy())))


@pytest.mark.parametrize("msl_type", ["float", "half"])
def test_nextafter(msl_type):
    dtype = {"float": np.float32, "half": np.float16}[msl_type]
    values = np.array([0, -0.0, 1, -1, 65504, -65504, np.inf, -np.inf, np.nan, 6e-8, -6e-8, 0.1], dtype)
    x, y = np.repeat(values, len(values)), np.tile(values, len(values))
    tensors = {"x": (msl_type, torch.from_numpy(x)), "y": (msl_type, torch.from_numpy(y))}
    result = evaluate({"n": (msl_type, "nextafter(x, y)")}, tensors)["n"]
    # C says y where both are equal; numpy gives x for half.
    assert_same_bits(result, torch.from_numpy(np.where(x == y, y, np.nextafter(x, y))))


def test_vectors_are_computed_by_component():
    n = 200
    a = torch.from_numpy(np.random.default_rng(2).uniform(-3, 3, (n, 4)).astype(np.float32))
    b = shuffled(a, 7)
    inputs = {"a": ("float4", a), "b": ("float4", b)}
    outputs = {
        "sin": ("float4", "sin(a)"),
        "pow": ("float4", "pow(abs(a), b)"),
        "max": ("float4", "max(a, b)"),
        "max_scalar": ("float4", "max(a, 0.0)"),
        "clamp": ("float4", "clamp(a, -1.0f, float4(1))"),
        "fma": ("float4", "fma(a, b, 1.0f)"),
        "exponent": ("int4", "e"),
        "mantissa": ("float4", "m"),
        "scaled": ("float4", "ldexp(m, e)"),
    }
    results = evaluate(outputs, inputs, body="int4 e; float4 m = frexp(a, e);")
    x, y = a.double().numpy(), b.double().numpy()
    assert_close(results["sin"].flatten(), np.sin(x).flatten(), ulps=2)
    assert_close(results["pow"].flatten(), np.power(np.abs(x), y).flatten(), ulps=2)
    assert_same_bits(results["max"].contiguous(), torch.maximum(a, b))
    assert_same_bits(results["max_scalar"].contiguous(), a.clamp(min=0))
    assert_same_bits(results["clamp"].contiguous(), a.clamp(-1, 1))
    assert_close(results["fma"].flatten(), (x * y + 1).flatten(), ulps=0.5001)
    assert_same_bits(results["scaled"].contiguous(), a)
    assert results["exponent"].tolist() == np.frexp(a.numpy())[1].tolist()


def test_integer_arguments_follow_the_others_as_in_metal():
    """pow(2, x) and pow(x, 2) are calls in the type of x: overload resolution prefers the exact match."""
    x = torch.tensor([0.5, 2.0, 3.0])
    outputs = {
        "pow(2, x)": ("float", "pow(2, x)"),
        "pow(x, 2)": ("float", "pow(x, 2)"),
        "max(h, 1.5)": ("float", "max(half(x), 1.5)"),
        "half stays half": ("uint", "is_same_v<decltype(pow(half(x), 2)), half>"),
        "bfloat becomes float": ("uint", "is_same_v<decltype(exp(bfloat(x))), float>"),
        "max of half and float": ("uint", "is_same_v<decltype(max(half(x), 1.5)), float>"),
        "vectors stay": ("uint", "is_same_v<decltype(max(half4(1), 0.0)), half4>"),
    }
    results = evaluate(outputs, {"x": ("float", x)})
    assert results["pow(2, x)"].tolist() == pytest.approx([2**0.5, 4.0, 8.0], rel=1e-6)
    assert results["pow(x, 2)"].tolist() == [0.25, 4.0, 9.0]
    assert results["max(h, 1.5)"].tolist() == [1.5, 2.0, 3.0]
    for name in ["half stays half", "bfloat becomes float", "max of half and float", "vectors stay"]:
        assert results[name].tolist() == [1, 1, 1], name
