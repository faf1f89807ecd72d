"""How long a kernel takes from its Python source to its first result: cold, from disk, from memory, and many at once.

Every timing runs in a disk cache of its own, so that neither the user's cache nor an earlier run counts.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import linecache
import os
import subprocess
import sys
import tempfile
import textwrap
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import helion_msl
from benchmarks.measure import Comparison, Timing, compare, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAXPY = """
def saxpy(x, y, out, a):
    i = ml.tgid[0] * 256 + ml.tid[0]
    if i < out.size(0):
        out[i] = a * x[i] + y[i] * {number}.0
"""

SOFTMAX = """
def softmax(x, out):
    scratch = ml.threadgroup_array(8, ml.float32)
    row = ml.tgid[0]
    column = ml.tid[0]
    value = x[row, column] * {number}.0
    largest = ml.simd_max(value)
    if ml.simd_lane == 0:
        scratch[ml.simd_group] = largest
    ml.barrier()
    largest = scratch[0]
    for group in range(1, 8):
        largest = max(largest, scratch[group])
    ml.barrier()
    exponential = ml.exp(value - largest)
    total = ml.simd_sum(exponential)
    if ml.simd_lane == 0:
        scratch[ml.simd_group] = total
    ml.barrier()
    total = 0.0
    for group in range(8):
        total += scratch[group]
    out[row, column] = exponential / total
"""

# One kernel in a new process, after its imports, by its own clock.
NEW_PROCESS = """
import sys, time
import torch, helion_msl
from helion_msl import metal_jit
from kernels import {name}
device = sys.argv[1]
arguments = {arguments}
helion_msl.synchronize(device)
start = time.perf_counter()
metal_jit({name})[{grid}, 256](*arguments)
helion_msl.synchronize(device)
print(time.perf_counter() - start)
"""
# The same for a Helion kernel, whose own compile is in the time too.
NEW_HELION_PROCESS = """
import sys, time
import torch, helion, helion_msl
from helion_kernels import scaled_sum
helion_msl.register_helion_backend()
x, y = (torch.ones(1024, device=sys.argv[1]) for _ in range(2))
helion_msl.synchronize(sys.argv[1])
start = time.perf_counter()
scaled_sum(x, y)
helion_msl.synchronize(sys.argv[1])
print(time.perf_counter() - start)
"""
HELION = """
import torch, helion
import helion.language as hl

@helion.kernel(backend="metal", configs=[helion.Config(block_sizes=[256], num_warps=8)])
def scaled_sum(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] * 2.0 + y[tile]
    return out
