"""How fast memory is copied by a kernel, beside ``memcpy`` on the same cores."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch

import helion_msl
from benchmarks.measure import Comparison, compare
from helion_msl import _C

if TYPE_CHECKING:
    from collections.abc import Callable

MEBIBYTES = 64

KERNELS = """
#include <metal_stdlib>
using namespace metal;
kernel void copy(device const float* x [[buffer(0)]],
                 device float* out [[buffer(1)]],
                 constant uint& count [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) {
  if (i < count) out[i] = x[i];
}
kernel void saxpy(device const float* x [[buffer(0)]],
                  device float* out [[buffer(1)]],
                  constant uint& count [[buffer(2)]],
                  constant float& a [[buffer(3)]], uint i [[thread_position_in_grid]]) {
  if (i < count) out[i] = a * x[i] + out[i];
}
"""


def run(device: str) -> list[Comparison]:
    """Copy and saxpy of 64 MiB of float32."""
    count = MEBIBYTES * 2**20 // 4
    x = torch.rand(count, device=device)
    out = torch.zeros(count, device=device)
    copy = _C.compile(KERNELS, name="copy", device=device)
    saxpy = _C.compile(KERNELS, name="saxpy", device=device)
    grid, block = ((count + 255) // 256,), (256,)

    def launch(kernel: _C.Kernel, *arguments: object) -> None:
        kernel(arguments, grid, block)
        helion_msl.synchronize(device)

    copies = {"kernel": lambda: launch(copy, x, out, count), "torch out.copy_(x)": lambda: out.copy_(x)}
    if device == "cpu":
        copies["memcpy on all cores"] = _parallel_memcpy(x, out)
    return [
        compare(f"copy of {MEBIBYTES} MiB", copies, yardstick=list(copies)[-1]),
        compare(
            f"saxpy of {MEBIBYTES} MiB",
            {
                "kernel": lambda: launch(saxpy, x, out, count, 1e-6),
                "torch out.add_(x, alpha=a)": lambda: out.add_(x, alpha=1e-6),
            },
            yardstick="torch out.add_(x, alpha=a)",
        ),
    ]


def _parallel_memcpy(source: torch.Tensor, destination: torch.Tensor) -> Callable[[], object]:
    """A function that copies with one ``memmove`` per core; ctypes releases the GIL around each."""
    cores = os.cpu_count() or 1
    size = source.numel() * source.element_size() // cores
    pool = ThreadPoolExecutor(cores)

    def copy_part(part: int) -> None:
        ctypes.memmove(destination.data_ptr() + part * size, source.data_ptr() + part * size, size)

    return lambda: list(pool.map(copy_part, range(cores)))
