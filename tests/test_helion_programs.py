"""Helion kernels that index, scan, update atomically or loop over jagged rows; against torch."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import helion
import helion.language as hl
import torch
from torch.nn import functional as F

from helion_comparison import DEVICE, TYPES, close, metal, random

if TYPE_CHECKING:
    from collections.abc import Callable

OFFSETS = (0, 3, 3, 10, 30, 50)


def parts(x: torch.Tensor) -> list[torch.Tensor]:
    """The rows of each group."""
    return [x[begin:end] for begin, end in itertools.pairwise(OFFSETS)]


def offsets() -> torch.Tensor:
    return torch.tensor(OFFSETS, dtype=torch.int64, device=DEVICE)


# ---- positions, scans, reductions with a function -------------------------------------------------------------------


def test_positions_as_values_and_as_an_index() -> None:
    @metal(32)
    def kernel(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            columns = hl.arange(x.size(1))
            out[tile, columns] = x[tile, columns] * columns[None, :]
        return out

    x = random(50, 20)
    assert torch.equal(kernel(x), x * torch.arange(20, device=DEVICE))


def test_positions_of_a_size_that_no_tensor_has() -> None:
    @metal(32)
    def kernel(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0)], dtype=x.dtype, device=x.device)
        for tile in hl.tile(x.size(0)):
            powers = x[tile][:, None] * (hl.arange(8) + 1)[None, :]
            out[tile] = powers.sum(-1)
        return out

    x = random(50)
    close(kernel(x), x * 36)


@pytest.mark.parametrize("dtype", [*TYPES, torch.int32], ids=str)
@pytest.mark.parametrize("columns", [1, 16, 100, 1000])
def test_running_sums(columns: int, dtype: torch.dtype) -> None:
    @metal(4)
    def kernel(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            out[tile, :] = torch.cumsum(x[tile, :], dim=1).to(x.dtype)
        return out

    x = (random(10, columns) * 4).round().to(dtype)
    result, expected = kernel(x), x.double().cumsum(1)
    if dtype in (torch.float32, torch.int32):
        # Whole numbers this small are exact.
        assert torch.equal(result.double(), expected)
    else:
        torch.testing.assert_close(result.double(), expected, rtol=columns * torch.finfo(dtype).eps, atol=0.1)


def _add(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return left + right


def _larger(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return torch.maximum(left, right)


def _decaying(
    left_factor: torch.Tensor, left: torch.Tensor, right_factor: torch.Tensor, right: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return left_factor * right_factor, left * right_factor + right


@pytest.mark.parametrize("rows", [32, 40])
def test_scans_along_either_dimension_and_backwards(rows: int) -> None:
    @metal(32, 16)
    def kernel(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        down, back, largest = torch.empty_like(x), torch.empty_like(x), torch.empty_like(x)
        for tile_m, tile_n in hl.tile(x.size()):
            values = x[tile_m, tile_n]
            down[tile_m, tile_n] = hl.associative_scan(_add, values, dim=0)
            back[tile_m, tile_n] = hl.associative_scan(_add, values, dim=1, reverse=True)
            largest[tile_m, tile_n] = hl.associative_scan(_larger, values, dim=0)
        return down, back, largest

    x = random(rows, 24)
    down, back, largest = kernel(x)
    for m in range(0, rows, 32):
        for n in range(0, 24, 16):
            tile = (slice(m, m + 32), slice(n, n + 16))
            close(down[tile], x[tile].double().cumsum(0))
            close(back[tile], x[tile].double().flip(1).cumsum(1).flip(1))
            assert torch.equal(largest[tile], x[tile].cummax(0).values)


def test_a_scan_of_pairs_is_a_recurrence() -> None:
    @metal(8)
    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(b)
        for tile in hl.tile(a.size(0)):
            _, states = hl.associative_scan(_decaying, (a[tile, :], b[tile, :]), dim=1)
            out[tile, :] = states
        return out

    a, b = torch.sigmoid(random(12, 30)), random(12, 30)
    expected, state = [], torch.zeros(12, dtype=torch.float64, device="cpu")
    for step in range(30):
        state = state * a[:, step].double().cpu() + b[:, step].double().cpu()
        expected.append(state)
    close(kernel(a, b), torch.stack(expected, 1))


def test_a_reduction_with_a_function() -> None:
    @metal(8)
    def kernel(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0)], dtype=x.dtype, device=x.device)
        for tile in hl.tile(x.size(0)):
            out[tile] = hl.reduce(_larger, x[tile, :], dim=1)
        return out

    x = random(20, 50)
    assert torch.equal(kernel(x), x.amax(1))


# ---- atomics --------------------------------------------------------------------------------------------------------


def test_sums_over_the_grid() -> None:
    @metal(32, 16)
    def kernel(x: torch.Tensor) -> torch.Tensor:
        out = torch.zeros([x.size(1)], dtype=x.dtype, device=x.device)
        for tile_m, tile_n in hl.tile(x.size()):
            hl.atomic_add(out, [tile_n], x[tile_m, tile_n].sum(0))
        return out

    x = random(100, 40)
    close(kernel(x), x.double().sum(0))


def test_a_histogram() -> None:
    @metal(64)
    def kernel(x: torch.Tensor, bins: int) -> torch.Tensor:
        out = torch.zeros([bins], dtype=torch.int32, device=x.device)
        for tile in hl.tile(x.size(0)):
            hl.atomic_add(out, [x[tile]], 1)
        return out

    x = torch.randint(0, 10, (500,), generator=torch.Generator().manual_seed(1)).to(DEVICE)
    assert torch.equal(kernel(x, 10), torch.bincount(x, minlength=10))


ATOMICS = {
    "max": (lambda out, tile, x: hl.atomic_max(out, [tile], x), torch.maximum),
    "min": (lambda out, tile, x: hl.atomic_min(out, [tile], x), torch.minimum),
    "and": (lambda out, tile, x: hl.atomic_and(out, [tile], x), torch.bitwise_and),
    "or": (lambda out, tile, x: hl.atomic_or(out, [tile], x), torch.bitwise_or),
    "xor": (lambda out, tile, x: hl.atomic_xor(out, [tile], x), torch.bitwise_xor),
    "exchange": (lambda out, tile, x: hl.atomic_xchg(out, [tile], x), lambda _, new: new),
}


@pytest.mark.parametrize("name", ATOMICS)
def test_other_atomics(name: str) -> None:
    @metal(16)
    def kernel(x: torch.Tensor, out: torch.Tensor, operation: Callable[..., object]) -> torch.Tensor:
        for tile in hl.tile(x.size(0)):
            operation(out, tile, x[tile])
        return out

    x = torch.arange(-20, 20, dtype=torch.int32, device=DEVICE)
    old = torch.full_like(x, 5)
    operation, expected = ATOMICS[name]
    assert torch.equal(kernel(x, old.clone(), operation), expected(old, x))


def test_what_an_atomic_returns() -> None:
    @metal(16)
    def kernel(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        before = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            before[tile] = hl.atomic_add(out, [tile], x[tile])
        return before

    x, out = random(40), random(41)[1:]
    start = out.clone()
    assert torch.equal(kernel(x, out), start)
    assert torch.equal(out, start + x)


def test_an_atomic_beside_tiles_that_are_done_in_parts() -> None:
    @metal(128, 16, 16)
    def kernel(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        out = torch.empty([x.size(0), y.size(1)], dtype=x.dtype, device=x.device)
        tiles = torch.zeros([1], dtype=torch.int32, device=x.device)
        number = torch.zeros([1], dtype=torch.int32, device=x.device)
        for tile_m, tile_n in hl.tile(out.size()):
            acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                acc = torch.addmm(acc, x[tile_m, tile_k], y[tile_k, tile_n])
            out[tile_m, tile_n] = acc
            hl.atomic_add(tiles, [0], 1)
            number[0] = hl.atomic_add(tiles, [0], 100)
        return out, tiles, number

    x, y = random(200, 40), random(40, 20)
    out, tiles, _ = kernel(x, y)
    close(out, x.double() @ y.double(), terms=500)
    assert tiles.item() == 2 * 2 * 101


def test_atomics_that_metal_lacks_are_refused() -> None:
    def add(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        for tile in hl.tile(x.size(0)):
            hl.atomic_add(out, [tile], x[tile])
        return out

    x = random(16, dtype=torch.float16)
    with pytest.raises(helion.exc.BackendUnsupported, match="Metal has it for int32, uint32, float32"):
        metal(16)(add)(x, x.clone())


def test_a_product_whose_inner_dimension_is_split() -> None:
    @metal(16, 16, 32)
    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        m, k = x.size()
        out = torch.zeros([m, y.size(1)], dtype=torch.float32, device=x.device)
        for tile_m, tile_n, outer in hl.tile([m, y.size(1), k], block_size=[None, None, 32]):
            acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            for inner in hl.tile(outer.begin, outer.end):
                acc = torch.addmm(acc, x[tile_m, inner], y[inner, tile_n])
            hl.atomic_add(out, [tile_m, tile_n], acc)
        return out

    x, y = random(40, 100), random(100, 30)
    close(kernel(x, y), x.double() @ y.double(), terms=500)


# ---- jagged: loops whose bounds are in tensors ----------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [(1, 8, 16), (4, 8, 16)], ids=str)
def test_sums_of_groups_of_rows(blocks: tuple[int, ...]) -> None:
    @metal(*blocks)
    def kernel(x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        width = x.size(1)
        groups = offsets.size(0) - 1
        out = torch.zeros([groups, width], dtype=x.dtype, device=x.device)
        flat = x.view(-1)
        for tile_g in hl.tile(groups):
            starts = offsets[tile_g]
            counts = offsets[tile_g.index + 1] - starts
            longest = counts.amax()
            for tile_w in hl.tile(width):
                acc = hl.zeros([tile_g, tile_w], dtype=x.dtype)
                for tile_k in hl.tile(0, longest):
                    rows = starts[:, None] + tile_k.index[None, :]
                    places = rows[:, :, None] * width + tile_w.index[None, None, :]
                    inside = (tile_k.index[None, :] < counts[:, None])[:, :, None] & (tile_w.index < width)[
                        None, None, :
                    ]
                    acc = acc + hl.load(flat, [places], extra_mask=inside).sum(dim=1)
                out[tile_g, tile_w] = acc
        return out

    x = random(50, 24)
    close(kernel(x, offsets()), torch.stack([part.sum(0) for part in parts(x)]))


def test_softmax_of_groups_of_rows() -> None:
    @metal(16, 16, 16)
    def kernel(x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        out = torch.zeros_like(x)
        for group in hl.grid(offsets.size(0) - 1):
            begin, end = offsets[group], offsets[group + 1]
            for tile_w in hl.tile(x.size(1)):
                largest = hl.full([tile_w], float("-inf"), dtype=torch.float32)
                total = hl.zeros([tile_w], dtype=torch.float32)
                for tile_k in hl.tile(begin, end):
                    values = x[tile_k, tile_w]
                    new = torch.maximum(largest, torch.where(tile_k.index[:, None] < end, values, -1e30).amax(0))
                    powers = torch.where(tile_k.index[:, None] < end, torch.exp(values - new[None, :]), 0.0)
                    total = total * torch.exp(largest - new) + powers.sum(0)
                    largest = new
                for tile_k in hl.tile(begin, end):
                    out[tile_k, tile_w] = torch.exp(x[tile_k, tile_w] - largest[None, :]) / total[None, :]
        return out

    x = random(50, 24)
    close(kernel(x, offsets()), torch.cat([torch.softmax(part.double(), 0) for part in parts(x)]))


def test_a_product_for_each_group_of_rows() -> None:
    @metal(16, 16, 16)
    def kernel(x: torch.Tensor, y: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), y.size(2)], dtype=x.dtype, device=x.device)
        for group in hl.grid(offsets.size(0) - 1):
            begin, end = offsets[group], offsets[group + 1]
            for tile_m, tile_n in hl.tile([begin, 0], [end, y.size(2)]):
                acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
                for tile_k in hl.tile(x.size(1)):
                    acc = torch.addmm(acc, x[tile_m, tile_k], y[group, tile_k, tile_n])
                out[tile_m, tile_n] = acc.to(x.dtype)
        return out

    x, y = random(50, 20), random(5, 20, 30)
    expected = torch.cat([part.double() @ y[group].double() for group, part in enumerate(parts(x))])
    close(kernel(x, y, offsets()), expected)


def test_attention_of_groups_of_rows() -> None:
    """Rows of each group see those before them; loops and a branch depend on the group's length."""

    @metal(16, 16)
    def kernel(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, offsets: torch.Tensor, longest: int
    ) -> torch.Tensor:
        head = hl.specialize(query.size(1))
        out = torch.zeros_like(value)
        for tile_g, tile_m in hl.tile([offsets.size(0) - 1, longest], block_size=[1, None]):
            begin = offsets[tile_g.begin]
            count = offsets[tile_g.begin + 1] - begin
            if tile_m.begin < count:
                rows = tile_m.index < count
                queries = hl.load(query, [tile_m.index + begin, slice(None)], extra_mask=rows[:, None])
                acc = hl.zeros([tile_m, head], dtype=torch.float32)
                for tile_n in hl.tile(0, count):
                    columns = tile_n.index < count
                    keys = hl.load(key, [tile_n.index + begin, slice(None)], extra_mask=columns[:, None])
                    values = hl.load(value, [tile_n.index + begin, slice(None)], extra_mask=columns[:, None])
                    scores = F.silu(torch.matmul(queries, keys.T) * 0.3)
                    is_seen = (tile_m.index.unsqueeze(1) > tile_n.index.unsqueeze(0)) & columns[None, :]
                    acc += torch.matmul(torch.where(is_seen, scores, 0.0), values)
                hl.store(out, [tile_m.index + begin, slice(None)], acc, extra_mask=rows[:, None])
        return out

    query, key, value = random(50, 16), random(51, 16)[1:], random(52, 16)[2:]
    expected = [
        torch.tril(F.silu(0.3 * (q.double() @ k.double().T)), -1) @ v.double()
        for q, k, v in zip(parts(query), parts(key), parts(value), strict=True)
    ]
    close(kernel(query, key, value, offsets(), 20), torch.cat(expected))


def test_products_with_the_rows_of_an_expert() -> None:
    @metal(16, 16, 16)
    def kernel(x: torch.Tensor, weight: torch.Tensor, offsets: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        out = torch.zeros([x.size(0), weight.size(2)], dtype=x.dtype, device=x.device)
        for expert in hl.grid(weight.size(0)):
            begin = offsets[expert]
            count = offsets[expert + 1] - begin
            if count != 0:
                for tile_m in hl.tile(0, count):
                    rows = order[begin + tile_m.index]
                    for tile_n in hl.tile(weight.size(2)):
                        acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
                        for tile_k in hl.tile(x.size(1)):
                            acc = torch.addmm(acc, x[rows, tile_k], weight[expert, tile_k, tile_n])
                        out[rows, tile_n] = acc.to(x.dtype)
        return out

    x, weight = random(50, 20), random(5, 20, 30)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    expected = torch.empty(50, 30, dtype=torch.float64)
    for expert, (begin, end) in enumerate(itertools.pairwise(OFFSETS)):
        rows = order[begin:end].cpu()
        expected[rows] = x[rows].double().cpu() @ weight[expert].double().cpu()
    close(kernel(x, weight, offsets(), order), expected)
