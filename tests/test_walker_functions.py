"""Functions of numbers that are neither operators nor elementary functions, against Python and published values."""

from __future__ import annotations

import math

import pytest
import torch

from helion_msl import TranslationError
from helion_msl import language as ml
from helion_msl.language_random import philox
from helion_msl.walker import SCALAR_TYPES, TensorType, translate
from walker_comparison import FLOATS, INTS, check


def integers(n, out):
    i = ml.tid[0]
    out[i, 0] = ml.popcount(n[i])
    out[i, 1] = ml.clz(n[i])
    out[i, 2] = ml.ctz(n[i])
    out[i, 3] = ml.reverse_bits(n[i])
    out[i, 4] = ml.mulhi(n[i], 123456789)
    out[i, 5] = ml.cdiv(n[i], 7)
    out[i, 6] = ml.cdiv(n[i], -3)
    out[i, 7] = ml.cdiv(i, 4) + ml.cdiv(9, 4)


def test_functions_of_integers() -> None:
    check(integers, INTS, torch.zeros(16, 8, dtype=torch.int64), block_dims=16)


def test_bits_count_in_the_width_of_the_type() -> None:
    def kernel(n, out):
        out[0], out[1], out[2] = ml.clz(n[0]), ml.ctz(n[1]), ml.popcount(n[2])

    n, out = torch.tensor([1, 0, 255], dtype=torch.uint8), torch.zeros(3, dtype=torch.int32)
    from helion_msl import metal_jit

    metal_jit(kernel)[1, 1](n, out)
    assert out.tolist() == [7, 8, 8]


def floats(x, out):
    i = ml.tid[0]
    out[i, 0] = ml.saturate(x[i])
    out[i, 1] = ml.step(1.0, x[i])
    out[i, 2] = ml.smoothstep(-1.0, 3.0, x[i])
    out[i, 3] = ml.hypot(x[i], 3.0)
    out[i, 4] = math.hypot(3.0, x[i])
    out[i, 5] = math.degrees(x[i])
    out[i, 6] = math.radians(x[i])


def test_functions_of_floats() -> None:
    check(floats, FLOATS, torch.zeros(16, 7), block_dims=16, rtol=3e-7)


def finite(x, out):
    i = ml.tid[0]
    out[i, 0] = ml.mix(x[i], 2.0, 0.25)
    out[i, 1] = ml.fract(x[i])


def test_functions_of_finite_floats() -> None:
    check(finite, FLOATS[FLOATS.isfinite()], torch.zeros(13, 2), block_dims=13, rtol=3e-7)


def random(seed, out, bits):
    i = ml.gid[0]
    out[i, 0] = ml.rand(seed, i)
    out[i, 1] = ml.rand(seed, i + (1 << 40))
    out[i, 2] = ml.randn(seed, i)
    bits[i] = ml.randint(seed, i)


@pytest.mark.parametrize("seed", [0, 42, -1, 2**40 + 3])
def test_random_numbers_are_those_of_python(seed) -> None:
    check(
        random,
        seed,
        torch.zeros(64, 3),
        torch.zeros(64, dtype=torch.int64),
        grid=2,
        block_dims=32,
        rtol=1e-5,
        atol=1e-6,
    )


def test_the_generator_is_philox() -> None:
    # The known answers of Random123 1.14, kat_vectors.
    assert philox(0, 0) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)


def test_random_numbers_are_spread_evenly() -> None:
    numbers = torch.tensor([[ml.rand(7, i), ml.randn(7, i)] for i in range(20000)])
    uniform, normal = numbers.unbind(1)
    assert 0 <= uniform.min() < 1e-3
    assert 1 - 1e-3 < uniform.max() < 1
    histogram = torch.histc(uniform, 10, 0, 1)
    assert (histogram - 2000).abs().max() < 200  # some 4.5 standard deviations
    assert abs(normal.mean()) < 0.035
    assert abs(normal.std() - 1) < 0.025


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        ("out[0] = ml.popcount(out[0])", "popcount needs integers"),
        ("out[0] = ml.cdiv(out[0], 2)", "cdiv needs integers"),
        ("out[0] = ml.mulhi(ml.int64(1), 2)", "mulhi multiplies two int32"),
        ("out[0] = ml.rand(0.5, 1)", "rand needs integers"),
        ("out[0] = ml.cast(1, 2)", "is no type"),
        ("out[0] = math.sqrt(-1)", "cannot be computed"),
        ("out[0] = " + "+".join(["out[0]"] * 500), "nested too deeply"),
        ("out[0] = " + "+".join(["out[0]"] * 20000), "nested too deeply"),
    ],
)
def test_mistakes(statement, cause) -> None:
    types = {"out": TensorType(SCALAR_TYPES["float32"], 1)}
    with pytest.raises(TranslationError, match=cause):
        translate(f"def kernel(out):\n    {statement}\n", types, namespace={"ml": ml, "math": math})
