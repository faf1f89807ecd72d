"""Threadgroup memory as an argument: the launch gives its size in bytes, after the buffers."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helion_msl import _C, ArgumentError, LaunchError

REVERSE = """#include <metal_stdlib>
using namespace metal;
struct shift { float4 unused; int by; };
kernel void reverse(threadgroup float *shared [[threadgroup(0)]], device const float *x [[buffer(0)]],
                    threadgroup shift &own [[ threadgroup(1) ]], device float *out [[buffer(1)]],
                    uint i [[thread_index_in_threadgroup]], uint group [[threadgroup_position_in_grid]],
                    uint n [[threads_per_threadgroup]]) {
  shared[i] = x[group * n + i];
  if (i == 0) own.by = group;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[group * n + i] = shared[n - 1 - i] + own.by;
}"""


@settings(max_examples=20, deadline=None)
@given(groups=st.integers(1, 40), threads=st.integers(1, 256), spare=st.integers(0, 100))
def test_every_threadgroup_has_its_own(groups, threads, spare):
    x = torch.arange(float(groups * threads))
    out = torch.zeros_like(x)
    _C.launch(REVERSE, [x, out, 4 * threads + spare, 32], (groups,), (threads,))
    expected = x.view(groups, threads).flip(1) + torch.arange(float(groups))[:, None]
    assert torch.equal(out, expected.flatten())


def test_beside_threadgroup_variables():
    source = """#include <metal_stdlib>
    using namespace metal;
    template <typename T, int n>
    kernel void total(device const T *x, device T *out, threadgroup T *sums, uint i [[thread_position_in_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]], uint group [[simdgroup_index_in_threadgroup]]) {
      threadgroup T last[n];
      const T sum = simd_sum(x[i]);
      if (lane == 0) sums[group] = sum;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (i < n) last[i] = sums[i];
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (i == 0) { out[0] = 0; for (int k = 0; k < n; ++k) out[0] += last[k]; }
    }
    template [[host_name("total_float")]] kernel void total<float, 4>(device const float *, device float *,
                                                                     threadgroup float *, uint, uint, uint);"""
    x, out = torch.arange(128.0), torch.zeros(1)
    _C.launch(source, [x, out, 16], (1,), (128,))
    assert out.item() == x.sum().item()


def test_the_argument_table_says_so():
    table = _C.compile(REVERSE, device="cpu").arguments
    assert [(a.name, a.index, a.is_threadgroup_memory) for a in table] == [
        ("x", 0, False),
        ("out", 1, False),
        ("shared", 0, True),
        ("own", 1, True),
    ]


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((64,), ArgumentError, "takes 4 arguments: .*shared .*threadgroup 0.*; got 3"),
        ((0, 32), ArgumentError, "'shared'.* at least 1; the number given is out of range"),
        ((-4, 32), ArgumentError, "'shared'.*out of range"),
        ((1 << 80, 32), ArgumentError, "'shared'.*out of range"),
        ((1.5, 32), ArgumentError, "'shared'.*threadgroup memory takes its size in bytes.*a float was given"),
        ((torch.zeros(4), 32), ArgumentError, "'shared'.*a tensor was given"),
        ((32769, 32), LaunchError, "32769 bytes of threadgroup memory.*a threadgroup may use 32768"),
        ((32768, 32), LaunchError, "'own'.*the kernel has 32768 bytes besides"),
    ],
)
def test_a_refused_size(sizes, error, message):
    x, out = torch.ones(4), torch.zeros(4)
    with pytest.raises(error, match=re.compile(message, re.DOTALL)):
        _C.launch(REVERSE, [x, out, *sizes], (1,), (4,))
    assert out.tolist() == [0.0] * 4


def test_a_size_below_that_of_the_type():
    with pytest.raises(ArgumentError, match="31 were given, but the declared type has 32"):
        _C.launch(REVERSE, [torch.ones(4), torch.zeros(4), 16, 31], (1,), (4,))
