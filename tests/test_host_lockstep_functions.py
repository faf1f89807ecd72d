"""Kernels whose functions wait for other threads run in lockstep too, with these functions in place of their calls."""

from __future__ import annotations

import pytest
import torch

from helion_msl import _C
from helion_msl._C import _rewrite_msl

PRELUDE = "#include <metal_stdlib>\nusing namespace metal;\n"
PARAMETERS = """kernel void k(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
    constant uint &count [[buffer(2)]], uint thread_ [[thread_position_in_threadgroup]],
    uint threads [[threads_per_threadgroup]], uint row [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]]) {"""
# What threads add up before they meet, and what they do with the result.
BEGIN = """
  threadgroup float scratch[32];
  device const float *from = x + row * count;
  float total = 0;
  for (uint i = thread_; i < count; i += threads) total += from[i];
"""
END = """
  for (uint i = thread_; i < count; i += threads) out[row * count + i] = from[i] * total;
"""
# A barrier in an `if` keeps a kernel from lockstep, and this one is never reached.
NEEDS_STACKS = "if (count > 1000000) { threadgroup_barrier(mem_flags::mem_none); }"

THREADGROUP_SUM = """
static inline float threadgroup_sum(float value, threadgroup float (&scratch)[32], uint lane, uint group, uint groups) {
  constexpr uint first = 0;
#line 7 "reductions.py"
  value = metal::simd_sum(value);
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  if (lane == first) {
    scratch[group] = value;
  }
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  return metal::simd_sum(lane < groups ? scratch[lane] : 0.0f);
}
"""


def kernel(functions: str, body: str) -> str:
    return PRELUDE + functions + PARAMETERS + BEGIN + body + END + "}"


def is_lockstep(source: str) -> bool:
    return "helion_host_lockstep_0" in _rewrite_msl(source, True)


def check(functions: str, body: str) -> None:
    """The kernel runs in lockstep, and its results are the same to the last bit with stacks."""
    source = kernel(functions, body)
    assert is_lockstep(source)
    with_stacks = kernel(functions, body + NEEDS_STACKS)
    assert not is_lockstep(with_stacks)
    for threads in (32, 256, 77, 1024):
        x = torch.randn(3, 300, generator=torch.Generator().manual_seed(threads))
        out, expected = torch.zeros(2, 3, 300)
        _C.launch(source, [x, out, 300], (3,), (threads,))
        _C.launch(with_stacks, [x, expected, 300], (3,), (threads,))
        assert torch.equal(out, expected), threads
        assert bool(expected.any())


def test_sum_of_a_threadgroup_by_a_function() -> None:
    body = "total = threadgroup_sum(total, scratch, lane, simdgroup, simdgroups);"
    check(THREADGROUP_SUM, body)
    x = torch.randn(2, 300)
    out = torch.empty_like(x)
    _C.launch(kernel(THREADGROUP_SUM, body), [x, out, 300], (2,), (256,))
    torch.testing.assert_close(out, x * x.sum(1, keepdim=True))


def test_a_function_called_several_times_and_in_an_expression() -> None:
    check(
        THREADGROUP_SUM,
        """const float mean = threadgroup_sum(total, scratch, lane, simdgroup, simdgroups) / count;
        float squares = 0;
        for (uint i = thread_; i < count; i += threads) squares += (from[i] - mean) * (from[i] - mean);
        total = 1 + sqrt(threadgroup_sum(squares * 0.5f, scratch, lane, simdgroup, simdgroups) / count);""",
    )


def test_a_function_that_calls_another_and_has_names_of_the_kernel() -> None:
    # `total`, `lane` and `scratch` mean something else here than in the kernel.
    check(
        """
        namespace reductions {
        inline float simd_max(float total) {
          float largest = metal::simd_max(total);
          return metal::simd_any(total != total) ? NAN : largest;
        }
        inline float spread(float lane, threadgroup float *values, uint total) {
          float scratch = reductions::simd_max(lane);
          lane = scratch - metal::simd_min(lane);
          if (total == 0) {
            for (uint place = 0; place < 1; ++place) values[place] = lane;
          }
          metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
          return lane + values[0];
        }
        }
        """,
        "total = reductions::spread(total, scratch, thread_);",
    )


def test_a_function_without_a_result_and_one_that_returns_a_struct() -> None:
    check(
        """
        struct pair { float first; float second; };
        static inline void publish(threadgroup float (&to)[32], uint place, float value) {
          float sum = simd_sum(value);
          to[place] = sum;
        }
        static inline pair both(float value) {
          float sum = simd_sum(value);
          float largest = simd_max(value);
          return pair{sum, largest};
        }
        """,
        """publish(scratch, simdgroup, total);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        pair found = both(total + scratch[0]);
        total = found.first * found.second;""",
    )