"""
VECTORS = "[torch.ones(1024, device=device) for _ in range(3)] + [2.0]"
ROWS = "[torch.ones(16, 256, device=device) for _ in range(2)]"

_numbers = itertools.count(1)


@contextmanager
def own_cache() -> Iterator[Path]:
    """An empty disk cache, until the end of the block."""
    before = os.environ.get("HELION_MSL_CACHE_DIR")
    with tempfile.TemporaryDirectory(prefix="helion-msl-bench-") as directory:
        os.environ["HELION_MSL_CACHE_DIR"] = directory
        try:
            yield Path(directory)
        finally:
            if before is None:
                del os.environ["HELION_MSL_CACHE_DIR"]
            else:
                os.environ["HELION_MSL_CACHE_DIR"] = before


def _kernel(template: str, number: int) -> object:
    """A kernel as if it had just been typed; one that no cache has seen, where the number is new."""
    source = template.format(number=number)
    filename = f"<kernel {number}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Callable[..., None]] = {"ml": helion_msl.language}
    exec(compile(source, filename, "exec"), namespace)
    function = namespace["saxpy" if "saxpy" in source else "softmax"]
    return helion_msl.metal_jit(function)


def _in_process(device: str) -> Comparison:
    x, y, out = (torch.ones(1024, device=device) for _ in range(3))
    rows, rows_out = (torch.ones(16, 256, device=device) for _ in range(2))
    vectors = (x, y, out, 2.0)

    def launch(template: str, number: int) -> None:
        if template is SAXPY:
            _kernel(template, number)[(4,), (256,)](*vectors)  # type: ignore[index]
        else:
            _kernel(template, number)[(16,), (256,)](rows, rows_out)  # type: ignore[index]
        helion_msl.synchronize(device)

    def from_disk(template: str) -> None:
        helion_msl.clear_cache()
        launch(template, 0)

    launch(SAXPY, 0)
    launch(SOFTMAX, 0)
    warm = _kernel(SAXPY, 0)

    def again() -> None:
        warm[(4,), (256,)](*vectors)  # type: ignore[index]
        helion_msl.synchronize(device)

    return compare(
        "from Python source to the first result, 1024 and 16 x 256 elements",
        {
            "saxpy, cold": lambda: launch(SAXPY, next(_numbers)),
            "saxpy, from disk": lambda: from_disk(SAXPY),
            "saxpy, from memory": lambda: launch(SAXPY, 0),
            "saxpy, launched before": again,
            "row softmax, cold": lambda: launch(SOFTMAX, next(_numbers)),
            "row softmax, from disk": lambda: from_disk(SOFTMAX),
            "row softmax, from memory": lambda: launch(SOFTMAX, 0),
        },
        yardstick="saxpy, launched before",
        rounds=7,
    )


def _run_new_process(directory: Path, name: str, device: str) -> float:
    """Return the seconds from the first call to the first result, in a process that has imported everything."""
    if name == "helion":
        code = NEW_HELION_PROCESS
    else:
        arguments, grid = (VECTORS, 4) if name == "saxpy" else (ROWS, 16)
        code = NEW_PROCESS.format(name=name, arguments=arguments, grid=grid)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(directory), os.environ.get("PYTHONPATH", "")])}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, device],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return float(result.stdout)


def _in_new_processes(device: str) -> Comparison:
    rounds = 3
    titles = {"saxpy": "saxpy", "softmax": "row softmax"}
    if importlib.util.find_spec("helion") is not None:
        titles["helion"] = "Helion kernel with Helion's compile"
    samples: dict[str, list[float]] = {}
    for _ in range(rounds):
        with own_cache() as cache:
            sources = cache / "sources"
            sources.mkdir()
            text = "from helion_msl import language as ml\n" + SAXPY + SOFTMAX
            (sources / "kernels.py").write_text(text.format(number=1))
            (sources / "helion_kernels.py").write_text(HELION)
            for name, title in titles.items():
                for state in ("cold", "from disk"):
                    samples.setdefault(f"{title}, {state}", []).append(_run_new_process(sources, name, device))
    timings = {name: Timing(min(times), sorted(times)[rounds // 2]) for name, times in samples.items()}
    return Comparison("the same in a new process, after its imports", "saxpy, from disk", timings)


def _together(device: str) -> Comparison:
    count = scaled(20, 2)
    text = textwrap.dedent("""
        kernel void f(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {{
          x[i] = metal::exp(x[i]) * {number}.0f;
        }}
    """)

    def compile_all(workers: int | None) -> None:
        texts = ["#include <metal_stdlib>\n" + text.format(number=next(_numbers)) for _ in range(count)]
        helion_msl.precompile(texts, device=device, workers=workers)

    return compare(
        f"{count} new kernels",
        {
            "one after the other": functools.partial(compile_all, 1),
            "on all cores": functools.partial(compile_all, None),
        },
        yardstick="one after the other",
        rounds=3,
    )


def run(device: str) -> list[Comparison]:
    """Compare new kernels with a warm launch of the same work, and compile many at once."""
    with own_cache():
        # Engines read where the cache is once, so that this process must not have used one before.
        found = _child(device)
    return [*found, _in_new_processes(device)]


def _child(device: str) -> list[Comparison]:
    """Run what stays in one process, in a process of its own."""
    code = f"from benchmarks import first_launch; first_launch.print_json({device!r})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    return [
        Comparison(
            entry["title"],
            entry["yardstick"],
            {name: Timing(**timing) for name, timing in entry["timings"].items()},
        )
        for entry in json.loads(result.stdout)
    ]


def print_json(device: str) -> None:
    """Measure what stays in one process."""
    print(json.dumps([asdict(_in_process(device)), asdict(_together(device))]))
