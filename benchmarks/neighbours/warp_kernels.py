"""NVIDIA Warp on the CPU, where a launch runs on one core."""

# Warp reads annotations as values, so they must not become text.

from collections.abc import Callable
from typing import Any

import torch
import warp as wp

TITLE = "Warp, one core"
TILE = 32

wp.config.log_level = wp.LOG_ERROR
wp.init()


@wp.kernel(module="unique")
def nothing_kernel(x: wp.array(dtype=float), y: wp.array(dtype=float), out: wp.array(dtype=float)):  # noqa: ARG001
    """Does nothing."""
    return


@wp.kernel(module="unique")
def copy_kernel(x: wp.array(dtype=float), out: wp.array(dtype=float)):
    """Copies."""
    i = wp.tid()
    out[i] = x[i]


@wp.kernel(module="unique")
def saxpy_kernel(x: wp.array(dtype=float), out: wp.array(dtype=float), a: float):
    """Adds ``a * x``."""
    i = wp.tid()
    out[i] = a * x[i] + out[i]


@wp.kernel(module="unique")
def softmax_kernel(x: wp.array2d(dtype=float), out: wp.array2d(dtype=float)):
    """Takes the softmax of a row."""
    row = wp.tid()
    largest = x[row, 0]
    for column in range(x.shape[1]):
        largest = wp.max(largest, x[row, column])
    total = float(0.0)  # noqa: UP018 - a literal would be a constant to Warp
    for column in range(x.shape[1]):
        value = wp.exp(x[row, column] - largest)
        out[row, column] = value
        total += value
    for column in range(x.shape[1]):
        out[row, column] = out[row, column] / total


@wp.kernel(module="unique")
def matmul_kernel(a: wp.array2d(dtype=float), b: wp.array2d(dtype=float), out: wp.array2d(dtype=float)):
    """Multiplies tiles."""
    i, j = wp.tid()
    total = wp.tile_zeros(shape=(TILE, TILE), dtype=float)
    for k in range(a.shape[1] // TILE):
        left = wp.tile_load(a, shape=(TILE, TILE), offset=(i * TILE, k * TILE))
        right = wp.tile_load(b, shape=(TILE, TILE), offset=(k * TILE, j * TILE))
        wp.tile_matmul(left, right, total)
    wp.tile_store(out, total, offset=(i * TILE, j * TILE))


def _launch(kernel: Any, size: Any, *arguments: Any) -> Callable[[], object]:
    inputs = [wp.from_torch(value) if isinstance(value, torch.Tensor) else value for value in arguments]
    return lambda: wp.launch(kernel, dim=size, inputs=inputs, device="cpu")


def nothing(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """Launch a kernel that returns at once."""
    return _launch(nothing_kernel, x.numel(), x, y, out)


def nothing_bound(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """The same launch, recorded once and replayed."""
    inputs = [wp.from_torch(value) for value in (x, y, out)]
    command = wp.launch(nothing_kernel, dim=x.numel(), inputs=inputs, device="cpu", record_cmd=True)
    return command.launch


def copy(x: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """Copy a vector."""
    return _launch(copy_kernel, x.numel(), x, out)


def saxpy(x: torch.Tensor, out: torch.Tensor, a: float) -> Callable[[], object]:
    """Add ``a * x`` to a vector."""
    return _launch(saxpy_kernel, x.numel(), x, out, a)


def softmax(x: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """The softmax of each row."""
    return _launch(softmax_kernel, x.size(0), x, out)


def matmul(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """The product of two matrices whose sizes are multiples of TILE."""
    inputs = [wp.from_torch(value) for value in (a, b, out)]
    size = [out.size(0) // TILE, out.size(1) // TILE]
    return lambda: wp.launch_tiled(matmul_kernel, dim=size, inputs=inputs, block_dim=64, device="cpu")


def synchronize() -> None:
    """Nothing: on the CPU launches return when the work is done."""
