"""The host engine runs kernels with Metal's semantics: barriers, simdgroups, threadgroups of every shape."""

from __future__ import annotations

import pytest
import torch

from helion_msl import _C
from helion_msl.errors import LaunchError, MetalCompileError, UnknownKernelError

PRELUDE = "#include <metal_stdlib>\nusing namespace metal;\n"


def launch(body: str, arguments: list[torch.Tensor], grid: tuple[int, ...], block: tuple[int, ...]) -> None:
    """Launches a kernel with the given body; tensors are `a0`, `a1`, ... with their own element types."""
    types = {torch.float32: "float", torch.int32: "int"}
    parameters = ", ".join(
        f"device {types[argument.dtype]} *a{index} [[buffer({index})]]" for index, argument in enumerate(arguments)
    )
    source = f"""{PRELUDE}
    kernel void tested({parameters},
        uint3 tgid [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]],
        uint3 tid [[thread_position_in_threadgroup]], uint3 size [[threads_per_threadgroup]],
        uint t [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
        uint simdgroup [[simdgroup_index_in_threadgroup]]) {{
      const uint n = size.x * size.y * size.z;
      const uint g = tgid.x + groups.x * (tgid.y + groups.y * tgid.z);
      {body}
    }}"""
    _C.launch(source, arguments, grid, block)


REVERSE = """
  threadgroup int s[1024];
  s[t] = a0[g * n + t];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  a1[g * n + t] = s[n - 1 - t];
"""


@pytest.mark.parametrize(
    "block", [(1,), (7,), (32,), (33,), (256,), (1024,), (8, 4), (5, 3, 2), (16, 8, 8), (1, 1, 64)]
)
@pytest.mark.parametrize("grid", [(1,), (37,), (3, 5), (2, 3, 4)])
def test_threads_see_what_others_wrote_before_a_barrier(grid: tuple[int, ...], block: tuple[int, ...]) -> None:
    groups, threads = torch.Size(grid).numel(), torch.Size(block).numel()
    values = torch.arange(groups * threads, dtype=torch.int32) * 3
    reversed_values = torch.zeros_like(values)
    launch(REVERSE, [values, reversed_values], grid, block)
    assert torch.equal(reversed_values.view(groups, threads), values.view(groups, threads).flip(1))


@pytest.mark.parametrize("threads", [2, 64, 256, 1024])
def test_tree_reduction(threads: int) -> None:
    values = torch.randint(-1000, 1000, (50, threads), dtype=torch.int32)
    sums = torch.zeros(50, dtype=torch.int32)
    body = """
      threadgroup int s[1024];
      s[t] = a0[g * n + t];
      for (uint half_size = n / 2; half_size > 0; half_size /= 2) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (t < half_size) s[t] += s[t + half_size];
      }
      if (t == 0) a1[g] = s[0];
    """
    launch(body, [values, sums], (50,), (threads,))
    assert torch.equal(sums, values.sum(1, dtype=torch.int32))


@pytest.mark.parametrize("threads", [1, 31, 100, 257, 1000])
def test_prefix_sum_across_barriers(threads: int) -> None:
    values = torch.randint(-50, 50, (9, threads), dtype=torch.int32)
    sums = torch.zeros_like(values)
    body = """
      threadgroup int s[1024];
      int sum = a0[g * n + t];
      for (uint distance = 1; distance < n; distance *= 2) {
        s[t] = sum;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (t >= distance) sum += s[t - distance];
        threadgroup_barrier(mem_flags::mem_threadgroup);
      }
      a1[g * n + t] = sum;
    """
    launch(body, [values, sums], (9,), (threads,))
    assert torch.equal(sums, values.cumsum(1, dtype=torch.int32))


@pytest.mark.parametrize("threads", [1, 5, 32, 45, 64, 1000])
def test_simdgroups_are_32_threads_in_linear_order_and_the_last_may_be_partial(threads: int) -> None:
    values = torch.randint(-1000, 1000, (threads,), dtype=torch.int32)
    sums = torch.zeros_like(values)
    launch("a1[t] = simd_sum(a0[t]);", [values, sums], (1,), (threads,))
    expected = torch.cat([part.sum().expand(len(part)) for part in values.split(32)])
    assert torch.equal(sums, expected.to(torch.int32))


