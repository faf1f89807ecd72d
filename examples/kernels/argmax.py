"""Where the largest element of each row is: the first of equal ones, and the first NaN where there is one, as in torch.

The threads of a threadgroup compare pairs of a value and its place, first within a simdgroup, with shuffles, and then
through threadgroup memory.
"""

from __future__ import annotations

import torch

import helion_msl
from helion_msl import language as ml

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
THREADS = 256
SIMDGROUPS = THREADS // 32
NOWHERE = 2**31 - 1


def is_better(value, place, other, other_place):
    """Returns whether `value` at `place` comes before `other` at `other_place`."""
    return (
        value > other
        or (ml.isnan(value) and not ml.isnan(other))
        or ((value == other or ml.isnan(value)) and place < other_place)
    )


def simdgroup_best(value, place):
    """Returns the best pair of the simdgroup, in its first lane."""
    for delta in (16, 8, 4, 2, 1):
        other, other_place = ml.simd_shuffle_down(value, delta), ml.simd_shuffle_down(place, delta)
        if is_better(other, other_place, value, place):
            value, place = other, other_place
    return value, place


@helion_msl.metal_jit
def argmax_kernel(x, out):
    """Writes the place of the largest element of row ``tgid[0]`` of `x`."""
    values = ml.threadgroup_array(SIMDGROUPS, ml.float32)
    places = ml.threadgroup_array(SIMDGROUPS, ml.int32)
    row = ml.tgid[0]
    value, place = -ml.inf, NOWHERE
    for column in range(ml.tid[0], x.size(1), THREADS):
        if is_better(x[row, column], column, value, place):
            value, place = x[row, column], column
    value, place = simdgroup_best(value, place)
    if ml.simd_lane == 0:
        values[ml.simd_group] = value
        places[ml.simd_group] = place
    ml.barrier()
    if ml.simd_group == 0:
        is_used = ml.simd_lane < SIMDGROUPS
        value = values[ml.simd_lane] if is_used else -ml.inf
        place = places[ml.simd_lane] if is_used else NOWHERE
        value, place = simdgroup_best(value, place)
        if ml.simd_lane == 0:
            out[row] = place


def argmax(x: torch.Tensor) -> torch.Tensor:
    """Returns the place of the largest element of each row of a float32 matrix, as int64."""
    out = torch.empty(x.size(0), dtype=torch.int64, device=x.device)
    argmax_kernel[(x.size(0),), (THREADS,)](x, out)
    return out


def main() -> None:
    """Compares with torch, with ties and NaN."""
    x = torch.randint(-50, 50, (33, 999)).float()
    x[3, 500], x[3, 700], x[4, 998] = torch.nan, torch.nan, torch.nan
    x[5] = -torch.inf
    assert torch.equal(argmax(x.to(DEVICE)).cpu(), torch.argmax(x, dim=1))
    print(f"argmax of 33 rows of 999 on {helion_msl.engine_description(DEVICE)}: equal to torch")


if __name__ == "__main__":
    main()
