"""This package, for the comparison with others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import helion_msl
from benchmarks import matmul as matmul_benchmark
from benchmarks import row_softmax
from helion_msl import _C
from helion_msl import language as ml

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

TITLE = "helion-msl"
THREADS = 256


@helion_msl.metal_jit
def nothing_kernel(x, y, out):  # noqa: ARG001
    """Does nothing."""
    return


@helion_msl.metal_jit
def copy_kernel(x, out):
    """Copies."""
    i = ml.tgid[0] * THREADS + ml.tid[0]
    if i < out.size(0):
        out[i] = x[i]


@helion_msl.metal_jit
def saxpy_kernel(x, out, a: float):
    """Adds ``a * x``."""
    i = ml.tgid[0] * THREADS + ml.tid[0]
    if i < out.size(0):
        out[i] = a * x[i] + out[i]


def nothing(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """Launch a kernel that returns at once."""
    return lambda: nothing_kernel[_grid(x), (THREADS,)](x, y, out)


def nothing_bound(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """The same with the bound kernel kept."""
    bound = nothing_kernel[_grid(x), (THREADS,)]
    return lambda: bound(x, y, out)


def copy(x: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """Copy a vector."""
    return lambda: copy_kernel[_grid(x), (THREADS,)](x, out)


def saxpy(x: torch.Tensor, out: torch.Tensor, a: float) -> Callable[[], object]:
    """Add ``a * x`` to a vector."""
    return lambda: saxpy_kernel[_grid(x), (THREADS,)](x, out, a)


def softmax(x: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """The softmax of each row, as in the benchmark of that name."""
    return lambda: _C.launch(row_softmax.KERNEL, [x, out, x.size(1)], (x.size(0),), (row_softmax.THREADS,))


def matmul(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """The product of two square matrices, as in the benchmark of that name."""
    tiles = a.size(0) // matmul_benchmark.TILE
    return lambda: _C.launch(matmul_benchmark.KERNEL, [a, b, out, a.size(0)], (tiles, tiles), (32,))


def synchronize() -> None:
    """Wait for the device."""
    helion_msl.synchronize()


def _grid(x: torch.Tensor) -> tuple[int]:
    return (-(-x.numel() // THREADS),)
