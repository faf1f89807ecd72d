"""Tensors, threads and functions mean in a kernel what they mean to CPython, which executes the same function."""

# ruff: noqa: B023 - the loops, captures and names whose meaning is tested

from __future__ import annotations

import math

import pytest
import torch

from helion_msl import language as ml
from helion_msl import metal_jit
from walker_comparison import FLOATS, check

OFFSET = 7
WEIGHTS = (0.5, 2.0, -1.0)


# ---- Tensors -------------------------------------------------------------------------------------------------------


def transpose(x, out):
    i, j = ml.gid[0], ml.gid[1]
    if i < x.size(0) and j < x.shape[1]:
        out[j, i] = x[i, j] + x.size(0) * 1000 + len(out)


@pytest.mark.parametrize("view", ["contiguous", "transposed", "sliced", "stepped"])
def test_strides(view) -> None:
    base = torch.arange(24 * 30, dtype=torch.float32).reshape(24, 30)
    x = {
        "contiguous": base[:5, :7].contiguous(),
        "transposed": base[:7, :5].t(),
        "sliced": base[3:8, 2:9],
        "stepped": base[1:16:3, 3:24:3],
    }[view]
    assert x.shape == (5, 7)
    launched = torch.zeros(7, 5)
    metal_jit(transpose)[(2, 2), (4, 4)](x, launched)
    torch.testing.assert_close(launched, x.t() + 5007, rtol=0, atol=0)


def writes_a_slice(out):
    i = ml.tid[0]
    out[i] = i + 1


def test_a_strided_output_writes_only_its_own_elements() -> None:
    base = torch.zeros(12)
    metal_jit(writes_a_slice)[1, 4](base[1:9:2])
    assert base.tolist() == [0, 1, 0, 2, 0, 3, 0, 4, 0, 0, 0, 0]


def from_the_end(x, out):
    out[-1] = x[-2] + x[0]
    out[-4] = x[-1]


def test_negative_constant_indices_count_from_the_end() -> None:
    check(from_the_end, torch.arange(5.0), torch.zeros(4))


def three_dimensions(x, out):
    i, j, k = ml.tid[2], ml.tid[1], ml.tid[0]
    out[k, i, j] = x[i, j, k] + x.stride(0) + x.numel() + x.ndim + x.dim()


def test_three_dimensions() -> None:
    check(three_dimensions, torch.arange(24.0).reshape(2, 3, 4), torch.zeros(4, 2, 3), block_dims=(4, 3, 2))


def scalar_tensor(s, flag, out):
    if flag:
        out[0] = s * 2
    else:
        out[0] = s - 1
    out[1] = s.item() + flag


@pytest.mark.parametrize("flag", [True, False])
def test_a_tensor_without_dimensions_is_read_by_its_name(flag) -> None:
    launched = torch.zeros(2)
    metal_jit(scalar_tensor)[1, 1](torch.tensor(2.5), torch.tensor(flag), launched)
    assert launched.tolist() == [5.0 if flag else 1.5, 2.5 + flag]


DTYPES = [
    torch.bool,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
]


def copies(x, out):
    i = ml.gid[0]
    if i < len(x):
        out[i] = x[i]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_is_copied(dtype) -> None:
    x = torch.tensor([0, 1, 1, 0, 1]) if dtype is torch.bool else torch.tensor([0, 1, 5, 100, 127])
    check(copies, x.to(dtype), torch.zeros(5, dtype=dtype), grid=2, block_dims=3)


def half_arithmetic(a, b, out):
    i = ml.tid[0]
    out[i, 0] = a[i] * 2.0 + b[i]
    out[i, 1] = a[i] > 0.1
    out[i, 2] = a[i] / 3
    out[i, 3] = ml.exp(a[i])
    out[i, 4] = abs(a[i]) + ml.floor(b[i])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_small_floats(dtype) -> None:
    a = torch.tensor([0.1, -1.5, 2.25, 3.0], dtype=dtype)
    rtol = 2e-3 if dtype is torch.float16 else 2e-2
    check(half_arithmetic, a, a.flip(0), torch.zeros(4, 5), block_dims=4, rtol=rtol, atol=rtol)


