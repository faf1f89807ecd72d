"""``torch.mps.compile_shader``: the same MSL, launched by PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmarks import matmul as matmul_benchmark
from benchmarks import row_softmax

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE = "torch.mps.compile_shader"
THREADS = 256
SOURCE = """
kernel void nothing(device float *x, device float *y, device float *out) {}
kernel void copy(device const float *x, device float *out, uint i [[thread_position_in_grid]]) { out[i] = x[i]; }
kernel void saxpy(device const float *x, device float *out, constant float &a, uint i [[thread_position_in_grid]]) {
  out[i] = a * x[i] + out[i];
}
"""

library = torch.mps.compile_shader(SOURCE)


def nothing(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """Launch a kernel that returns at once."""
    return lambda: library.nothing(x, y, out, threads=(x.numel(),), group_size=(THREADS,))


def copy(x: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """Copy a vector."""
    return lambda: library.copy(x, out, threads=(x.numel(),), group_size=(THREADS,))


def saxpy(x: torch.Tensor, out: torch.Tensor, a: float) -> Callable[[], object]:
    """Add ``a * x`` to a vector."""
    return lambda: library.saxpy(x, out, a, threads=(x.numel(),), group_size=(THREADS,))


def softmax(x: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """The softmax of each row."""
    kernel = torch.mps.compile_shader(row_softmax.KERNEL).row_softmax
    threads = x.size(0) * row_softmax.THREADS
    return lambda: kernel(x, out, x.size(1), threads=(threads,), group_size=(row_softmax.THREADS,))


def matmul(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """The product of two square matrices."""
    kernel = torch.mps.compile_shader(matmul_benchmark.KERNEL).matmul
    tiles = a.size(0) // matmul_benchmark.TILE
    return lambda: kernel(a, b, out, a.size(0), threads=(tiles * 32, tiles), group_size=(32, 1))


def synchronize() -> None:
    """Wait for the GPU."""
    torch.mps.synchronize()
