"""Integers of Helion kernels: what PyTorch gives, also beyond the range of a type, where PyTorch wraps around.

MSL leaves signed overflow open. That kernels do without is checked by running this file on a host engine whose compiler
lets every signed overflow and every open shift end the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import helion
import helion.language as hl
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helion_comparison import DEVICE, metal
from helion_integer_programs import TYPES, function_of, sources, values_of
from helion_msl import _toolchain
from helion_msl.helion_backend import generated_msl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOWEST = {dtype: torch.iinfo(dtype).min for dtype in TYPES}
IS_TRAPPING = "HELION_MSL_TESTS_TRAP_OVERFLOW" in os.environ


def kernel_body(text: str) -> str:
    """Return the statements of a kernel, without the comments and the lines that name the source."""
    lines = text[text.index(") {") + 4 : text.rindex("}")].splitlines()
    return "\n".join(line.strip() for line in lines if not line.strip().startswith(("//", "#")))


# ---- programs ------------------------------------------------------------------------------------------------------


@metal(64)
def apply(
    x: torch.Tensor, y: torch.Tensor, fn: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], out: torch.Tensor
) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        out[tile] = fn(x[tile], y[tile])
    return out


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(TYPES), st.sampled_from(TYPES), st.integers(0, 1000))
def test_programs_of_integers(data: st.DataObject, left: torch.dtype, right: torch.dtype, seed: int) -> None:
    function = function_of(data.draw(sources((left, right))))
    x, y = values_of(left, seed), values_of(right, seed + 1)
    expected = function(x, y)
    out = torch.empty_like(expected, device=DEVICE)
    assert torch.equal(apply(x.to(DEVICE), y.to(DEVICE), function, out).cpu(), expected)


@metal(64)
def hashed(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        h = x[tile]
        h = (h ^ (h >> 16)) * 0x45D9F3B
        h = (h ^ (h >> 16)) * 0x45D9F3B
        h = h ^ (h >> 16)
        out[tile] = (h << 5) - h + tile.index * 1664525 + 1013904223
    return out


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_a_hash(dtype: torch.dtype) -> None:
    x = values_of(dtype, 3, 3000)
    h = x
    h = (h ^ (h >> 16)) * 0x45D9F3B
    h = (h ^ (h >> 16)) * 0x45D9F3B
    h = h ^ (h >> 16)
    # Positions are int32, of which only the first 1290 times the factor are one.
    expected = (h << 5) - h + torch.arange(3000, dtype=torch.int32) * 1664525 + 1013904223
    assert torch.equal(hashed(x.to(DEVICE)).cpu(), expected)


def test_the_text_of_a_hash() -> None:
    text = kernel_body(generated_msl(hashed, torch.zeros(1000, dtype=torch.int32, device=DEVICE)))
    expected = """\
