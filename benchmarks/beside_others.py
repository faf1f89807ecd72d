"""Launches, first launches and throughput beside other projects that run kernels written in Python."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks import matmul, row_softmax
from benchmarks.measure import Comparison, Timing, compare, note, scaled
from benchmarks.neighbours import installed, ours

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ROOT = Path(__file__).parents[1]
LAUNCH_ELEMENTS = 1024

# Where each project caches what it has compiled.
CACHES = {
    "ours": "HELION_MSL_CACHE_DIR",
    "warp_kernels": "WARP_CACHE_PATH",
    "numba_kernels": "NUMBA_CACHE_DIR",
    "taichi_kernels": "TI_OFFLINE_CACHE_FILE_PATH",
}

# One kernel in a new process, after its imports, by its own clock.
FIRST_LAUNCH = """
import importlib, sys, time
import torch
project = importlib.import_module("benchmarks.neighbours." + sys.argv[1])
x, out = torch.ones(1024, device=sys.argv[2]), torch.zeros(1024, device=sys.argv[2])
start = time.perf_counter()
project.saxpy(x, out, 2.0)()
project.synchronize()
elapsed = time.perf_counter() - start
assert sys.argv[2] != "cpu" or bool((out == 2).all()), out
print(elapsed)
"""


def run(device: str) -> list[Comparison]:
    """Compare with the projects that are installed."""
    projects = installed(device)
    comparisons = _launches(device, projects) + _throughput(device, projects) + _matrices(device, projects)
    return [*comparisons, *_first_launches(device, projects)]


def _launches(device: str, projects: list[ModuleType]) -> list[Comparison]:
    """A kernel that does nothing: what the host spends, and how long the whole takes."""
    x, y, out = (torch.zeros(LAUNCH_ELEMENTS, device=device) for _ in range(3))
    yardstick = "torch.add(x, y, out=out)"
    candidates: dict[str, Callable[[], object]] = {yardstick: lambda: torch.add(x, y, out=out)}
    for project in [ours, *projects]:
        for name, suffix in (("nothing", ""), ("nothing_bound", ", prepared")):
            if hasattr(project, name):
                candidates[f"{project.TITLE}{suffix}"] = getattr(project, name)(x, y, out)

    synchronize = _synchronizer(device, projects)
    title = f"launch of a kernel that does nothing, three float32 tensors of {LAUNCH_ELEMENTS}"
    if device == "cpu":
        return [compare(title, candidates, yardstick=yardstick, calls=1000, before_round=synchronize)]

    def complete(launch: Callable[[], object]) -> None:
        launch()
        synchronize()

    complete_candidates = {name: partial(complete, launch) for name, launch in candidates.items()}
    return [
        compare(f"{title}: host", candidates, yardstick=yardstick, calls=200, before_round=synchronize),
        compare(f"{title}: until the GPU is done", complete_candidates, yardstick=yardstick),
        *_gpu_times(title, candidates, yardstick),
    ]


def _throughput(device: str, projects: list[ModuleType]) -> list[Comparison]:
    size = scaled(64 * 2**20, 2**16)
    x, out = torch.rand(size // 4, device=device), torch.zeros(size // 4, device=device)
    what = f"{size // 2**20} MiB" if size >= 2**20 else f"{size // 2**10} KiB"
    return [
        *_operation(
            f"copy of {what} beside others",
            "copy",
            (x, out),
            projects,
            ("torch out.copy_(x)", lambda: out.copy_(x)),
            traffic=2 * size,
        ),
        *_operation(
            f"saxpy of {what} beside others",
            "saxpy",
            (x, out, 1e-6),
            projects,
            ("torch out.add_(x, alpha=a)", lambda: out.add_(x, alpha=1e-6)),
            traffic=3 * size,
        ),
    ]


def _matrices(device: str, projects: list[ModuleType]) -> list[Comparison]:
    rows, columns = scaled(row_softmax.ROWS, 8), row_softmax.COLUMNS
    x, out = torch.randn(rows, columns, device=device), torch.zeros(rows, columns, device=device)
    size = scaled(matmul.SIZE, 64)
    a, b, product = (torch.randn(size, size, device=device) for _ in range(3))
    softmax = ("torch.softmax", lambda: torch.softmax(x, 1, out=out))
    mm = ("torch.mm", lambda: torch.mm(a, b, out=product))
    return [
        *_operation(f"softmax of {rows} rows of {columns} beside others", "softmax", (x, out), projects, softmax),
        *_operation(f"product of two {size} x {size} matrices beside others", "matmul", (a, b, product), projects, mm),
    ]


def _operation(
    title: str,
    name: str,
    arguments: tuple[object, ...],
    projects: list[ModuleType],
    by_torch: tuple[str, Callable[[], object]],
    traffic: int = 0,
) -> list[Comparison]:
    """One operation by all that have it; checked against torch first."""
    device = arguments[0].device.type  # type: ignore[attr-defined]
    yardstick, torch_operation = by_torch
    candidates = {yardstick: torch_operation}
    for project in [ours, *projects]:
        if hasattr(project, name):
            candidates[project.TITLE] = getattr(project, name)(*arguments)
    synchronize = _synchronizer(device, projects)

    def complete(operation: Callable[[], object]) -> None:
        operation()
        synchronize()

    complete_candidates = {key: partial(complete, operation) for key, operation in candidates.items()}
    comparison = compare(
        title if device == "cpu" else f"{title}: until the GPU is done",
        complete_candidates,
        yardstick=yardstick,
        rounds=7,
        traffic=dict.fromkeys(candidates, traffic) if traffic else None,
    )
    return [comparison, *(_gpu_times(title, candidates, yardstick) if device == "mps" else [])]


def _gpu_times(title: str, candidates: dict[str, Callable[[], object]], yardstick: str) -> list[Comparison]:
    """The GPU's own time, of candidates that run on PyTorch's stream: MLX has a queue of its own, and no such clock."""
    samples: dict[str, list[float]] = {name: [] for name in candidates if not name.startswith("MLX")}
    for _ in range(scaled(15, 1)):
        for name, times in samples.items():
            start, end = (torch.mps.event.Event(enable_timing=True) for _ in range(2))
            start.record()
            candidates[name]()
            end.record()
            torch.mps.synchronize()
            times.append(start.elapsed_time(end) / 1e3)
    timings = {name: Timing(min(times), statistics.median(times)) for name, times in samples.items()}
    return [Comparison(f"{title}: time of the GPU", yardstick, timings)]


def _synchronizer(device: str, projects: list[ModuleType]) -> Callable[[], None]:
    if device == "cpu":
        return lambda: None

    def synchronize() -> None:
        torch.mps.synchronize()
        for project in projects:
            project.synchronize()

    return synchronize


def _first_launches(device: str, projects: list[ModuleType]) -> list[Comparison]:
    """From the first call of a small kernel to its result, in a new process, with empty caches and with filled ones."""
    rounds = scaled(3, 1)
    samples: dict[str, list[float]] = {}
    for _ in range(rounds):
        for project in [ours, *projects]:
            name = project.__name__.rpartition(".")[2]
            with tempfile.TemporaryDirectory(prefix="helion-msl-bench-") as directory:
                environment = dict(os.environ)
                states = ["cold"]
                if name in CACHES:
                    environment[CACHES[name]] = directory
                    states.append("from disk")
                for state in states:
                    elapsed = _first_launch(name, device, environment)
                    if elapsed is not None:
                        samples.setdefault(f"{project.TITLE}, {state}", []).append(elapsed)
    timings = {name: Timing(min(times), statistics.median(times)) for name, times in samples.items()}
    if not timings:
        return []
    return [
        Comparison("first launch of a small kernel in a new process, after its imports", next(iter(timings)), timings)
    ]


def _first_launch(name: str, device: str, environment: dict[str, str]) -> float | None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIRST_LAUNCH, name, device],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )
    if result.returncode != 0:
        note(f"first launch of {name} failed: {result.stderr.strip().splitlines()[-1]}")
        return None
    return float(result.stdout.split()[-1])