def scalars(n: int, f: float, b: bool, big, out):
    out[0] = n // 2
    out[1] = f / 2
    out[2] = 10 if b else 20
    out[3] = big // 1_000_000


@pytest.mark.parametrize("b", [True, False])
def test_scalar_arguments(b) -> None:
    check(scalars, -7, 0.5, b, 5_000_000_000, torch.zeros(4))


def constants(x, out, SIZE: ml.constexpr, bias=None, scale: ml.constexpr = 2):
    acc = OFFSET
    for k in range(SIZE):
        acc += x[k] * scale
    if bias is not None:
        acc += bias[0]
    if SIZE == 3:
        acc += WEIGHTS[1]
    out[0] = acc + math.pi


def test_constants_and_optional_arguments() -> None:
    x = torch.arange(4.0)
    check(constants, x, torch.zeros(1), 3, rtol=1e-6)
    check(constants, x, torch.zeros(1), SIZE=4, bias=torch.tensor([10.0]), scale=3, rtol=1e-6)


def test_captured_variables_are_constants() -> None:
    for captured in (3, 2.5):

        def kernel(out):
            out[0] = captured * 2

        assert check(kernel, torch.zeros(1))[0].item() == captured * 2


# ---- Threads working together --------------------------------------------------------------------------------------


def reverse_in_threadgroup(x, out):
    shared = ml.threadgroup_array(64, ml.float32)
    i = ml.tid[0]
    shared[i] = x[i]
    ml.barrier()
    out[i] = shared[63 - i]


def test_threadgroup_memory() -> None:
    check(reverse_in_threadgroup, torch.arange(64.0), torch.zeros(64), block_dims=64)


def simdgroup_operations(x, out):
    i = ml.tid[0]
    v = x[i]
    out[i, 0] = ml.simd_sum(v)
    out[i, 1] = ml.simd_max(v)
    out[i, 2] = ml.simd_min(v)
    out[i, 3] = ml.simd_prefix_inclusive_sum(v)
    out[i, 4] = ml.simd_prefix_exclusive_sum(v)
    out[i, 5] = ml.simd_shuffle_xor(v, 5)
    out[i, 6] = ml.simd_broadcast(v, 3)
    out[i, 7] = ml.simd_any(v > 40)
    out[i, 8] = ml.simd_all(v >= 0)
    out[i, 9] = ml.simd_ballot(v > 40) % 65536
    out[i, 10] = ml.simd_shuffle(v, 31 - ml.simd_lane)
    out[i, 11] = ml.simd_lane + ml.simd_group * 100 + ml.thread_index * 1000


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32], ids=str)
def test_simdgroup_operations(dtype) -> None:
    x = (torch.arange(64) * 7 % 61).to(dtype)
    check(simdgroup_operations, x, torch.zeros(64, 12, dtype=dtype), block_dims=64)


def wide_simdgroup_operations(x, out):
    i = ml.tid[0]
    out[i, 0] = ml.simd_sum(x[i])
    out[i, 1] = ml.simd_max(x[i])
    out[i, 2] = ml.simd_min(x[i])
    out[i, 3] = ml.simd_shuffle_xor(x[i], 1)
    out[i, 4] = ml.simd_broadcast(x[i], 9)


def test_64_bit_simdgroup_operations() -> None:
    x = (torch.arange(32) * 7919 % 61 - 30) * 10_000_000_000
    check(wide_simdgroup_operations, x, torch.zeros(32, 5, dtype=torch.int64), block_dims=32)


def atomics(counts, fsum, x):
    i = ml.tid[0]
    ml.atomic_add(counts, x[i] % 4, 1)
    ml.atomic_max(counts, 4, x[i])
    ml.atomic_min(counts, 5, x[i])
    ml.atomic_or(counts, 6, 1 << (x[i] % 8))
    ml.atomic_add(fsum, 0, 0.5)


def test_atomics() -> None:
    check(
        atomics,
        torch.zeros(7, dtype=torch.int32),
        torch.zeros(1),
        torch.arange(32, dtype=torch.int32) * 5,
        block_dims=32,
    )


# ---- Functions -----------------------------------------------------------------------------------------------------


