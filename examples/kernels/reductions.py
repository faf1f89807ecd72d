"""Sums and maxima of a threadgroup, which several of these kernels call.

Functions that a kernel calls are ordinary Python functions; each is translated for the types it is called with.
"""

from __future__ import annotations

from helion_msl import language as ml

THREADS = 256
SIMDGROUPS = THREADS // 32


def threadgroup_sum(value, scratch):
    """Returns the sum of `value` over the THREADS threads of the threadgroup, in all of them.

    `scratch` is a threadgroup array of at least SIMDGROUPS elements.
    """
    value = ml.simd_sum(value)
    ml.barrier()  # the last use of scratch is over
    if ml.simd_lane == 0:
        scratch[ml.simd_group] = value
    ml.barrier()
    return ml.simd_sum(scratch[ml.simd_lane] if ml.simd_lane < SIMDGROUPS else 0.0)


def threadgroup_max(value, scratch):
    """Returns the largest `value` of the THREADS threads of the threadgroup, in all of them; `scratch` as above."""
    value = ml.simd_max(value)
    ml.barrier()
    if ml.simd_lane == 0:
        scratch[ml.simd_group] = value
    ml.barrier()
    return ml.simd_max(scratch[ml.simd_lane] if ml.simd_lane < SIMDGROUPS else -ml.inf)
