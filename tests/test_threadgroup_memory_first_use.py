"""Threadgroup memory at its first use on a thread, which the C library allocates while the kernel runs."""

from __future__ import annotations

import torch

import helion_msl

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"

# The position of the largest of 64 numbers in each of two rows. What a lane holds when it first writes to `values` must
# survive the call that finds the array.
SOURCE = """
#include <metal_stdlib>
using namespace metal;
float largest(float x) { return simd_any(x != x) ? NAN : simd_max(x); }
kernel void argmax(device const float *x, device int *out, uint3 group [[threadgroup_position_in_grid]],
                   uint3 thread_ [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                   uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup float values[4];
  threadgroup int positions[4];
  int row = group.x * 2 + thread_.y;
  float value = x[row * 64 + thread_.x];
  float reduced = largest(value);
  if (lane == 0) values[simdgroup] = reduced;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float extreme = largest(lane < 2 ? values[lane + simdgroup / 2 * 2] : -INFINITY);
  int candidate = simd_min(value == extreme || isnan(value) ? int(thread_.x) : 2147483647);
  if (lane == 0) positions[simdgroup] = candidate;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  int position = simd_min(lane < 2 ? positions[lane + simdgroup / 2 * 2] : 2147483647);
  out[row] = position;
}
"""


def test_values_survive_the_first_use_of_threadgroup_memory() -> None:
    # glibc makes room for 14 more libraries with thread_local variables at a time.
    for number in range(33):
        x = torch.randn(64, 64, device=DEVICE)
        out = torch.zeros(64, dtype=torch.int32, device=DEVICE)
        helion_msl.launch(f"{SOURCE}\nconstant int unused = {number};\n", [x, out], (32,), (64, 2))
        assert torch.equal(out.cpu(), x.cpu().argmax(1).int())
