"""Helion kernels for rows, products and shapes as models have them; against torch."""

from __future__ import annotations

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import helion
import helion.language as hl
import torch
from torch.nn import functional as F

from helion_comparison import DEVICE, TYPES, close, metal, random

# ---- rows: normalizations, losses, rotations ------------------------------------------------------------------------


def test_welford() -> None:
    @metal(16, 32, 32)
    def kernel(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        m, n = x.size()
        out = torch.empty_like(x)
        for tile_m in hl.tile(m):
            count = torch.zeros_like(x[tile_m, 0], dtype=torch.float32)
            mean, squares = torch.zeros_like(count), torch.zeros_like(count)
            for tile_n in hl.tile(n):
                chunk = x[tile_m, tile_n]
                size = chunk.size(-1)
                total = torch.sum(chunk, dim=-1)
                delta = total / size - mean
                new = count + size
                squares = squares + torch.sum(chunk * chunk, dim=-1) - total * total / size
                squares = squares + delta * delta * (count * size / new)
                mean = mean + delta * (size / new)
                count = new
            scale = torch.rsqrt(squares / count + 1e-5)
            for tile_n in hl.tile(n):
                normed = (x[tile_m, tile_n] - mean[:, None]) * scale[:, None]
                out[tile_m, tile_n] = normed * weight[tile_n][None, :] + bias[tile_n][None, :]
        return out

    x, weight, bias = random(40, 96), random(96), random(97)[1:]
    close(kernel(x, weight, bias), F.layer_norm(x.double(), (96,), weight.double(), bias.double()))


def test_gradients_of_a_normalization() -> None:
    @metal(16)
    def kernel(x: torch.Tensor, weight: torch.Tensor, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        m, n = x.size()
        grad_x = torch.empty_like(x)
        grad_weight = torch.zeros([n], dtype=torch.float32, device=x.device)
        for tile in hl.tile(m):
            values, upstream = x[tile, :].to(torch.float32), grad[tile, :].to(torch.float32)
            scale = torch.rsqrt(torch.mean(values * values, dim=-1) + 1e-5)[:, None]
            weighted = upstream * weight[:].to(torch.float32)[None, :]
            dot = torch.mean(weighted * values, dim=-1)[:, None]
            grad_x[tile, :] = (scale * (weighted - values * scale * scale * dot)).to(x.dtype)
            hl.atomic_add(grad_weight, [slice(None)], torch.sum(upstream * values * scale, dim=0))
        return grad_x, grad_weight

    x, weight, grad = random(40, 64), random(64), random(41, 64)[1:]
    wide_x, wide_weight = x.double().requires_grad_(), weight.double().requires_grad_()
    F.rms_norm(wide_x, (64,), wide_weight, eps=1e-5).backward(grad.double())
    grad_x, grad_weight = kernel(x, weight, grad)
    close(grad_x, wide_x.grad)
    close(grad_weight, wide_weight.grad)


def test_rotation_of_halves() -> None:
    @metal(4, 16)
    def kernel(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        half = x.size(1) // 2
        for tile_m, tile_n in hl.tile([x.size(0), half]):
            first, second = x[tile_m, tile_n], hl.load(x, [tile_m, tile_n.index + half])
            out[tile_m, tile_n] = first * cos[tile_m, tile_n] - second * sin[tile_m, tile_n]
            hl.store(out, [tile_m, tile_n.index + half], second * cos[tile_m, tile_n] + first * sin[tile_m, tile_n])
        return out

    x, cos, sin = random(10, 48), random(10, 24), random(11, 24)[1:]
    first, second = x[:, :24], x[:, 24:]
    close(kernel(x, cos, sin), torch.cat([first * cos - second * sin, second * cos + first * sin], 1))


def test_dropout_with_a_seed() -> None:
    @metal(32)
    def kernel(p: float, x: torch.Tensor, seed: int) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            out[tile] = torch.where(hl.rand([tile], seed=seed) > p, x[tile] / (1 - p), 0.0)
        return out

    x = torch.ones(4000, device=DEVICE)
    first, again, other = kernel(0.25, x, 7), kernel(0.25, x, 7), kernel(0.25, x, 8)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    kept = (first != 0).float().mean().item()
    # Six standard deviations of a sum of 4000 such choices.
    assert abs(kept - 0.75) < 6 * (0.25 * 0.75 / 4000) ** 0.5
    close(first[first != 0], torch.full_like(first[first != 0], 1 / 0.75))


def test_random_integers_with_a_seed() -> None:
    @metal(32)
    def kernel(out: torch.Tensor, seed: int) -> torch.Tensor:
        for tile in hl.tile(out.size(0)):
            out[tile] = hl.randint([tile], low=3, high=9, seed=seed)
        return out

    out = torch.zeros(1000, dtype=torch.int32, device=DEVICE)
    assert kernel(out, 5).unique().tolist() == [3, 4, 5, 6, 7, 8]


def test_divergence_of_jensen_and_shannon() -> None:
    @metal(4, 32)
    def kernel(p: torch.Tensor, q: torch.Tensor, beta: float) -> torch.Tensor:
        loss = torch.zeros([p.size(0)], dtype=torch.float32, device=p.device)
        for tile_m in hl.tile(p.size(0)):
            acc = hl.zeros([tile_m], dtype=torch.float32)
            for tile_n in hl.tile(p.size(1)):
                left, right = p[tile_m, tile_n], q[tile_m, tile_n]
                mean = beta * torch.exp(right) + (1 - beta) * torch.exp(left)
                terms = beta * torch.exp(right) * (right - torch.log(mean))
                terms = terms + (1 - beta) * torch.exp(left) * (left - torch.log(mean))
                inside = tile_n.index[None, :] < p.size(1)
                acc = acc + torch.where(inside, terms, 0.0).sum(1)
            loss[tile_m] = acc
        return loss

    p, q = torch.log_softmax(random(10, 70), -1), torch.log_softmax(random(11, 70)[1:], -1)
    wide_p, wide_q = p.double(), q.double()
    mean = torch.log(0.3 * wide_q.exp() + 0.7 * wide_p.exp())
    expected = (0.3 * wide_q.exp() * (wide_q - mean) + 0.7 * wide_p.exp() * (wide_p - mean)).sum(1)
    close(kernel(p, q, 0.3), expected)


def test_cross_entropy_of_a_product() -> None:
    @metal(16, 32, 16)
    def kernel(x: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        m, k = x.size()
        v = weight.size(1)
        out = torch.empty([m], dtype=torch.float32, device=x.device)
        for tile_m in hl.tile(m):
            largest = hl.full([tile_m], float("-inf"), dtype=torch.float32)
            total = hl.zeros([tile_m], dtype=torch.float32)
            chosen = hl.zeros([tile_m], dtype=torch.float32)
            target = labels[tile_m]
            for tile_v in hl.tile(v):
                logits = hl.zeros([tile_m, tile_v], dtype=torch.float32)
                for tile_k in hl.tile(k):
                    logits = torch.addmm(logits, x[tile_m, tile_k], weight[tile_k, tile_v])
                logits = torch.where(tile_v.index[None, :] < v, logits, -1e30)
                new = torch.maximum(largest, logits.amax(-1))
                total = total * torch.exp(largest - new) + torch.exp(logits - new[:, None]).sum(-1)
                chosen = chosen + torch.where(tile_v.index[None, :] == target[:, None], logits, 0.0).sum(-1)
                largest = new
            out[tile_m] = torch.log(total) + largest - chosen
        return out

    x, weight = random(40, 20), random(20, 100)
    labels = torch.randint(0, 100, (40,), generator=torch.Generator().manual_seed(3)).to(DEVICE)
    expected = F.cross_entropy(x.double() @ weight.double(), labels, reduction="none")
    close(kernel(x, weight, labels), expected, terms=1000)


# ---- products of other kinds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_gated_products(dtype: torch.dtype) -> None:
    @metal(16, 16, 16)
    def kernel(x: torch.Tensor, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), gate.size(1)], dtype=x.dtype, device=x.device)
        for tile_m, tile_n in hl.tile(out.size()):
            left = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            right = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                left = torch.addmm(left, x[tile_m, tile_k], gate[tile_k, tile_n])
                right = torch.addmm(right, x[tile_m, tile_k], up[tile_k, tile_n])
            out[tile_m, tile_n] = (F.silu(left) * right).to(x.dtype)
        return out

    x, gate, up = random(40, 50, dtype=dtype), random(50, 30, dtype=dtype), random(51, 30, dtype=dtype)[1:]
    expected = F.silu(x.double() @ gate.double()) * (x.double() @ up.double())
    close(kernel(x, gate, up), expected, terms=2000)


def test_weights_of_eight_bits() -> None:
    @metal(16, 16, 16)
    def kernel(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), weight.size(1)], dtype=torch.float32, device=x.device)
        for tile_m, tile_n in hl.tile(out.size()):
            acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
            for tile_k in hl.tile(x.size(1)):
                acc = hl.dot(x[tile_m, tile_k], weight[tile_k, tile_n].to(x.dtype), acc=acc)
            out[tile_m, tile_n] = acc * scale[tile_n]
        return out

    x, scale = random(20, 50, dtype=torch.float16), random(30)
    weight = torch.randint(-128, 127, (50, 30), generator=torch.Generator().manual_seed(5)).to(torch.int8).to(DEVICE)
    close(kernel(x, weight, scale), (x.double() @ weight.double()) * scale.double(), terms=20000)


