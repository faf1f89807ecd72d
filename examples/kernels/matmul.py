"""A tiled matrix product: tiles of both matrices go through threadgroup memory, where each element is read 16 times."""

from __future__ import annotations

import torch

import helion_msl
from helion_msl import language as ml

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
TILE = 16


@helion_msl.metal_jit
def matmul_kernel(a, b, out):
    """Writes ``a @ b``; a threadgroup of TILE x TILE threads computes one tile of `out`."""
    a_tile = ml.threadgroup_array((TILE, TILE), ml.float32)
    b_tile = ml.threadgroup_array((TILE, TILE), ml.float32)
    column, row = ml.tgid[0] * TILE + ml.tid[0], ml.tgid[1] * TILE + ml.tid[1]
    inner = a.size(1)
    total = 0.0
    for start in range(0, inner, TILE):
        k = start + ml.tid[0]
        a_tile[ml.tid[1], ml.tid[0]] = a[row, k] if row < a.size(0) and k < inner else 0.0
        k = start + ml.tid[1]
        b_tile[ml.tid[1], ml.tid[0]] = b[k, column] if k < inner and column < b.size(1) else 0.0
        ml.barrier()
        for k in range(TILE):
            total += a_tile[ml.tid[1], k] * b_tile[k, ml.tid[0]]
        ml.barrier()
    if row < out.size(0) and column < out.size(1):
        out[row, column] = total


def matmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Returns the product of two float32 matrices, which need not be contiguous."""
    rows, columns = a.size(0), b.size(1)
    out = torch.empty(rows, columns, device=a.device)
    matmul_kernel[(-(-columns // TILE), -(-rows // TILE)), (TILE, TILE)](a, b, out)
    return out


def main() -> None:
    """Compares with torch."""
    a, b = torch.randn(100, 130, device=DEVICE), torch.randn(75, 130, device=DEVICE)
    torch.testing.assert_close(matmul(a, b.t()), a @ b.t(), rtol=1e-5, atol=1e-4)
    print(f"product of 100 x 130 and 130 x 75 on {helion_msl.engine_description(DEVICE)}: equal to torch")


if __name__ == "__main__":
    main()
