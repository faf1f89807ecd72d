"""A kernel that fails while it runs ends with an error that says where and why, and the next launch works."""

from __future__ import annotations

import pytest
import torch

from helion_msl import _C
from helion_msl.errors import KernelError

BARRIER = "threadgroup_barrier(mem_flags::mem_threadgroup);"
SIMD_BARRIER = "simdgroup_barrier(mem_flags::mem_threadgroup);"


def source_of(body: str) -> str:
    return f"""
    #include <metal_stdlib>
    using namespace metal;
    kernel void tested(device int *out, uint t [[thread_index_in_threadgroup]],
                       uint lane [[thread_index_in_simdgroup]], uint3 tgid [[threadgroup_position_in_grid]],
                       uint3 tid [[thread_position_in_threadgroup]]) {{
      {body}
    }}"""


def failure_of(body: str, grid: tuple[int, ...] = (1,), block: tuple[int, ...] = (64,)) -> str:
    """The message of the KernelError of a launch, after which the engine must run others as if nothing had happened."""
    out = torch.zeros(4096, dtype=torch.int32)
    with pytest.raises(KernelError) as caught:
        _C.launch(source_of(body), [out], grid, block)
    good = torch.zeros(1024, dtype=torch.int32)
    _C.launch(
        source_of(f"threadgroup int s[1024]; s[t] = int(t); {BARRIER} out[t] = s[1023 - t];"), [good], (8,), (1024,)
    )
    assert torch.equal(good, torch.arange(1024, dtype=torch.int32).flip(0))
    return str(caught.value)


def test_a_barrier_that_only_some_threads_reach() -> None:
    message = failure_of(f"if (t < 16) {BARRIER} out[t] = 1;")
    assert "kernel 'tested', threadgroup (0, 0, 0)" in message
    assert "threads (0, 0, 0)..(15, 0, 0) (16 threads) wait at a threadgroup_barrier" in message
    assert "threads (16, 0, 0)..(63, 0, 0) (48 threads) have run to the end of the kernel" in message
    assert "Every thread of the threadgroup must reach the same threadgroup_barrier" in message
    assert "move it out of the `if`" in message


def test_two_barriers_in_the_branches_of_an_if() -> None:
    message = failure_of(f"if (t >= 40) {{ {BARRIER} }} else {{ {BARRIER} }} out[t] = 1;")
    assert "threads (0, 0, 0)..(39, 0, 0) (40 threads) wait at a" in message
    assert "threads (40, 0, 0)..(63, 0, 0) (24 threads) wait at a" in message
    assert "another threadgroup_barrier" in message


def test_two_calls_of_a_function_with_a_barrier_in_the_branches_of_an_if() -> None:
    source = source_of("if (t % 2 == 0) step(); else step(); out[t] = 1;")
    source = source.replace("kernel void", f"void step() {{ {BARRIER} }}\nkernel void")
    with pytest.raises(KernelError, match="another threadgroup_barrier"):
        _C.launch(source, [torch.zeros(64, dtype=torch.int32)], (1,), (64,))


def test_a_loop_with_a_barrier_that_threads_run_differently_often() -> None:
    message = failure_of(f"for (uint i = 0; i < t; ++i) {BARRIER} out[t] = 1;")
    assert "threads (1, 0, 0)..(63, 0, 0) (63 threads) wait at a threadgroup_barrier" in message
    assert "thread (0, 0, 0) has run to the end of the kernel" in message


def test_a_barrier_that_one_simdgroup_leaves_out() -> None:
    message = failure_of(f"if (t / 32 != 1) {BARRIER} out[t] = simd_sum(1);", block=(96,))
    assert "threads (0, 0, 0)..(31, 0, 0), (64, 0, 0)..(95, 0, 0) (64 threads) wait at a threadgroup_barrier" in message
    assert "threads (32, 0, 0)..(63, 0, 0) (32 threads) have run to the end of the kernel" in message


