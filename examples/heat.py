"""Heat that spreads along a rod: two launches, recorded once and repeated a thousand times by a graph.

Each launch is one step in time, from one tensor to the other; the graph holds both steps, so that its call leaves the
result where it began. The same graph then steps another rod. Run it with ``python examples/heat.py``; on a Mac the
kernel runs on the GPU, elsewhere on the CPU.
"""

from __future__ import annotations

import sys
import time

import torch

import helion_msl
from helion_msl import language as ml

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
CELLS, BLOCK, STEPS = 4096, 256, 2000


@helion_msl.metal_jit
def step(rod, after, rate):
    """Moves heat between neighbours; the ends of the rod stay as they are."""
    i = ml.tgid[0] * BLOCK + ml.tid[0]
    if i < rod.size(0):
        value = rod[i]
        if i > 0 and i < rod.size(0) - 1:
            value += rate * (rod[i - 1] - 2.0 * value + rod[i + 1])
        after[i] = value


def reference(rod: torch.Tensor, rate: float) -> torch.Tensor:
    """The same with torch."""
    rod = rod.clone()
    for _ in range(STEPS):
        rod[1:-1] += rate * (rod[:-2] - 2.0 * rod[1:-1] + rod[2:])
    return rod


def main() -> int:
    """Runs the graph on two rods; returns 1 where a result differs from torch's."""
    launch = step[CELLS // BLOCK, BLOCK]
    recorded, scratch = torch.zeros(CELLS, device=DEVICE), torch.empty(CELLS, device=DEVICE)
    with helion_msl.record(rod=recorded, rate=0.25) as graph:
        launch(recorded, scratch, graph["rate"])
        launch(scratch, recorded, graph["rate"])
    print(graph)

    is_close = True
    for rate in (0.25, 0.4):
        rod = torch.rand(CELLS, device=DEVICE)
        expected = reference(rod, rate)
        helion_msl.synchronize(DEVICE)
        start = time.perf_counter()
        for _ in range(STEPS // 2):
            graph(rod, rate)
        helion_msl.synchronize(DEVICE)
        elapsed = time.perf_counter() - start
        same = torch.allclose(rod, expected, rtol=1e-5, atol=1e-6)
        print(f"{STEPS} steps at rate {rate} in {elapsed * 1e3:.1f} ms:", "equal to torch" if same else "WRONG")
        is_close = is_close and same
    return 0 if is_close else 1


if __name__ == "__main__":
    sys.exit(main())
