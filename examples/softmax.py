"""The softmax of each row of a matrix, with a Helion kernel whose threads work together, and every step on the way.

A row has 300 columns and 512 threads: simdgroup operations find the largest value and the sum of 32 threads,
threadgroup memory and barriers carry them to the other simdgroups. Run it with ``python examples/softmax.py``; on a Mac
the kernel runs on the GPU, elsewhere on the CPU.
"""

from __future__ import annotations

import sys

import helion
import helion.language as hl
import torch

import helion_msl
from helion_msl.helion_backend import generated_msl

# From here on backend="metal" means helion-msl.
helion_msl.register_helion_backend()

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"


@helion.kernel(backend="metal", config=helion.Config(block_sizes=[2]))
def softmax(x: torch.Tensor) -> torch.Tensor:
    """Returns the softmax of each row of `x`, which has two dimensions; a threadgroup takes two rows."""
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        row = x[tile, :]
        exponentials = torch.exp(row - torch.amax(row, dim=1, keepdim=True))
        out[tile, :] = exponentials / torch.sum(exponentials, dim=1, keepdim=True)
    return out


def show(title: str, text: str) -> None:
    """Prints a text under a title."""
    print(f"---- {title} ".ljust(100, "-"), text.strip(), "", sep="\n")


def main() -> int:
    """Runs the kernel; returns 1 where the result differs from torch's."""
    x = torch.randn(101, 300, device=DEVICE)
    result = softmax(x)

    show("The Metal Python that Helion generates", softmax.bind((x,)).to_code())
    show("The Metal Shading Language it becomes", generated_msl(softmax, x))

    # The order in which the terms of a sum are added differs, and with it the last bits.
    is_close = torch.allclose(result, torch.softmax(x, dim=1), rtol=1e-5, atol=1e-7)
    print(f"101 x 300 elements on {helion_msl.engine_description(DEVICE)}:", "equal to torch" if is_close else "WRONG")
    return 0 if is_close else 1


if __name__ == "__main__":
    sys.exit(main())
