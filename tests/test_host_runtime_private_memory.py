"""Memory that each thread has for itself is its own, also where the threads of a plain kernel run as one loop."""

from __future__ import annotations

import pytest
import torch

from helion_msl import _C
from helion_msl._C import _rewrite_msl

SOURCE = """
#include <metal_stdlib>
using namespace metal;

static inline void fill(int first, thread float (&values)[4]) {{
  for (int k = 0; k < 4; ++k) {{
    values[k] = float(first + k);
  }}
}}

kernel void compute(device const float* x [[buffer(0)]], device float* out [[buffer(1)]],
                    uint i [[thread_position_in_grid]]) {{
  {declarations}
  v[i % 4] = v[i % 4] + x[i];
  out[i] = v[0] + v[1] * 8.0f + v[2] * 64.0f + v[3] * 512.0f + v[(i + 1) % 4] * 4096.0f;
}}
"""


@pytest.mark.parametrize(
    "declarations",
    [
        "float v[4]; fill(int(i), v);",
        "float v[4] = {float(i), float(i + 1), float(i + 2), float(i + 3)};",
        "array<float, 4> v; for (uint k = 0; k < 4; ++k) { v[k] = float(i + k); }",
        "float4 v = float4(i, i + 1, i + 2, i + 3);",
        "const float start[4] = {float(i), float(i + 1), float(i + 2), float(i + 3)};"
        " thread float* v = (thread float*)start;",
        "auto v = float4(i, i + 1, i + 2, i + 3);",
        "float2x4 m = float2x4(float4(0), float4(i, i + 1, i + 2, i + 3));"
        "float4 v = m[(i + 2) / (i + 2)]; m[i % 2][i % 4] = 1;",
    ],
    ids=["array of a function", "array", "metal::array", "vector", "constant array", "auto", "matrix"],
)
def test_threads_do_not_share_it(declarations: str) -> None:
    count = 41
    x, out = torch.arange(1.0, count + 1), torch.zeros(count)
    source = SOURCE.format(declarations=declarations)
    _C.launch(source, (x, out), (1, 1, 1), (count, 1, 1))
    v = torch.arange(float(count))[:, None] + torch.arange(4.0)
    v[torch.arange(count), torch.arange(count) % 4] += x
    next_one = v[torch.arange(count), (torch.arange(count) + 1) % 4]
    assert torch.equal(out, v @ torch.tensor([1.0, 8.0, 64.0, 512.0]) + 4096 * next_one)


@pytest.mark.parametrize(
    ("body", "has_own_memory"),
    [
        ("x[i] = twice(x[i]);", False),
        ("x[i] = metal::max(x[i], limit<float>);", False),
        ("list<float, 4> v; v[i % 4] = 1; x[i] = twice(v[0]);", True),
    ],
)
def test_names_of_template_parameters_are_no_names_of_the_program(body: str, has_own_memory: bool) -> None:
    source = f"""
    #include <metal_stdlib>
    template <typename T, unsigned N> using list = metal::array<T, N>;
    template <typename T> constant constexpr T limit = T(3);
    template <typename T> T twice(T value) {{ return value + value; }}
    kernel void compute(device float* x, uint i [[thread_position_in_grid]]) {{ {body} }}
    """
    assert (", true>::describe(" in _rewrite_msl(source, True)) == has_own_memory
    x = torch.arange(4.0)
    _C.launch(source, [x], (1,), (4,))
    assert x.isfinite().all()
