"""Numba on the CPU: loops on all cores."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

TITLE = "Numba"


@numba.njit(cache=True)
def nothing_kernel(x, y, out):  # noqa: ARG001
    """Does nothing."""
    return


@numba.njit(parallel=True, cache=True)
def copy_kernel(x, out):
    """Copies."""
    for i in numba.prange(x.size):
        out[i] = x[i]


@numba.njit(parallel=True, cache=True)
def saxpy_kernel(x, out, a):
    """Adds ``a * x``."""
    for i in numba.prange(x.size):
        out[i] = a * x[i] + out[i]


@numba.njit(parallel=True, cache=True)
def softmax_kernel(x, out):
    """Takes the softmax of each row."""
    for row in numba.prange(x.shape[0]):
        exponentials = np.exp(x[row] - x[row].max())
        out[row] = exponentials / exponentials.sum()


@numba.njit(parallel=True, cache=True)
def matmul_kernel(a, b, out):
    """Multiplies, in the order in which the innermost loop is along the rows."""
    for i in numba.prange(out.shape[0]):
        out[i] = 0
        for k in range(a.shape[1]):
            for j in range(out.shape[1]):
                out[i, j] += a[i, k] * b[k, j]


def nothing(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """Call a function that returns at once."""
    arrays = x.numpy(), y.numpy(), out.numpy()
    return lambda: nothing_kernel(*arrays)


def copy(x: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """Copy a vector."""
    arrays = x.numpy(), out.numpy()
    return lambda: copy_kernel(*arrays)


def saxpy(x: torch.Tensor, out: torch.Tensor, a: float) -> Callable[[], object]:
    """Add ``a * x`` to a vector."""
    arguments = x.numpy(), out.numpy(), np.float32(a)
    return lambda: saxpy_kernel(*arguments)


def softmax(x: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """The softmax of each row."""
    arrays = x.numpy(), out.numpy()
    return lambda: softmax_kernel(*arrays)


def matmul(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """The product of two matrices."""
    arrays = a.numpy(), b.numpy(), out.numpy()
    return lambda: matmul_kernel(*arrays)


def synchronize() -> None:
    """Nothing: calls return when the work is done."""