def test_lanes_of_a_three_dimensional_threadgroup_count_x_fastest() -> None:
    sums = torch.zeros(5 * 4 * 3, dtype=torch.int32)
    launch("a0[t] = simd_sum(int(tid.x + 10 * tid.y + 100 * tid.z));", [sums], (1,), (5, 4, 3))
    z, y, x = torch.meshgrid(torch.arange(3), torch.arange(4), torch.arange(5), indexing="ij")
    expected = torch.cat([p.sum().expand(len(p)) for p in (x + 10 * y + 100 * z).flatten().split(32)])
    assert torch.equal(sums, expected.to(torch.int32))


def test_only_the_lanes_inside_a_branch_take_part_in_its_simdgroup_operation() -> None:
    inside, after = torch.zeros(64, dtype=torch.int32), torch.zeros(64, dtype=torch.int32)
    body = """
      int value = 0;
      if (lane % 4 == 1) value = simd_sum(1);
      else if (lane < 16) value = simd_sum(100);
      a0[t] = value;
      a1[t] = simd_sum(1);
    """
    launch(body, [inside, after], (1,), (64,))
    lanes = torch.arange(64) % 32
    expected = torch.where(lanes % 4 == 1, 8, torch.where(lanes < 16, 1200, 0))
    assert torch.equal(inside, expected.to(torch.int32))
    assert torch.equal(after, torch.full((64,), 32, dtype=torch.int32))


def test_lanes_leave_a_loop_with_a_simdgroup_operation_one_after_the_other() -> None:
    counts = torch.zeros(32, dtype=torch.int32)
    body = """
      int count = 0;
      for (uint turn = 0; turn <= lane; ++turn) count += simd_sum(1);
      a0[t] = count;
    """
    launch(body, [counts], (1,), (32,))
    # In turn k the lanes k to 31 are there.
    expected = torch.tensor([sum(32 - turn for turn in range(lane + 1)) for lane in range(32)])
    assert torch.equal(counts, expected.to(torch.int32))


def test_threads_that_returned_early_are_not_waited_for() -> None:
    out = torch.full((100,), -1, dtype=torch.int32)
    body = """
      threadgroup int s[1024];
      if (t >= 70) return;
      s[t] = int(t);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      const int sum = simd_sum(1);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      a0[t] = s[69 - t] * 100 + sum;
    """
    launch(body, [out], (1,), (100,))
    t = torch.arange(70)
    expected = torch.cat([(69 - t) * 100 + torch.where(t < 64, 32, 6), torch.full((30,), -1)])
    assert torch.equal(out, expected.to(torch.int32))


def test_a_simdgroup_barrier_orders_the_memory_of_its_lanes() -> None:
    out = torch.zeros(128, dtype=torch.int32)
    body = """
      threadgroup int s[1024];
      s[t] = int(t);
      simdgroup_barrier(mem_flags::mem_threadgroup);
      a0[t] = s[simdgroup * 32 + (31 - lane)];
    """
    launch(body, [out], (1,), (128,))
    assert torch.equal(out, torch.arange(128, dtype=torch.int32).view(4, 32).flip(1).flatten())


def test_barriers_inside_functions_and_uniform_branches() -> None:
    values = torch.arange(96, dtype=torch.int32)
    out = torch.zeros(96, dtype=torch.int32)
    source = f"""{PRELUDE}
    int exchanged(threadgroup int *s, int value, uint from, uint t) {{
      s[t] = value;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      const int other = s[from];
      threadgroup_barrier(mem_flags::mem_threadgroup);
      return other;
    }}
    kernel void tested(device const int *values, device int *out, constant int &rounds,
                       uint t [[thread_position_in_threadgroup]], uint g [[threadgroup_position_in_grid]]) {{
      threadgroup int s[48];
      int value = values[g * 48 + t];
      if (rounds > 1) value = exchanged(s, value, 47 - t, t);
      for (int round = 0; round < rounds; ++round) value = exchanged(s, value, (t + 1) % 48, t);
      out[g * 48 + t] = value;
    }}"""
    for rounds in (0, 1, 2, 5):
        _C.launch(source, [values, out, rounds], (2,), (48,))
        expected = values.view(2, 48)
        if rounds > 1:
            expected = expected.flip(1)
        assert torch.equal(out.view(2, 48), expected.roll(-rounds, 1))


