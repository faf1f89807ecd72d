"""What Helion's own Metal backend lowers, and what its own tests try, through this package's; against torch.

A row for each construct of those tests. Where Helion's backend refuses, and this one does not, the result is checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import helion
import helion.language as hl
import torch

from helion_upstream import DEVICE, TYPES, close, metal, random

if TYPE_CHECKING:
    from collections.abc import Callable


# ---- element-wise -------------------------------------------------------------------------------------------------


def unary(x: torch.Tensor, fn: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = fn(x[tile])
    return out


def binary(x: torch.Tensor, y: torch.Tensor, fn: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = fn(x[tile], y[tile])
    return out


UNARY: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "copy": lambda x: x,
    "neg": lambda x: -x,
    "relu_by_where": lambda x: torch.where(x > 0, x, 0.0),
    "silu": lambda x: x * torch.sigmoid(x),
    "gelu_by_tanh": lambda x: 0.5 * x * (1.0 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3))),
    "exp": torch.exp,
    "log_of_abs": lambda x: torch.log(torch.abs(x) + 0.1),
    "sqrt_of_abs": lambda x: torch.sqrt(torch.abs(x)),
    "sin_plus_cos": lambda x: torch.sin(x) + torch.cos(x),
    "clamp": lambda x: torch.clamp(x, -0.5, 0.5),
}


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_operand(name: str, dtype: torch.dtype) -> None:
    x = random(1000, dtype=dtype)
    close(metal(block_sizes=[256], num_warps=4)(unary)(x, UNARY[name]), UNARY[name](x))


BINARY: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
}


BINARY_CASES = [
    (name, dtype) for name in BINARY for dtype in (*TYPES, torch.int32) if (name, dtype) != ("div", torch.int32)
]


@pytest.mark.parametrize(("name", "dtype"), BINARY_CASES, ids=str)
def test_functions_of_two_operands(name: str, dtype: torch.dtype) -> None:
    x, y = random(1000, dtype=dtype), random(1001, dtype=dtype)[1:]
    close(metal(block_sizes=[256])(binary)(x, y, BINARY[name]), BINARY[name](x, y))


@pytest.mark.parametrize("size", [1024, 1000, 999, 1])
def test_stores_stay_inside_their_tensor(size: int) -> None:
    @metal(block_sizes=[256], num_warps=4)
    def into(x: torch.Tensor, out: torch.Tensor) -> None:
        for tile in hl.tile(x.size(0)):
            out[tile] = x[tile]

    buffer = torch.full((size + 256,), 42.0, device=DEVICE)
    x = random(size)
    into(x, buffer[:size])
    assert torch.equal(buffer[:size], x)
    assert (buffer[size:] == 42.0).all()


@pytest.mark.parametrize("size", [1024, 1000])
def test_a_mask_of_the_user(size: int) -> None:
    @metal(block_sizes=[256])
    def kernel(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out = torch.zeros_like(x)
        for tile in hl.tile(x.size(0)):
            out[tile] = torch.where(mask[tile], x[tile], 0.0)
        return out

    x = random(size)
    assert torch.equal(kernel(x, x > 0.25), torch.where(x > 0.25, x, 0.0))


def test_numbers_as_arguments() -> None:
    @metal(block_sizes=[256])
    def kernel(x: torch.Tensor, y: torch.Tensor, a: float, b: float) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            out[tile] = torch.clamp(a * x[tile] + b * y[tile], b, a)
        return out

    x, y = random(1000), random(1001)[1:]
    for a, b in [(2.5, -1.0), (0.1, -0.3)]:
        close(kernel(x, y, a, b), torch.clamp(a * x + b * y, b, a))


@pytest.mark.parametrize(
    ("shape", "blocks"),
    [
        ((4096,), [2048]),
        ((3000,), [2048]),
        ((128, 128), [64, 64]),
        ((100, 100), [64, 64]),
        ((128, 128), [32, 32]),
        ((16, 16, 16), [16, 16, 16]),
        ((17, 15, 33), [16, 16, 16]),
    ],
    ids=str,
)
def test_tiles_of_several_dimensions_and_above_a_threadgroup(shape: tuple[int, ...], blocks: list[int]) -> None:
    @metal(block_sizes=blocks)
    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size()):
            out[tile] = x[tile] + y[tile]
        return out

    x, y = random(*shape), random(*shape).flip(0)
    assert torch.equal(kernel(x, y), x + y)


@pytest.mark.parametrize(
    "options",
    [{"num_threads": [1024]}, {"num_threads": [16]}, {"num_threads": [4096]}],
    ids=str,
)
def test_a_number_of_threads_that_does_not_suit_the_tile(options: dict[str, object]) -> None:
    x = random(4000)
    close(metal(block_sizes=[64], **options)(unary)(x, lambda x: x * 2), x * 2)


def test_no_configuration_and_no_tuning() -> None:
    kernel = helion.kernel(backend="metal", autotune_effort="none")(unary)
    x = random(1024)
    close(kernel(x, lambda x: x * 3), x * 3)


# ---- reductions ---------------------------------------------------------------------------------------------------


def rows(x: torch.Tensor, fn: Callable[[torch.Tensor], torch.Tensor], out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        out[tile] = fn(x[tile, :])
    return out


def reduce(
    x: torch.Tensor, fn: Callable[[torch.Tensor], torch.Tensor], dtype: torch.dtype | None = None, **options: Any
) -> torch.Tensor:
    out = torch.empty(x.size(0), dtype=dtype or x.dtype, device=x.device)
    return metal(**{"block_sizes": [16], **options})(rows)(x, fn, out)


REDUCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sum": lambda x: x.sum(-1),
    "amax": lambda x: torch.amax(x, dim=-1),
    "amin": lambda x: torch.amin(x, dim=-1),
    "mean": lambda x: torch.mean(x, dim=-1),
    "argmax": lambda x: torch.argmax(x, dim=-1),
    "argmin": lambda x: torch.argmin(x, dim=-1),
}


@pytest.mark.parametrize("columns", [7, 8, 31, 33, 1000, 1023, 1025])
@pytest.mark.parametrize("name", ["sum", "amax", "argmin"])
def test_reductions_of_every_width(name: str, columns: int) -> None:
    x = random(17, columns)
    dtype = torch.int64 if name.startswith("arg") else None
    close(reduce(x, REDUCTIONS[name], dtype), REDUCTIONS[name](x), terms=columns)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_of_every_type(name: str, dtype: torch.dtype) -> None:
    x = random(33, 257, dtype=dtype)
    out = torch.int64 if name.startswith("arg") else None
    close(reduce(x, REDUCTIONS[name], out), REDUCTIONS[name](x), terms=257)


def test_long_rows() -> None:
    x = random(4, 65536)
    close(reduce(x, REDUCTIONS["sum"]), x.sum(-1), terms=65536)
    x = random(1, 8192)
    close(reduce(x, REDUCTIONS["sum"]), x.sum(-1), terms=8192)


@pytest.mark.parametrize("columns", [32, 256, 4096])
def test_products_of_rows(columns: int) -> None:
    x = 1 + 0.01 * random(16, columns)
    close(reduce(x, lambda x: torch.prod(x, dim=-1)), x.double().prod(-1), terms=2 * columns)


@pytest.mark.parametrize("columns", [8, 32, 256, 4096])
def test_not_numbers_infinities_and_ties(columns: int) -> None:
    x = random(16, columns)
    x[3, columns // 2] = torch.nan
    for name, fn in REDUCTIONS.items():
        close(reduce(x, fn, torch.int64 if name.startswith("arg") else None), fn(x), terms=columns)
    x = torch.full((16, columns), torch.inf, device=DEVICE)
    x[:, 1] = -torch.inf
    close(reduce(x, REDUCTIONS["sum"]), x.sum(-1))
    tied = torch.zeros(16, columns, device=DEVICE)
    tied[1, columns - 1] = 1
    tied[2, [1, columns - 2]] = 1
    tied[3, [1, columns - 2]] = torch.nan
    for name in ("argmax", "argmin"):
        close(reduce(tied, REDUCTIONS[name], torch.int64), REDUCTIONS[name](tied))


@pytest.mark.parametrize("columns", [64, 100, 1024, 4096])
def test_wide_integers_keep_their_sign_and_size(columns: int) -> None:
    x = torch.randint(-(10**12), -1, (8, columns), generator=torch.Generator().manual_seed(1)).to(DEVICE)
    assert torch.equal(reduce(x, REDUCTIONS["amax"]), x.amax(-1))
    assert torch.equal(reduce(-x, REDUCTIONS["amin"]), (-x).amin(-1))
    assert torch.equal(reduce(x, REDUCTIONS["sum"]), x.sum(-1))
    ones = torch.ones_like(x)
    assert torch.equal(reduce(ones, lambda x: torch.prod(x, dim=-1)), ones.prod(-1))


@pytest.mark.parametrize("columns", [16, 256, 4096])
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.uint8, torch.int32, torch.bool], ids=str)
def test_narrow_integers_are_summed_as_torch_does(dtype: torch.dtype, columns: int) -> None:
    x = random(4, columns, dtype=torch.int32)
    x = (x > 0) if dtype == torch.bool else x.to(dtype)
    out = torch.int32 if dtype == torch.bool else dtype
    assert torch.equal(reduce(x, REDUCTIONS["sum"], out), x.sum(-1).to(out))
    if dtype != torch.bool:
        assert torch.equal(reduce(x, REDUCTIONS["amax"]), x.amax(-1))
    wrapping = torch.full((4, columns), 2**24, dtype=torch.int32, device=DEVICE)
    assert torch.equal(reduce(wrapping, REDUCTIONS["sum"]), wrapping.sum(-1).to(torch.int32))


@pytest.mark.parametrize(
    "options",
    [
        {"block_sizes": [64], "num_threads": [1024], "reduction_loops": [None]},
        {"block_sizes": [32], "num_threads": [256], "reduction_loops": [64]},
        {"block_sizes": [8], "reduction_loops": [64]},
    ],
    ids=str,
)
def test_threads_of_a_tile_leave_enough_for_a_reduction(options: dict[str, object]) -> None:
    for columns in (256, 1024):
        x = random(70, columns)
        close(reduce(x, REDUCTIONS["sum"], **options), x.sum(-1), terms=columns)


def test_a_block_size_in_the_kernel_beside_a_reduction() -> None:
    @metal()
    def kernel(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0)], dtype=x.dtype, device=x.device)
        for tile in hl.tile(x.size(0), block_size=16):
            out[tile] = x[tile, :].sum(-1)
        return out

    x = random(60, 128)
    close(kernel(x), x.sum(-1), terms=128)


def test_a_reduction_in_a_loop_uses_its_memory_again() -> None:
    @metal(block_sizes=[4, 2])
    def kernel(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), x.size(1)], dtype=torch.float32, device=x.device)
        for tile_m in hl.tile(x.size(0)):
            for tile_k in hl.tile(x.size(1)):
                out[tile_m, tile_k] = x[tile_m, tile_k, :].to(torch.float32).sum(-1)
        return out

    x = random(16, 6, 128)
    close(kernel(x), x.sum(-1), terms=128)


def test_reductions_serve_rows_whose_length_the_call_decides() -> None:
    kernel = helion.kernel(backend="metal", autotune_effort="none", static_shapes=False)(rows)
    for shape in ((64, 128), (48, 96), (3, 5000)):
        x = random(*shape)
        close(kernel(x, REDUCTIONS["sum"], torch.empty(shape[0], device=DEVICE)), x.sum(-1), terms=shape[1])


@pytest.mark.parametrize("block", [8, 32])
def test_a_sum_over_a_tile_goes_to_all_of_it(block: int) -> None:
    @metal(block_sizes=[block])
    def kernel(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            out[tile] = x[tile].sum()
        return out

    x = random(64)
    close(kernel(x), x.view(-1, block).sum(-1).repeat_interleave(block))


def test_a_whole_dimension_as_one_tile() -> None:
    @metal(block_sizes=[4, 128])
    def kernel(w: torch.Tensor) -> torch.Tensor:
        o, d = w.shape
        d = hl.specialize(d)
        out = torch.empty([o], dtype=torch.float32, device=w.device)
        block = hl.register_block_size(helion.next_power_of_2(d), helion.next_power_of_2(d))
        for tile_o, tile_d in hl.tile([o, d], block_size=[None, block]):
            out[tile_o] = torch.sum(w[tile_o, tile_d].to(torch.float32), dim=-1)
        return out

    w = random(50, 100)
    close(kernel(w), w.sum(-1), terms=100)


def test_dimensions_of_one_element() -> None:
    @metal(block_sizes=[16])
    def kernel(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            out[tile, :, :] = x[tile, :, :] * 2.0
        return out

    x = random(60, 1, 1)
    assert torch.equal(kernel(x), x * 2)
