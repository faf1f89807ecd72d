"""Taichi on the CPU, which takes torch tensors as they are."""

# Taichi reads annotations as values, so they must not become text.

import os
from collections.abc import Callable

import torch

os.environ.setdefault("ENABLE_TAICHI_HEADER_PRINT", "0")

import taichi as ti

TITLE = "Taichi"

ti.init(arch=ti.cpu, log_level=ti.ERROR)

VECTOR = ti.types.ndarray(dtype=ti.f32, ndim=1)
MATRIX = ti.types.ndarray(dtype=ti.f32, ndim=2)


@ti.kernel
def nothing_kernel(x: VECTOR, y: VECTOR, out: VECTOR):
    """Does nothing."""
    pass  # noqa: PIE790 - Taichi wants a statement


@ti.kernel
def copy_kernel(x: VECTOR, out: VECTOR):
    """Copies."""
    for i in x:
        out[i] = x[i]


@ti.kernel
def saxpy_kernel(x: VECTOR, out: VECTOR, a: ti.f32):
    """Adds ``a * x``."""
    for i in x:
        out[i] = a * x[i] + out[i]


@ti.kernel
def softmax_kernel(x: MATRIX, out: MATRIX):
    """Takes the softmax of each row."""
    for row in range(x.shape[0]):
        largest = x[row, 0]
        for column in range(x.shape[1]):
            largest = ti.max(largest, x[row, column])
        total = 0.0
        for column in range(x.shape[1]):
            value = ti.exp(x[row, column] - largest)
            out[row, column] = value
            total += value
        for column in range(x.shape[1]):
            out[row, column] /= total


@ti.kernel
def matmul_kernel(a: MATRIX, b: MATRIX, out: MATRIX):
    """Multiplies, in the order in which the innermost loop is along the rows."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = 0.0
        for k in range(a.shape[1]):
            for j in range(out.shape[1]):
                out[i, j] += a[i, k] * b[k, j]


def nothing(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """Launch a kernel that returns at once."""
    return lambda: nothing_kernel(x, y, out)


def copy(x: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """Copy a vector."""
    return lambda: copy_kernel(x, out)


def saxpy(x: torch.Tensor, out: torch.Tensor, a: float) -> Callable[[], object]:
    """Add ``a * x`` to a vector."""
    return lambda: saxpy_kernel(x, out, a)


def softmax(x: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """The softmax of each row."""
    return lambda: softmax_kernel(x, out)


def matmul(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """The product of two matrices."""
    return lambda: matmul_kernel(a, b, out)


def synchronize() -> None:
    """Wait for the work."""
    ti.sync()
