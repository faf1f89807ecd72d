"""Writes Helion kernels for this package's backend in the way of Helion's own tests, and compares with torch."""

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


def metal(**options: Any) -> Callable[[Callable[..., object]], helion.Kernel]:
    """Shortens ``helion.kernel(backend="metal", config=Config(...))``."""
    settings = {name: options.pop(name) for name in ("static_shapes",) if name in options}
    return helion.kernel(backend="metal", config=helion.Config(**options), **settings)


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    if not dtype.is_floating_point:
        return torch.randint(-100, 100, shape, generator=generator).to(dtype).to(DEVICE)
    return torch.randn(*shape, generator=generator).to(dtype).to(DEVICE)


def close(result: torch.Tensor, expected: torch.Tensor, terms: int = 32) -> None:
    """Compares up to one rounding of the result's type, and `terms` roundings in float32."""
    assert result.shape == expected.shape
    if not result.dtype.is_floating_point:
        assert torch.equal(result, expected.to(result.dtype))
        return
    tolerance = torch.finfo(result.dtype).eps + terms * torch.finfo(torch.float32).eps
    torch.testing.assert_close(result.double(), expected.double(), rtol=tolerance, atol=tolerance, equal_nan=True)
