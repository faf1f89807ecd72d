"""What threads do together, or each for itself: quadgroups, vectors through a simdgroup, local arrays, atomics."""

from __future__ import annotations

import math

import pytest
import torch

from helion_msl import TranslationError, metal_jit
from helion_msl import language as ml
from helion_msl.walker import SCALAR_TYPES, TensorType, translate
from walker_comparison import check


def quads(x, n, out):
    i = ml.tid[0]
    out[i, 0] = ml.quad_sum(x[i]) + ml.quad_product(n[i])
    out[i, 1] = ml.quad_max(x[i]) - ml.quad_min(n[i])
    out[i, 2] = ml.quad_prefix_inclusive_sum(n[i]) + 100 * ml.quad_prefix_exclusive_sum(n[i])
    out[i, 3] = ml.quad_broadcast(x[i], 2) + ml.quad_broadcast_first(n[i])
    out[i, 4] = ml.quad_shuffle(n[i], 3 - ml.quad_lane) + 100 * ml.quad_shuffle_xor(n[i], 1)
    out[i, 5] = ml.quad_shuffle_up(n[i], 1) * 10 + ml.quad_shuffle_down(n[i], 2)
    out[i, 6] = ml.quad_and(n[i] + 4) + 10 * ml.quad_or(n[i]) + 100 * ml.quad_xor(n[i])
    out[i, 7] = ml.quad_all(n[i] > 4) + 2 * ml.quad_any(n[i] == 6) + 4 * ml.quad_group + 100 * ml.quad_lane


def test_quadgroups() -> None:
    x = torch.tensor([0.5, -1, 2, 3.25] * 8)
    check(quads, x, torch.arange(32, dtype=torch.int32) % 9, torch.zeros(32, 8), block_dims=32)


def quad_nan(x, out):
    out[ml.tid[0], 0], out[ml.tid[0], 1] = ml.quad_max(x[ml.tid[0]]), ml.quad_min(x[ml.tid[0]])


def test_nan_wins_in_a_quadgroup() -> None:
    x = torch.tensor([1.0, math.nan, 2.0, 3.0, 1.0, 2.0, 3.0, -4.0])
    check(quad_nan, x, torch.zeros(8, 2), block_dims=8)


def simd_of_vectors(x, out):
    i = ml.tid[0]
    v = ml.float2(x[i], i)
    total = ml.simd_sum(v) + ml.simd_max(v) * 10 - ml.simd_min(ml.int2(i, 3))
    out[i, 0], out[i, 1] = total.x, total.y
    w = ml.simd_shuffle(v, 31 - i) + ml.simd_prefix_inclusive_sum(ml.int2(i, 1))
    out[i, 2], out[i, 3] = w
    h = ml.simd_broadcast(ml.float3(v, 1), 5) + ml.quad_sum(ml.float3(i))
    out[i, 4], out[i, 5], *_ = h


def test_vectors_through_a_simdgroup() -> None:
    check(simd_of_vectors, torch.arange(32.0) / 4, torch.zeros(32, 6), block_dims=32)


def filled(values, first):
    for k in range(len(values)):
        values[k] = first + k


def local_arrays(x, out):
    i = ml.tid[0]
    own = ml.local_array(4, ml.float32)
    counts = ml.local_array((2, 3), ml.int32)
    filled(own, i)
    for row in range(2):
        for column in range(3):
            counts[row, column] = row * 10 + column
    own[i % 4] += x[i]
    total = 0.0
    for k in range(4):
        total = total * 2 + own[3 - k]
    out[i] = total + counts[1, i % 3] + own.shape[0]


def test_local_arrays_belong_to_one_thread() -> None:
    check(local_arrays, torch.arange(8.0), torch.zeros(8), block_dims=8)


def test_local_arrays_take_no_threadgroup_memory() -> None:
    types = {"x": TensorType(SCALAR_TYPES["float32"], 1), "out": TensorType(SCALAR_TYPES["float32"], 1)}
    translation = translate(local_arrays, types, line_directives=False)
    assert translation.threadgroup_memory == 0
    assert "  float own[4];" in translation.msl.splitlines()


def float_atomics(x, extremes, sums):
    shared = ml.threadgroup_array(4, ml.float32)
    i = ml.tid[0]
    if i < 4:
        ml.atomic_store(shared, i, i * 0.5)
    ml.barrier()
    ml.atomic_max(extremes, 0, x[i])
    ml.atomic_min(extremes, 1, x[i])
    ml.atomic_add(shared, 0, x[i])
    ml.atomic_sub(shared, 1, 1.0)
    ml.atomic_max(shared, 2, x[i])
    ml.barrier()
    if i < 4:
        sums[i] = ml.atomic_load(shared, i)
    if i == 5:
        sums[4] = ml.atomic_exchange(shared, 3, 9.0)


