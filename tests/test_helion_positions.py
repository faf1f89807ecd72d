"""Positions of tiles with further dimensions, ``tile.index[:, None]``, which belong to no tensor, against torch."""

from __future__ import annotations

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import helion.language as hl
import torch

from helion_comparison import DEVICE, metal, random
from helion_msl.helion_backend import generated_msl


def places(*sizes: int) -> tuple[torch.Tensor, ...]:
    """Return for each dimension the position of an element along it, as tensors that broadcast."""
    return torch.meshgrid([torch.arange(size, dtype=torch.int32, device=DEVICE) for size in sizes], indexing="ij")


@metal(16, 16)
def checkered(out: torch.Tensor, number: int) -> torch.Tensor:
    for rows, columns in hl.tile(out.size()):
        out[rows, columns] = (rows.index[:, None] * 73856093) ^ (columns.index[None, :] * 19349663) ^ number
    return out


def test_positions_of_both_dimensions() -> None:
    out = torch.empty(60, 70, dtype=torch.int32, device=DEVICE)
    row, column = places(60, 70)
    assert torch.equal(checkered(out, -99), (row * 73856093) ^ (column * 19349663) ^ -99)


def test_positions_take_no_threads() -> None:
    out = torch.empty(60, 70, dtype=torch.int32, device=DEVICE)
    assert "[[max_total_threads_per_threadgroup(256)]]" in generated_msl(checkered, out, 1)


@metal(4, 4, 4)
def of_three_dimensions(out: torch.Tensor) -> torch.Tensor:
    for i, j, k in hl.tile(out.size()):
        value = i.index[:, None, None] * 100 + j.index[None, :, None] * 10 - k.index[None, None, :]
        out[i, j, k] = torch.where(i.index[:, None, None] > j.index[None, :, None], value, -1)
    return out


def test_positions_of_three_dimensions() -> None:
    out = torch.empty(9, 10, 11, dtype=torch.int32, device=DEVICE)
    i, j, k = places(9, 10, 11)
    assert torch.equal(of_three_dimensions(out), torch.where(i > j, i * 100 + j * 10 - k, -1))


@metal(16, 8)
def causal(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for rows in hl.tile(x.size(0)):
        total = hl.zeros([rows], dtype=torch.float32)
        for columns in hl.tile(x.size(1)):
            is_near = rows.index[:, None] * 3 - columns.index[None, :] > 4
            total += torch.where(is_near, x[rows, columns], 0.0).sum(-1)
        out[rows] = total
    return out


def test_positions_of_an_outer_loop() -> None:
    x, out = random(40, 50), torch.empty(40, device=DEVICE)
    row, column = places(40, 50)
    torch.testing.assert_close(causal(x, out), torch.where(row * 3 - column > 4, x, 0.0).sum(-1))
    assert "uint(" not in generated_msl(causal, x, out)


@metal(8)
def beside_a_whole_dimension(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for rows in hl.tile(x.size(0)):
        values = x[rows, :]
        values = torch.where(rows.index[:, None] * 3 > 4, values, values * 0.5)
        out[rows, :] = values - values.amax(-1)[:, None]
    return out


def test_positions_beside_a_whole_dimension() -> None:
    x = random(40, 50)
    row, _ = places(40, 50)
    values = torch.where(row * 3 > 4, x, x * 0.5)
    expected = values - values.amax(-1)[:, None]
    assert torch.equal(beside_a_whole_dimension(x, torch.empty_like(x)), expected)


@metal(16, 16, 8)
def masked_product(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for rows, columns in hl.tile(out.size()):
        total = hl.zeros([rows, columns], dtype=torch.float32)
        for inner in hl.tile(x.size(1)):
            left = torch.where(rows.index[:, None] >= inner.index[None, :], x[rows, inner], 0.0)
            total = torch.addmm(total, left, y[inner, columns])
        out[rows, columns] = torch.where(rows.index[:, None] > columns.index[None, :], total, 0.0)
    return out


def test_positions_around_a_matrix_product() -> None:
    x, y = random(40, 30), random(30, 50)
    row, inner = places(40, 30)
    expected = torch.where(row >= inner, x, 0.0).double() @ y.double()
    row, column = places(40, 50)
    expected = torch.where(row > column, expected, 0.0).float()
    torch.testing.assert_close(masked_product(x, y, torch.empty(40, 50, device=DEVICE)), expected, rtol=1e-5, atol=1e-5)


@metal(8, 16)
def summed_positions(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for rows in hl.tile(x.size(0)):
        total = hl.zeros([rows], dtype=torch.int64)
        for columns in hl.tile(x.size(1)):
            is_set = x[rows, columns] > 0.0
            total += torch.where(is_set, rows.index[:, None] * 100 + columns.index[None, :], 0).sum(1)
        out[rows] = total
    return out


def test_sums_of_positions() -> None:
    x = random(20, 70)
    row, column = places(20, 70)
    out = torch.empty(20, dtype=torch.int64, device=DEVICE)
    assert torch.equal(summed_positions(x, out), torch.where(x > 0, row * 100 + column, 0).sum(1))
