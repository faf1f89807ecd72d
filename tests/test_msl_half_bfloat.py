"""half and bfloat: every operation is rounded, to nearest even, as torch rounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helion_msl import _C
from msl_evaluation import assert_same_bits, evaluate, floats, shuffled

TYPES = {"half": torch.float16, "bfloat": torch.bfloat16}


def all_patterns(dtype: torch.dtype) -> torch.Tensor:
    return torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)


def ordinary(msl_type: str) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(4)
    x = torch.from_numpy(generator.uniform(-300, 300, 4000)).to(TYPES[msl_type])
    y = torch.from_numpy(generator.uniform(-2, 2, 4000)).to(TYPES[msl_type])
    edge = all_patterns(TYPES[msl_type])[::97]
    return torch.cat([x, edge]), torch.cat([y, shuffled(edge, 2)])


@pytest.mark.parametrize("msl_type", TYPES)
def test_every_value_survives_float(msl_type):
    x = all_patterns(TYPES[msl_type])
    outputs = {
        "widened": ("float", "float(x)"),
        "back": (msl_type, f"{msl_type}(float(x))"),
        "bits": ("ushort", "as_type<ushort>(x)"),
    }
    results = evaluate(outputs, {"x": (msl_type, x)})
    assert_same_bits(results["widened"], x.float())
    assert_same_bits(results["back"], x)
    assert_same_bits(results["bits"].view(torch.int16), x.view(torch.int16))


@pytest.mark.parametrize("msl_type", TYPES)
def test_rounding_of_floats(msl_type):
    # Halfway cases: every value's upper neighbour, averaged with it in float.
    x = all_patterns(TYPES[msl_type])[:-1]
    up = all_patterns(TYPES[msl_type])[1:]
    halfway = (x.double() + up.double()).div(2).float()
    values = torch.cat([halfway, floats(random=4000), torch.nextafter(halfway, torch.tensor(float("inf")))])
    result = evaluate({"r": (msl_type, f"{msl_type}(x)")}, {"x": ("float", values)})["r"]
    assert_same_bits(result, values.to(TYPES[msl_type]))


@pytest.mark.parametrize("msl_type", TYPES)
@pytest.mark.parametrize("operator", ["+", "-", "*", "/"])
def test_arithmetic_rounds_each_operation(msl_type, operator):
    x, y = ordinary(msl_type)
    reference = {"+": torch.add, "-": torch.sub, "*": torch.mul, "/": torch.div}[operator]
    outputs = {
        "once": (msl_type, f"x {operator} y"),
        "twice": (msl_type, f"(x {operator} y) {operator} y"),
        "assigned": (msl_type, "z"),
        "vector": (f"{msl_type}2", f"({msl_type}2(x, y) {operator} {msl_type}2(y, x))"),
    }
    results = evaluate(outputs, {"x": (msl_type, x), "y": (msl_type, y)}, body=f"{msl_type} z = x; z {operator}= y;")
    once = reference(x, y)
    assert_same_bits(results["once"], once)
    assert_same_bits(results["twice"], reference(once, y))
    assert_same_bits(results["assigned"], once)
    assert_same_bits(results["vector"].contiguous(), torch.stack([once, reference(y, x)], 1))


@pytest.mark.parametrize("msl_type", TYPES)
def test_comparisons(msl_type):
    x, y = ordinary(msl_type)
    reference = {"==": torch.eq, "!=": torch.ne, "<": torch.lt, "<=": torch.le, ">": torch.gt, ">=": torch.ge}
    outputs = {op: ("bool", f"x {op} y") for op in reference} | {f"{op} 1": ("bool", f"x {op} 1") for op in reference}
    results = evaluate(outputs, {"x": (msl_type, x), "y": (msl_type, y)})
    for op, function in reference.items():
        assert torch.equal(results[op], function(x, y)), op
        assert torch.equal(results[f"{op} 1"], function(x, torch.ones_like(x))), op


@pytest.mark.parametrize("msl_type", TYPES)
def test_conversions_to_and_from_integers(msl_type):
    dtype = TYPES[msl_type]
    integers = torch.tensor(
        [0, 1, -1, 7, 255, 256, 257, 2049, -2051, 65504, 40000, -70000, 16777217], dtype=torch.int32
    )
    made = evaluate({"r": (msl_type, f"{msl_type}(x)")}, {"x": ("int", integers)})["r"]
    assert_same_bits(made, integers.to(dtype))
    x = torch.tensor([0.0, -0.0, 1.9, -1.9, 100.5, 3000.0, -3000.0]).to(dtype)
    outputs = {"int": ("int", "int(x)"), "long": ("long", "long(x)"), "bool": ("bool", "bool(x)")}
    results = evaluate(outputs, {"x": (msl_type, x)})
    assert results["int"].tolist() == x.int().tolist()
    assert results["long"].tolist() == x.long().tolist()
    assert results["bool"].tolist() == x.bool().tolist()


def test_types_of_mixed_operations():
    """The usual conversions with bfloat between the integers and float; none to half or back without a cast."""
    facts = {
        "is_same_v<decltype(bfloat(1) + bfloat(1)), bfloat>": True,
        "is_same_v<decltype(bfloat(1) * 2), bfloat>": True,
        "is_same_v<decltype(bfloat(1) + 1.0f), float>": True,
        "is_same_v<decltype(half(1) + half(1)), half>": True,
        "is_same_v<decltype(half(1) + 1), half>": True,
        "is_same_v<decltype(half(1) + 1.0f), float>": True,
        "is_convertible_v<bfloat, float>": True,
        "is_convertible_v<float, bfloat>": False,
        "is_convertible_v<half, bfloat>": False,
        "is_convertible_v<bfloat, half>": False,
        "is_floating_point_v<bfloat>": True,
        "sizeof(bfloat4) == 8": True,
        "sizeof(half3) == 8": True,
    }
    x = torch.zeros(1)
    results = evaluate({fact: ("bool", fact) for fact in facts}, {"x": ("float", x)})
    assert {fact: bool(result[0]) for fact, result in results.items()} == facts


def test_float_literals_are_not_double():
    """0.1 is a float in MSL, so x == 0.1 holds for the float nearest to it."""
    result = evaluate({"r": ("bool", "x == 0.1"), "s": ("uint", "sizeof(0.1)")}, {"x": ("float", torch.tensor([0.1]))})
    assert bool(result["r"][0])
    assert int(result["s"][0]) == 4


@pytest.mark.parametrize("name", ["sin", "exp", "log", "sqrt", "rsqrt", "tanh", "floor", "abs", "rint", "saturate"])
def test_half_functions_are_computed_in_float_and_rounded(name):
    x = all_patterns(torch.float16)
    results = evaluate({"h": ("half", f"{name}(x)"), "f": ("float", f"{name}(float(x))")}, {"x": ("half", x)})
    assert_same_bits(results["h"], results["f"].half(), name)


def test_fma_of_halves_rounds_once():
    """Exactly, in integers of 2^-48: torch has no fma of halves, and in double the sum would be rounded."""
    generator = np.random.default_rng(9)
    patterns = generator.integers(0, 2**16, (3, 20000), dtype=np.uint16).view(np.float16)
    finite = np.isfinite(patterns).all(0)
    # An addend far below half a unit of a product that ends in a tie decides where the tie goes.
    ties = np.array([[1.0009765625, 1.0009765625, 2.0 ** -24], [1.0009765625, 1.0009765625, -(2.0 ** -24)],
                     [2049 / 2048, 1.0, 6e-8], [3.0, 1.0 / 3.0, -6e-8]], np.float16).T  # fmt: skip
    x, y, z = np.concatenate([patterns[:, finite], ties], axis=1)
    inputs = {name: ("half", torch.from_numpy(v.copy())) for name, v in zip("xyz", (x, y, z), strict=True)}
    result = evaluate({"r": ("half", "fma(x, y, z)")}, inputs)["r"]
    expected = [round_to_half(int(a * 2**24) * int(b * 2**24) + int(c * 2**24) * 2**24) for a, b, c in zip(
        x.astype(np.float64), y.astype(np.float64), z.astype(np.float64), strict=True)]  # fmt: skip
    got = result.double().numpy()
    wrong = [i for i, value in enumerate(expected) if value != got[i]]
    assert not wrong, [(x[i], y[i], z[i], got[i], expected[i]) for i in wrong[:3]]


def round_to_half(scaled: int) -> float:
    """The half nearest to scaled * 2**-48, ties to even."""
    magnitude = abs(scaled)
    # A half has 11 significant bits and no unit below 2**-24.
    unit = max(magnitude.bit_length() - 11, 24)
    quotient, rest = divmod(magnitude, 1 << unit)
    if rest * 2 > 1 << unit or (rest * 2 == 1 << unit and quotient % 2 == 1):
        quotient += 1
    value = float(quotient << unit) * 2.0**-48
    if value > 65504.0:
        value = float("inf")
    return -value if scaled < 0 else value


def test_fract_stays_below_one():
    x = torch.tensor([-1e-8, -6e-8, 0.75, -0.25, 3.5])
    outputs = {"float": ("float", "fract(x)"), "half": ("half", "fract(half(x))")}
    results = evaluate(outputs, {"x": ("float", x)})
    assert float(results["float"][0]) == 1 - 2.0**-24
    assert float(results["half"][1]) == 1 - 2.0**-11
    assert results["float"][2:].tolist() == [0.75, 0.75, 0.5]
    assert bool((results["half"] < 1).all())


ROWS = """#include <metal_stdlib>
using namespace metal;
kernel void scale(device const {type} *x, device {type} *out, constant uint &count, {positions},
                  uint2 threads [[threads_per_grid]]) {{
  const uint i = at.y * threads.x + at.x;
  if (i < count) out[i] = {type}(float(x[i]) * 1.37f + 0.1f);
}}
"""
POSITIONS = {
    "in the grid": "uint2 at [[thread_position_in_grid]]",
    # Every threadgroup is a loop of its own.
    "and of the threadgroup": "uint2 at [[thread_position_in_grid]], uint2 g [[threadgroup_position_in_grid]]",
}


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("msl_type", TYPES)
def test_threadgroups_of_any_width(msl_type, positions, device):
    # Of no, one and several vector registers, with and without a rest.
    kernel = _C.compile(ROWS.format(type=msl_type, positions=POSITIONS[positions]), device=device)
    x = ordinary(msl_type)[0].to(device)
    expected = (x.float() * 1.37 + 0.1).to(x.dtype)
    for width in (1, 7, 8, 15, 16, 17, 31, 32, 33, 40, 64, 100):
        size = 6 * 2 * width
        out = torch.full_like(x, 7)
        kernel([x, out, size - 5], (3, 2), (width, 2))
        assert_same_bits(out[: size - 5].cpu(), expected[: size - 5].cpu())
        assert bool((out[size - 5 :] == 7).all()), width
