"""Copies the elements of a tensor that a mask selects, with a Helion kernel, and shows every step on the way.

Run it with ``python examples/masked_copy.py``. On a Mac the kernel runs on the GPU, elsewhere on the CPU.
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


@helion.kernel(backend="metal", configs=[helion.Config(block_sizes=[256], num_warps=4)])
def masked_copy(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Returns `x` with zeros where `mask` is false; both have one dimension."""
    out = torch.zeros_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = torch.where(mask[tile], x[tile], 0.0)
    return out


def show(title: str, text: str) -> None:
    """Prints a text under a title."""
    print(f"---- {title} ".ljust(100, "-"), text.strip(), "", sep="\n")


def main() -> int:
    """Runs the kernel on two sizes; returns 1 where a result differs from torch's."""
    status = 0
    # 256 threads a threadgroup: 1024 elements fill four of them, 1000 leave some threads of the last one without work.
    for size in (1000, 1024):
        x = torch.randn(size, device=DEVICE)
        mask = torch.rand(size, device=DEVICE) > 0.5
        result = masked_copy(x, mask)

        show(f"{size} elements: the Metal Python that Helion generates", masked_copy.bind((x, mask)).to_code())
        show(f"{size} elements: the Metal Shading Language it becomes", generated_msl(masked_copy, x, mask))

        is_equal = torch.equal(result, torch.where(mask, x, torch.zeros_like(x)))
        print(f"{size} elements on {helion_msl.engine_description(DEVICE)}:", "equal to torch" if is_equal else "WRONG")
        print()
        status |= not is_equal
    return status


if __name__ == "__main__":
    sys.exit(main())
