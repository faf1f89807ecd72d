"""The transpose of a matrix through threadgroup memory, so that both reads and writes go along the rows.

A threadgroup reads a tile of 32 x 32 and writes it transposed. The tile has a column more than it needs: without it,
the threads that read a column would all ask the same bank of threadgroup memory.
"""

from __future__ import annotations

import torch

import helion_msl
from helion_msl import language as ml

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
TILE = 32
ROWS = 8  # of threads: each thread moves TILE / ROWS elements


@helion_msl.metal_jit
def transpose_kernel(x, out):
    """Writes the transpose of `x`; a threadgroup of TILE x ROWS threads takes a tile of TILE x TILE."""
    tile = ml.threadgroup_array((TILE, TILE + 1), ml.float32)
    column = ml.tgid[0] * TILE + ml.tid[0]
    for step in range(0, TILE, ROWS):
        row = ml.tgid[1] * TILE + ml.tid[1] + step
        if row < x.size(0) and column < x.size(1):
            tile[ml.tid[1] + step, ml.tid[0]] = x[row, column]
    ml.barrier()
    column = ml.tgid[1] * TILE + ml.tid[0]
    for step in range(0, TILE, ROWS):
        row = ml.tgid[0] * TILE + ml.tid[1] + step
        if row < out.size(0) and column < out.size(1):
            out[row, column] = tile[ml.tid[0], ml.tid[1] + step]


def transpose(x: torch.Tensor) -> torch.Tensor:
    """Returns the transpose of a float32 matrix, contiguous."""
    rows, columns = x.shape
    out = torch.empty(columns, rows, device=x.device)
    transpose_kernel[(-(-columns // TILE), -(-rows // TILE)), (TILE, ROWS)](x, out)
    return out


def main() -> None:
    """Compares with torch."""
    x = torch.randn(300, 517, device=DEVICE)
    assert torch.equal(transpose(x), x.t())
    print(f"transpose of 300 x 517 on {helion_msl.engine_description(DEVICE)}: equal to torch")


if __name__ == "__main__":
    main()
