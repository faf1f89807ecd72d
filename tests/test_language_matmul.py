"""Matrix products of a threadgroup: ``ml.matmul_accumulator``, ``ml.matmul_add`` and ``ml.matmul_store``."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import helion_msl
from helion_msl import language as ml
from helion_msl.reference import run
from helion_msl.walker import SCALAR_TYPES, TensorType, translate

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
TYPES = {torch.float32: ml.float32, torch.float16: ml.float16, torch.bfloat16: ml.bfloat16}


def multiply(dtype: ml.DType) -> Any:
    """Returns the kernel for operands of one type."""

    @helion_msl.metal_jit
    def kernel(
        x: Any,
        y: Any,
        out: Any,
        ROWS: ml.constexpr,
        COLUMNS: ml.constexpr,
        INNER: ml.constexpr,
        SIMDGROUPS: ml.constexpr,
    ) -> None:
        left = ml.threadgroup_array((ROWS, INNER), dtype)
        right = ml.threadgroup_array((INNER, COLUMNS), dtype)
        product = ml.threadgroup_array((ROWS, COLUMNS), ml.float32)
        accumulator = ml.matmul_accumulator(ROWS, COLUMNS, SIMDGROUPS)
        for first in range(0, x.size(1), INNER):
            for element in range(ml.thread_index, ROWS * INNER, SIMDGROUPS * 32):
                row = element // INNER
                inner = element % INNER
                left[row, inner] = x[row, first + inner]
            for element in range(ml.thread_index, INNER * COLUMNS, SIMDGROUPS * 32):
                inner = element // COLUMNS
                column = element % COLUMNS
                right[inner, column] = y[first + inner, column]
            ml.barrier()
            ml.matmul_add(accumulator, left, right)
            ml.barrier()
        ml.matmul_store(accumulator, product)
        ml.barrier()
        for element in range(ml.thread_index, ROWS * COLUMNS, SIMDGROUPS * 32):
            row = element // COLUMNS
            column = element % COLUMNS
            out[row, column] = product[row, column]

    return kernel


def operands(dtype: torch.dtype, rows: int, columns: int, inner: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Small integers, whose products and sums are exact in float32."""
    generator = torch.Generator().manual_seed(rows * columns + inner)
    x = torch.randint(-8, 9, (rows, inner), generator=generator).to(dtype)
    return x, torch.randint(-8, 9, (inner, columns), generator=generator).to(dtype)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(
    ("rows", "columns", "inner", "simdgroups"),
    [(8, 8, 8, 1), (64, 64, 16, 4), (32, 24, 16, 4), (40, 8, 24, 2), (8, 72, 8, 3), (24, 56, 8, 8)],
)
def test_product(dtype: torch.dtype, rows: int, columns: int, inner: int, simdgroups: int) -> None:
    x, y = operands(dtype, rows, columns, 3 * inner)
    out = torch.full((rows, columns), torch.nan, device=DEVICE)
    constants = {"ROWS": rows, "COLUMNS": columns, "INNER": inner, "SIMDGROUPS": simdgroups}
    multiply(TYPES[dtype])[1, 32 * simdgroups](x.to(DEVICE), y.to(DEVICE), out, **constants)
    assert torch.equal(out.cpu(), x.float() @ y.float())


def test_executed_as_python() -> None:
    x, y = operands(torch.float32, 8, 16, 8)
    out = torch.zeros(8, 16)
    constants = {"ROWS": 8, "COLUMNS": 16, "INNER": 8, "SIMDGROUPS": 1}
    run(multiply(ml.float32), (x, y, out), 1, 32, constants)
    assert torch.equal(out, x @ y)


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("a = ml.matmul_accumulator(12, 8, 1)", "multiple of 8"),
        ("a = ml.matmul_accumulator(8, 8, 33)", "1 to 32 simdgroups"),
        ("a = ml.matmul_accumulator(8, 8, 2)", "32 threads is not 2 simdgroups"),
        ("ml.matmul_add(1, left, left)", "must be an accumulator"),
        ("ml.matmul_add(accumulator, left, 3)", "two dimensions"),
        ("ml.matmul_add(accumulator, left, wide)", "do not make 8 by 8"),
        ("ml.matmul_add(accumulator, left, integers)", "int32"),
        ("ml.matmul_store(accumulator, left)", "float32 array of \\(8, 8\\)"),
        ("x[0] = accumulator", "accumulator"),
    ],
)
def test_refused(body: str, cause: str) -> None:
    source = f"""
def kernel(x):
    left = ml.threadgroup_array((8, 8), ml.float16)
    wide = ml.threadgroup_array((8, 16), ml.float16)
    integers = ml.threadgroup_array((8, 8), ml.int32)
    accumulator = ml.matmul_accumulator(8, 8, 1)
    {body}
"""
    with pytest.raises(helion_msl.TranslationError, match=cause):
        translate(source, {"x": TensorType(SCALAR_TYPES["float32"], 1)}, namespace={"ml": ml}, block_dims=(32, 1, 1))
