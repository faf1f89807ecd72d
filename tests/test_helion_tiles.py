"""Tiles, loops, strides, scalars and control flow through Helion, against torch."""

from __future__ import annotations

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import helion
import helion.language as hl
import torch

import helion_msl

helion_msl.register_helion_backend()

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
SENTINEL = -77.0


def metal(**options: object) -> helion.Kernel:
    """Shortens ``helion.kernel(backend="metal", config=Config(...))``."""
    settings = {"static_shapes": options.pop("static_shapes", True)}
    return helion.kernel(backend="metal", config=helion.Config(**options), **settings)


def same(result: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(result.cpu(), expected.cpu(), rtol=1e-6, atol=1e-6, equal_nan=True)


def guarded(size: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """A tensor of `size` elements inside a larger one that is filled with sentinels."""
    whole = torch.full((size + 64,), SENTINEL, dtype=dtype, device=DEVICE)
    return whole, whole[32 : 32 + size]


def assert_guards_are_intact(whole: torch.Tensor) -> None:
    assert (whole[:32] == SENTINEL).all()
    assert (whole[-32:] == SENTINEL).all()


# ---- copies ------------------------------------------------------------------------------------------------------


def copy(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile]
    return out


def masked_copy(x: torch.Tensor, mask: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(x.size(0)):
        out[tile] = torch.where(mask[tile], x[tile], 0.0)
    return out


@pytest.mark.parametrize("static_shapes", [True, False])
@pytest.mark.parametrize("size", [1024, 1000, 999, 1])
@pytest.mark.parametrize("block_size", [256, 4096])
def test_copies_touch_nothing_beyond_their_tensor(size: int, block_size: int, static_shapes: bool) -> None:
    x = torch.randn(size, device=DEVICE)
    decorate = metal(block_sizes=[block_size], static_shapes=static_shapes)
    whole, out = guarded(size)
    same(decorate(copy)(x, out), x)
    assert_guards_are_intact(whole)
    mask = torch.rand(size, device=DEVICE) > 0.5
    whole, out = guarded(size)
    same(decorate(masked_copy)(x, mask, out), torch.where(mask, x, torch.zeros_like(x)))
    assert_guards_are_intact(whole)


@pytest.mark.parametrize(
    "dtype",
    [torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool],
    ids=str,
)
def test_copy_of_every_type(dtype: torch.dtype) -> None:
    x = torch.randint(0, 2 if dtype == torch.bool else 100, (777,), device=DEVICE).to(dtype)
    assert torch.equal(metal(block_sizes=[128])(copy)(x, torch.zeros_like(x)), x)


def test_one_kernel_serves_every_size_when_shapes_are_dynamic() -> None:
    kernel = metal(block_sizes=[64], static_shapes=False)(copy)
    for size in (100, 1000, 64, 3):
        x = torch.randn(size, device=DEVICE)
        whole, out = guarded(size)
        same(kernel(x, out), x)
        assert_guards_are_intact(whole)


# ---- dimensions, strides, lanes ----------------------------------------------------------------------------------


def add(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(x.size()):
        out[tile] = x[tile] + 2 * y[tile]
    return out


@pytest.mark.parametrize("static_shapes", [True, False])
@pytest.mark.parametrize(
    ("shape", "block_sizes", "num_threads"),
    [
        ((33, 65), [16, 32], None),
        ((33, 65), [64, 64], None),  # 4096 elements: lanes
        ((33, 65), [1, 64], None),
        ((33, 65), [8, 64], [2, 16]),
        ((5, 7, 67), [2, 4, 32], None),
        ((5, 7, 67), [4, 8, 64], None),  # 2048 elements: lanes
        ((5, 7, 67), [1, 8, 64], [0, 4, 8]),
        ((2500,), [2048], None),
    ],
    ids=str,
)
def test_tiles_of_one_to_three_dimensions(
    shape: tuple[int, ...], block_sizes: list[int], num_threads: list[int] | None, static_shapes: bool
) -> None:
    x, y = torch.randn(shape, device=DEVICE), torch.randn(shape, device=DEVICE)
    options = {} if num_threads is None else {"num_threads": num_threads}
    kernel = metal(block_sizes=block_sizes, static_shapes=static_shapes, **options)(add)
    same(kernel(x, y, torch.empty_like(x)), x + 2 * y)


@pytest.mark.parametrize("static_shapes", [True, False])
def test_strides_and_offsets_are_respected(static_shapes: bool) -> None:
    kernel = metal(block_sizes=[16, 16], static_shapes=static_shapes)(add)
    base = torch.randn(40, 50, device=DEVICE)
    transposed = torch.randn(30, 20, device=DEVICE).T
    sliced = base[3:23, 5:35]
    stepped = torch.randn(20, 90, device=DEVICE)[:, ::3]
    expanded = torch.randn(20, 1, device=DEVICE).expand(20, 30)
    for x, y in [(transposed, sliced), (sliced, stepped), (stepped, expanded), (expanded, transposed)]:
        target = torch.full((22, 34), SENTINEL, device=DEVICE)
        same(kernel(x, y, target[1:21, 2:32]), x + 2 * y)
        assert (target[0] == SENTINEL).all()
        assert (target[21] == SENTINEL).all()
        assert (target[:, :2] == SENTINEL).all()
        assert (target[:, 32:] == SENTINEL).all()


@metal(block_sizes=[16, 32])
def add_row(x: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile_m, tile_n in hl.tile(x.size()):
        out[tile_m, tile_n] = x[tile_m, tile_n] * row[tile_n] + column[tile_m][:, None]
    return out


def test_broadcasting() -> None:
    x, row, column = torch.randn(45, 70, device=DEVICE), torch.randn(70, device=DEVICE), torch.randn(45, device=DEVICE)
    same(add_row(x, row, column), x * row + column[:, None])


@metal(block_sizes=[32, 16])
def transpose(x: torch.Tensor) -> torch.Tensor:
    m, n = x.size()
    out = torch.empty(n, m, dtype=x.dtype, device=x.device)
    for tile_m, tile_n in hl.tile([m, n]):
        out[tile_n, tile_m] = x[tile_m, tile_n].T
    return out


def test_transpose_is_right_or_refused() -> None:
    x = torch.randn(45, 70, device=DEVICE)
    try:
        result = transpose(x)
    except (helion.exc.BackendUnsupported, helion.exc.BackendImplementationMissing):
        return
    same(result, x.T)


# ---- where a tile lies -------------------------------------------------------------------------------------------


@metal(block_sizes=[64])
def positions(out: torch.Tensor, begins: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(out.size(0)):
        out[tile] = tile.index * 2 + tile.begin
        begins[tile] = tile.end + tile.block_size * 1000
        ids[tile] = tile.id + tile.count * 100
    return out


def test_begin_end_id_and_index_of_a_tile() -> None:
    out, begins, ids = (torch.zeros(150, dtype=torch.int32, device=DEVICE) for _ in range(3))
    positions(out, begins, ids)
    index = torch.arange(150)
    same(out, (index * 2 + index // 64 * 64).int())
    same(begins, ((index // 64 + 1) * 64).clamp(max=150).int() + 64000)
    same(ids, (index // 64 + 300).int())


@metal()
def fixed_block_size(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for tile in hl.tile(x.size(0), block_size=64):
        out[tile] = x[tile] + tile.index
    return out


@pytest.mark.parametrize("size", [64, 130, 1000])
def test_fixed_block_size(size: int) -> None:
    x = torch.randn(size, device=DEVICE)
    same(fixed_block_size(x), x + torch.arange(size, device=DEVICE))


@metal(block_sizes=[32])
def partial_range(x: torch.Tensor, begin: int, end: int) -> torch.Tensor:
    out = torch.zeros_like(x)
    for tile in hl.tile(begin, end):
        out[tile] = x[tile] + 1
    return out


def test_tile_with_begin_and_end() -> None:
    x = torch.randn(200, device=DEVICE)
    for begin, end in [(0, 200), (7, 150), (32, 64), (150, 151)]:
        expected = torch.zeros_like(x)
        expected[begin:end] = x[begin:end] + 1
        same(partial_range(x, begin, end), expected)


@metal(block_sizes=[64])
def range_from_constant(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    for tile in hl.tile(16, x.size(0)):
        out[tile] = x[tile] + 1
    return out


def test_tile_from_a_constant_begin() -> None:
    for size in (128, 80, 100):
        x = torch.randn(size, device=DEVICE)
        whole, out = guarded(size)
        range_from_constant(x, out)
        assert_guards_are_intact(whole)
        assert (out[:16] == SENTINEL).all()
        same(out[16:], x[16:] + 1)


@metal()
def grid_with_step(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for i in hl.grid(2, 41, 3):
        out[i] = x[i] * 10
    return out


@metal(block_sizes=[32])
def grid_and_tile(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for i in hl.grid(x.size(0)):
        for tile in hl.tile(x.size(1)):
            out[i, tile] = x[i, tile] + i
    return out


@metal()
def grid_of_two(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for i, j in hl.grid([x.size(0), x.size(1)]):
        out[i, j] = x[i, j] * 2 + i - j
    return out


def test_grids() -> None:
    x = torch.randn(50, device=DEVICE)
    expected = torch.zeros_like(x)
    expected[2:41:3] = x[2:41:3] * 10
    same(grid_with_step(x), expected)
    x = torch.randn(7, 100, device=DEVICE)
    rows, columns = torch.arange(7, device=DEVICE)[:, None], torch.arange(100, device=DEVICE)
    same(grid_and_tile(x), x + rows)
    same(grid_of_two(x), x * 2 + rows - columns)


@metal(block_sizes=[16, 32])
def nested(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for tile_m in hl.tile(x.size(0)):
        for tile_n in hl.tile(x.size(1)):
            out[tile_m, tile_n] = torch.sin(x[tile_m, tile_n]) + tile_n.index
    return out


@metal(block_sizes=[4, 2048])
def nested_with_lanes(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for tile_m in hl.tile(x.size(0)):
        for tile_n in hl.tile(x.size(1)):
            out[tile_m, tile_n] = x[tile_m, tile_n] * 3
    return out


def test_nested_tiles() -> None:
    x = torch.randn(37, 130, device=DEVICE)
    same(nested(x), torch.sin(x) + torch.arange(130, device=DEVICE))
    x = torch.randn(9, 5000, device=DEVICE)
    same(nested_with_lanes(x), x * 3)


@metal(block_sizes=[32, 16])
def two_loops(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = torch.empty_like(x), torch.empty_like(y)
    for tile in hl.tile(x.size(0)):
        a[tile] = x[tile] + 1
    for tile in hl.tile(y.size(0)):
        b[tile] = y[tile] * 2
    return a, b


def test_two_top_level_loops_of_different_sizes() -> None:
    x, y = torch.randn(100, device=DEVICE), torch.randn(45, device=DEVICE)
    a, b = two_loops(x, y)
    same(a, x + 1)
    same(b, y * 2)


# ---- arguments ---------------------------------------------------------------------------------------------------


@metal(block_sizes=[64])
def scalars(x: torch.Tensor, a: float, n: int, flag: bool) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        value = x[tile] * a + n
        if flag:
            value = value + 0.5
        out[tile] = value
    return out


@metal(block_sizes=[64])
def add_integer(x: torch.Tensor, n: int) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] + n
    return out


def test_scalars_keep_their_type_and_precision() -> None:
    x = torch.randn(100, device=DEVICE)
    for a, n, flag in [(2.5, 3, True), (-0.1, -7, False), (1e-30, 0, True)]:
        same(scalars(x, a, n, flag), x * a + n + (0.5 if flag else 0.0))
    for dtype, n in [(torch.int32, 2**24 + 1), (torch.int64, 2**40 + 1), (torch.int64, -(2**62) - 1)]:
        i = torch.arange(100, dtype=dtype, device=DEVICE)
        assert torch.equal(add_integer(i, n), i + n)


@metal(block_sizes=[64])
def scale_by_tensor(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] * scale[()]
    return out


@metal(block_sizes=[64])
def scale_by_host_scalar(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] * hl.load(scale, [])
    return out


def test_tensors_without_dimensions() -> None:
    x = torch.randn(100, device=DEVICE)
    same(scale_by_host_scalar(x, torch.tensor(2.5, device=DEVICE)), x * 2.5)


@metal(block_sizes=[64])
def keyword_names(do: torch.Tensor, float4: torch.Tensor, kernel: float, device: int) -> torch.Tensor:
    out = torch.empty_like(do)
    for tile in hl.tile(do.size(0)):
        signed = do[tile] * kernel
        out[tile] = signed + float4[tile] * device
    return out


def test_names_that_metal_reserves() -> None:
    x, y = torch.randn(100, device=DEVICE), torch.randn(100, device=DEVICE)
    same(keyword_names(x, y, 2.5, 3), x * 2.5 + y * 3)


@metal(block_sizes=[64])
def language_names(ml: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(ml)
    for tile in hl.tile(ml.size(0)):
        out[tile] = torch.exp(ml[tile]) + shared[tile]
    return out


def test_names_that_generated_code_uses() -> None:
    x, y = torch.randn(100, device=DEVICE), torch.randn(100, device=DEVICE)
    try:
        result = language_names(x, y)
    except helion.exc.NamingConflict:
        return
    same(result, torch.exp(x) + y)


def test_tensors_without_elements() -> None:
    x = torch.randn(0, device=DEVICE)
    assert metal(block_sizes=[64])(copy)(x, torch.empty_like(x)).shape == (0,)


def test_the_same_tensor_twice() -> None:
    x = torch.randn(33, 65, device=DEVICE)
    kernel = metal(block_sizes=[16, 32])(add)
    same(kernel(x, x, torch.empty_like(x)), 3 * x)
    y = torch.randn_like(x)
    same(kernel(x, y, torch.empty_like(x)), x + 2 * y)
    expected = 3 * x
    same(kernel(x, x, x), expected)


# ---- control flow ------------------------------------------------------------------------------------------------


@metal(block_sizes=[64])
def both_branches(x: torch.Tensor, n: int) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        if n > 3:  # noqa: SIM108 - the branches are what is tested
            value = x[tile] * 2
        else:
            value = x[tile] - n
        out[tile] = value
    return out


@metal(block_sizes=[64])
def without_else(x: torch.Tensor, flags: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for tile in hl.tile(x.size(0)):
        if flags[0] > 1:
            out[tile] = x[tile] * 2
    return out


@metal()
def branch_on_data(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for i in hl.grid(x.size(0)):
        value = x[i]
        if value > 0:
            value = value * 10
        out[i] = value
    return out


def test_branches() -> None:
    x = torch.randn(100, device=DEVICE)
    same(both_branches(x, 5), x * 2)
    same(both_branches(x, 2), x - 2)
    same(without_else(x, torch.tensor([2, 0], device=DEVICE)), x * 2)
    same(without_else(x, torch.tensor([1, 0], device=DEVICE)), torch.zeros_like(x))
    same(branch_on_data(x), torch.where(x > 0, x * 10, x))


@metal(block_sizes=[16, 8])
def loop_over_range(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for tile_m, tile_n in hl.tile(x.size()):
        acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
        for i in hl.grid(weights.size(0)):
            acc = acc * 0.5 + x[tile_m, tile_n] * weights[i]
        out[tile_m, tile_n] = acc
    return out


@metal(block_sizes=[32])
def static_loop(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    for tile in hl.tile(x.size(0)):
        acc = x[tile]
        for i in hl.static_range(4):
            acc = acc * 2 + i
        out[tile] = acc
    return out


def test_loops() -> None:
    x, weights = torch.randn(20, 30, device=DEVICE), torch.randn(5, device=DEVICE)
    expected = torch.zeros_like(x)
    for weight in weights:
        expected = expected * 0.5 + x * weight
    same(loop_over_range(x, weights), expected)
    x = torch.randn(70, device=DEVICE)
    expected = x
    for i in range(4):
        expected = expected * 2 + i
    same(static_loop(x), expected)


@metal(block_sizes=[32])
def gather(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    out = torch.empty(index.size(0), dtype=x.dtype, device=x.device)
    for tile in hl.tile(index.size(0)):
        out[tile] = x[index[tile]]
    return out


@metal(block_sizes=[32])
def masked_load(x: torch.Tensor, n: int) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = hl.load(x, [tile], extra_mask=tile.index < n)
    return out


def test_gather_and_extra_masks() -> None:
    x = torch.randn(50, device=DEVICE)
    index = torch.randint(0, 50, (77,), device=DEVICE)
    same(gather(x, index), x[index])
    x = torch.randn(100, device=DEVICE)
    same(masked_load(x, 40), torch.where(torch.arange(100, device=DEVICE) < 40, x, torch.zeros_like(x)))


@metal(block_sizes=[32])
def carried_lanes(x: torch.Tensor) -> torch.Tensor:
    m, n = x.size()
    block_n = hl.register_block_size(n)
    out = torch.zeros(m, dtype=x.dtype, device=x.device)
    for tile_m in hl.tile(m):
        acc = hl.zeros([tile_m, block_n], dtype=torch.float32)
        for tile_n in hl.tile(n, block_size=block_n):
            acc = acc * 0.5 + x[tile_m, tile_n]
        out[tile_m] = acc.sum(-1)
    return out


# ---- what is refused ---------------------------------------------------------------------------------------------
