"""Launches on all cores: many threadgroups, several Python threads at once, forked processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest
import torch

from helion_msl import _C
from helion_msl.errors import KernelError

PRELUDE = "#include <metal_stdlib>\nusing namespace metal;\n"

# Each threadgroup adds up one row, with barriers between the steps.
ROW_SUM = f"""{PRELUDE}
kernel void row_sum(device const int *rows, device int *sums, uint t [[thread_position_in_threadgroup]],
                    uint g [[threadgroup_position_in_grid]], uint n [[threads_per_threadgroup]]) {{
  threadgroup int partial[32];
  const int sum = simd_sum(rows[g * n + t]);
  if (t % 32 == 0) partial[t / 32] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (t == 0) {{
    int total = 0;
    for (uint i = 0; i < (n + 31) / 32; ++i) total += partial[i];
    sums[g] = total;
  }}
}}"""

# No thread waits for another: runs as a plain loop.
AFFINE = f"""{PRELUDE}
kernel void affine(device const int *x, device int *y, uint i [[thread_position_in_grid]]) {{ y[i] = 3 * x[i] + 1; }}
"""


def check_row_sums(seed: int, threadgroups: int = 500, threads: int = 200) -> None:
    rows = torch.randint(
        -1000, 1000, (threadgroups, threads), dtype=torch.int32, generator=torch.Generator().manual_seed(seed)
    )
    sums = torch.zeros(threadgroups, dtype=torch.int32)
    _C.launch(ROW_SUM, [rows, sums], (threadgroups,), (threads,))
    assert torch.equal(sums, rows.sum(1, dtype=torch.int32))


def check_affine(seed: int, threadgroups: int = 4000) -> None:
    x = torch.randint(
        -1000, 1000, (threadgroups * 256,), dtype=torch.int32, generator=torch.Generator().manual_seed(seed)
    )
    y = torch.zeros_like(x)
    _C.launch(AFFINE, [x, y], (threadgroups,), (256,))
    assert torch.equal(y, 3 * x + 1)


@pytest.mark.parametrize("threadgroups", [1, 2, 3, 100, 20_000])
def test_every_threadgroup_runs_once(threadgroups: int) -> None:
    counts = torch.zeros(threadgroups, dtype=torch.int32)
    source = f"""{PRELUDE}
    kernel void count(device atomic_int *counts, uint g [[threadgroup_position_in_grid]]) {{
      atomic_fetch_add_explicit(&counts[g], 1, memory_order_relaxed);
      threadgroup_barrier(mem_flags::mem_none);
    }}"""
    _C.launch(source, [counts], (threadgroups,), (33,))
    assert torch.equal(counts, torch.full_like(counts, 33))


def test_plain_loops_cover_three_dimensional_grids() -> None:
    out = torch.zeros(13 * 11 * 7 * 24, dtype=torch.int32)
    source = f"""{PRELUDE}
    kernel void mark(device int *out, uint3 p [[thread_position_in_grid]], uint3 size [[threads_per_grid]]) {{
      out[p.x + size.x * (p.y + size.y * p.z)] += int(p.x + 1000 * p.y + 1000000 * p.z);
    }}"""
    _C.launch(source, [out], (13, 11, 7), (4, 3, 2))
    z, y, x = torch.meshgrid(torch.arange(14), torch.arange(33), torch.arange(52), indexing="ij")
    assert torch.equal(out, (x + 1000 * y + 1_000_000 * z).flatten().to(torch.int32))


def test_atomics_across_threadgroups() -> None:
    values = torch.randint(0, 16, (300_000,), dtype=torch.int32)
    histogram = torch.zeros(16, dtype=torch.int32)
    source = f"""{PRELUDE}
    kernel void histogram(device const int *values, device atomic_int *bins, uint i [[thread_position_in_grid]],
                          uint t [[thread_position_in_threadgroup]]) {{
      threadgroup atomic_int local[16];
      if (t < 16) atomic_store_explicit(&local[t], 0, memory_order_relaxed);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      atomic_fetch_add_explicit(&local[values[i]], 1, memory_order_relaxed);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (t < 16) {{
        const int count = atomic_load_explicit(&local[t], memory_order_relaxed);
        atomic_fetch_add_explicit(&bins[t], count, memory_order_relaxed);
      }}
    }}"""
    _C.launch(source, [values, histogram], (1000,), (300,))
    assert torch.equal(histogram, torch.bincount(values, minlength=16).to(torch.int32))


def test_several_python_threads_launch_at_once() -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def run(seed: int) -> None:
        try:
            start.wait()
            for turn in range(15):
                check_row_sums(seed * 100 + turn)
                check_affine(seed * 100 + turn, threadgroups=500)
        except BaseException as failure:  # reported by the main thread
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_failing_launch_does_not_disturb_one_of_another_thread() -> None:
    divergent = f"""{PRELUDE}
    kernel void divergent(device int *out, uint t [[thread_position_in_threadgroup]]) {{
      if (t < 5) threadgroup_barrier(mem_flags::mem_none);
      out[t] = 1;
    }}"""
    failures: list[BaseException] = []

    def fail() -> None:
        try:
            for _ in range(50):
                with pytest.raises(KernelError, match="'divergent'"):
                    _C.launch(divergent, [torch.zeros(64, dtype=torch.int32)], (300,), (64,))
        except BaseException as failure:  # reported by the main thread
            failures.append(failure)

    thread = threading.Thread(target=fail)
    thread.start()
    for seed in range(30):
        check_row_sums(seed)
    thread.join()
    assert not failures


def in_forked_child(source: str, grid: tuple[int, ...], block: tuple[int, ...]) -> None:
    """Launches in a forked child, which must come to its end in time, and write what a launch here writes."""
    values = torch.randint(-1000, 1000, (grid[0] * block[0],), dtype=torch.int32)
    expected, out = torch.zeros_like(values), torch.zeros_like(values)
    _C.launch(source, [values, expected], grid, block)
    with warnings.catch_warnings():
        # From Python 3.12 on: forking a process with several threads, which is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            _C.launch(source, [values, out], grid, block)
            # Without torch, whose own threads do not survive a fork.
            status = 0 if (out.numpy() == expected.numpy()).all() else 2
        finally:
            os._exit(status)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid == child:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the launch in the forked child hangs")


@pytest.mark.parametrize(("source", "grid", "block"), [(ROW_SUM, (2000,), (200,)), (AFFINE, (4000,), (256,))])
def test_launches_work_in_a_forked_child_and_still_in_its_parent(
    source: str, grid: tuple[int, ...], block: tuple[int, ...]
) -> None:
    check_row_sums(1)
    check_affine(1)
    in_forked_child(source, grid, block)
    in_forked_child(source, grid, block)
    check_row_sums(2)
    check_affine(2)


def test_a_process_may_fork_while_another_thread_launches() -> None:
    stop = threading.Event()

    def launch_until_told() -> None:
        while not stop.is_set():
            check_affine(3, threadgroups=500)
            check_row_sums(3)

    thread = threading.Thread(target=launch_until_told)
    thread.start()
    try:
        for _ in range(5):
            in_forked_child(ROW_SUM, (500,), (200,))
            in_forked_child(AFFINE, (2000,), (256,))
    finally:
        stop.set()
        thread.join()


# Runs the checks of this module, and prints how many workers the engine has started.
COUNT_WORKERS = f"""
import importlib.util, pathlib
spec = importlib.util.spec_from_file_location("checks", {__file__!r})
checks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(checks)
for seed in range(3):
    checks.check_row_sums(seed, threadgroups=3000)
    checks.check_affine(seed)
names = [(task / "comm").read_text().strip() for task in pathlib.Path("/proc/self/task").iterdir()]
print(names.count("helion-msl"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the names of threads from /proc, which only Linux has")
@pytest.mark.parametrize(("setting", "workers"), [("1", 0), ("2", 1), ("7", 6)])
def test_the_number_of_threads_can_be_set(setting: str, workers: int) -> None:
    environment = {**os.environ, "HELION_MSL_THREADS": setting}
    result = subprocess.run(
        [sys.executable, "-c", COUNT_WORKERS], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) == workers
