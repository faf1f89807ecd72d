"""A histogram with atomics: each threadgroup counts in its own memory first, then adds its counts to the result.

Atomics of threadgroup memory are cheap; those of device memory, which all threadgroups compete for, are one for each
bin and threadgroup instead of one for each element.
"""

from __future__ import annotations

import torch

import helion_msl
from helion_msl import language as ml

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
BINS = 256
THREADS = 256
ELEMENTS_PER_THREAD = 16


@helion_msl.metal_jit
def histogram_kernel(x, counts):
    """Adds to ``counts[value]`` the number of elements of `x`, of uint8, that have the value."""
    own = ml.threadgroup_array(BINS, ml.int32)
    for value in range(ml.tid[0], BINS, THREADS):
        own[value] = 0
    ml.barrier()
    first = ml.tgid[0] * THREADS * ELEMENTS_PER_THREAD + ml.tid[0]
    for step in range(ELEMENTS_PER_THREAD):
        i = first + step * THREADS
        if i < x.size(0):
            ml.atomic_add(own, int(x[i]), 1)
    ml.barrier()
    for value in range(ml.tid[0], BINS, THREADS):
        if own[value] != 0:
            ml.atomic_add(counts, value, own[value])


def histogram(x: torch.Tensor) -> torch.Tensor:
    """Returns how often each value occurs in a vector of uint8, as 256 numbers of int32."""
    counts = torch.zeros(BINS, dtype=torch.int32, device=x.device)
    histogram_kernel[(-(-x.numel() // (THREADS * ELEMENTS_PER_THREAD)),), (THREADS,)](x, counts)
    return counts


def main() -> None:
    """Compares with torch."""
    x = torch.randint(0, 256, (100_001,), dtype=torch.uint8)
    expected = torch.bincount(x.int(), minlength=BINS).int()
    assert torch.equal(histogram(x.to(DEVICE)).cpu(), expected)
    print(f"histogram of 100,001 bytes on {helion_msl.engine_description(DEVICE)}: equal to torch")


if __name__ == "__main__":
    main()