def test_squeeze_and_excite() -> None:
    @metal(16)
    def kernel(x: torch.Tensor, down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            values = x[tile, :]
            hidden = torch.relu(values @ down[:, :])
            out[tile, :] = values * torch.sigmoid(hidden @ up[:, :])
        return out

    x, down, up = random(40, 64), random(64, 16), random(16, 64)
    wide = x.double()
    close(kernel(x, down, up), wide * torch.sigmoid(torch.relu(wide @ down.double()) @ up.double()), terms=2000)


# ---- shapes ---------------------------------------------------------------------------------------------------------


def test_outer_product_and_sums_over_two_dimensions() -> None:
    @metal(16)
    def outer(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), x.size(1), y.size(0)], dtype=x.dtype, device=x.device)
        for tile in hl.tile(x.size(0)):
            out[tile, :, :] = x[tile, :, None] * y[None, None, :]
        return out

    @metal(16)
    def sums(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0)], dtype=x.dtype, device=x.device)
        for tile in hl.tile(x.size(0)):
            out[tile] = x[tile, :, :].sum(-1).sum(-1)
        return out

    x, y = random(50, 16), random(8)
    product = outer(x, y)
    assert torch.equal(product, x[:, :, None] * y)
    close(sums(product), product.double().sum((1, 2)))


