"""Compiling ahead: before the first launch, on all cores, and without tensors where only their shapes are known."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from . import _C
from .errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .jit import BlockDims, MetalKernel


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that does not exist yet: what a kernel has to know of one to be compiled for it.

    Attributes:
        shape: size of each dimension.
        dtype: type of the elements.
        strides: for each dimension, in elements; None: the tensor is contiguous.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    strides: tuple[int, ...] | None = None

    def __init__(self, shape: Sequence[int], dtype: torch.dtype, strides: Sequence[int] | None = None) -> None:
        object.__setattr__(self, "shape", tuple(shape))
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "strides", None if strides is None else tuple(strides))
        self.empty()  # refuses what no tensor can be

    def empty(self) -> torch.Tensor:
        """Return a tensor of this kind without memory.

        Raises:
            ArgumentError: there is no such tensor.
        """
        try:
            if self.strides is None:
                return torch.empty(self.shape, dtype=self.dtype, device="meta")
            return torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device="meta")
        except (TypeError, RuntimeError) as error:
            raise ArgumentError(
                f"there is no tensor of shape {self.shape}, {self.dtype} and strides {self.strides}: {error}"
            ) from error


def warmup(
    kernel: MetalKernel, args: Sequence[object], block_dims: BlockDims, device: object, keywords: dict[str, object]
) -> None:
    """Do what :meth:`MetalKernel.warmup` says."""
    values = [value.empty() if isinstance(value, TensorSpec) else value for value in kernel._bind(args, keywords)]
    if device is None:
        devices = (getattr(value, "device", None) for value in values)
        device = next((found.type for found in devices if found is not None and found.type != "meta"), None)
    kernel.compile_for(values, block_dims, None if device is None else str(device))


def precompile(
    kernels: Iterable[str | Callable[[], Any]], *, device: object = None, workers: int | None = None
) -> None:
    """Compile many kernels at once, on all cores.

    Args:
        kernels: for each either MSL text with one kernel, or a function without arguments that compiles, such as
            ``functools.partial(kernel.warmup, x, y, block_dims=256)``.
        device: ``"mps"`` or ``"cpu"``, for MSL text; by default ``"mps"`` where there is Metal and ``"cpu"`` elsewhere.
        workers: how many threads compile; None: one for each core that this process may use.

    Raises:
        ArgumentError: an element is neither, or ``workers`` is below 1.
        HelionMslError: one of them does not compile. All others are compiled all the same; the first error is raised.
    """
    wanted = list(kernels)
    for index, kernel in enumerate(wanted):
        if not isinstance(kernel, str) and not callable(kernel):
            raise ArgumentError(
                f"element {index} of precompile() is a {type(kernel).__name__}; it takes MSL text, and functions "
                "without arguments such as functools.partial(kernel.warmup, x, block_dims=256)"
            )
    if workers is not None and workers < 1:
        raise ArgumentError(f"workers is {workers}; at least one thread has to compile")

    def compile_one(kernel: str | Callable[[], Any]) -> None:
        if isinstance(kernel, str):
            _C.compile(kernel, device=device)
        else:
            kernel()

    with ThreadPoolExecutor(workers or _usable_cores(), thread_name_prefix="helion-msl-precompile") as pool:
        pending = [pool.submit(compile_one, kernel) for kernel in wanted]
    for future in pending:  # all have ended
        future.result()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
