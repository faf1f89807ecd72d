"""Enceladus, whose kernels work on tiles and take PyTorch's mps tensors."""

# Enceladus reads annotations as values, so they must not become text.

from collections.abc import Callable

import enceladus
import enceladus.language as tl
import torch

TITLE = "Enceladus"
BLOCK = 1024


@enceladus.jit
def nothing_kernel(x_ptr, y_ptr, out_ptr):
    """Does nothing."""
    pass  # noqa: PIE790 - a kernel has a statement


@enceladus.jit
def copy_kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr):  # noqa: N803
    """Copies."""
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    tl.store(out_ptr + offsets, tl.load(x_ptr + offsets, mask=mask), mask=mask)


@enceladus.jit
def saxpy_kernel(x_ptr, out_ptr, a, n, BLOCK: tl.constexpr):  # noqa: N803
    """Adds ``a * x``."""
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x = tl.load(x_ptr + offsets, mask=mask)
    tl.store(out_ptr + offsets, a * x + tl.load(out_ptr + offsets, mask=mask), mask=mask)


def nothing(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """Launch a kernel that returns at once."""
    return lambda: nothing_kernel[(1,)](x, y, out)


def copy(x: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:
    """Copy a vector."""
    return lambda: copy_kernel[_grid(x)](x, out, x.numel(), BLOCK=BLOCK)


def saxpy(x: torch.Tensor, out: torch.Tensor, a: float) -> Callable[[], object]:
    """Add ``a * x`` to a vector."""
    return lambda: saxpy_kernel[_grid(x)](x, out, a, x.numel(), BLOCK=BLOCK)


def synchronize() -> None:
    """Wait for the GPU."""
    torch.mps.synchronize()


def _grid(x: torch.Tensor) -> tuple[int]:
    return (enceladus.cdiv(x.numel(), BLOCK),)
