"""Matrix products in the dialect of Helion 1.5's own Metal backend: its markers, run and compared with torch."""

from __future__ import annotations

import pytest
import torch

import helion_msl
from helion_msl import compile as compile_msl
from helion_msl.walker import SCALAR_TYPES, TensorType, translate

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
MSL = {torch.float32: "float", torch.float16: "half", torch.bfloat16: "bfloat"}


def kernel_text(
    sizes: tuple[int, int, int],
    tiles: tuple[int, int, int],
    types: tuple[str, str, str],
    *,
    bias: str = "",
    transposed: tuple[int, int] = (0, 0),
    widths: tuple[int, int] | None = None,
    epilogue: str = "",
    after: str = "",
) -> str:
    """A kernel as Helion 1.5.1 generates it for one product; `types` are those of operands, sum and result."""
    m, n, k = sizes
    numbers = ", ".join(map(str, (*sizes, *tiles)))
    left, right = widths or (m if transposed[0] else k, k if transposed[1] else n)
    loop = ""
    if epilogue:
        lines = "".join(f"        {line}\n" for line in epilogue.splitlines())
        loop = f"    for _it in _coop_iter(_mpp_setup):\n        # src[mm.py:9]: epilogue\n{lines}"
    rest = "".join(f"    {line}\n" for line in after.splitlines())
    return f"""
def _helion_mm(x, y, out, b):
    num_blocks_0 = ({m} + {tiles[0]} - 1) // {tiles[0]}
    pid_0 = tgid[0] % num_blocks_0
    pid_1 = tgid[0] // num_blocks_0
    offset_0 = pid_0 * {tiles[0]}
    offset_1 = pid_1 * {tiles[1]}
    _mpp_setup = _metal_mpp_setup('x', 'y', {numbers}, 4, '{types[0]}', '{types[1]}', '{bias}', '{types[1] if bias else ""}', 'acc', {transposed[0]}, {transposed[1]}, {left}, {right}, offset_0, offset_1)
    for offset_3 in tl.range(0, {k}, {tiles[2]}):
        _metal_mpp_k_step(_mpp_setup, offset_3)
{loop}    _metal_mpp_coop_store(_mpp_setup, 'out', '{types[2]}')
{rest}"""  # noqa: E501