def float_functions(x, out):
    i = ml.tid[0]
    v = x[i]
    out[i, 0] = ml.sin(v) + math.cos(v)
    out[i, 1] = ml.exp(v) - math.exp(-v)
    out[i, 2] = ml.tanh(v) * ml.sigmoid(v)
    out[i, 3] = ml.erf(v)
    out[i, 4] = ml.erfc(v)
    out[i, 5] = ml.sqrt(abs(v)) + math.sqrt(2)
    out[i, 6] = ml.log(abs(v) + 1) + ml.log1p(abs(v) * 1e-5) + math.log(8, 2)
    out[i, 7] = ml.expm1(v * 1e-5)
    out[i, 8] = math.floor(v) * 100 + math.ceil(v) * 10 + math.trunc(v) + round(v)
    out[i, 9] = ml.where(v > 0, v, -2.0) + min(v, 1.5) + max(v, 0, -1)
    out[i, 10] = ml.clamp(v, -1.0, 1.0) + ml.fmod(v, 0.7) + ml.atan2(v, 2.0)
    out[i, 11] = ml.floor(v) + ml.rint(v) + ml.sign(v) + ml.copysign(3.0, v) + ml.fma(v, 2.0, 1.0)
    out[i, 12] = ml.rsqrt(abs(v) + 0.1) + ml.pow(abs(v), 1.5) + ml.exp2(v)
    out[i, 13] = int(v) + float(int(v)) + ml.int8(v * 3)


def test_float_functions() -> None:
    x = torch.cat([torch.linspace(-9.3, 9.3, 40), torch.tensor([0.0, 0.5, -0.5, 1.0, -1.0, 2.5, 3.999, -4.0])])
    check(float_functions, x, torch.zeros(48, 14), block_dims=48, rtol=3e-6, atol=2e-6)


def special_values(x, y, out):
    i, j = ml.tid[0], ml.tid[1]
    out[i, j, 0] = ml.maximum(x[i], y[j])
    out[i, j, 1] = ml.minimum(x[i], y[j])
    out[i, j, 2] = max(x[i], y[j])
    out[i, j, 3] = min(x[i], y[j])
    out[i, j, 4] = ml.fmax(x[i], y[j])
    out[i, j, 5] = ml.isnan(x[i]) + 2 * ml.isinf(y[j]) + 4 * ml.isfinite(x[i])
    out[i, j, 6] = ml.inf if x[i] > y[j] else float("-inf")
    out[i, j, 7] = ml.erf(x[i]) + 2 * ml.sign(y[j])


def test_special_values() -> None:
    check(special_values, FLOATS, FLOATS, torch.zeros(16, 16, 8), block_dims=(16, 16), rtol=1e-6, atol=1e-6)


def casts(x, out):
    i = ml.tid[0]
    out[i, 0] = ml.int8(x[i])
    out[i, 1] = ml.uint8(x[i])
    out[i, 2] = ml.int16(x[i] * 1000)
    out[i, 3] = ml.uint32(x[i]) > 5
    out[i, 4] = ml.bitcast(ml.float32(x[i]), ml.int32)
    out[i, 5] = ml.int32(ml.bitcast(x[i], ml.float32) == 0.0)
    out[i, 6] = ml.bool_(x[i]) + ml.int32(2.9) + ml.int32(-2.9)
    out[i, 7] = ml.int8(200) + ml.uint8(-1)


def test_casts_convert_as_cpp_does() -> None:
    x = torch.tensor([-200, -1, 0, 1, 127, 128, 255, 256, 70000], dtype=torch.int32)
    check(casts, x, torch.zeros(9, 8, dtype=torch.int32), block_dims=9)


def unsigned_hash(x, out):
    i = ml.tid[0]
    h = ml.uint32(2166136261)
    for k in range(4):
        h = (h ^ x[i, k]) * 16777619
    out[i] = h


def test_unsigned_arithmetic_wraps() -> None:
    x = torch.arange(32, dtype=torch.int64).reshape(8, 4).to(torch.uint32)
    launched = torch.zeros(8, dtype=torch.uint32)
    metal_jit(unsigned_hash)[1, 8](x, launched)
    expected = []
    for row in x.tolist():
        h = 2166136261
        for value in row:
            h = ((h ^ value) * 16777619) % 2**32
        expected.append(h)
    assert launched.tolist() == expected
