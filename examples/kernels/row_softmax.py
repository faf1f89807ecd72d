"""The softmax of each row: a threadgroup takes a row, its threads walk along it and combine what they have found."""

from __future__ import annotations

import torch
from reductions import SIMDGROUPS, THREADS, threadgroup_max, threadgroup_sum

import helion_msl
from helion_msl import language as ml

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"


@helion_msl.metal_jit
def softmax_kernel(x, out):
    """Writes the softmax of row ``tgid[0]`` of `x`."""
    scratch = ml.threadgroup_array(SIMDGROUPS, ml.float32)
    row = ml.tgid[0]
    largest = -ml.inf
    for column in range(ml.tid[0], x.size(1), THREADS):
        largest = max(largest, x[row, column])
    largest = threadgroup_max(largest, scratch)
    total = 0.0
    for column in range(ml.tid[0], x.size(1), THREADS):
        total += ml.exp(x[row, column] - largest)
    total = threadgroup_sum(total, scratch)
    for column in range(ml.tid[0], x.size(1), THREADS):
        out[row, column] = ml.exp(x[row, column] - largest) / total


def softmax(x: torch.Tensor) -> torch.Tensor:
    """Returns the softmax of each row of a float32 matrix."""
    out = torch.empty_like(x)
    softmax_kernel[(x.size(0),), (THREADS,)](x, out)
    return out


def main() -> None:
    """Compares with torch."""
    x = torch.randn(37, 1000, device=DEVICE)
    torch.testing.assert_close(softmax(x), torch.softmax(x, dim=1))
    print(f"softmax of 37 rows of 1000 on {helion_msl.engine_description(DEVICE)}: equal to torch")


if __name__ == "__main__":
    main()
