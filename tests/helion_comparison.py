"""Writes Helion kernels for this package's backend, and compares what they give with what torch gives in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import helion
import torch

import helion_msl

if TYPE_CHECKING:
    from collections.abc import Callable

helion_msl.register_helion_backend()

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
TYPES = (torch.float32, torch.float16, torch.bfloat16)


def metal(*block_sizes: int, **options: Any) -> Callable[[Callable[..., object]], helion.Kernel]:
    """Shortens ``helion.kernel(backend="metal", config=Config(block_sizes=...))``."""
    config = helion.Config(block_sizes=[*block_sizes], **options)
    return helion.kernel(backend="metal", config=config, ignore_warnings=[helion.exc.TiledKMatmulAccumulationWarning])


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator).to(dtype).to(DEVICE)


def close(result: torch.Tensor, expected: torch.Tensor, terms: int = 200) -> None:
    """Compares with a result in float64 up to `terms` roundings in float32 and two in the type of the result."""
    assert result.shape == expected.shape
    tolerance = 2 * torch.finfo(result.dtype).eps + terms * torch.finfo(torch.float32).eps
    torch.testing.assert_close(result.double().cpu(), expected.double().cpu(), rtol=tolerance, atol=tolerance)
