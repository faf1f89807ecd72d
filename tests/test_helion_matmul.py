"""Matrix products through Helion, against the same products in float64."""

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


def metal(*block_sizes: int, **options: object) -> helion.Kernel:
    """Shortens ``helion.kernel(backend="metal", config=Config(block_sizes=...))``."""
    config = helion.Config(block_sizes=[*block_sizes], **options)
    return helion.kernel(backend="metal", config=config, ignore_warnings=[helion.exc.TiledKMatmulAccumulationWarning])


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator).to(dtype).to(DEVICE)


def same(result: torch.Tensor, expected: torch.Tensor, bound: torch.Tensor, terms: int) -> None:
    """Compares with the error bound of a sum: every term's rounding, and one of the result.

    Args:
        result: what the kernel computed.
        expected: the same in float64.
        bound: the sum of the absolute values of the terms, in float64.
        terms: how many terms were added up in float32.
    """
    error = (result.cpu().double() - expected.cpu()).abs()
    unit = terms * torch.finfo(torch.float32).eps + torch.finfo(result.dtype).eps
    allowed = unit * bound.cpu() + torch.finfo(result.dtype).tiny
    assert not result.isnan().any()
    assert (error <= allowed).all(), f"{(error / allowed).max().item():.3g} times the error allowed"


def check(
    result: torch.Tensor, x: torch.Tensor, y: torch.Tensor, after: Callable[[torch.Tensor], torch.Tensor] = lambda p: p
) -> None:
    """Compares with ``after(x @ y)``, where `after` is no steeper than 2."""
    wide_x, wide_y = x.double().cpu(), y.double().cpu()
    bound = 2 * (wide_x.abs() @ wide_y.abs()) + 2
    same(result, after(wide_x @ wide_y), bound, x.size(-1))


def addmm(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    m, k = x.size()
    k, n = y.size()
    out = torch.empty([m, n], dtype=x.dtype, device=x.device)
    for tile_m, tile_n in hl.tile([m, n]):
        acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
        for tile_k in hl.tile(k):
            acc = torch.addmm(acc, x[tile_m, tile_k], y[tile_k, tile_n])
        out[tile_m, tile_n] = acc.to(x.dtype)
    return out


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [
        ((33, 100, 17), (32, 32, 16)),
        ((100, 33, 130), (64, 64, 32)),
        ((5, 3, 7), (1, 4, 8)),
    ],
    ids=str,
)
def test_sizes(sizes: tuple[int, int, int], blocks: tuple[int, int, int], dtype: torch.dtype) -> None:
    m, k, n = sizes
    x, y = random(m, k, dtype=dtype), random(k, n, dtype=dtype)
    check(metal(*blocks)(addmm)(x, y), x, y)


@pytest.mark.parametrize(
    ("sizes", "dtype"),
    [((511, 512, 500), torch.float16), ((257, 511, 129), torch.float32), ((512, 256, 512), torch.bfloat16)],
    ids=str,
)
def test_tiles_that_are_done_in_parts(sizes: tuple[int, int, int], dtype: torch.dtype) -> None:
    m, k, n = sizes
    x, y = random(m, k, dtype=dtype), random(k, n, dtype=dtype)
    check(metal(128, 128, 64)(addmm)(x, y), x, y)


@pytest.mark.parametrize("num_warps", [1, 3])
def test_any_number_of_simdgroups(num_warps: int) -> None:
    x, y = random(70, 40), random(40, 50)
    check(metal(32, 64, 16, num_warps=num_warps)(addmm)(x, y), x, y)


@pytest.mark.parametrize("layout", ["both", "padded", "offset"])
def test_layouts_of_the_operands(layout: str) -> None:
    x, y = random(48, 80), random(80, 40)
    if layout == "both":
        x, y = x.t().contiguous().t(), y.t().contiguous().t()
    if layout == "padded":
        x, y = random(48, 100)[:, 3:83], random(80, 99)[:, 2:82:2]
    if layout == "offset":
        x = random(60, 80)[12:]
    check(metal(32, 32, 16)(addmm)(x, y), x, y)


def test_sizes_that_are_known_at_the_call_only() -> None:
    config = helion.Config(block_sizes=[32, 32, 16])
    kernel = helion.kernel(backend="metal", config=config, static_shapes=False)(addmm)
    for m, k, n in [(40, 50, 60), (33, 17, 100)]:
        x, y = random(m, k), random(k, n)
        check(kernel(x, y), x, y)


