"""The running sum of a long vector in three launches: sums of blocks, the running sum of these, and the rest."""

from __future__ import annotations

import torch

import helion_msl
from helion_msl import language as ml

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
THREADS = 256
SIMDGROUPS = THREADS // 32


@helion_msl.metal_jit
def block_sums_kernel(x, out, sums):
    """Writes the running sums of each THREADS elements of `x` to `out`, and the last one of each block to `sums`."""
    scratch = ml.threadgroup_array(SIMDGROUPS, ml.int32)
    i = ml.tgid[0] * THREADS + ml.tid[0]
    own = x[i] if i < x.size(0) else 0
    running = ml.simd_prefix_inclusive_sum(own)
    if ml.simd_lane == 31:
        scratch[ml.simd_group] = running
    ml.barrier()
    for group in range(ml.simd_group):
        running += scratch[group]
    if i < x.size(0):
        out[i] = running
    if ml.tid[0] == THREADS - 1:
        sums[ml.tgid[0]] = running


@helion_msl.metal_jit
def add_previous_kernel(running, out):
    """Adds to each block of `out` the running sum up to the block before it."""
    i = ml.tgid[0] * THREADS + ml.tid[0]
    if ml.tgid[0] > 0 and i < out.size(0):
        out[i] += running[ml.tgid[0] - 1]


def prefix_sum(x: torch.Tensor) -> torch.Tensor:
    """Returns the running sum of a vector of int32."""
    blocks = -(-x.numel() // THREADS)
    out, sums = torch.empty_like(x), x.new_empty(blocks)
    block_sums_kernel[(blocks,), (THREADS,)](x, out, sums)
    if blocks > 1:
        add_previous_kernel[(blocks,), (THREADS,)](prefix_sum(sums), out)
    return out


def main() -> None:
    """Compares with torch."""
    x = torch.randint(-100, 100, (100_003,), dtype=torch.int32, device=DEVICE)
    assert torch.equal(prefix_sum(x), torch.cumsum(x, 0, dtype=torch.int32))
    print(f"running sum of 100,003 numbers on {helion_msl.engine_description(DEVICE)}: equal to torch")


if __name__ == "__main__":
    main()
