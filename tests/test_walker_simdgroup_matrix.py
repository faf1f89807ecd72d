"""Matrices of a simdgroup, against torch."""

from __future__ import annotations

import pytest
import torch

from helion_msl import TranslationError, metal_jit
from helion_msl import language as ml
from helion_msl.walker import SCALAR_TYPES, TensorType, translate
from walker_comparison import check


@metal_jit
def matmul(x, y, out):
    row, column = ml.tgid[1] * 8, ml.tgid[0] * 8
    total = ml.simdgroup_matrix(ml.float32)
    for k in range(0, x.size(1), 8):
        left = ml.simdgroup_load(x, (row, k), x.stride(0))
        right = ml.simdgroup_load(y, (k, column), y.stride(0))
        ml.simdgroup_multiply_accumulate(total, left, right)
    ml.simdgroup_store(total, out, (row, column), out.stride(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_product_of_matrices(dtype) -> None:
    x, y = torch.randn(24, 40).to(dtype), torch.randn(40, 16).to(dtype)
    out = torch.zeros(24, 16)
    matmul[(2, 3), (32,)](x, y, out)
    torch.testing.assert_close(out, x.float() @ y.float(), rtol=1e-4, atol=1e-4)


def all_of_it(x, out):
    shared = ml.threadgroup_array((8, 16), ml.float32)
    lane = ml.simd_lane
    for j in range(4):
        shared[lane // 4, lane % 4 * 4 + j] = x[lane // 4, lane % 4 * 4 + j]
    ml.barrier()
    a = ml.simdgroup_load(shared, (0, 8), 16, transpose=True)
    b = ml.simdgroup_load(x, (0, 0), stride=16)
    product = ml.simdgroup_multiply(a, b)
    ml.simdgroup_multiply_accumulate(product, ml.simdgroup_matrix(ml.float32, 0.5), b)
    ml.simdgroup_store(product, out, (0, 0), 8, transpose=True)
    ml.simdgroup_store(b, shared, (0, 0), 16)
    ml.barrier()
    out[8 + lane // 4, lane % 4] = shared[lane // 4, lane % 4]


def test_loads_and_stores_transpose_and_reach_threadgroup_memory() -> None:
    check(all_of_it, torch.arange(128.0).reshape(8, 16) / 16, torch.zeros(16, 8), block_dims=32, rtol=1e-5)


@pytest.mark.parametrize(
    ("statements", "cause"),
    [
        ("m = ml.simdgroup_matrix(ml.int32)", "are floats"),
        ("m = ml.simdgroup_load(k, 0, 8)", "matrix of int32"),
        ("m = ml.simdgroup_matrix(ml.float16)\nml.simdgroup_store(m, x, 0, 8)", "stored into elements of float32"),
        ("m = ml.simdgroup_matrix(ml.float32)\nn = m", "two names"),
        ("m = ml.simdgroup_multiply(1, 2)", "no simdgroup matrix"),
        ("m = ml.simdgroup_load(x, 0, 8, k[0] > 0)", "known at translation"),
        ("m = ml.simdgroup_matrix(ml.float32)\nm = 1", "simdgroup matrix of float32 on line 2"),
    ],
)
def test_mistakes(statements, cause) -> None:
    types = {"x": TensorType(SCALAR_TYPES["float32"], 1), "k": TensorType(SCALAR_TYPES["int32"], 1)}
    body = "".join(f"    {line}\n" for line in statements.splitlines())
    with pytest.raises(TranslationError) as raised:
        translate(f"def kernel(x, k):\n{body}", types, namespace={"ml": ml})
    assert cause in raised.value.cause
