"""Numbers at the edge of their types that meant something else than in Python once.

Most were found by :mod:`generated_kernels`, the others by thinking of what it might find.
"""

# ruff: noqa: SIM300 - literals on the left

from __future__ import annotations

import torch

from helion_msl import language as ml
from helion_msl import metal_jit
from walker_comparison import check


def bumped(x, index, value):
    x[index] += value
    return x[index]


def rounded_by_their_type(out):
    out[0] = ml.float16(0.1)
    out[1] = ml.float16(2049.0) == 2049.0
    out[2] = int(ml.float16(2049.0))
    out[3] = 1 if ml.float16(1e-9) else 2
    out[4] = ml.float32(ml.float16(70000.0))
    out[5] = ml.float16(0.1) < 0.1


def test_a_literal_that_a_type_rounds_is_rounded_where_it_is_converted_again() -> None:
    check(rounded_by_their_type, torch.zeros(6))


def rounded_to_bfloat(out):
    out[0] = ml.bfloat16(0.1)
    out[1] = ml.bfloat16(257.0)
    out[2] = ml.bfloat16(259.0)


def test_a_literal_of_bfloat16_is_rounded_to_the_nearest_even() -> None:
    out = torch.zeros(3)
    metal_jit(rounded_to_bfloat)[1, 1](out)
    assert torch.equal(out, torch.tensor([0.1, 257.0, 259.0]).bfloat16().float())


def cast_to_a_dtype_of_torch(x, out, dtype: ml.constexpr):
    out[0] = ml.cast(x[0], dtype)


def test_a_torch_dtype_names_a_type_to_plain_python_too() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.uint8, torch.bool, ml.int8):
        check(cast_to_a_dtype_of_torch, torch.tensor([100.3]), torch.zeros(1), dtype=dtype)


LARGEST_INT64 = float(2**63)


def integers_and_known_floats(x, u, w, out):
    i = ml.tid[0]
    out[i, 0] = (x[i] == 16777216.0) + (x[i] != 16777216.0) * 2 + (x[i] > 16777216.0) * 4 + (16777216.0 > x[i]) * 8
    out[i, 1] = (x[i] <= 16777217.5) + (x[i] == 16777217.5) * 2 + (x[i] >= 16777217.5) * 4 + (x[i] < 16777217.5) * 8
    out[i, 2] = (x[i] < 1e20) + (x[i] == 1e20) * 2 + (-1e20 < x[i]) * 4 + (x[i] > float("inf")) * 8
    out[i, 3] = (x[i] != float("nan")) + (x[i] < float("nan")) * 2 + (float("nan") >= x[i]) * 4
    out[i, 4] = (u[i] >= 4294967295.0) + (u[i] > -0.5) * 2 + (u[i] == 4294967296.0) * 4 + (u[i] < 4294967294.5) * 8
    out[i, 5] = (w[i] < LARGEST_INT64) + (w[i] >= LARGEST_INT64) * 2 + (w[i] >= -LARGEST_INT64) * 4
    out[i, 6] = (w[i] == 9007199254740992.0) + (w[i] > 0.5) * 2 + (w[i] <= 9007199254740992.0) * 4


def test_an_integer_is_compared_with_a_known_float_exactly() -> None:
    x = torch.tensor([16777215, 16777216, 16777217, 16777218, -2147483648], dtype=torch.int32)
    u = torch.tensor([0, 4294967295, 4294967294, 16777217, 5], dtype=torch.uint32)
    w = torch.tensor([9007199254740992, 9007199254740993, 2**63 - 1, -(2**63), 0])
    check(integers_and_known_floats, x, u, w, torch.zeros(5, 7, dtype=torch.int32), block_dims=5)


def effects_of_decided_comparisons(x, out):
    out[0] = bumped(x, 0, 1) == 16777216.5
    out[1] = 1e20 > bumped(x, 1, 1)


def test_a_comparison_that_no_integer_passes_keeps_its_effects() -> None:
    x = torch.tensor([1, 2], dtype=torch.int32)
    check(effects_of_decided_comparisons, x, torch.zeros(2, dtype=torch.int32))


def vectors_and_known_floats(x, out):
    v = ml.load_vector(x, 0, 4)
    out[0] = ml.any(v == 1e20)
    out[1] = ml.all(v < 1e20)
    out[2] = ml.any(v == 16777216.0)
    out[3] = ml.all(v <= 16777217.5)
    out[4] = ml.all(v**0 == 1)


def test_vectors_are_compared_with_known_floats_exactly() -> None:
    x = torch.tensor([1, 2, 16777217, -5], dtype=torch.int32)
    check(vectors_and_known_floats, x, torch.zeros(5, dtype=torch.int32))


def integer_and_float_of_run_time(x, y, out):
    out[0] = x[0] == y[0]


def test_an_integer_meets_a_float_of_run_time_as_a_float32() -> None:
    """As in torch, and in the table of docs/language.md: here Python says that they differ."""
    x, y = torch.tensor([16777217], dtype=torch.int32), torch.tensor([16777216.0])
    out = torch.zeros(1, dtype=torch.int32)
    metal_jit(integer_and_float_of_run_time)[1, 1](x, y, out)
    assert out.item() == torch.eq(x, y).item() == 1


def large_exponents(x, u, w, out):
    i = ml.tid[0]
    out[i, 0] = x[i] ** u[0]
    out[i, 1] = x[i] ** w[0]
    out[i, 2] = x[i] ** 3000000001
    out[i, 3] = x[i] ** 4294967296
    out[i, 4] = -(1**1000000)
    out[i, 5] = (-1) ** 1000001


def test_exponents_that_int32_does_not_hold() -> None:
    x, u = torch.tensor([0, 1, -1]), torch.tensor([3000000001], dtype=torch.uint32)
    w = torch.tensor([1 << 40], dtype=torch.uint64)
    check(large_exponents, x, u, w, torch.zeros(3, 6, dtype=torch.int64), block_dims=3)


def unsigned_choices(b, u, out):
    out[0] = (b and u[0]) - 7
    out[1] = (u[0] if b else 0) - 7
    out[2] = ml.int64(b and u[0]) - 7


def test_a_choice_between_a_truth_value_and_an_unsigned_number_is_unsigned() -> None:
    """Below 0 it wraps around, as `u[0] - 7` does."""
    u = torch.tensor([5], dtype=torch.uint32)
    for b in (True, False):
        out = torch.zeros(3, dtype=torch.int64)
        metal_jit(unsigned_choices)[1, 1](b, u, out)
        exact = (5 if b else 0) - 7
        assert out.tolist() == [exact % 2**32, exact % 2**32, exact]
