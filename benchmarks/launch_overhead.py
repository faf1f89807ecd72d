"""What a launch costs: three tensors and a kernel that returns at once, beside torch's cheapest operation."""

from __future__ import annotations

import torch

import helion_msl
from benchmarks.measure import Comparison, compare
from helion_msl import _C

NOTHING = """
#include <metal_stdlib>
using namespace metal;
kernel void nothing(device const float* x [[buffer(0)]],
                    device const float* y [[buffer(1)]],
                    device float* out [[buffer(2)]]) {}
"""


@helion_msl.metal_jit
def nothing(x, y, out):  # noqa: ARG001
    """Does nothing."""
    return


def run(device: str) -> list[Comparison]:
    """Compare every way to launch with ``torch.add(x, y, out=out)`` of 1024 elements."""
    x, y, out = (torch.zeros(1024, device=device) for _ in range(3))
    arguments = [x, y, out]
    grid, block = (4,), (256,)
    kernel = _C.compile(NOTHING, device=device)
    candidates = {
        "torch.add(x, y, out=out)": lambda: torch.add(x, y, out=out),
        "_C.launch": lambda: _C.launch(NOTHING, arguments, grid, block),
        "Kernel(...)": lambda: kernel(arguments, grid, block),
        "metal_jit kernel[grid, block](...)": lambda: nothing[grid, block](x, y, out),
    }
    return [
        compare(
            "launch of a kernel that does nothing, three float32 tensors of 1024",
            candidates,
            yardstick="torch.add(x, y, out=out)",
            calls=2000,
            before_round=lambda: helion_msl.synchronize(device),
        )
    ]