def test_atomics_on_floats() -> None:
    x = torch.arange(-20.0, 12.0)
    extremes, sums = torch.zeros(2), torch.zeros(5)
    metal_jit(float_atomics)[1, 32](x, extremes, sums)
    assert extremes.tolist() == [11, -20]
    assert sums[[0, 1, 2, 4]].tolist() == [x.sum(), 0.5 - 32, 11, 1.5]
    assert sums[3] in (1.5, 9)


def claim(owners, winners):
    i = ml.gid[0]
    if ml.atomic_compare_exchange(owners, i % 7, -1, i) == -1:
        winners[i] = 1


def test_one_thread_wins_a_comparing_exchange() -> None:
    owners, winners = torch.full((7,), -1, dtype=torch.int32), torch.zeros(256, dtype=torch.int32)
    metal_jit(claim)[8, 32](owners, winners)
    assert winners.sum() == 7
    assert sorted(winners.nonzero().flatten().tolist()) == sorted(owners.tolist())


def chosen(x, out):
    i = ml.tid[0]
    out[i, 0] = (0.5, 2, 4)[i % 3]
    out[i, 1] = (x[i], 1, i)[i - 3 if i < 6 else 2]
    pair = (i, x[0])
    out[i, 2] = pair[i % 2]


def test_a_tuple_is_indexed_at_run_time() -> None:
    check(chosen, torch.arange(6.0), torch.zeros(6, 3), block_dims=6)


def product(left, right):
    return ml.simdgroup_multiply(left, right)


def matrices(x, out):
    left = ml.simdgroup_load(x, (0, 0), 8)
    both = product(left, left)
    ml.simdgroup_store(both, out, (0, 0), 8)


def test_matrices_are_passed_to_functions() -> None:
    x = torch.arange(64.0).reshape(8, 8) / 16
    out = torch.zeros(8, 8)
    metal_jit(matrices)[1, 32](x, out)
    torch.testing.assert_close(out, x @ x)


def annotated(x, out):
    v: ml.float4 = ml.int4(ml.tid[0])
    v += 0.5
    out[ml.tid[0]] = ml.dot(v, v) + x[0]


def test_annotated_vectors() -> None:
    check(annotated, torch.ones(1), torch.zeros(4), block_dims=4)


@pytest.mark.parametrize(
    ("body", "cause", "remedy"),
    [
        ("a = ml.local_array(n, ml.float32)", "known at translation", "ml.constexpr"),
        ("a = ml.local_array(2000, ml.float32)", "8000 bytes, a thread has 4096", "smaller"),
        ("a = ml.local_array(2, ml.float32)\nml.atomic_add(a, 0, 1)", "no other thread sees", "a[i] += value"),
        ("a = ml.local_array((8, 8), ml.float32)\nm = ml.simdgroup_load(a, (0, 0), 8)", "all of its threads see", ""),
        ("v: ml.float4 = 0", "annotated float4", "ml.float4(value)"),
        ("v: ml.int2 = ml.float2(1)", "annotated int2", "ml.int2(value)"),
        ("v: ml.float4 = ml.float2(1)", "annotated float4", "ml.float4(value)"),
        ("t = ml.static_range(20)\nout[0] = t[n]", "one of 20 items at an index known only at run time", "a tensor"),
        ("out[0] = ml.quad_sum(ml.int64(n))", "no quad_sum of 64-bit", "32 bits"),
        ("ml.atomic_compare_exchange(out, 0, 1.0, 2.0)", "no atomic_compare_exchange on float32", "int32"),
        ("change(ml.simdgroup_matrix(ml.float32))", "the sum is a variable", "name"),
    ],
)
def test_mistakes(body, cause, remedy) -> None:
    types = {"out": TensorType(SCALAR_TYPES["float32"], 1), "n": SCALAR_TYPES["int32"]}
    text = "def kernel(out, n):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    with pytest.raises(TranslationError) as raised:
        translate(text, types, namespace={"ml": ml, "change": changed})
    assert cause in raised.value.cause
    assert remedy in raised.value.remedy


def changed(total):
    ml.simdgroup_multiply_accumulate(total, total, total)