constexpr int _BLOCK_SIZE_0 = 64;
int pid_0 = tgid.x;
int offset_0 = pid_0 * _BLOCK_SIZE_0;
int indices_0 = offset_0 + int(tid.x);
bool mask_0 = indices_0 < 1000;
int h = mask_0 ? x[indices_0] : 0;
int v_0 = h >> 16;
int v_1 = h ^ v_0;
int v_2 = int(uint(v_1) * 73244475u);
int v_3 = v_2 >> 16;
int v_4 = v_2 ^ v_3;
int v_5 = int(uint(v_4) * 73244475u);
int v_6 = v_5 >> 16;
int v_7 = v_5 ^ v_6;
uint v_8 = uint(v_7) << 5;
uint v_9 = v_8 - uint(v_7);
int v_10 = indices_0 * 1664525;
uint v_11 = v_9 + uint(v_10);
int v_12 = int(v_11 + 1013904223u);
if (mask_0) {
out[indices_0] = v_12;
}"""
    assert text == expected


@metal(16)
def generator(seed: torch.Tensor, steps: int, out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(seed.size(0)):
        state = seed[tile]
        for _ in range(steps):
            state = state * 1103515245 + 12345
            state = state ^ (state << 13)
        out[tile] = state
    return out


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_a_value_that_a_loop_carries(dtype: torch.dtype) -> None:
    seed = values_of(dtype, 5, 40)
    expected = seed
    for _ in range(50):
        expected = expected * 1103515245 + 12345
        expected = expected ^ (expected << 13)
    assert torch.equal(generator(seed.to(DEVICE), 50, torch.empty_like(seed, device=DEVICE)).cpu(), expected)


@metal(64)
def with_numbers(x: torch.Tensor, out: torch.Tensor) -> None:
    for tile in hl.tile(x.size(0)):
        y = x[tile]
        out[0, tile] = y // -3
        out[1, tile] = y % 300
        out[2, tile] = torch.fmod(y, -7)
        out[3, tile] = -7 >> y
        out[4, tile] = 5 << y
        out[5, tile] = y < -3
        out[6, tile] = y <= 200
        out[7, tile] = torch.where(y > 5, y, -1)
        out[8, tile] = torch.clamp(y, min=-5)
        out[9, tile] = (y | -3) - 200
        out[10, tile] = 2**40 + 3 - y * (2**31 + 5)
        out[11, tile] = y > 2**35


@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_are_of_the_type_of_the_tensor(dtype: torch.dtype) -> None:
    y = values_of(dtype, 11)
    expected = [
        *(y // -3, y % 300, torch.fmod(y, -7), -7 >> y, 5 << y, y < -3, y <= 200, torch.where(y > 5, y, -1)),
        *(torch.clamp(y, min=-5), (y | -3) - 200, 2**40 + 3 - y * (2**31 + 5), y > 2**35),
    ]
    out = torch.empty(12, 201, dtype=torch.int64, device=DEVICE)
    with_numbers(y.to(DEVICE), out)
    for number, (result, wanted) in enumerate(zip(out.cpu(), expected, strict=True)):
        assert torch.equal(result, wanted.to(torch.int64)), number


# ---- what stays as it is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("static_shapes", [True, False])
def test_subscripts_stay_plain(static_shapes: bool) -> None:
    @helion.kernel(backend="metal", config=helion.Config(block_sizes=[32]), static_shapes=static_shapes)
    def interleaved(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        for tile in hl.tile(out.size(0)):
            row = tile.index * 2 + 1
            out[tile] = x[row] - x[row - 1]
        return out

    x, out = torch.randn(200, device=DEVICE), torch.empty(100, device=DEVICE)
    text = kernel_body(generated_msl(interleaved, x, out))
    assert "uint" not in text
    assert "indices_0 * 2" in text
    assert torch.equal(interleaved(x, out), x[1::2] - x[::2])


def test_values_that_cannot_leave_their_type_stay_plain() -> None:
    @metal(32)
    def scaled(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        for tile in hl.tile(x.size(0)):
            wide = x[tile].to(torch.int32) * 1000 + (tile.index & 15)
            out[tile] = wide * 7 - tile.index
        return out

    x = values_of(torch.int8, 2, 100)
    out = torch.empty(100, dtype=torch.int32, device=DEVICE)
    assert "uint(" not in kernel_body(generated_msl(scaled, x.to(DEVICE), out))
    position = torch.arange(100, dtype=torch.int32)
    expected = (x.to(torch.int32) * 1000 + (position & 15)) * 7 - position
    assert torch.equal(scaled(x.to(DEVICE), out).cpu(), expected)


def test_positions_of_outer_loops_stay_plain() -> None:
    @metal(16, 8)
    def causal(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        for rows in hl.tile(x.size(0)):
            total = hl.zeros([rows], dtype=torch.float32)
            last = rows.index * 3
            for columns in hl.tile(x.size(1)):
                is_near = last[:, None] - columns.index[None, :] > 4
                total += torch.where(is_near, x[rows, columns], 0.0).sum(-1)
            out[rows] = total
        return out

    x, out = torch.randn(40, 50, device=DEVICE), torch.empty(40, device=DEVICE)
    assert "uint(" not in kernel_body(generated_msl(causal, x, out))
    rows, columns = torch.arange(40, device=DEVICE)[:, None], torch.arange(50, device=DEVICE)
    expected = torch.where(rows * 3 - columns > 4, x, 0.0).sum(-1)
    torch.testing.assert_close(causal(x, out), expected)


def test_places_of_tiles_stay_plain() -> None:
    @metal(16)
    def placed(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        for tile in hl.tile(x.size(0)):
            total = hl.zeros([tile], dtype=torch.int32)
            for step in hl.grid(5):
                total = total * 0 + (tile.index - tile.begin) * tile.block_size + tile.id * 3 + step
            out[tile] = torch.where(total > 9, x[tile], tile.end - tile.count)
        return out

    x, out = torch.arange(50, device=DEVICE), torch.empty(50, dtype=torch.int64, device=DEVICE)
    assert "uint(" not in kernel_body(generated_msl(placed, x, out))
    place, number = x % 16, x // 16
    expected = torch.where(place * 16 + number * 3 + 4 > 9, x, ((number + 1) * 16).clamp(max=50) - 4)
    assert torch.equal(placed(x, out), expected)


def test_a_position_that_a_loop_assigns_again_wraps_around() -> None:
    @metal(16)
    def grown(out: torch.Tensor, steps: int) -> torch.Tensor:
        for tile in hl.tile(out.size(0)):
            value = tile.index * 3
            step = tile.index * 3
            for _ in range(steps):
                value = value * 5 + step
            out[tile] = value
        return out

    value = step = torch.arange(100, dtype=torch.int32) * 3
    for _ in range(20):
        value = value * 5 + step
    assert torch.equal(grown(torch.empty(100, dtype=torch.int32, device=DEVICE), 20).cpu(), value)


def test_a_number_that_decides_how_often_a_loop_runs_wraps_around() -> None:
    @metal(1)
    def counted(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        for tile in hl.tile(x.size(0)):
            total = hl.zeros([tile], dtype=torch.int32)
            for _ in hl.grid(x[tile.begin] * 65537):
                total += 1
            out[tile] = total
        return out

    x = torch.tensor([0, 65536, 65535, -1], dtype=torch.int32)
    expected = (x * 65537).clamp(min=0)
    assert expected.max() == 65536
    assert torch.equal(counted(x.to(DEVICE), torch.empty_like(x, device=DEVICE)).cpu(), expected)


def test_positions_that_are_data_wrap_around() -> None:
    @metal(32)
    def numbers(out: torch.Tensor) -> torch.Tensor:
        for tile in hl.tile(out.size(0)):
            out[tile] = tile.index * 123456789
        return out

    out = torch.empty(100, dtype=torch.int32, device=DEVICE)
    assert "uint(indices_0) * 123456789u" in kernel_body(generated_msl(numbers, out))
    assert torch.equal(numbers(out).cpu(), torch.arange(100, dtype=torch.int32) * 123456789)


def test_a_position_that_a_mask_brings_back_is_no_plain_subscript() -> None:
    @metal(32)
    def scattered(table: torch.Tensor, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        for tile in hl.tile(x.size(0)):
            place = (x[tile] * -1640531527) & 255
            out[tile] = table[place]
        return out

    table = torch.randn(256, device=DEVICE)
    x = values_of(torch.int32, 8, 100)
    out = scattered(table, x.to(DEVICE), torch.empty(100, device=DEVICE))
    assert torch.equal(out, table[((x * -1640531527) & 255).to(DEVICE)])


# ---- reductions and scans ------------------------------------------------------------------------------------------


@metal(4)
def row_sums(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile, :].sum(-1)
    return out


@metal(4, reduction_loops=[32])
def rolled_sums(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile, :].sum(-1)
    return out


@metal(4, 16)
def sums_of_tiles(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        total = hl.zeros([tile], dtype=torch.int64)
        for columns in hl.tile(x.size(1)):
            total += x[tile, columns].sum(-1)
        out[tile] = total
    return out


@metal(4)
def row_products(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile, :].prod(-1)
    return out


@metal(2048)
def one_sum(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        out[tile.id] = x[tile].sum(0)
    return out


REDUCTIONS = {
    "sum": (row_sums, torch.sum),
    "rolled sum": (rolled_sums, torch.sum),
    "sum of tiles": (sums_of_tiles, torch.sum),
    "prod": (row_products, torch.prod),
}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str, dtype: torch.dtype) -> None:
    kernel, function = REDUCTIONS[name]
    x = values_of(dtype, 4, 7 * 70).reshape(7, 70)
    x[0], x[1] = torch.iinfo(dtype).max, torch.iinfo(dtype).min
    expected = function(x, dim=1)
    out = torch.empty(7, dtype=torch.int64, device=DEVICE)
    assert torch.equal(kernel(x.to(DEVICE), out).cpu(), expected)


@metal(8, 8, 16)
def products(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for rows, columns in hl.tile(out.size()):
        total = hl.zeros([rows, columns], dtype=torch.int64)
        for inner in hl.tile(x.size(1)):
            total += (x[rows, inner][:, :, None] * y[inner, columns][None, :, :]).sum(1)
        out[rows, columns] = total
    return out


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64])
def test_matrix_products_as_sums(dtype: torch.dtype) -> None:
    x, y = values_of(dtype, 3, 20 * 30).reshape(20, 30), values_of(dtype, 4, 30 * 13).reshape(30, 13)
    expected = (x[:, :, None] * y[None, :, :]).sum(1)
    assert torch.equal(products(x.to(DEVICE), y.to(DEVICE), torch.empty_like(expected, device=DEVICE)).cpu(), expected)


def test_a_sum_over_a_whole_threadgroup() -> None:
    x = values_of(torch.int64, 6, 2048)
    assert torch.equal(one_sum(x.to(DEVICE), torch.empty(1, dtype=torch.int64, device=DEVICE)).cpu(), x.sum(0)[None])


@metal(4)
def cumulated(x: torch.Tensor, out: torch.Tensor) -> None:
    for tile in hl.tile(x.size(0)):
        row = x[tile, :]
        out[0, tile, :] = torch.cumsum(row, dim=1) * 3 + row
        out[1, tile, :] = row.cumsum(-1)
        out[2, tile, :] = torch.cumprod(row, 1)
        out[3, tile, :] = row.cumprod(1, dtype=torch.int32) + 1
        out[4, tile, :] = torch.cumsum(row, dim=1, dtype=torch.int16)


@pytest.mark.parametrize("dtype", [*TYPES, torch.bool])
def test_cumulated_numbers_are_wide(dtype: torch.dtype) -> None:
    x = values_of(torch.int64, 7, 6 * 32).to(dtype).reshape(6, 32)
    out = torch.empty(5, 6, 32, dtype=torch.int64, device=DEVICE)
    cumulated(x.to(DEVICE), out)
    sums, products = x.cumsum(1), x.cumprod(1)
    expected = [sums * 3 + x, sums, products, x.cumprod(1, dtype=torch.int32) + 1, x.cumsum(1, dtype=torch.int16)]
    for result, numbers in zip(out.cpu(), expected, strict=True):
        assert torch.equal(result, numbers.to(torch.int64))


@metal(4)
def helions_scans(x: torch.Tensor, sums: torch.Tensor, products: torch.Tensor) -> None:
    for tile in hl.tile(x.size(0)):
        sums[tile, :] = hl.cumsum(x[tile, :], dim=1, reverse=True)
        products[tile, :] = hl.cumprod(x[tile, :], dim=1)


@pytest.mark.parametrize("dtype", TYPES)
def test_helions_own_scans_keep_the_type(dtype: torch.dtype) -> None:
    """Helion defines them as scans with ``torch.add`` and ``torch.mul``."""
    x = values_of(dtype, 7, 6 * 32).reshape(6, 32)
    sums, products = torch.empty(2, 6, 32, dtype=torch.int64, device=DEVICE)
    helions_scans(x.to(DEVICE), sums, products)
    assert torch.equal(sums.cpu().to(dtype), x.flip(1).cumsum(1).flip(1).to(dtype))
    assert torch.equal(sums.cpu().to(dtype).to(torch.int64), sums.cpu())
    assert torch.equal(products.cpu(), x.cumprod(1).to(dtype).to(torch.int64))


def _add(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a + b


def _hash(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a * 31 + b


def _distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.abs(a - b)


@metal(4)
def scans(x: torch.Tensor, scanned: torch.Tensor, folded: torch.Tensor) -> None:
    for tile in hl.tile(x.size(0)):
        row = x[tile, :]
        scanned[0, tile, :] = hl.associative_scan(_add, row, dim=1)
        scanned[1, tile, :] = hl.associative_scan(_hash, row, dim=1)
        scanned[2, tile, :] = hl.associative_scan(_distance, row, dim=1)
        folded[0, tile] = hl.reduce(_add, row, dim=1)
        folded[1, tile] = hl.reduce(_hash, row, dim=1)
        folded[2, tile] = hl.reduce(_distance, row, dim=1)


@pytest.mark.parametrize("dtype", TYPES)
def test_scans_and_reductions_with_a_function(dtype: torch.dtype) -> None:
    x = values_of(dtype, 9, 6 * 32).reshape(6, 32)
    scanned = torch.empty(3, 6, 32, dtype=dtype, device=DEVICE)
    folded = torch.empty(3, 6, dtype=dtype, device=DEVICE)
    scans(x.to(DEVICE), scanned, folded)
    for number, function in enumerate((_add, _hash, _distance)):
        expected = [x[:, 0]]
        for column in range(1, 32):
            expected.append(function(expected[-1], x[:, column]))
        assert torch.equal(scanned[number].cpu(), torch.stack(expected, 1))
        assert torch.equal(folded[number].cpu(), expected[-1])


# ---- division and shifts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
def test_division_by_zero_ends_nothing(dtype: torch.dtype) -> None:
    def quotients(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.where(y == 0, 5, x // y + x % y)

    x, y = values_of(dtype, 1), values_of(dtype, 2)
    y[::3] = 0
    x[1::3], y[1::3] = LOWEST[dtype], -1
    divisor = torch.where(y == 0, 1, y)
    expected = torch.where(y == 0, 5, x // divisor + x % divisor)
    assert torch.equal(apply(x.to(DEVICE), y.to(DEVICE), quotients, torch.empty_like(x, device=DEVICE)).cpu(), expected)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64])
def test_truncated_division_of_the_lowest_number(dtype: torch.dtype) -> None:
    """PyTorch's own ends the process there, on a processor with x86's division."""

    def quotients(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.div(x, y, rounding_mode="trunc")

    x, y = values_of(dtype, 1), values_of(dtype, 2) | 1
    x[0], y[0] = LOWEST[dtype], -1
    is_lowest = (x == LOWEST[dtype]) & (y == -1)
    result = apply(x.to(DEVICE), y.to(DEVICE), quotients, torch.empty_like(x, device=DEVICE)).cpu()
    expected = torch.div(x, torch.where(is_lowest, 1, y), rounding_mode="trunc")
    assert torch.equal(result, expected)


@pytest.mark.parametrize("dtype", TYPES)
def test_shifts_by_any_count(dtype: torch.dtype) -> None:
    def shifted(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x << y) ^ (x >> y)

    counts = torch.arange(-70, 131).to(dtype)
    for seed in range(3):
        x = values_of(dtype, seed)
        result = apply(x.to(DEVICE), counts.to(DEVICE), shifted, torch.empty_like(x, device=DEVICE)).cpu()
        assert torch.equal(result, (x << counts) ^ (x >> counts))


# ---- unsigned types, of which PyTorch computes little itself -------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
def test_unsigned_types(dtype: torch.dtype) -> None:
    def computed(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x * y) ^ (x * 3)

    bits = torch.randint(-(2**63), 2**63 - 1, (2, 201), generator=torch.Generator().manual_seed(1))
    bits[:, :2] = -1
    x, y = bits.to(dtype)
    wide_x, wide_y = x.to(torch.int64), y.to(torch.int64)
    expected = ((wide_x * wide_y) ^ (wide_x * 3)).to(dtype)
    assert torch.equal(apply(x.to(DEVICE), y.to(DEVICE), computed, torch.empty_like(x, device=DEVICE)).cpu(), expected)


# ---- nothing is left open ------------------------------------------------------------------------------------------


@pytest.mark.skipif(DEVICE != "cpu", reason="the GPU's compiler has no sanitizers")
@pytest.mark.skipif(IS_TRAPPING, reason="this is the run that is meant")
@pytest.mark.slow
def test_no_kernel_leaves_the_range_of_a_signed_type(tmp_path: Path) -> None:
    toolchain = _toolchain.find_toolchain()
    compiler, linker = (" ".join(f"'{word}'" for word in words) for words in (toolchain.clang, toolchain.linker))
    checks = "signed-integer-overflow,shift"
    script = tmp_path / "clang"
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = -shared ]; then shift; exec {linker} "$@"; fi\n'
        f'if [ "$1" = --version ]; then exec {compiler} "$@"; fi\n'
        f'exec {compiler} "$@" -fsanitize={checks} -fsanitize-trap={checks}\n'
    )
    script.chmod(0o755)
    environment = {
        **os.environ,
        "HELION_MSL_CLANG": str(script),
        "HELION_MSL_CACHE_DIR": str(tmp_path / "cache"),
        "HELION_MSL_TESTS_TRAP_OVERFLOW": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