# ---- sums with a start, and what follows --------------------------------------------------------------------------


def dot(
    x: torch.Tensor, y: torch.Tensor, fn: Callable[[torch.Tensor], torch.Tensor], out: torch.Tensor
) -> torch.Tensor:
    for tile_m, tile_n in hl.tile([x.size(0), y.size(1)]):
        acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
        for tile_k in hl.tile(x.size(1)):
            acc = hl.dot(x[tile_m, tile_k], y[tile_k, tile_n], acc=acc)
        out[tile_m, tile_n] = fn(acc).to(out.dtype)
    return out


EPILOGUES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "scale": lambda p: torch.sigmoid(-p) * 0.125 + 1.0,
    "divide": lambda p: (p - 0.5) / 3,
    "gelu": F.gelu,
    "silu": F.silu,
    "chain": lambda p: torch.tanh(torch.relu(p * 0.5) - 1),
}


@pytest.mark.parametrize("name", EPILOGUES)
def test_epilogues(name: str) -> None:
    x, y = random(40, 24, dtype=torch.float16), random(24, 33, dtype=torch.float16)
    out = torch.empty(40, 33, device=DEVICE)
    check(metal(32, 32, 16)(dot)(x, y, EPILOGUES[name], out), x, y, EPILOGUES[name])


def test_another_type_of_result() -> None:
    x, y = random(40, 24), random(24, 33)
    for dtype in (torch.float16, torch.bfloat16):
        check(
            metal(32, 32, 16)(dot)(x, y, torch.relu, torch.empty(40, 33, dtype=dtype, device=DEVICE)), x, y, torch.relu
        )


def with_bias(
    x: torch.Tensor, y: torch.Tensor, bias: torch.Tensor, residual: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    m, n = residual.size()
    out = torch.empty_like(residual)
    sums = torch.empty([m, n], dtype=torch.float32, device=x.device)
    for tile_m, tile_n in hl.tile([m, n]):
        acc = hl.zeros([tile_m, tile_n], dtype=torch.float32) + bias[tile_n]
        for tile_k in hl.tile(x.size(1)):
            acc = torch.addmm(acc, x[tile_m, tile_k], y[tile_k, tile_n])
        sums[tile_m, tile_n] = acc
        out[tile_m, tile_n] = (F.relu(acc * scale) + residual[tile_m, tile_n]).to(out.dtype)
    return out, sums


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_initial_value_and_operands_of_the_epilogue(dtype: torch.dtype) -> None:
    x, y = random(33, 40, dtype=dtype), random(40, 50, dtype=dtype)
    bias, residual = random(50, dtype=dtype), random(33, 50, dtype=dtype)
    out, sums = metal(32, 128, 16)(with_bias)(x, y, bias, residual, 0.5)
    wide = bias.double().cpu()
    check(sums, x, y, lambda product: product + wide)
    check(out, x, y, lambda product: torch.relu((product + wide) * 0.5) + residual.double().cpu())


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_accumulator_of_the_operands_type(dtype: torch.dtype) -> None:
    @metal(16, 16, 32)
    def kernel(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        for tile_m, tile_n in hl.tile([x.size(0), y.size(1)]):
            acc = hl.zeros([tile_m, tile_n], dtype=x.dtype)
            for tile_k in hl.tile(x.size(1)):
                acc = acc + x[tile_m, tile_k] @ y[tile_k, tile_n]
            out[tile_m, tile_n] = acc
        return out

    x, y = random(20, 70, dtype=dtype), random(70, 20, dtype=dtype)
    check(kernel(x, y, torch.empty(20, 20, dtype=dtype, device=DEVICE)), x, y)


# ---- other kernels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [(1, 32, 32, 16), (2, 16, 32, 16)], ids=str)
def test_batches(blocks: tuple[int, ...]) -> None:
    @metal(*blocks)
    def bmm(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        b, m, k = x.size()
        b, k, n = y.size()
        out = torch.empty([b, m, n], dtype=x.dtype, device=x.device)
        for tile_b, tile_m, tile_n in hl.tile([b, m, n]):
            acc = hl.zeros([tile_b, tile_m, tile_n], dtype=torch.float32)
            for tile_k in hl.tile(k):
                acc = torch.baddbmm(acc, x[tile_b, tile_m, tile_k], y[tile_b, tile_k, tile_n])
            out[tile_b, tile_m, tile_n] = acc.to(x.dtype)
        return out

    x, y = random(3, 33, 20, dtype=torch.float16), random(3, 20, 40, dtype=torch.float16)
    check(bmm(x, y), x, y)


@pytest.mark.parametrize("inner", [16, 61])
def test_whole_rows_and_columns(inner: int) -> None:
    @metal(32, 16)
    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), y.size(1)], dtype=x.dtype, device=x.device)
        for tile_m, tile_n in hl.tile([x.size(0), y.size(1)]):
            out[tile_m, tile_n] = torch.matmul(x[tile_m, :], y[:, tile_n])
        return out

    x, y = random(40, inner), random(inner, 30)
    check(kernel(x, y), x, y)