@pytest.mark.parametrize(
    ("functions", "body"),
    [
        # Lanes that return early do not wait.
        ("float f(float x) { if (x < 0) { return 0; } return simd_sum(x); }", "total = f(total);"),
        # One of several, chosen by the type of the argument.
        ("float f(float x) { return simd_sum(x); } int f(int x) { return simd_sum(x); }", "total = f(total);"),
        ("template <class T> T f(T x) { return simd_sum(x); }", "total = f(total);"),
        # Some lanes go around the call.
        ("float f(float x) { return simd_sum(x); }", "total = total > 0 ? f(total) : 0;"),
        ("float f(float x) { return simd_sum(x); }", "if (total > 0) total = f(total);"),
        # A name of the function that means something else in the kernel.
        ("constant float lane_weight = 2; float f(float x) { return simd_sum(x) * lane_weight; }",
         "float lane_weight = 3; total = f(total) + lane_weight;"),
        ("namespace a { float g(float x) { return x; } float f(float x) { return simd_sum(g(x)); } }",
         "total = a::f(total);"),
        # What else the statement does would come too late.
        ("float f(float x) { return simd_sum(x); }", "uint n = count; total = n++ + f(total + n);"),
        ("float f(float x) { return simd_sum(x); }", "float a = total * 2, b = f(a); total = a + b;"),
        # A pointer of the function's own.
        ("float f(threadgroup float *p, float x) { p += 1; return simd_sum(x) + *p; }", "total = f(scratch, total);"),
        ("float f(threadgroup float *p, float x) { return simd_sum(x) + *p; }", "total = f(scratch + 1, total);"),
        ("float f(float x, float y = 1) { return simd_sum(x) + y; }", "total = f(total);"),
        # A reference that may be to a number of another type than the argument's.
        ("float f(thread const float &x) { return simd_sum(x / 2); }", "int whole = total; total = f(whole);"),
        # Calls itself, in the end through another.
        ("float g(float x); float f(float x) { return simd_sum(x) + g(x); } float g(float x) { return f(x); }",
         "total = g(total);"),
    ],
)  # fmt: skip
def test_what_is_not_understood_gets_stacks(functions: str, body: str) -> None:
    assert not is_lockstep(kernel(functions, body))


def test_a_constant_reference_refers_to_the_argument_in_its_own_type() -> None:
    function = "float f(thread const float &x) { return simd_max(x / 2); }"
    x, out = torch.ones(64), torch.empty(64)
    _C.launch(kernel(function, "int whole = total; total = f(whole);"), [x, out, 33], (1,), (1,))
    assert out[:33].tolist() == [16.5] * 33


def test_a_kernel_without_a_loop_over_elements_is_compiled_the_quicker_way() -> None:
    function = "float f(float x) { return simd_sum(x); }"
    body = "out[thread_] = f(x[thread_]);"
    assert not is_lockstep(PRELUDE + function + PARAMETERS + body + "}")
    assert is_lockstep(kernel(function, "total = f(total);"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32])
@pytest.mark.parametrize("operation", ["sum", "product", "max", "min", "and", "or", "xor", "any", "all"])
def test_reductions_of_all_threads_are_those_of_each_simdgroup(operation: str, dtype: torch.dtype) -> None:
    if dtype.is_floating_point and operation in ("and", "or", "xor"):
        pytest.skip("Metal has no bitwise operations of floats")
    scalar = "float" if dtype.is_floating_point else "int"
    value = "x[thread_] > 0" if operation in ("any", "all") else "x[thread_]"
    text = f"""kernel void k(device const {scalar} *x [[buffer(0)]], device {scalar} *out [[buffer(1)]],
        uint thread_ [[thread_position_in_threadgroup]]) {{
          out[thread_] = {scalar}(simd_{operation}({value}));"""
    source = PRELUDE + text + "}"
    with_stacks = PRELUDE + text + "if (thread_ > 5000) threadgroup_barrier(mem_flags::mem_none); }"
    assert is_lockstep(source)
    assert not is_lockstep(with_stacks)
    for threads in (1024, 256, 45, 31, 1):
        generator = torch.Generator().manual_seed(threads)
        x = torch.randint(-3, 90, (threads,), generator=generator).to(dtype)
        if dtype.is_floating_point:
            x = x / 7
        out, expected = torch.empty_like(x), torch.empty_like(x)
        _C.launch(source, [x, out], (1,), (threads,))
        _C.launch(with_stacks, [x, expected], (1,), (threads,))
        assert torch.equal(out, expected), threads