def run(
    text: str, tensors: dict[str, torch.Tensor], tiles: tuple[int, int, int], threads: tuple[int, int, int]
) -> None:
    types = {name: TensorType(SCALAR_TYPES[str(t.dtype)[6:]], t.dim()) for name, t in tensors.items()}
    translation = translate(text, types, block_dims=threads)
    m, n = tensors["out"].shape
    groups = -(-m // tiles[0]) * -(-n // tiles[1])
    kernel = compile_msl(translation.msl, name=translation.name, device=DEVICE)
    kernel([tensor.to(DEVICE) for tensor in tensors.values()], (groups,), threads)


def operands(m: int, n: int, k: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Small integers, of which float32 adds up the products exactly; the result starts as NaN."""
    generator = torch.Generator().manual_seed(m + n + k)
    x = torch.randint(-4, 5, (m, k), generator=generator).to(dtype)
    y = torch.randint(-4, 5, (k, n), generator=generator).to(dtype)
    b = torch.randint(-4, 5, (m, n), generator=generator)
    return {
        "x": x.to(DEVICE),
        "y": y.to(DEVICE),
        "out": torch.full((m, n), torch.nan, device=DEVICE),
        "b": b.to(DEVICE),
    }


@pytest.mark.parametrize("dtype", MSL, ids=str)
@pytest.mark.parametrize(
    ("sizes", "tiles", "threads"),
    [
        ((40, 50, 70), (32, 32, 16), (128, 8, 1)),
        ((16, 16, 16), (16, 16, 128), (128, 1, 1)),
        ((130, 129, 33), (128, 128, 64), (128, 2, 1)),
        ((5, 3, 7), (4, 1, 4), (32, 1, 1)),
    ],
    ids=str,
)
def test_sizes(
    sizes: tuple[int, int, int], tiles: tuple[int, int, int], threads: tuple[int, int, int], dtype: torch.dtype
) -> None:
    tensors = operands(*sizes, dtype)
    run(kernel_text(sizes, tiles, (MSL[dtype], "float", "float")), tensors, tiles, threads)
    assert torch.equal(tensors["out"], tensors["x"].float() @ tensors["y"].float())


@pytest.mark.parametrize("transposed", [(1, 0), (0, 1), (1, 1)])
def test_transposed_operands(transposed: tuple[int, int]) -> None:
    tensors = operands(40, 50, 70, torch.float32)
    expected = tensors["x"] @ tensors["y"]
    for name, flag in zip("xy", transposed, strict=True):
        if flag:
            tensors[name] = tensors[name].t().contiguous().t()
    text = kernel_text((40, 50, 70), (32, 32, 16), ("float",) * 3, transposed=transposed)
    run(text, tensors, (32, 32, 16), (128, 1, 1))
    assert torch.equal(tensors["out"], expected)


def test_rows_that_are_apart() -> None:
    tensors = operands(40, 50, 70, torch.float16)
    expected = tensors["x"].float() @ tensors["y"].float()
    wide = torch.full((40, 96), torch.nan, dtype=torch.float16, device=DEVICE)
    wide[:, :70] = tensors["x"]
    tensors["x"] = wide[:, :70]
    text = kernel_text((40, 50, 70), (32, 32, 16), ("half", "float", "float"), widths=(96, 50))
    run(text, tensors, (32, 32, 16), (128, 1, 1))
    assert torch.equal(tensors["out"], expected)


def test_bias_and_epilogue() -> None:
    tensors = operands(40, 50, 70, torch.float32)
    tensors["b"] = tensors["b"].float()
    epilogue = """v_0 = 2
v_1 = acc * v_0
v_4 = 0
v_5 = c10.metal.max(static_cast < decltype(v_1 + v_4) > v_1, static_cast < decltype(v_1 + v_4) > v_4)
_coop_writeback(v_5)"""
    text = kernel_text((40, 50, 70), (32, 32, 16), ("float",) * 3, bias="b", epilogue=epilogue)
    run(text, tensors, (32, 32, 16), (128, 8, 1))
    assert torch.equal(tensors["out"], torch.relu((tensors["x"] @ tensors["y"] + tensors["b"]) * 2))


def test_sum_and_result_of_another_type() -> None:
    tensors = operands(40, 50, 70, torch.float16)
    tensors["out"] = tensors["out"].half()
    run(kernel_text((40, 50, 70), (32, 32, 16), ("half", "half", "half")), tensors, (32, 32, 16), (128, 1, 1))
    assert torch.equal(tensors["out"], (tensors["x"].float() @ tensors["y"].float()).half())


def test_product_that_is_read_again() -> None:
    tensors = operands(40, 50, 70, torch.float32)
    tensors["b"] = tensors["b"].float()
    after = """_metal_mpp_threadgroup_barrier()
for lane_1 in range(4):
    indices_0 = offset_0 + tid[0]
    mask_0 = tid[0] < 32 and indices_0 < 40
    indices_1 = offset_1 + tid[1] * 4 + lane_1
    mask_1 = tid[1] < 8 and indices_1 < 50
    load = tl.load(out + (indices_0 * 50 + indices_1 * 1), mask_0 & mask_1, other=0)
    load_1 = tl.load(b + (indices_0 * 50 + indices_1 * 1), mask_0 & mask_1, other=0)
    v_3 = load * load + load_1
    tl.store(out + (indices_0 * 50 + indices_1 * 1), v_3, mask_0 & mask_1)"""
    text = kernel_text((40, 50, 70), (32, 32, 16), ("float",) * 3, after=after)
    run(text, tensors, (32, 32, 16), (128, 8, 1))
    assert torch.equal(tensors["out"], (tensors["x"] @ tensors["y"]) ** 2 + tensors["b"])


@pytest.mark.parametrize(
    ("change", "threads", "cause"),
    [
        ((", 4, 'float'", ", 'float'"), (128, 1, 1), "takes 20 arguments"),
        (("    _metal_mpp_coop_store", "    #"), (128, 1, 1), "without its loop and its store"),
        (("", ""), None, "whole simdgroups"),
        (("", ""), (100, 1, 1), "whole simdgroups"),
    ],
)
def test_what_helion_does_not_emit_is_refused(
    change: tuple[str, str], threads: tuple[int, int, int] | None, cause: str
) -> None:
    text = kernel_text((40, 50, 70), (32, 32, 16), ("float",) * 3).replace(*change)
    types = dict.fromkeys(("x", "y", "out", "b"), TensorType(SCALAR_TYPES["float32"], 2))
    with pytest.raises(helion_msl.TranslationError, match=cause):
        translate(text, types, block_dims=threads)
