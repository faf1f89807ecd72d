"""A Helion kernel for the launch benchmark; Helion takes kernels from modules only."""

from __future__ import annotations

import helion
import helion.language as hl
import torch


@helion.kernel(backend="metal", config=helion.Config(block_sizes=[256]))
def add(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Add two vectors."""
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] + y[tile]
    return out