def test_a_thread_has_room_for_large_arrays_of_its_own() -> None:
    out = torch.zeros(256, dtype=torch.int32)
    body = """
      int own[8192];
      for (int i = 0; i < 8192; ++i) own[i] = i ^ int(t);
      threadgroup_barrier(mem_flags::mem_none);
      int sum = 0;
      for (int i = 0; i < 8192; ++i) sum += own[(i * 7 + a1[0]) % 8192] ^ int(t);
      a0[t] = sum;
    """
    launch(body, [out, torch.zeros(1, dtype=torch.int32)], (1,), (256,))
    assert torch.equal(out, torch.full((256,), 8192 * 8191 // 2, dtype=torch.int32))


@pytest.mark.parametrize("wait", ["", "threadgroup_barrier(mem_flags::mem_none);"])
def test_a_thread_with_more_memory_than_its_stack_is_refused(wait: str) -> None:
    body = f"""
      int own[60000];
      for (int i = 0; i < 60000; ++i) own[i] = a0[i % 64];
      {wait}
      a0[t] = own[a0[t]];
    """
    with pytest.raises(MetalCompileError, match=r"needs 2[34]\d{4} bytes .* one thread, and 196608 are the most"):
        launch(body, [torch.zeros(64, dtype=torch.int32)], (1,), (64,))


def test_subnormal_results_do_not_depend_on_torchs_setting() -> None:
    tiny = torch.full((64,), 1e-39)
    out = torch.zeros(64)
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush subnormals")
    try:
        launch("a1[t] = simd_max(a0[t]) * 0.5f;", [tiny, out], (1,), (64,))
    finally:
        torch.set_flush_denormal(False)
    assert torch.equal(out, torch.full((64,), 1e-39) * 0.5)
    assert out[0] > 0


def test_a_kernel_may_use_all_threadgroup_memory_but_no_more() -> None:
    def source(count: int) -> str:
        return f"""{PRELUDE}
        kernel void tested(device int *out, uint t [[thread_position_in_threadgroup]]) {{
          threadgroup int first[{count}];
          threadgroup int second[4096];
          first[t] = 1; second[t] = 2;
          threadgroup_barrier(mem_flags::mem_threadgroup);
          out[t] = first[31 - t] + second[31 - t];
        }}"""

    out = torch.zeros(32, dtype=torch.int32)
    _C.launch(source(4096), [out], (1,), (32,))
    assert torch.equal(out, torch.full((32,), 3, dtype=torch.int32))
    with pytest.raises(MetalCompileError, match=r"threadgroup memory of 32772 bytes exceeds the 32768"):
        _C.launch(source(4097), [out], (1,), (32,))


def test_kernels_of_one_source_are_found_by_name() -> None:
    source = f"""{PRELUDE}
    kernel void first(device int *out, uint t [[thread_position_in_grid]]) {{ out[t] = 1; }}
    kernel void second(device int *out, uint t [[thread_position_in_grid]]) {{ out[t] = simd_sum(1); }}
    """
    out = torch.zeros(8, dtype=torch.int32)
    _C.launch(source, [out], (1,), (8,), name="second")
    assert out.tolist() == [8] * 8
    _C.launch(source, [out], (1,), (8,), name="first")
    assert out.tolist() == [1] * 8
    with pytest.raises(UnknownKernelError, match=r"third.*first.*second"):
        _C.launch(source, [out], (1,), (8,), name="third")
    with pytest.raises(UnknownKernelError, match=r"first.*second.*name"):
        _C.launch(source, [out], (1,), (8,))


def test_limits_declared_by_the_kernel() -> None:
    source = f"""{PRELUDE}
    [[max_total_threads_per_threadgroup(64)]]
    kernel void tested(device int *out, uint t [[thread_position_in_threadgroup]]) {{ out[t] = simd_sum(1); }}
    """
    out = torch.zeros(128, dtype=torch.int32)
    with pytest.raises(LaunchError, match="64"):
        _C.launch(source, [out], (1,), (65,))
    _C.launch(source, [out], (1,), (64,))
    assert out.tolist() == [32] * 64 + [0] * 64
