"""Kernels that run in lockstep, a loop over the threads for each step, do what they do with a stack for each thread."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helion_msl import _C
from helion_msl._C import _rewrite_msl

PRELUDE = "#include <metal_stdlib>\nusing namespace metal;\n"
# A barrier that is not in the kernel's own body keeps it from lockstep, and this one is never reached.
NEEDS_STACKS = "if (count > 1000000) { threadgroup_barrier(mem_flags::mem_none); }"
HEADER = """kernel void k(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
    constant uint &count [[buffer(2)]], uint thread_ [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]], uint row [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]]) {"""


def is_lockstep(source: str) -> bool:
    return "helion_host_lockstep_0" in _rewrite_msl(source, True)


def check(body: str, *, threads: tuple[int, ...] = (32, 256, 1, 77, 1024), rows: int = 3, count: int = 300) -> None:
    """The results of `body`, an entry of `out` for each thread, are the same to the last bit with stacks."""
    source = PRELUDE + HEADER + body + "}"
    assert is_lockstep(source)
    with_stacks = PRELUDE + HEADER + body + NEEDS_STACKS + "}"
    assert not is_lockstep(with_stacks)
    for width in threads:
        x = torch.randn(rows, max(count, width), generator=torch.Generator().manual_seed(width))
        out, expected = torch.zeros(2, rows * max(count, width))
        _C.launch(source, [x, out, count], (rows,), (width,))
        _C.launch(with_stacks, [x, expected, count], (rows,), (width,))
        assert torch.equal(out, expected), width
        assert bool(expected.any())


def test_reductions_across_a_row():
    check("""
      threadgroup float partial[32];
      device const float *from = x + row * count;
      device float *to = out + row * count;
      float largest = -INFINITY;
      for (uint i = thread_; i < count; i += threads) largest = max(largest, from[i]);
      largest = simd_max(largest);
      if (lane == 0) partial[simdgroup] = largest;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      largest = simd_max(lane < simdgroups ? partial[lane] : -INFINITY);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      float sum = 0;
      for (uint i = thread_; i < count; i += threads) {
        const float value = exp(from[i] - largest);
        to[i] = value;
        sum += value;
      }
      sum = metal::simd_sum(sum);
      if (lane == 0) partial[simdgroup] = sum;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      sum = simd_sum(lane < simdgroups ? partial[lane] : 0);
      for (uint i = thread_; i < count; i += threads) to[i] /= sum;
    """)


@pytest.mark.parametrize(
    "operation",
    [
        "simd_sum(x[thread_])",
        "simd_product(1 + x[thread_] / 8)",
        "simd_min(x[thread_]) * 3 + simd_max(-x[thread_])",
        "float(simd_or(thread_ * 3) ^ simd_and(~thread_) ^ simd_xor(thread_ * 7))",
        "float(simd_any(x[thread_] > 2)) + 2 * float(simd_all(x[thread_] > -2))",
        "simd_shuffle_xor(x[thread_], 5)",
        "simd_shuffle_down(x[thread_], 3) - simd_shuffle_up(x[thread_], thread_ % 4)",
        "simd_shuffle(x[thread_], (thread_ * 5 + 1) % min(threads, 32u))",
        "simd_broadcast(x[thread_], 0) + simd_sum(simd_max(x[thread_]))",
        "float(simd_sum(half(x[thread_]))) + float(simd_max(short(x[thread_] * 9)))",
    ],
)
def test_operations(operation):
    # Lanes that a partial simdgroup lacks give NaN, which is never equal.
    operation = f"float value = {operation};"
    check(operation + " out[row * count + thread_] = value == value ? value : 1e30f;", threads=(32, 256, 77))


def test_sums_are_those_of_torch():
    source = PRELUDE + HEADER + "const int sum = simd_sum(int(x[thread_])); out[row * count + thread_] = sum; }"
    assert is_lockstep(source)
    x = torch.randint(-99, 99, (4, 96)).float()
    out = torch.zeros(4, 96)
    _C.launch(source, [x.flatten(), out, 96], (1,), (96,))
    expected = x[0].reshape(3, 32).sum(1, keepdim=True).expand(3, 32).flatten()
    assert torch.equal(out[0], expected)


def test_exchange_through_threadgroup_memory():
    source = f"""{PRELUDE}
    kernel void k(device const int *x, device int *out, uint3 p [[thread_position_in_threadgroup]],
                  uint3 size [[threads_per_threadgroup]], uint i [[thread_index_in_threadgroup]],
                  uint3 g [[thread_position_in_grid]], uint3 grid [[threads_per_grid]]) {{
      constexpr int MOST = 32;
      threadgroup int tile[MOST * 32];
      const uint at = g.x + grid.x * (g.y + grid.y * g.z);
      tile[i] = x[at];
      threadgroup_barrier(mem_flags::mem_threadgroup);
      const uint across = p.y + size.y * (p.x + size.x * p.z);
      const int other = tile[across];
      threadgroup_barrier(mem_flags::mem_threadgroup);
      tile[i] = other + 1;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      out[at] = tile[size.x * size.y * size.z - 1 - i] << (other & 3);
    }}"""
    assert is_lockstep(source)
    x = torch.arange(2 * 3 * 4 * 8 * 8 * 4, dtype=torch.int32).reshape(4 * 4, 3 * 8, 2 * 8)
    out = torch.zeros_like(x)
    _C.launch(source, [x, out], (2, 3, 4), (8, 8, 4))
    tiles = x.reshape(4, 4, 3, 8, 2, 8).permute(0, 2, 4, 1, 3, 5)
    other = tiles.transpose(4, 5)
    expected = (other + 1).flatten(3).flip(3).reshape(other.shape) << (other & 3)
    assert torch.equal(out, expected.permute(0, 3, 1, 4, 2, 5).reshape(x.shape).to(torch.int32))


@pytest.mark.parametrize(
    "body",
    [
        # Not every thread comes by, or nothing shows that it does.
        "if (thread_ < 5) value = simd_sum(value);",
        "value = thread_ < 5 ? simd_sum(value) : 0;",
        "value = thread_ < 5 && simd_any(value > 0);",
        "for (uint i = 0; i < count; ++i) value = simd_sum(value);",
        "if (thread_ >= count) return; value = simd_sum(value);",
        "if (thread_ < count) { threadgroup_barrier(mem_flags::mem_none); }",
        # The copy of a variable would have another address.
        "thread float *address = &value; threadgroup_barrier(mem_flags::mem_none); *address += 1;",
        "auto address = &value; threadgroup_barrier(mem_flags::mem_none); *address += 1;",
        "thread float &same = value; threadgroup_barrier(mem_flags::mem_none); same += 1;",
        "auto &same = value; threadgroup_barrier(mem_flags::mem_none); same += 1;",
        "float several[4] = {1, 2, 3, 4}; value = simd_sum(value); value += several[lane % 4];",
        "auto again = [&] { value += 1; }; threadgroup_barrier(mem_flags::mem_none); again();",
        # The turns of a vectorized loop would share them.
        "{ float several[4] = {1, 2, 3, 4}; value += several[lane % 4]; } value = simd_sum(value);",
        "{ float4 several(value); several[lane % 4] = 0; value += several.y; } value = simd_sum(value);",
        "float4 several(value); several[lane % 4] = 0; value = simd_sum(several.x);",
        # Order of evaluation.
        "value = simd_sum(value++);",
        "float other = 2; value = (other = 3) + simd_sum(other);",
    ],
)
def test_what_needs_stacks(body):
    assert not is_lockstep(
        PRELUDE + HEADER + f"float value = x[thread_]; {body} out[row * count + thread_] = value; }}"
    )


@pytest.mark.parametrize(
    "loop",
    [
        # A bound or a step that is no use for turns, and loops that wrap around or never begin.
        "for (uint i = thread_; i < count; i += 0x80000000u) sum += x[i];",
        "for (int i = int(thread_) - 5; i < int(count); i += 64) sum += i < 0 ? 1.5f : x[i];",
        "for (int i = thread_; i < -1; i += 4) sum += x[i];",
        "for (uint i = thread_ * 16777216u; i < count; i += 7) sum += x[i % 100];",
        "for (long i = thread_; i < count; i += threads) { if (i % 3 == 0) { sum += x[i]; } }",
        "for (uint i = thread_; i < count; i += threads + lane) sum += x[i];",
        "for (uint i = thread_ + 1; i < count - thread_; i += 3) { for (int j = 0; j < 3; ++j) sum += x[i] * j; }",
        "for (uint i = thread_; i < count; i += 9) { if (x[i] > 1) continue; if (x[i] < -1) break; sum += x[i]; }",
        "for (uint i = thread_; i < count; i += threads) { sum += x[i]; i += 1; }",
    ],
)
def test_loops(loop):
    check(f"float sum = 1; {loop} sum = sum + simd_max(sum); out[row * count + thread_] = sum;", threads=(32, 45))


def test_a_wrong_kernel_is_reported_once():
    source = PRELUDE + HEADER + "\nfloat v = simd_sum(x[thread_]);\nconst float w = 1;\nsimd_sum(v);\nw = nothing;\n}"
    with pytest.raises(_C.MetalCompileError if hasattr(_C, "MetalCompileError") else Exception) as error:
        _C.compile(source)
    assert str(error.value).count("use of undeclared identifier 'nothing'") == 1
    assert "line" in str(error.value) or ":" in str(error.value)


STATEMENTS = [
    "a = a * 0.5f + float(thread_ % 7);",
    "b += a; a -= float(lane);",
    "if (thread_ % 3 == 0) { b = b + 1; } else a = -a;",
    "threadgroup_barrier(mem_flags::mem_threadgroup);",
    "shared[thread_] = a; threadgroup_barrier(mem_flags::mem_threadgroup); b = shared[threads - 1 - thread_];"
    " threadgroup_barrier(mem_flags::mem_threadgroup);",
    "a = simd_sum(b) * 0.01f;",
    "b = a + metal::simd_shuffle_xor(b, 1) * simd_max(a);",
    "{ const float t = a; a = b; b = t; }",
    "for (uint i = thread_; i < count; i += threads) { a += x[i] * b; }",
    "for (int i = 0; i < 3; ++i) b = b * 0.75f + a;",
    "n = simd_any(a > b) ? n * 3 + thread_ : n + simdgroup;",
]


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(STATEMENTS), min_size=2, max_size=9))
def test_programs(program):
    body = "threadgroup float shared[1024]; float a = x[thread_], b = 0.25f; uint n = thread_;" + " ".join(program)
    check(body + " a = simd_min(a); out[row * count + thread_] = a + b + float(n % 64u) + 1;", threads=(64, 96))
