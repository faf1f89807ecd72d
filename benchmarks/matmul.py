"""The product of two matrices of 512 x 512 floats, with ``simdgroup_matrix``."""

from __future__ import annotations

import torch

import helion_msl
from benchmarks.measure import Comparison, compare, scaled
from helion_msl import _C

SIZE = 512
TILE = 32  # rows and columns of the product that a simdgroup makes: 4 x 4 matrices of 8 x 8

KERNEL = """
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
kernel void matmul(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]],
                   device float *c [[buffer(2)]], constant uint &size [[buffer(3)]],
                   uint2 tile [[threadgroup_position_in_grid]]) {
  const uint row = tile.y * 32, column = tile.x * 32;
  simdgroup_float8x8 sums[4][4];
  for (uint i = 0; i < 4; ++i)
    for (uint j = 0; j < 4; ++j) sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0);
  for (uint k = 0; k < size; k += 8) {
    simdgroup_float8x8 left[4], right[4];
    for (uint i = 0; i < 4; ++i) simdgroup_load(left[i], a + (row + i * 8) * size + k, size);
    for (uint j = 0; j < 4; ++j) simdgroup_load(right[j], b + k * size + column + j * 8, size);
    for (uint i = 0; i < 4; ++i)
      for (uint j = 0; j < 4; ++j) simdgroup_multiply_accumulate(sums[i][j], left[i], right[j], sums[i][j]);
  }
  for (uint i = 0; i < 4; ++i)
    for (uint j = 0; j < 4; ++j) simdgroup_store(sums[i][j], c + (row + i * 8) * size + column + j * 8, size);
}
"""


def run(device: str) -> list[Comparison]:
    """Compare with ``torch.mm``."""
    size = scaled(SIZE, 64)
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    c = torch.empty_like(a)
    kernel = _C.compile(KERNEL, device=device)

    def launch() -> None:
        kernel([a, b, c, size], (size // TILE, size // TILE), (32,))
        helion_msl.synchronize(device)

    launch()
    torch.testing.assert_close(c, a @ b, rtol=1e-4, atol=1e-3)
    return [
        compare(
            f"product of two {size} x {size} matrices",
            {"kernel with simdgroup_matrix": launch, "torch.mm": lambda: torch.mm(a, b, out=c)},
            yardstick="torch.mm",
            rounds=9,
        )
    ]