def test_stacks() -> None:
    @metal(16)
    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        out = torch.empty([x.size(0), 2], dtype=x.dtype, device=x.device)
        for tile in hl.tile(x.size(0)):
            out[tile, :] = torch.stack([x[tile], y[tile] * 2], dim=-1)
        return out

    x, y = random(50), random(51)[1:]
    assert torch.equal(kernel(x, y), torch.stack([x, y * 2], -1))


def test_a_square_matrix_as_a_whole_is_refused_with_the_way_out() -> None:
    @metal(16)
    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            out[tile, :] = x[tile, :] @ y[:, :]
        return out

    with pytest.raises(helion.exc.BackendUnsupported, match=r"loop over one of them with hl\.tile"):
        kernel(random(20, 32), random(32, 32))


def test_joined_split_and_gathered_tiles() -> None:
    @metal(8, 16)
    def halves(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total, pairs = torch.empty_like(x), torch.empty([*x.size(), 2], dtype=x.dtype, device=x.device)
        for tile_m, tile_n in hl.tile(x.size()):
            joined = hl.join(x[tile_m, tile_n], y[tile_m, tile_n] * 2) + 1.0
            first, second = hl.split(joined)
            total[tile_m, tile_n] = first - second
            pairs[tile_m, tile_n, :] = joined
        return total, pairs

    @metal(8)
    def gathered(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            out[tile, :] = torch.gather(torch.softmax(x[tile, :], -1), 1, index[tile, :])
        return out

    x, y = random(20, 30), random(21, 30)[1:]
    total, pairs = halves(x, y)
    close(total, x.double() - y.double() * 2)
    assert torch.equal(pairs, torch.stack([x + 1, y * 2 + 1], -1))
    index = torch.randint(0, 30, (20, 30), generator=torch.Generator().manual_seed(9)).to(DEVICE)
    close(gathered(x, index), torch.softmax(x.double(), -1).gather(1, index))