def test_positions_are_those_of_three_dimensional_threadgroups_and_grids() -> None:
    body = f"if (tgid.z == 1 && tgid.y == 2 && tid.z == 1) {BARRIER} out[t] = 1;"
    message = failure_of(body, grid=(1, 3, 2), block=(2, 2, 2))
    assert "threadgroup (0, 2, 1)" in message
    assert "threads (0, 0, 1)..(1, 1, 1) (4 threads) wait at a threadgroup_barrier" in message
    assert "threads (0, 0, 0)..(1, 1, 0) (4 threads) have run to the end of the kernel" in message


def test_many_scattered_threads_are_abbreviated() -> None:
    message = failure_of(f"if (t % 3 == 0) {BARRIER} out[t] = 1;", block=(1000,))
    assert "(0, 0, 0), (3, 0, 0), (6, 0, 0), (9, 0, 0) and 330 more (334 threads) wait" in message
    assert len(message) < 1000


def test_a_simdgroup_barrier_that_only_some_lanes_reach() -> None:
    message = failure_of(f"if (t >= 32 && lane < 5) {SIMD_BARRIER} out[t] = 1;")
    assert "threadgroup (0, 0, 0), simdgroup 1" in message
    assert "threads (32, 0, 0)..(36, 0, 0) (5 threads) wait at a simdgroup_barrier" in message
    assert "threads (37, 0, 0)..(63, 0, 0) (27 threads) have run to the end of the kernel" in message


def test_lanes_at_a_simdgroup_barrier_and_at_a_threadgroup_barrier() -> None:
    message = failure_of(f"if (lane < 5) {{ {SIMD_BARRIER} }} else {{ {BARRIER} }} out[t] = 1;")
    assert "(5 threads) wait at a simdgroup_barrier" in message
    assert "(27 threads) wait at a threadgroup_barrier" in message


def test_threads_that_returned_early_do_not_make_a_barrier_divergent() -> None:
    out = torch.zeros(64, dtype=torch.int32)
    _C.launch(source_of(f"if (t % 2 == 0) return; {BARRIER} {SIMD_BARRIER} out[t] = simd_sum(1);"), [out], (1,), (64,))
    assert out.tolist() == [0, 16] * 32


@pytest.mark.parametrize("failing", [0, 1, 999, 1999])
def test_one_threadgroup_of_many_fails(failing: int) -> None:
    message = failure_of(f"if (tgid.x != {failing} || t < 3) {BARRIER} out[t] = 1;", grid=(2000,))
    assert f"threadgroup ({failing}, 0, 0)" in message
    assert "threads (0, 0, 0)..(2, 0, 0) (3 threads) wait" in message


def test_what_was_written_before_the_failure_stays() -> None:
    out = torch.zeros(64, dtype=torch.int32)
    with pytest.raises(KernelError):
        _C.launch(source_of(f"out[t] = 7; if (t < 16) {BARRIER}"), [out], (1,), (64,))
    assert out.tolist() == [7] * 64


def test_failures_again_and_again_leave_nothing_behind() -> None:
    # Threads that wait in the middle of simdgroup operations and barriers are abandoned there each time.
    body = f"int v = simd_sum(1); {BARRIER} if (t < 40) {{ v += simd_sum(1); {BARRIER} }} out[t] = v;"
    out = torch.zeros(64, dtype=torch.int32)
    for _ in range(50):
        with pytest.raises(KernelError, match=r"threads \(0, 0, 0\)\.\.\(39, 0, 0\) \(40 threads\) wait"):
            _C.launch(source_of(body), [out], (100,), (64,))
    failure_of(body)


def test_a_temporary_directory_that_cannot_be_written(tmp_path, monkeypatch):
    """Another one is taken. A source that no cache has, so that the compiler has to run."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    out = torch.zeros(4)
    position = "uint i [[thread_position_in_grid]]"
    source = f"// {tmp_path}\nkernel void k(device float *out, {position}) {{ out[i] = 7.0f; }}"
    _C.launch(source, [out], (1,), (4,))
    assert out.tolist() == [7.0] * 4
