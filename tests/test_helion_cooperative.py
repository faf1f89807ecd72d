"""Kernels whose threads work together on a tile: attention, and products that are reduced; against torch."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import helion
import helion.language as hl
import torch
from torch.nn import functional as F

import helion_comparison
from helion_comparison import DEVICE, TYPES, metal, random


def close(result: torch.Tensor, expected: torch.Tensor, terms: int = 64) -> None:
    """Compares more strictly than other kernels are: products are summed in float32."""
    helion_comparison.close(result, expected, terms)


# ---- attention ------------------------------------------------------------------------------------------------------


def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, ahead: int) -> torch.Tensor:
    """Running maximum and sum, and a product in each step; a query sees keys up to `ahead` of its own position."""
    m_dim, n_dim = query.size(-2), key.size(-2)
    head = hl.specialize(query.size(-1))
    queries, values = query.reshape([-1, m_dim, head]), value.reshape([-1, n_dim, head])
    keys = key.reshape([-1, n_dim, head]).transpose(1, 2)
    out = torch.empty_like(queries)
    scale = 1.0 / head**0.5
    for tile_b, tile_m in hl.tile([queries.size(0), m_dim]):
        largest = hl.full([tile_b, tile_m], float("-inf"), dtype=torch.float32)
        total = torch.zeros_like(largest)
        acc = hl.zeros([tile_b, tile_m, head], dtype=torch.float32)
        rows = queries[tile_b, tile_m, :]
        for tile_n in hl.tile(n_dim):
            scores = torch.bmm(rows, keys[tile_b, :, tile_n]).to(torch.float32) * scale
            last = tile_m.index + ahead
            scores = torch.where(tile_n.index[None, None, :] <= last[None, :, None], scores, float("-inf"))
            new = torch.maximum(largest, torch.amax(scores, -1))
            powers = torch.exp(scores - new[:, :, None])
            decay = torch.exp(largest - new)
            total = total * decay + torch.sum(powers, -1)
            acc = torch.baddbmm(acc * decay[:, :, None], powers.to(values.dtype), values[tile_b, tile_n, :])
            largest = new
        out[tile_b, tile_m, :] = (acc / total[:, :, None]).to(out.dtype)
    return out.view(query.size())


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [((128, 128, 64), (1, 32, 32)), ((50, 70, 32), (1, 16, 32)), ((33, 33, 40), (2, 64, 16))],
    ids=str,
)
def test_attention(sizes: tuple[int, int, int], blocks: tuple[int, ...], dtype: torch.dtype) -> None:
    m, n, head = sizes
    query, key, value = (random(2, 2, size, head, dtype=dtype) for size in (m, n, n + 1))
    value = value[:, :, 1:]
    result = metal(*blocks)(attention)(query, key, value, n)
    # The probabilities are rounded to the type of the values, before they are summed up.
    close(
        result.float(),
        F.scaled_dot_product_attention(query.double(), key.double(), value.double()),
        64 if dtype == torch.float32 else 8 * 2**16,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_causal_attention(dtype: torch.dtype) -> None:
    query, key, value = (random(1, 3, 100, 64, dtype=dtype) for _ in range(3))
    result = metal(1, 32, 32, num_warps=8)(attention)(query, key, value, 0)
    expected = F.scaled_dot_product_attention(query.double(), key.double(), value.double(), is_causal=True)
    close(result.float(), expected, 64 if dtype == torch.float32 else 2**16)


def test_the_kernels_of_the_documentation(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "helion.md").read_text(encoding="utf-8")
    script = tmp_path / "page.py"
    script.write_text("\n\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), encoding="utf-8")
    names = runpy.run_path(str(script))
    query, key, value = (random(2, size, 32) for size in (50, 70, 70))
    expected = F.scaled_dot_product_attention(query.double(), key.double(), value.double())
    close(names["attention"](query, key, value), expected)
    x, weight, bias = random(70, 40), random(40, 50), random(50)
    close(names["linear"](x, weight, bias), F.gelu(x.double() @ weight.double() + bias.double()), terms=500)


# ---- products that are reduced, and loops that carry more than sums -------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("columns", [64, 200])
def test_softmax_of_a_product(columns: int, dtype: torch.dtype) -> None:
    @metal(16, 32)
    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        n = hl.specialize(y.size(1))
        out = torch.empty([x.size(0), n], dtype=x.dtype, device=x.device)
        for tile_m in hl.tile(x.size(0)):
            acc = hl.zeros([tile_m, n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                acc = torch.addmm(acc, x[tile_m, tile_k], y[tile_k, :])
            powers = torch.exp(acc - torch.amax(acc, dim=-1, keepdim=True))
            out[tile_m, :] = (powers / powers.sum(dim=-1, keepdim=True)).to(out.dtype)
        return out

    x, y = random(50, 40, dtype=dtype), random(40, columns, dtype=dtype)
    close(kernel(x, y), torch.softmax(x.double() @ y.double(), -1), terms=1000)


def test_normalized_products() -> None:
    @metal(32, 16)
    def kernel(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        n = hl.specialize(y.size(1))
        out = torch.empty([x.size(0), n], dtype=x.dtype, device=x.device)
        for tile_m in hl.tile(x.size(0)):
            acc = hl.zeros([tile_m, n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                acc = torch.addmm(acc, x[tile_m, tile_k], y[tile_k, :])
            variance, mean = torch.var_mean(acc, dim=-1, keepdim=True, correction=0)
            out[tile_m, :] = (acc - mean) * torch.rsqrt(variance + 1e-5) * weight[:] + bias[:]
        return out

    x, y, weight, bias = random(50, 40), random(40, 128), random(128), random(129)[1:]
    wide = F.layer_norm(x.double() @ y.double(), (128,), weight.double(), bias.double())
    close(kernel(x, y, weight, bias), wide, terms=1000)


def test_two_products_in_one_expression() -> None:
    @metal(32, 32)
    def kernel(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), y.size(1)], dtype=x.dtype, device=x.device)
        for tile_m, tile_n in hl.tile(out.size()):
            out[tile_m, tile_n] = torch.relu(x[tile_m, :] @ y[:, tile_n]) + z[tile_m, :] @ w[:, tile_n]
        return out

    x, y, z, w = random(60, 40), random(40, 50), random(60, 30), random(30, 50)
    close(kernel(x, y, z, w), torch.relu(x.double() @ y.double()) + z.double() @ w.double(), terms=1000)


def test_a_product_of_a_product() -> None:
    @metal(32)
    def kernel(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), z.size(1)], dtype=x.dtype, device=x.device)
        for tile in hl.tile(x.size(0)):
            hidden = torch.relu(x[tile, :] @ y[:, :])
            out[tile, :] = hidden @ z[:, :]
        return out

    x, y, z = random(50, 40), random(40, 64), random(64, 24)
    close(kernel(x, y, z), torch.relu(x.double() @ y.double()) @ z.double(), terms=4000)


def test_a_sum_that_decays() -> None:
    @metal(16, 16, 16)
    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), y.size(1)], dtype=x.dtype, device=x.device)
        for tile_m, tile_n in hl.tile(out.size()):
            acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                acc = torch.addmm(acc * 0.5, x[tile_m, tile_k], y[tile_k, tile_n])
            out[tile_m, tile_n] = acc
        return out

    x, y = random(40, 48), random(48, 30)
    expected = torch.zeros(40, 30, dtype=torch.float64)
    for k in range(0, 48, 16):
        expected = expected * 0.5 + x[:, k : k + 16].double().cpu() @ y[k : k + 16].double().cpu()
    close(kernel(x, y), expected, terms=500)


def test_a_state_that_a_loop_multiplies() -> None:
    """A recurrence over chunks: what a loop carries is an operand of its products, and is read before it changes."""

    @metal(16)
    def kernel(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        length = q.size(0)
        d, e = hl.specialize(q.size(1)), hl.specialize(v.size(1))
        out = torch.empty_like(v)
        for _ in hl.grid(1):
            state = hl.zeros([d, e], dtype=torch.float32)
            for tile in hl.tile(length):
                out[tile, :] = q[tile, :] @ state
                state = state * 0.9 + k[tile, :].t() @ v[tile, :]
        return out

    q, k, v = random(48, 8), random(49, 8)[1:], random(48, 32)
    result = kernel(q, k, v)
    state = torch.zeros(8, 32, dtype=torch.float64)
    for begin in range(0, 48, 16):
        part = slice(begin, begin + 16)
        close(result[part], q[part].double() @ state, terms=500)
        state = state * 0.9 + k[part].double().t() @ v[part].double()


def test_a_tensor_that_is_read_and_then_written() -> None:
    @metal(16, 16)
    def kernel(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(z)
        for tile_m, tile_n in hl.tile(z.size()):
            old = z[tile_m, tile_n]
            z[tile_m, tile_n] = x[tile_m, :] @ y[:, tile_n]
            out[tile_m, tile_n] = old * 2.0
        return out

    x, y, z = random(40, 24), random(24, 30), random(40, 30)
    before = z.clone()
    assert torch.equal(kernel(x, y, z), before * 2)
    close(z, x.double() @ y.double(), terms=500)


def test_a_branch_with_a_product_inside() -> None:
    @metal(16, 16)
    def kernel(x: torch.Tensor, y: torch.Tensor, flag: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), y.size(1)], dtype=x.dtype, device=x.device)
        for tile_m, tile_n in hl.tile(out.size()):
            acc = hl.full([tile_m, tile_n], 1.0, dtype=torch.float32)
            chosen = flag[0]
            if chosen > 0:  # noqa: SIM108
                acc = acc + x[tile_m, :] @ y[:, tile_n]
            else:
                acc = acc * 3.0
            out[tile_m, tile_n] = acc
        return out

    x, y = random(40, 24), random(24, 30)
    for value in (1, 0):
        expected = x.double() @ y.double() + 1 if value else torch.full((40, 30), 3.0)
        close(metal_result(kernel, x, y, value), expected, terms=500)


def metal_result(kernel: helion.Kernel, x: torch.Tensor, y: torch.Tensor, value: int) -> torch.Tensor:
    """Runs a kernel with a flag."""
    result: torch.Tensor = kernel(x, y, torch.tensor([value], dtype=torch.int32, device=DEVICE))
    return result
