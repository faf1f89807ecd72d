"""How long a new kernel takes from its Python source to its first result."""

from __future__ import annotations

import itertools
import linecache
from typing import TYPE_CHECKING

import torch

import helion_msl
from benchmarks.measure import Comparison, compare

if TYPE_CHECKING:
    from collections.abc import Callable

SAXPY = """
def saxpy(x, y, out, a):
    i = ml.tgid[0] * 256 + ml.tid[0]
    if i < out.size(0):
        out[i] = a * x[i] + y[i] * {number}.0
"""

SOFTMAX = """
def softmax(x, out):
    scratch = ml.threadgroup_array(8, ml.float32)
    row = ml.tgid[0]
    column = ml.tid[0]
    value = x[row, column] * {number}.0
    largest = ml.simd_max(value)
    if ml.simd_lane == 0:
        scratch[ml.simd_group] = largest
    ml.barrier()
    largest = scratch[0]
    for group in range(1, 8):
        largest = max(largest, scratch[group])
    ml.barrier()
    exponential = ml.exp(value - largest)
    total = ml.simd_sum(exponential)
    if ml.simd_lane == 0:
        scratch[ml.simd_group] = total
    ml.barrier()
    total = 0.0
    for group in range(8):
        total += scratch[group]
    out[row, column] = exponential / total
"""


def _new_kernel(template: str, number: int) -> object:
    """A kernel that no cache has seen, as if it had just been typed."""
    source = template.format(number=number)
    filename = f"<kernel {number}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Callable[..., None]] = {"ml": helion_msl.language}
    exec(compile(source, filename, "exec"), namespace)
    function = namespace["saxpy" if "saxpy" in source else "softmax"]
    return helion_msl.metal_jit(function)


def run(device: str) -> list[Comparison]:
    """Compare new kernels with a warm launch of the same work."""
    numbers = itertools.count(1)
    x, y, out = (torch.ones(1024, device=device) for _ in range(3))
    rows, rows_out = (torch.ones(16, 256, device=device) for _ in range(2))
    warm = _new_kernel(SAXPY, 0)

    def saxpy() -> None:
        _new_kernel(SAXPY, next(numbers))[(4,), (256,)](x, y, out, 2.0)  # type: ignore[index]
        helion_msl.synchronize(device)

    def softmax() -> None:
        _new_kernel(SOFTMAX, next(numbers))[(16,), (256,)](rows, rows_out)  # type: ignore[index]
        helion_msl.synchronize(device)

    def again() -> None:
        warm[(4,), (256,)](x, y, out, 2.0)  # type: ignore[index]
        helion_msl.synchronize(device)

    return [
        compare(
            "from Python source to the first result, 1024 elements",
            {"saxpy, new": saxpy, "row softmax, new": softmax, "saxpy, launched before": again},
            yardstick="saxpy, launched before",
            rounds=7,
        )
    ]
