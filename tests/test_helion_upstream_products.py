"""Normalized rows and matrix products as Helion's own Metal tests try them; this package's backend against torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import helion.language as hl
import torch
from torch.nn import functional as F

from helion_upstream import DEVICE, TYPES, close, metal, random

if TYPE_CHECKING:
    from collections.abc import Callable


# ---- rows: softmax, normalizations, cross entropy -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("columns", [100, 256, 4096])
def test_softmax(columns: int, dtype: torch.dtype) -> None:
    @metal(block_sizes=[4])
    def kernel(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            values = x[tile, :].to(torch.float32)
            powers = torch.exp(values - torch.amax(values, dim=1, keepdim=True))
            out[tile, :] = (powers / torch.sum(powers, dim=1, keepdim=True)).to(x.dtype)
        return out

    x = random(9, columns, dtype=dtype)
    close(kernel(x), torch.softmax(x.float(), dim=-1), terms=columns)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_normalizations(dtype: torch.dtype) -> None:
    @metal(block_sizes=[16])
    def rms(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            values = x[tile, :].to(torch.float32)
            mean_square = torch.mean(values * values, dim=-1, keepdim=True)
            out[tile, :] = (values * torch.rsqrt(mean_square + 1e-5) * weight[:].to(torch.float32)).to(x.dtype)
        return out

    @metal(block_sizes=[16])
    def layer(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        n = x.size(1)
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            values = x[tile, :].to(torch.float32)
            centered = values - torch.sum(values, dim=-1, keepdim=True) / n
            variance = torch.sum(centered * centered, dim=-1, keepdim=True) / n
            out[tile, :] = (centered * torch.rsqrt(variance + 1e-5) * weight[:] + bias[:]).to(x.dtype)
        return out

    x, weight, bias = random(32, 256, dtype=dtype), random(256, dtype=dtype), random(257, dtype=dtype)[1:]
    wide = (x.float(), (256,), weight.float())
    close(rms(x, weight), F.rms_norm(*wide, eps=1e-5), terms=256)
    close(layer(x, weight, bias), F.layer_norm(*wide, bias.float(), eps=1e-5), terms=256)


def test_cross_entropy() -> None:
    @metal(block_sizes=[16])
    def kernel(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        n, v = logits.shape
        losses = torch.zeros([n], dtype=torch.float32, device=logits.device)
        flat = logits.view(-1)
        for tile in hl.tile(n):
            chosen = hl.load(flat, [tile.index * v + labels[tile]]).to(torch.float32)
            row = logits[tile, :].to(torch.float32)
            largest = torch.amax(row, dim=-1)
            losses[tile] = torch.log(torch.sum(torch.exp(row - largest[:, None]), dim=-1)) + largest - chosen
        return losses

    logits = random(60, 500)
    labels = torch.randint(0, 500, (60,), generator=torch.Generator().manual_seed(2)).to(DEVICE)
    close(kernel(logits, labels), F.cross_entropy(logits, labels, reduction="none"), terms=500)


# ---- matrix products ----------------------------------------------------------------------------------------------


def product(
    x: torch.Tensor,
    y: torch.Tensor,
    out: torch.Tensor,
    fn: Callable[[torch.Tensor], torch.Tensor] = lambda p: p,
) -> torch.Tensor:
    for tile_m, tile_n in hl.tile(out.size()):
        acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
        for tile_k in hl.tile(x.size(1)):
            acc = torch.addmm(acc, x[tile_m, tile_k], y[tile_k, tile_n])
        out[tile_m, tile_n] = fn(acc).to(out.dtype)
    return out


def product_by_dot(
    x: torch.Tensor,
    y: torch.Tensor,
    out: torch.Tensor,
    fn: Callable[[torch.Tensor], torch.Tensor] = lambda p: p,
) -> torch.Tensor:
    for tile_m, tile_n in hl.tile(out.size()):
        acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
        for tile_k in hl.tile(x.size(1)):
            acc = hl.dot(x[tile_m, tile_k], y[tile_k, tile_n], acc=acc)
        out[tile_m, tile_n] = fn(acc).to(out.dtype)
    return out


def check_product(
    result: torch.Tensor, x: torch.Tensor, y: torch.Tensor, fn: Callable[[torch.Tensor], torch.Tensor] = lambda p: p
) -> None:
    """Compares with ``fn(x @ y)``; `fn` is no steeper than 2 where its value is below 2, or than its value times 2."""
    wide_x, wide_y = x.double().cpu(), y.double().cpu()
    exact = fn(wide_x @ wide_y)
    unit = x.size(-1) * torch.finfo(torch.float32).eps
    slope = 2 * exact.abs().clamp(min=1)
    allowed = slope * unit * (wide_x.abs() @ wide_y.abs() + 2) + 2 * torch.finfo(result.dtype).eps * exact.abs()
    error = (result.double().cpu() - exact).abs()
    assert not result.isnan().any()
    assert (error <= allowed + torch.finfo(result.dtype).tiny).all()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [
        ((64, 64, 64), [32, 32, 32]),
        ((128, 64, 256), [32, 64, 32]),
        ((71, 65, 73), [32, 32, 32]),
        ((512, 32, 64), [32, 32, 32]),
    ],
    ids=str,
)
def test_products_of_many_sizes(sizes: tuple[int, int, int], blocks: list[int], dtype: torch.dtype) -> None:
    m, k, n = sizes
    x, y = random(m, k, dtype=dtype), random(k, n, dtype=dtype)
    out = torch.empty(m, n, dtype=dtype, device=DEVICE)
    check_product(metal(block_sizes=blocks, num_warps=4)(product)(x, y, out), x, y)


@pytest.mark.parametrize("sizes", [(70, 64, 64), (64, 70, 64), (64, 64, 70), (17, 511, 19)], ids=str)
def test_products_whose_last_tiles_are_not_full(sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    x, y = random(m, k), random(k, n)
    check_product(metal(block_sizes=[32, 32, 32])(product_by_dot)(x, y, torch.empty(m, n, device=DEVICE)), x, y)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_products_of_half_types_stored_as_float32(dtype: torch.dtype) -> None:
    x, y = random(64, 64, dtype=dtype), random(65, 64, dtype=dtype)[1:]
    check_product(metal(block_sizes=[32, 32, 32])(product)(x, y, torch.empty(64, 64, device=DEVICE)), x, y)


EPILOGUES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": lambda p: p.relu(),
    "sigmoid": torch.sigmoid,
    "exp": lambda p: torch.exp(p * 0.125),
    "neg": lambda p: -p,
    "add": lambda p: p + 1.25,
    "sub": lambda p: p - 0.5,
    "mul": lambda p: p * 0.25,
    "div": lambda p: p / 2.0,
    "gelu": F.gelu,
    "chain": lambda p: torch.sigmoid(p.relu() * 0.5 + 1.0),
}


EPILOGUE_CASES = [
    *((name, torch.float32) for name in EPILOGUES),
    *((name, dtype) for name in ("relu", "gelu", "chain") for dtype in (torch.float16, torch.bfloat16)),
]


@pytest.mark.parametrize(("name", "dtype"), EPILOGUE_CASES, ids=str)
def test_what_follows_a_product(name: str, dtype: torch.dtype) -> None:
    x, y = random(64, 40, dtype=dtype), random(40, 66, dtype=dtype)
    out = torch.empty(64, 66, dtype=dtype, device=DEVICE)
    check_product(metal(block_sizes=[32, 32, 16])(product)(x, y, out, EPILOGUES[name]), x, y, EPILOGUES[name])


@pytest.mark.parametrize("options", [(16, 4), (16, 1), (32, 4), (64, 8), (128, 8), (64, 2)], ids=str)
def test_a_bias_of_the_columns(options: tuple[int, int]) -> None:
    @metal(block_sizes=[options[0], 16, 16], num_warps=options[1])
    def kernel(x: torch.Tensor, y: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), y.size(1)], dtype=x.dtype, device=x.device)
        for tile_m, tile_n in hl.tile(out.size()):
            acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                acc = torch.addmm(acc, x[tile_m, tile_k], y[tile_k, tile_n])
            out[tile_m, tile_n] = acc + bias[None, tile_n]
        return out

    x, y, bias = random(130, 60), random(60, 70), random(70)
    check_product(kernel(x, y, bias), x, y, lambda p: p + bias.double().cpu())


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_a_residual_and_a_second_result(dtype: torch.dtype) -> None:
    @metal(block_sizes=[32, 32, 32])
    def kernel(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = torch.empty_like(z)
        side = torch.empty_like(z)
        for tile_m, tile_n in hl.tile(z.size()):
            acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                acc = torch.addmm(acc, x[tile_m, tile_k], y[tile_k, tile_n])
            out[tile_m, tile_n] = (acc + z[tile_m, tile_n]).to(x.dtype)
            side[tile_m, tile_n] = z[tile_m, tile_n] + 1.0
        return out, side

    x, y, z = random(50, 64, dtype=dtype), random(64, 40, dtype=dtype), random(50, 40, dtype=dtype)
    out, side = kernel(x, y, z)
    check_product(out, x, y, lambda p: p + z.double().cpu())
    assert torch.equal(side, z + 1.0)


def test_a_product_that_is_read_again_after_its_store() -> None:
    @metal(block_sizes=[32, 32, 32])
    def kernel(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = torch.empty([x.size(0), y.size(1)], dtype=x.dtype, device=x.device)
        scaled = torch.empty_like(out)
        for tile_m, tile_n in hl.tile(out.size()):
            acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                acc = torch.addmm(acc, x[tile_m, tile_k], y[tile_k, tile_n])
            out[tile_m, tile_n] = acc
            scaled[tile_m, tile_n] = out[tile_m, tile_n] * 0.5
        return out, scaled

    x, y = random(50, 64), random(64, 40)
    out, scaled = kernel(x, y)
    check_product(out, x, y)
    assert torch.equal(scaled, out * 0.5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_operands_of_two_types(dtype: torch.dtype) -> None:
    @metal(block_sizes=[32, 32, 32])
    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), y.size(1)], dtype=torch.float32, device=x.device)
        for tile_m, tile_n in hl.tile(out.size()):
            acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                acc = acc + torch.matmul(x[tile_m, tile_k].to(torch.float32), y[tile_k, tile_n])
            out[tile_m, tile_n] = acc
        return out

    x, y = random(50, 64, dtype=dtype), random(64, 40)
    check_product(kernel(x, y), x, y)


def test_operands_that_are_views() -> None:
    kernel = metal(block_sizes=[16, 16, 16])(product)
    x, w, wide = random(32, 40), random(40, 24), random(64, 72)
    for left, right in [
        (x, random(24, 40).t()),
        (random(40, 32).t(), w),
        (random(40, 32).t(), random(24, 40).t()),
        (wide[:32, :40], w),
        (x, wide[:40, :24]),
        (wide[4:36, 8:48], w),
        (wide[:32:2, 1:41], wide[1:41, ::3]),
    ]:
        out = torch.empty(left.size(0), right.size(1), device=DEVICE)
        check_product(kernel(left, right, out), left, right)


@pytest.mark.parametrize("blocks", [[256, 32, 64], [32, 256, 64], [256, 256, 16], [128, 64, 256]], ids=str)
def test_large_tiles(blocks: list[int]) -> None:
    x, y = random(300, 100), random(100, 260)
    check_product(metal(block_sizes=blocks, num_warps=8)(product)(x, y, torch.empty(300, 260, device=DEVICE)), x, y)


def test_a_dimension_of_the_grid_beside_the_product() -> None:
    @metal(block_sizes=[32, 16, 8, 16])
    def kernel(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        m, k = a.size()
        side = torch.empty([m], dtype=a.dtype, device=a.device)
        out = torch.empty([m, b.size(1)], dtype=a.dtype, device=a.device)
        for extra, tm, tn in hl.tile([m, m, b.size(1)]):
            side[extra] = a[extra, 0]
            acc = hl.zeros([tm, tn], dtype=torch.float32)
            for tk in hl.tile(k):
                acc = torch.addmm(acc, a[tm, tk], b[tk, tn])
            out[tm, tn] = acc
        return out, side

    a, b = random(32, 30), random(30, 24)
    out, side = kernel(a, b)
    check_product(out, a, b)
    assert torch.equal(side, a[:, 0])


def test_a_product_in_the_second_grid() -> None:
    @metal(block_sizes=[32, 16, 16, 16])
    def kernel(a: torch.Tensor, b: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        side = torch.empty_like(z)
        out = torch.empty([a.size(0), b.size(1)], dtype=a.dtype, device=a.device)
        for tz in hl.tile(z.size(0)):
            side[tz] = z[tz] + 1.0
        for tm, tn in hl.tile(out.size()):
            acc = hl.zeros([tm, tn], dtype=torch.float32)
            for tk in hl.tile(a.size(1)):
                acc = torch.addmm(acc, a[tm, tk], b[tk, tn])
            out[tm, tn] = acc
        return out, side

    a, b, z = random(60, 50), random(50, 70), random(64)
    out, side = kernel(a, b, z)
    check_product(out, a, b)
    assert torch.equal(side, z + 1.0)
