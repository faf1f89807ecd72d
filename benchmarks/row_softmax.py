"""The softmax of 4096 rows of 1024 floats: a threadgroup a row, with simdgroup operations and barriers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

import helion_msl
from benchmarks.measure import Comparison, compare, scaled
from helion_msl import _C

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, COLUMNS, THREADS = 4096, 1024, 256

KERNEL = """
#include <metal_stdlib>
using namespace metal;
kernel void row_softmax(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                        constant uint &columns [[buffer(2)]],
                        uint row [[threadgroup_position_in_grid]], uint thread_ [[thread_position_in_threadgroup]],
                        uint threads [[threads_per_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                        uint simdgroup [[simdgroup_index_in_threadgroup]],
                        uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup float partial[32];
  device const float *from = x + row * columns;
  device float *to = out + row * columns;
  float largest = -INFINITY;
  for (uint i = thread_; i < columns; i += threads) largest = max(largest, from[i]);
  largest = simd_max(largest);
  if (lane == 0) partial[simdgroup] = largest;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  largest = simd_max(lane < simdgroups ? partial[lane] : -INFINITY);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float sum = 0;
  for (uint i = thread_; i < columns; i += threads) {
    const float value = exp(from[i] - largest);
    to[i] = value;
    sum += value;
  }
  sum = simd_sum(sum);
  if (lane == 0) partial[simdgroup] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  sum = simd_sum(lane < simdgroups ? partial[lane] : 0);
  for (uint i = thread_; i < columns; i += threads) to[i] /= sum;
}
"""


def run(device: str) -> list[Comparison]:
    """Compare with ``torch.softmax``, and with Numba where it is installed."""
    rows = scaled(ROWS, 8)
    x = torch.randn(rows, COLUMNS, device=device)
    out = torch.empty_like(x)
    kernel = _C.compile(KERNEL, device=device)

    def launch() -> None:
        kernel([x, out, COLUMNS], (rows,), (THREADS,))
        helion_msl.synchronize(device)

    launch()
    torch.testing.assert_close(out, torch.softmax(x, 1))
    candidates = {"kernel": launch, "torch.softmax": lambda: torch.softmax(x, 1, out=out)}
    if device == "cpu":
        candidates.update(_numba_softmax(x, out))
    return [compare(f"softmax of {rows} rows of {COLUMNS}", candidates, yardstick="torch.softmax", rounds=9)]


def _numba_softmax(x: torch.Tensor, out: torch.Tensor) -> dict[str, Callable[[], object]]:
    try:
        import numba
        import numpy
    except ImportError:
        return {}

    @numba.njit(parallel=True)
    def softmax(x, out):  # type: ignore[no-untyped-def]
        for row in numba.prange(x.shape[0]):
            exponentials = numpy.exp(x[row] - x[row].max())
            out[row] = exponentials / exponentials.sum()

    return {"numba, on all cores": lambda: softmax(x.numpy(), out.numpy())}
