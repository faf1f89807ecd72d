"""simdgroup_matrix<T, 8, 8> against torch."""

from __future__ import annotations

import pytest
import torch

from helion_msl import _C
from msl_evaluation import DTYPES, PRELUDE

TYPES = ["float", "half", "bfloat"]


def integers_of(msl_type: str, *shape: int, seed: int) -> torch.Tensor:
    """Small integers: their products and sums are exact in every type, so the results have to be equal."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-4, 5, shape, generator=generator).to(DTYPES[msl_type])


@pytest.mark.parametrize("msl_type", TYPES)
def test_multiply_accumulate(msl_type):
    source = f"""{PRELUDE}
    kernel void k(device const {msl_type} *a, device const {msl_type} *b, device const {msl_type} *c,
                  device {msl_type} *d, device {msl_type} *e, device {msl_type} *f) {{
      simdgroup_matrix<{msl_type}, 8, 8> ma, mb, mc, md, me;
      simdgroup_load(ma, a); simdgroup_load(mb, b, 8); simdgroup_load(mc, c, 8, ulong2(0, 0));
      simdgroup_multiply_accumulate(md, ma, mb, mc);
      simdgroup_multiply(me, ma, mb);
      simdgroup_store(md, d); simdgroup_store(me, e, 8); simdgroup_store(ma * mb, f, 8);
    }}"""
    a, b, c = (integers_of(msl_type, 8, 8, seed=s) for s in range(3))
    d, e, f = (torch.zeros(8, 8, dtype=a.dtype) for _ in range(3))
    _C.launch(source, [a, b, c, d, e, f], (1,), (32,))
    product = (a.float() @ b.float()).to(a.dtype)
    assert torch.equal(d, (a.float() @ b.float() + c.float()).to(a.dtype))
    assert torch.equal(e, product)
    assert torch.equal(f, product)


def test_mixed_types_accumulate_in_float():
    source = f"""{PRELUDE}
    kernel void k(device const half *a, device const half *b, device float *d) {{
      simdgroup_half8x8 ma, mb; simdgroup_load(ma, a); simdgroup_load(mb, b);
      simdgroup_float8x8 md = make_filled_simdgroup_matrix<float, 8, 8>(0.5f);
      simdgroup_multiply_accumulate(md, ma, mb, md);
      simdgroup_store(md, d);
    }}"""
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(8, 8, generator=generator).half() for _ in range(2))
    d = torch.zeros(8, 8)
    _C.launch(source, [a, b, d], (1,), (32,))
    torch.testing.assert_close(d, a.float() @ b.float() + 0.5, rtol=1e-6, atol=1e-6)


def test_load_and_store_with_strides_origins_and_transposition():
    source = f"""{PRELUDE}
    kernel void k(device const float *a, device float *plain, device float *transposed, device float *stored) {{
      simdgroup_float8x8 m, t;
      simdgroup_load(m, a, 20, ulong2(5, 3));
      simdgroup_load(t, a, 20, ulong2(5, 3), true);
      simdgroup_store(m, plain, 8);
      simdgroup_store(t, transposed, 8);
      simdgroup_store(m, stored, 20, ulong2(2, 1), true);
    }}"""
    a = torch.arange(400, dtype=torch.float32).reshape(20, 20)
    plain, transposed, stored = torch.zeros(8, 8), torch.zeros(8, 8), torch.zeros(20, 20)
    _C.launch(source, [a, plain, transposed, stored], (1,), (32,))
    block = a[3:11, 5:13]
    assert torch.equal(plain, block)
    assert torch.equal(transposed, block.T)
    expected = torch.zeros(20, 20)
    expected[1:9, 2:10] = block.T
    assert torch.equal(stored, expected)


def test_threadgroup_memory():
    source = f"""{PRELUDE}
    kernel void k(device const float *a, device float *out, uint i [[thread_index_in_threadgroup]],
                  uint simdgroup [[simdgroup_index_in_threadgroup]]) {{
      threadgroup float tile[2][64];
      for (uint j = i; j < 128; j += 64) tile[j / 64][j % 64] = a[j];
      threadgroup_barrier(mem_flags::mem_threadgroup);
      simdgroup_float8x8 m, n;
      simdgroup_load(m, tile[simdgroup]); simdgroup_load(n, tile[1 - simdgroup]);
      simdgroup_store(m * n, out + simdgroup * 64, 8);
    }}"""
    a = integers_of("float", 2, 8, 8, seed=5)
    out = torch.zeros(2, 8, 8)
    _C.launch(source, [a, out], (1,), (64,))
    assert torch.equal(out, torch.stack([a[0] @ a[1], a[1] @ a[0]]))


def test_elements_of_a_lane():
    """Apple's layout, as published kernels use it: a lane's row and first column follow from its number."""
    source = f"""{PRELUDE}
    kernel void k(device const float *a, device float *out, device float *diagonal,
                  uint lane [[thread_index_in_simdgroup]]) {{
      simdgroup_float8x8 m; simdgroup_load(m, a, 8);
      const short quad = lane / 4;
      const short row = (quad & 4) + (lane / 2) % 4, column = (quad & 2) * 2 + (lane % 2) * 2;
      out[row * 8 + column] = m.thread_elements()[0];
      out[row * 8 + column + 1] = m.thread_elements()[1];
      simdgroup_float8x8 d(3.0f);
      d.thread_elements() = d.thread_elements() + float2(1);
      simdgroup_store(d, diagonal);
    }}"""
    a, out, diagonal = torch.rand(8, 8), torch.zeros(8, 8), torch.zeros(8, 8)
    _C.launch(source, [a, out, diagonal], (1,), (32,))
    assert torch.equal(out, a)
    assert torch.equal(diagonal, 3 * torch.eye(8) + 1)


def test_tiled_matmul():
    """One simdgroup per 8x8 tile of the result, along a depth of 40."""
    source = f"""{PRELUDE}
    kernel void k(device const float *a, device const float *b, device float *c, constant uint &n, constant uint &depth,
                  uint2 tile [[threadgroup_position_in_grid]]) {{
      simdgroup_float8x8 sum = make_filled_simdgroup_matrix<float, 8, 8>(0);
      for (uint k = 0; k < depth; k += 8) {{
        simdgroup_float8x8 x, y;
        simdgroup_load(x, a, depth, ulong2(k, tile.y * 8));
        simdgroup_load(y, b, n, ulong2(tile.x * 8, k));
        simdgroup_multiply_accumulate(sum, x, y, sum);
      }}
      simdgroup_store(sum, c, n, ulong2(tile.x * 8, tile.y * 8));
    }}"""
    a, b, c = integers_of("float", 24, 40, seed=1), integers_of("float", 40, 16, seed=2), torch.zeros(24, 16)
    _C.launch(source, [a, b, c, 16, 40], (2, 3), (32,))
    assert torch.equal(c, a @ b)


def test_a_simdgroup_that_lacks_lanes_gives_nan():
    source = f"""{PRELUDE}
    kernel void k(device const float *a, device float *out) {{
      simdgroup_float8x8 m; simdgroup_load(m, a); simdgroup_store(m * m, out);
    }}"""
    out = torch.zeros(8, 8)
    _C.launch(source, [torch.ones(8, 8), out], (1,), (16,))
    # Lanes 0 to 15 hold the upper four rows; each of their products needs the lower rows of the other matrix.
    assert bool(out[:4].isnan().all())
    assert bool((out[4:] == 0).all())


@pytest.mark.parametrize("threads", [32, 16, 80])
@pytest.mark.parametrize("msl_type", TYPES)
def test_sources_that_name_thread_elements_compute_the_same(msl_type, threads):
    """They spread their matrices over the lanes; the first lane holds those of others."""
    text = f"""{PRELUDE}
    kernel void k(device const {msl_type} *a, device float *out, uint simdgroup [[simdgroup_index_in_threadgroup]]) {{
      simdgroup_matrix<{msl_type}, 8, 8> x, y({msl_type}(1.5f));
      simdgroup_float8x8 sum = make_filled_simdgroup_matrix<float, 8, 8>(0.25f);
      simdgroup_load(x, a, 8, ulong2(0, simdgroup), true);
      simdgroup_multiply_accumulate(y, x, x, y);
      for (int i = 0; i < 3; ++i) simdgroup_multiply_accumulate(sum, x, y, sum);
      simdgroup_float8x8 copy = sum;
      simdgroup_multiply(sum, copy, copy);
      MORE
      simdgroup_store(sum, out + simdgroup * 64, 8);
      simdgroup_store(copy, out + 256, 10, ulong2(1, 2), true);
    }}"""
    a = integers_of(msl_type, 8, 16, seed=7)
    held, spread = torch.zeros(2, 512)
    _C.launch(text.replace("MORE", ""), [a, held], (1,), (threads,))
    _C.launch(text.replace("MORE", "(void)x.thread_elements();"), [a, spread], (1,), (threads,))
    assert torch.equal(held.nan_to_num(nan=1e30), spread.nan_to_num(nan=1e30))
    assert bool(held.isnan().any()) == (threads % 32 != 0)
    if threads == 32:
        x = a.flatten()[:64].reshape(8, 8).T.float()
        y = (x @ x + 1.5 * torch.eye(8)).to(a.dtype).float()
        total = 3 * (x @ y) + 0.25
        torch.testing.assert_close(held[:64].reshape(8, 8), total @ total)
