"""What a barrier or a simdgroup operation costs: one threadgroup, so one core, with many of them in a row."""

from __future__ import annotations

from functools import partial

import torch

import helion_msl
from benchmarks.measure import Comparison, compare
from helion_msl import _C

TURNS = 200

# Each body has one synchronization point but for `exchange`, which has two and uses threadgroup memory between them.
BODIES = {
    "threadgroup_barrier": "threadgroup_barrier(mem_flags::mem_none);",
    "exchange": """shared_[i] = value; threadgroup_barrier(mem_flags::mem_threadgroup);
                   value += shared_[i ^ 1]; threadgroup_barrier(mem_flags::mem_threadgroup);""",
    "simd_sum": "value = simd_sum(value) * 0.03f;",
    "simd_shuffle_xor": "value = simd_shuffle_xor(value, 1);",
    "simdgroup_barrier": "simdgroup_barrier(mem_flags::mem_none);",
}
POINTS = {name: body.count("_barrier(") or 1 for name, body in BODIES.items()}

KERNEL = """
#include <metal_stdlib>
using namespace metal;
kernel void synchronize_often(device float *out [[buffer(0)]], uint i [[thread_position_in_threadgroup]]) {{
  {shared}
  float value = i;
  for (int turn = 0; turn < {turns}; ++turn) {{ {body} }}
  out[i] = value;
}}
"""


def run(device: str) -> list[Comparison]:
    """Compare synchronization operations, in time per thread and synchronization point."""
    kernels = {}
    for name, body in BODIES.items():
        shared = "threadgroup float shared_[1024];" if "shared_" in body else ""
        source = KERNEL.format(turns=TURNS // POINTS[name], shared=shared, body=body)
        kernels[name] = _C.compile(source, device=device)

    comparisons = []
    for threads in (32, 256, 1024):
        out = torch.zeros(threads, device=device)

        def launch(kernel: _C.Kernel, out: torch.Tensor) -> None:
            kernel([out], (1,), (out.numel(),))
            helion_msl.synchronize(device)

        comparisons.append(
            compare(
                f"synchronization, {threads} threads a threadgroup, per thread and point",
                {name: partial(launch, kernel, out) for name, kernel in kernels.items()},
                yardstick="threadgroup_barrier",
                rounds=31,
                operations=TURNS * threads,
            )
        )
    return comparisons
