"""How fast elementwise kernels run, beside ``memcpy`` on the same cores and beside torch."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch

import helion_msl
from benchmarks.measure import Comparison, compare, scaled
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
template <typename T>
kernel void saxpy(device const T* x [[buffer(0)]],
                  device T* out [[buffer(1)]],
                  constant uint& count [[buffer(2)]],
                  constant float& a [[buffer(3)]], uint i [[thread_position_in_grid]]) {
  if (i < count) out[i] = T(a * float(x[i]) + float(out[i]));
}
template [[host_name("saxpy_float")]] kernel void saxpy<float>(
    device const float*, device float*, constant uint&, constant float&, uint);
template [[host_name("saxpy_half")]] kernel void saxpy<half>(
    device const half*, device half*, constant uint&, constant float&, uint);
template [[host_name("saxpy_bfloat")]] kernel void saxpy<bfloat>(
    device const bfloat*, device bfloat*, constant uint&, constant float&, uint);
kernel void exponential(device const float* x [[buffer(0)]],
                 device float* out [[buffer(1)]],
                 constant uint& count [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) {
  if (i < count) out[i] = exp(x[i]);
}
"""


def run(device: str) -> list[Comparison]:
    """Copy and saxpy of 64 MiB of float32, and elementwise kernels of other types and with more work an element."""
    count = scaled(MEBIBYTES * 2**20, 2**16) // 4
    x = torch.rand(count, device=device)
    out = torch.zeros(count, device=device)

    def kernel(name: str, *arguments: torch.Tensor | float) -> Callable[[], object]:
        compiled = _C.compile(KERNELS, name=name, device=device)
        grid, block = ((arguments[0].numel() + 255) // 256,), (256,)  # type: ignore[union-attr]

        def launch() -> None:
            compiled(arguments, grid, block)
            helion_msl.synchronize(device)

        return launch

    size = count * 4
    copies = {"kernel": kernel("copy", x, out, count), "torch out.copy_(x)": lambda: out.copy_(x)}
    sums = {
        "kernel": kernel("saxpy_float", x, out, count, 1e-6),
        "torch out.add_(x, alpha=a)": lambda: out.add_(x, alpha=1e-6),
    }
    # Both count what a program reads and writes: a copy its size twice, a sum in place its size three times.
    copied, summed = dict.fromkeys(copies, 2 * size), dict.fromkeys(sums, 3 * size)
    if device == "cpu":
        memcpy = "memcpy on all cores"
        copies[memcpy] = sums[memcpy] = _parallel_memcpy(x, out)
        copied[memcpy] = summed[memcpy] = 2 * size
    return [
        compare(f"copy of {MEBIBYTES} MiB", copies, yardstick=list(copies)[-1], traffic=copied),
        compare(f"saxpy of {MEBIBYTES} MiB", sums, yardstick=list(sums)[-1], traffic=summed),
        _element_types(device, kernel),
        compare(
            f"exp of {MEBIBYTES} MiB",
            {"kernel": kernel("exponential", x, out, count), "torch.exp(x, out=out)": lambda: torch.exp(x, out=out)},
            yardstick="torch.exp(x, out=out)",
        ),
    ]


def _element_types(device: str, kernel: Callable[..., Callable[[], object]]) -> Comparison:
    """The time of one element, where all fits the second-level cache and only the instructions count."""
    count, launches = scaled(2**17, 2**10), 8
    candidates = {}
    for name, dtype in (("float", torch.float32), ("half", torch.float16), ("bfloat", torch.bfloat16)):
        x, out = (torch.zeros(count, dtype=dtype, device=device) for _ in range(2))
        candidates[name] = kernel(f"saxpy_{name}", x, out, count, 1e-6)
    return compare(
        f"saxpy of {count} elements, per element",
        candidates,
        yardstick="float",
        calls=launches,
        operations=count,
    )


def _parallel_memcpy(source: torch.Tensor, destination: torch.Tensor) -> Callable[[], object]:
    """A function that copies with one ``memmove`` per core, the caller's among them; ctypes releases the GIL."""
    cores = os.cpu_count() or 1
    size = source.numel() * source.element_size() // cores
    pool = ThreadPoolExecutor(max(cores - 1, 1))

    def copy_part(part: int) -> None:
        ctypes.memmove(destination.data_ptr() + part * size, source.data_ptr() + part * size, size)

    def copy() -> None:
        others = [pool.submit(copy_part, part) for part in range(1, cores)]
        copy_part(0)
        for other in others:
            other.result()

    return copy
