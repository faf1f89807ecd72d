"""Graphs of Helion kernels."""

from __future__ import annotations

import pytest
import torch

import helion_msl

helion = pytest.importorskip("helion", reason="needs helion-msl[helion]")
import helion.language as hl  # noqa: E402

helion_msl.register_helion_backend()


@helion.kernel(backend="metal", config=helion.Config(block_sizes=[32]))
def scaled(x: torch.Tensor, factor: float) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] * factor
    return out


def test_results_of_helion_kernels_are_written_again(device) -> None:
    x = torch.arange(100.0, device=device)
    with helion_msl.record(x=x) as graph:
        result = scaled(scaled(x, 2.0), 10.0)
    assert len(graph) == 2
    graph(x + 1)
    helion_msl.synchronize()
    assert result.tolist() == [20.0 * (i + 1) for i in range(100)]


def test_numbers_of_helion_kernels(device) -> None:
    x = torch.arange(100.0, device=device)
    with helion_msl.record(factor=2.0) as graph:
        result = scaled(x, graph["factor"])
    graph(factor=3.0)
    helion_msl.synchronize()
    assert result.tolist() == [3.0 * i for i in range(100)]
