"""The features of Helion's own examples, in kernels of this project, in three types; against torch in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import helion
import helion.language as hl
import torch
from torch.nn import functional as F

import helion_msl

if TYPE_CHECKING:
    from collections.abc import Callable

helion_msl.register_helion_backend()

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
TYPES = (torch.float32, torch.float16, torch.bfloat16)


def metal(**options: object) -> Callable[[Callable[..., object]], helion.Kernel]:
    """Shortens ``helion.kernel(backend="metal", config=Config(...))``."""
    return helion.kernel(backend="metal", config=helion.Config(**options))


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator).to(dtype).to(DEVICE)


def same(result: torch.Tensor, expected: torch.Tensor, terms: int = 16) -> None:
    """Compares up to one rounding of the result, and `terms` roundings in float32."""
    tolerance = torch.finfo(result.dtype).eps + terms * torch.finfo(torch.float32).eps
    torch.testing.assert_close(result.float(), expected.float(), rtol=tolerance, atol=tolerance)


@metal(block_sizes=[4, 16])
def softmax_two_pass(x: torch.Tensor) -> torch.Tensor:
    m, n = x.size()
    out = torch.empty_like(x)
    block_n = hl.register_block_size(n)
    for tile_m in hl.tile(m):
        largest = hl.full([tile_m], float("-inf"), dtype=torch.float32)
        total = hl.zeros([tile_m], dtype=torch.float32)
        for tile_n in hl.tile(n, block_size=block_n):
            values = x[tile_m, tile_n].to(torch.float32)
            new = torch.maximum(largest, torch.amax(values, dim=1))
            total = total * torch.exp(largest - new) + torch.exp(values - new[:, None]).sum(dim=1)
            largest = new
        for tile_n in hl.tile(n, block_size=block_n):
            values = x[tile_m, tile_n].to(torch.float32)
            out[tile_m, tile_n] = (torch.exp(values - largest[:, None]) / total[:, None]).to(x.dtype)
    return out


@metal(block_sizes=[4])
def layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    m, n = x.size()
    out = torch.empty_like(x)
    means = torch.empty([m], dtype=torch.float32, device=x.device)
    for tile in hl.tile(m):
        values = x[tile, :].to(torch.float32)
        mean = torch.sum(values, dim=-1) / n
        centered = values - mean[:, None]
        scale = torch.rsqrt(torch.sum(centered * centered, dim=-1) / n + 1e-5)
        normed = centered * scale[:, None]
        out[tile, :] = (normed * weight[:].to(torch.float32) + bias[:].to(torch.float32)).to(x.dtype)
        means[tile] = mean
    return out, means


@metal(block_sizes=[4, 16])
def kl_div(log_p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    m, n = log_p.size()
    loss = torch.zeros([m], dtype=torch.float32, device=q.device)
    block_n = hl.register_block_size(n)
    for tile_m in hl.tile(m):
        total = hl.zeros([tile_m, block_n], dtype=torch.float32)
        for tile_n in hl.tile(n, block_size=block_n):
            target = q[tile_m, tile_n].to(torch.float32)
            total += target * (torch.log(torch.clamp(target, min=1e-10)) - log_p[tile_m, tile_n].to(torch.float32))
        loss[tile_m] = total.sum(dim=-1)
    return loss


@metal(block_sizes=[4])
def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    m, n = logits.size()
    losses = torch.zeros([m], dtype=torch.float32, device=logits.device)
    flat = logits.view(-1)
    for tile in hl.tile(m):
        chosen = hl.load(flat, [tile.index * n + labels[tile]]).to(torch.float32)
        rows = logits[tile, :].to(torch.float32)
        largest = torch.amax(rows, dim=-1, keepdim=True)
        losses[tile] = largest.squeeze(-1) + torch.log(torch.sum(torch.exp(rows - largest), dim=-1)) - chosen
    return losses


@metal(block_sizes=[8, 16])
def embedding(index: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    out = torch.empty([index.size(0), weight.size(1)], dtype=weight.dtype, device=weight.device)
    for tile_b, tile_e in hl.tile([index.size(0), weight.size(1)]):
        out[tile_b, tile_e] = weight[index[tile_b], tile_e]
    return out


@metal(block_sizes=[8, 16])
def concatenate(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    out = torch.empty([x.size(0), x.size(1) + y.size(1)], dtype=x.dtype, device=x.device)
    for tile_m, tile_n in hl.tile(out.size()):
        is_left = (tile_n.index < x.size(1))[None, :]
        left = hl.load(x, [tile_m, tile_n], extra_mask=is_left)
        is_right = (tile_n.index >= x.size(1))[None, :]
        right = hl.load(y, [tile_m, tile_n.index - x.size(1)], extra_mask=is_right)
        out[tile_m, tile_n] = torch.where(is_left, left, right)
    return out


@metal()
def sum_of_all(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros([], dtype=torch.float32, device=x.device)
    flat = x.view(-1)
    for tile in hl.tile(1, block_size=1):
        row = hl.zeros([tile], dtype=torch.float32) + flat[:].to(torch.float32).sum(-1)
        out[()] = row.sum()
    return out


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_softmax_in_two_passes(dtype: torch.dtype) -> None:
    x = random(9, 70, dtype=dtype)
    same(softmax_two_pass(x), F.softmax(x.float(), -1))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_layer_norm(dtype: torch.dtype) -> None:
    x, weight, bias = random(9, 70, dtype=dtype), random(70, dtype=dtype), random(70, dtype=dtype)
    out, means = layer_norm(x, weight, bias)
    same(out, F.layer_norm(x.float(), (70,), weight.float(), bias.float()), terms=70)
    same(means, x.float().mean(-1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_kl_div_sums_over_all_threads(dtype: torch.dtype) -> None:
    log_p = torch.log_softmax(random(9, 70), -1).to(dtype)
    q = torch.softmax(random(70, 9).t().contiguous(), -1).to(dtype)
    expected = F.kl_div(log_p.float(), q.float(), reduction="none").sum(-1)
    same(kl_div(log_p, q), expected, terms=70)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_cross_entropy(dtype: torch.dtype) -> None:
    logits = random(9, 70, dtype=dtype)
    labels = torch.arange(9, device=DEVICE) * 7 % 70
    same(cross_entropy(logits, labels), F.cross_entropy(logits.float(), labels, reduction="none"), terms=70)


@pytest.mark.parametrize("dtype", [torch.float16], ids=str)
def test_rows_that_an_index_chooses(dtype: torch.dtype) -> None:
    index, weight = torch.arange(30, device=DEVICE) * 13 % 20, random(20, 50, dtype=dtype)
    assert torch.equal(embedding(index, weight), weight[index])


def test_concatenation() -> None:
    x, y = random(20, 30, dtype=torch.bfloat16), random(20, 41, dtype=torch.bfloat16)
    assert torch.equal(concatenate(x, y), torch.cat([x, y], 1))


def test_store_to_a_tensor_without_dimensions() -> None:
    x = random(9, 70)
    same(sum_of_all(x), x.sum(), terms=630)