def test_columns_in_a_loop_of_their_own() -> None:
    @metal(32, 16, 16)
    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), y.size(1)], dtype=x.dtype, device=x.device)
        for tile_m in hl.tile(x.size(0)):
            for tile_n in hl.tile(y.size(1)):
                acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
                for tile_k in hl.tile(x.size(1)):
                    acc = hl.dot(x[tile_m, tile_k], y[tile_k, tile_n], acc=acc)
                out[tile_m, tile_n] = acc
        return out

    x, y = random(40, 50), random(50, 60)
    check(kernel(x, y), x, y)


def test_two_sums_and_operands_that_are_computed() -> None:
    @metal(64, 64, 32)
    def kernel(x: torch.Tensor, scale: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        out = torch.empty([2, x.size(0), y.size(1)], dtype=torch.float32, device=x.device)
        for tile_m, tile_n in hl.tile([x.size(0), y.size(1)]):
            first = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            second = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                left = torch.relu(x[tile_m, tile_k] * scale[tile_k])
                first = hl.dot(left, y[tile_k, tile_n], acc=first)
                second += left @ torch.neg(z[tile_k, tile_n])
            out[0, tile_m, tile_n] = first
            out[1, tile_m, tile_n] = second
        return out

    x, scale, y, z = random(70, 45), random(45), random(45, 80), random(45, 80).flip(0)
    left = torch.relu(x * scale)
    first, second = kernel(x, scale, y, z)
    check(first, left, y)
    check(second, left, -z)


def test_beside_another_loop() -> None:
    @metal(16, 16, 16, 64)
    def kernel(x: torch.Tensor, y: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = torch.empty([x.size(0), y.size(1)], dtype=x.dtype, device=x.device)
        doubled = torch.empty_like(v)
        for tile_m, tile_n in hl.tile([x.size(0), y.size(1)]):
            acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                acc = torch.addmm(acc, x[tile_m, tile_k], y[tile_k, tile_n])
            out[tile_m, tile_n] = acc
        for tile in hl.tile(v.size(0)):
            doubled[tile] = v[tile] * 2
        return out, doubled

    x, y, v = random(20, 30), random(30, 40), random(1000)
    product, doubled = kernel(x, y, v)
    check(product, x, y)
    assert torch.equal(doubled, v * 2)


# ---- what is refused ----------------------------------------------------------------------------------------------


def test_tiles_above_the_threadgroup_memory_are_refused_with_their_size() -> None:
    @metal(16)
    def kernel(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), z.size(1)], dtype=x.dtype, device=x.device)
        for tile in hl.tile(x.size(0)):
            hidden = torch.relu(x[tile, :] @ y[:, :])
            out[tile, :] = hidden @ z[:, :]
        return out

    with pytest.raises(helion.exc.BackendUnsupported, match=r"bytes together where a threadgroup has 32768"):
        kernel(random(32, 24), random(24, 2000), random(2000, 40))


def test_integers_are_refused() -> None:
    x = torch.ones(32, 32, dtype=torch.int8, device=DEVICE)

    @metal(16, 16, 16)
    def kernel(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        for tile_m, tile_n in hl.tile([x.size(0), x.size(1)]):
            acc = hl.zeros([tile_m, tile_n], dtype=torch.int32)
            for tile_k in hl.tile(x.size(1)):
                acc = hl.dot(x[tile_m, tile_k], x[tile_k, tile_n], acc=acc)
            out[tile_m, tile_n] = acc
        return out

    with pytest.raises(helion.exc.BackendUnsupported, match="convert the tiles"):
        kernel(x, torch.empty(32, 32, dtype=torch.int32, device=DEVICE))
