"""``a * x + y``: one thread for each element, and the check that keeps the last threadgroup inside the tensor."""

from __future__ import annotations

import torch

import helion_msl
from helion_msl import language as ml

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"


@helion_msl.metal_jit
def saxpy_kernel(x, y, out, a: float, BLOCK: ml.constexpr):
    """Writes ``a * x + y``; each threadgroup takes BLOCK elements."""
    i = ml.tgid[0] * BLOCK + ml.tid[0]
    if i < out.size(0):
        out[i] = a * x[i] + y[i]


def saxpy(a: float, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Returns ``a * x + y`` of two vectors of the same length and dtype."""
    out = torch.empty_like(x)
    block = 256
    saxpy_kernel[(-(-x.numel() // block),), (block,)](x, y, out, a, BLOCK=block)
    return out


def main() -> None:
    """Compares with torch."""
    x, y = torch.randn(2, 10_000, device=DEVICE)
    torch.testing.assert_close(saxpy(2.5, x, y), 2.5 * x + y)
    print(f"saxpy of 10,000 elements on {helion_msl.engine_description(DEVICE)}: equal to torch")


if __name__ == "__main__":
    main()
