"""Reductions through Helion: over tensor dimensions in one pass and rolled, over tiles, after loops; against torch."""

from __future__ import annotations

import math
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
COLUMNS = [1, 2, 32, 33, 300, 1024, 1025, 5000]


def metal(**options: object) -> helion.Kernel:
    """Shortens ``helion.kernel(backend="metal", config=Config(...))``."""
    settings = {"static_shapes": options.pop("static_shapes", True)}
    return helion.kernel(backend="metal", config=helion.Config(**options), **settings)


def same(result: torch.Tensor, expected: torch.Tensor, tolerance: float = 2e-5) -> None:
    exact = not expected.dtype.is_floating_point
    torch.testing.assert_close(
        result.cpu(), expected.cpu(), rtol=0 if exact else tolerance, atol=0 if exact else tolerance, equal_nan=True
    )


def rows(x: torch.Tensor, fn: Callable[[torch.Tensor], torch.Tensor], out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        out[tile] = fn(x[tile, :])
    return out


def whole_rows(x: torch.Tensor, fn: Callable[[torch.Tensor], torch.Tensor], out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        out[tile, :] = fn(x[tile, :])
    return out


REDUCTIONS = {
    "sum": lambda x: torch.sum(x, dim=-1),
    "prod": lambda x: torch.prod(x, dim=-1),
    "amax": lambda x: torch.amax(x, dim=-1),
    "amin": lambda x: torch.amin(x, dim=-1),
    "argmax": lambda x: torch.argmax(x, dim=-1),
    "argmin": lambda x: torch.argmin(x, dim=-1),
    "mean": lambda x: torch.mean(x, dim=-1),
    "var": lambda x: torch.var(x, dim=-1),
    "any": lambda x: torch.any(x > 1.5, dim=-1),
    "all": lambda x: torch.all(x > -1.5, dim=-1),
    "sum_exp": lambda x: torch.sum(torch.exp(x), dim=-1),
}


def reduce_rows(name: str, x: torch.Tensor, **options: object) -> tuple[torch.Tensor, torch.Tensor]:
    fn = REDUCTIONS[name]
    expected = fn(x)
    return metal(**options)(rows)(x, fn, torch.empty_like(expected)), expected


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("name", ["sum", "amax", "argmax"])
def test_rows_of_every_length(name: str, columns: int) -> None:
    x = torch.randn(7, columns, device=DEVICE)
    result, expected = reduce_rows(name, x, block_sizes=[2])
    same(result, expected, 1e-4)


@pytest.mark.parametrize("options", [{}, {"reduction_loops": [64]}, {"reduction_loops": [16]}], ids=str)
@pytest.mark.parametrize("name", sorted(REDUCTIONS))
def test_every_reduction(name: str, options: dict[str, object]) -> None:
    x = torch.randn(5, 300, device=DEVICE) if name != "prod" else 1 + torch.randn(5, 300, device=DEVICE) / 20
    result, expected = reduce_rows(name, x, block_sizes=[4], **options)
    same(result, expected, 1e-4)


OTHER_TYPES = [
    (torch.float16, {}),
    (torch.bfloat16, {"reduction_loops": [64]}),
    (torch.int32, {}),
    (torch.int64, {}),
    (torch.int64, {"reduction_loops": [64]}),
    (torch.int8, {"reduction_loops": [64]}),
    (torch.uint8, {}),
    (torch.bool, {}),
]


@pytest.mark.parametrize(("dtype", "options"), OTHER_TYPES, ids=str)
@pytest.mark.parametrize("name", ["sum", "amax", "amin", "argmax"])
def test_reductions_of_other_types(name: str, dtype: torch.dtype, options: dict[str, object]) -> None:
    generator = torch.Generator().manual_seed(3)
    if dtype.is_floating_point:
        x = torch.randn(6, 200, generator=generator).to(dtype)
    elif dtype == torch.bool:
        if name == "argmax":
            pytest.skip("torch has no argmax of bool")
        x = torch.rand(6, 200, generator=generator) > 0.9
    else:
        limits = torch.iinfo(dtype)
        x = torch.randint(max(limits.min, -(2**40)), min(limits.max, 2**40), (6, 200), generator=generator).to(dtype)
        x[0] = limits.min
        x[1] = -x[1].abs() if dtype.is_signed else x[1]
    x = x.to(DEVICE)
    result, expected = reduce_rows(name, x, block_sizes=[2], **options)
    same(result, expected, 0.01)


@pytest.mark.parametrize("options", [{}, {"reduction_loops": [32]}], ids=str)
@pytest.mark.parametrize("name", ["argmax", "argmin", "amax", "amin", "sum"])
def test_ties_nan_and_infinities(name: str, options: dict[str, object]) -> None:
    x = torch.zeros(8, 100)
    x[0, [3, 40, 99]] = 5.0
    x[1] = -math.inf
    x[2] = math.inf
    x[3, 57] = math.nan
    x[4, [20, 80]] = math.nan
    x[5, 99] = -1.0
    x[6, 0] = 1.0
    x = x.to(DEVICE)
    result, expected = reduce_rows(name, x, block_sizes=[4], **options)
    same(result, expected)


def test_dynamic_shapes_serve_every_row_length() -> None:
    kernel = metal(block_sizes=[2], static_shapes=False)(rows)
    for columns in (100, 3000, 7, 257):
        x = torch.randn(5, columns, device=DEVICE)
        same(kernel(x, REDUCTIONS["sum"], torch.empty(5, device=DEVICE)), x.sum(-1), 1e-4)


# ---- whole rows --------------------------------------------------------------------------------------------------


def layer_norm(x: torch.Tensor) -> torch.Tensor:
    mean = torch.mean(x, dim=-1, keepdim=True)
    centred = x - mean
    return centred * torch.rsqrt(torch.mean(centred * centred, dim=-1, keepdim=True) + 1e-5)


def rms_norm(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(torch.mean(x * x, dim=-1, keepdim=True) + 1e-5)


NORMALIZATIONS = {
    "softmax": lambda x: F.softmax(x, dim=-1),
    "log_softmax": lambda x: F.log_softmax(x, dim=-1),
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
}


@pytest.mark.parametrize("columns", [1, 33, 1024, 5000])
@pytest.mark.parametrize("name", sorted(NORMALIZATIONS))
def test_normalizations(name: str, columns: int) -> None:
    x = torch.randn(5, columns, device=DEVICE) * 3
    fn = NORMALIZATIONS[name]
    same(metal(block_sizes=[2])(whole_rows)(x, fn, torch.empty_like(x)), fn(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("static_shapes", [True, False])
def test_softmax_of_half_types(dtype: torch.dtype, static_shapes: bool) -> None:
    x = torch.randn(5, 300, device=DEVICE).to(dtype)
    kernel = metal(block_sizes=[2], static_shapes=static_shapes)(whole_rows)
    same(kernel(x, NORMALIZATIONS["softmax"], torch.empty_like(x)), torch.softmax(x, -1), 0.01)


@metal(block_sizes=[4])
def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    n, v = logits.shape
    losses = torch.zeros([n], dtype=logits.dtype, device=logits.device)
    flat = logits.view(-1)
    for tile in hl.tile(n):
        base = tile.index * v
        picked = hl.load(flat, [base + labels[tile]])
        values = logits[tile, :]
        largest = torch.amax(values, dim=-1, keepdim=True)
        total = torch.sum(torch.exp(values - largest), dim=-1)
        losses[tile] = largest.squeeze(-1) + torch.log(total) - picked
    return losses.mean()


def test_cross_entropy() -> None:
    logits, labels = torch.randn(30, 300, device=DEVICE), torch.randint(0, 300, (30,), device=DEVICE)
    same(cross_entropy(logits, labels), F.cross_entropy(logits, labels))


# ---- tiles -------------------------------------------------------------------------------------------------------


@metal(block_sizes=[8, 64])
def sum_inside_loop(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros(x.size(0), device=x.device)
    for tile_m in hl.tile(x.size(0)):
        acc = hl.zeros([tile_m], dtype=torch.float32)
        for tile_n in hl.tile(x.size(1)):
            acc += x[tile_m, tile_n].sum(dim=1)
        out[tile_m] = acc
    return out


def accumulate_then_sum(x: torch.Tensor) -> torch.Tensor:
    m, n = x.size()
    block_n = hl.register_block_size(n)
    out = torch.zeros(m, device=x.device)
    for tile_m in hl.tile(m):
        acc = hl.zeros([tile_m, block_n], dtype=torch.float32)
        for tile_n in hl.tile(n, block_size=block_n):
            acc += x[tile_m, tile_n]
        out[tile_m] = acc.sum(-1)
    return out


@pytest.mark.parametrize("columns", [1, 64, 100, 1000])
def test_sum_over_a_tile_inside_its_loop(columns: int) -> None:
    x = torch.randn(20, columns, device=DEVICE)
    same(sum_inside_loop(x), x.sum(1), 1e-4)


@pytest.mark.parametrize("columns", [1, 64, 100, 1000])
@pytest.mark.parametrize("block_sizes", [[32, 8], [32, 1], [64, 16], [16, 4]], ids=str)
def test_sum_over_a_tile_after_its_loop(columns: int, block_sizes: list[int]) -> None:
    x = torch.randn(20, columns, device=DEVICE)
    same(metal(block_sizes=block_sizes)(accumulate_then_sum)(x), x.sum(1), 1e-4)


@metal(block_sizes=[8, 32])
def online_softmax(x: torch.Tensor) -> torch.Tensor:
    m, n = x.size()
    out = torch.empty_like(x)
    block_m = hl.register_block_size(m)
    block_n = hl.register_block_size(n)
    for tile_m in hl.tile(m, block_size=block_m):
        largest = hl.full([tile_m], float("-inf"), dtype=torch.float32)
        total = hl.zeros([tile_m], dtype=torch.float32)
        for tile_n in hl.tile(n, block_size=block_n):
            values = x[tile_m, tile_n]
            new = torch.maximum(largest, torch.amax(values, dim=1))
            total = total * torch.exp(largest - new) + torch.exp(values - new[:, None]).sum(dim=1)
            largest = new
        for tile_n in hl.tile(n, block_size=block_n):
            out[tile_m, tile_n] = torch.exp(x[tile_m, tile_n] - largest[:, None]) / total[:, None]
    return out


def test_softmax_in_two_passes() -> None:
    for shape in [(20, 100), (3, 1000), (9, 32), (1, 1)]:
        x = torch.randn(shape, device=DEVICE)
        same(online_softmax(x), torch.softmax(x, 1))


@metal(block_sizes=[4, 16])
def kl_div(log_input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    m, n = log_input.shape
    block_n = hl.register_block_size(n)
    block_m = hl.register_block_size(m)
    loss = torch.zeros((m,), dtype=torch.float32, device=log_input.device)
    for tile_m in hl.tile(m, block_size=block_m):
        acc = hl.zeros([tile_m, block_n], dtype=torch.float32)
        for tile_n in hl.tile(n, block_size=block_n):
            y, t = log_input[tile_m, tile_n], target[tile_m, tile_n]
            acc += t * (torch.log(torch.clamp(t, min=1e-10)) - y)
        loss[tile_m] = acc.sum(dim=-1)
    return torch.sum(loss) / m


def test_kl_divergence() -> None:
    for shape in [(10, 100), (33, 7), (8, 256)]:
        log_input = torch.log_softmax(torch.randn(shape, device=DEVICE), -1)
        target = torch.softmax(torch.randn(shape, device=DEVICE), -1)
        same(kl_div(log_input, target), F.kl_div(log_input, target, reduction="batchmean"))


@metal(block_sizes=[8, 32])
def two_sums_of_one_tile(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    m, n = x.size()
    by_row = torch.zeros(m, (n + 31) // 32, device=x.device)
    by_column = torch.zeros((m + 7) // 8, n, device=x.device)
    for tile_m, tile_n in hl.tile([m, n]):
        by_row[tile_m, tile_n.id] = x[tile_m, tile_n].sum(1)
        by_column[tile_m.id, tile_n] = x[tile_m, tile_n].sum(0)
    return by_row, by_column


def test_sums_along_both_dimensions_of_a_tile() -> None:
    x = torch.randn(20, 70, device=DEVICE)
    by_row, by_column = two_sums_of_one_tile(x)
    same(by_row.sum(1), x.sum(1), 1e-4)
    same(by_column.sum(0), x.sum(0), 1e-4)
    same(by_row[:, 0], x[:, :32].sum(1), 1e-4)


@metal(block_sizes=[16, 4])
def argmax_of_tile(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros(x.size(0), (x.size(1) + 15) // 16, dtype=torch.int64, device=x.device)
    block_n = hl.register_block_size(x.size(1))
    for tile_m in hl.tile(x.size(0)):
        for tile_n in hl.tile(x.size(1), block_size=block_n):
            out[tile_m, tile_n.id] = torch.argmax(x[tile_m, tile_n], dim=1)
    return out


def test_argmax_within_a_tile_counts_from_its_begin() -> None:
    x = torch.randn(10, 100, device=DEVICE)
    result = argmax_of_tile(x)
    expected = torch.stack([part.argmax(1) for part in x.split(16, dim=1)], dim=1)
    same(result, expected)


@metal(block_sizes=[2])
def sum_of_first_dimension(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty(x.size(1), device=x.device)
    for tile in hl.tile(x.size(1)):
        out[tile] = x[:, tile].sum(0)
    return out


def test_sum_over_the_first_dimension() -> None:
    for shape in [(100, 9), (1, 5), (1500, 3)]:
        x = torch.randn(shape, device=DEVICE)
        same(sum_of_first_dimension(x), x.sum(0), 1e-4)


@metal(block_sizes=[128])
def sum_of_everything(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty((x.size(0) + 127) // 128, device=x.device)
    for tile in hl.tile(x.size(0)):
        out[tile.id] = x[tile].sum(0)
    return out


def test_sum_of_one_dimension() -> None:
    x = torch.randn(1000, device=DEVICE)
    same(sum_of_everything(x), torch.stack([part.sum() for part in x.split(128)]), 1e-4)


def test_tiles_above_a_threadgroup() -> None:
    x = torch.randn(100, 4096, device=DEVICE)
    result = metal(block_sizes=[2048, 4])(accumulate_then_sum)(x)
    torch.testing.assert_close(result, x.sum(-1), rtol=1e-4, atol=1e-3)


@metal(block_sizes=[4096])
def sums_of_tiles(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty([x.size(0) // 4096], dtype=x.dtype, device=x.device)
    for tile in hl.tile(x.size(0)):
        out[tile.id] = x[tile].sum()
    return out


def test_sums_of_tiles_above_a_threadgroup() -> None:
    x = torch.randn(3 * 4096, device=DEVICE)
    torch.testing.assert_close(sums_of_tiles(x), x.view(3, 4096).sum(-1), rtol=1e-4, atol=1e-3)


def test_medians_are_refused() -> None:
    x = torch.randn(4, 64, device=DEVICE)
    with pytest.raises(helion.exc.Base, match="median"):
        metal(block_sizes=[2])(whole_rows)(x, lambda v: torch.median(v, -1).values[:, None] + v, torch.empty_like(x))
