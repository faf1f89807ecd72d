"""Where the instructions of a launch go: ``python -m benchmarks.profile_launch``, on Linux, with valgrind installed.

Builds the extension once more with debug information, into ``build/profile``, and counts what each function executes
with callgrind, on the null engine. Counts are the same on a busy machine, and from run to run, where nanoseconds are
not. ``--functions N`` also lists the N functions of each call that execute most.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/profile"
CALLS = 2000
LOOP = "the loop and an empty function"

# What a function is for: the first pattern found in its name with the library that it is in, which is not always known.
PARTS = {
    "torch": r"libtorch|libc10|^(at|c10|torch|pybind11)::|^Torch",
    "the C library": r"libc[.-]|libstdc|ld-linux|libm\.",
    "Python": r"libpython|^(?!.*(helion_msl|nanobind|std::))",
    "reading tensors": r"TorchTensor|read_(natively|by_table|known_tensor|exchange)|kept_type|tensor_type|layout_of",
    "finding the kernel": r"Specialization|hash_of|are_equal|KernelCache|kernel_of_source|read_key|add_[nc]",
    "checking and binding": r"bind_arguments|bind_|check_|read_source|types_match|encode_scalar|arguments_with",
    "reading the call, grid and block": r"read_|PythonArguments|bind_keywords|find_name|text_of|nb_func|nanobind",
    "launching": r"",
}


def build() -> Path:
    """Build the extension with its symbols, else as it is installed; return a directory to import the package from."""
    cmake = [sys.executable, "-m", "cmake"]
    configure = [*cmake, "-S", str(ROOT), "-B", str(BUILD), "-G", "Ninja", f"-DPython_EXECUTABLE={sys.executable}"]
    configure += ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O3 -DNDEBUG -g"]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*cmake, "--build", str(BUILD)], check=True, stdout=subprocess.DEVNULL)
    site = BUILD / "site"
    shutil.rmtree(site, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "python/helion_msl", site / "helion_msl", ignore=ignored)
    (extension,) = BUILD.glob("_C.*.so")
    shutil.copy(extension, site / "helion_msl" / extension.name)
    return site


def calls() -> dict[str, Callable[[], object]]:
    """What is profiled; the first is what all others contain too."""
    import torch

    import helion_msl
    from benchmarks.launch_overhead import entry_points, three
    from helion_msl import _C

    x, y, out = (torch.zeros(1024) for _ in range(3))
    jit_kernel = helion_msl.metal_jit(three)
    kernel = _C.compile("kernel void nothing(device float *x, device float *y, device float *out) {}", device="cpu")
    with helion_msl.record(x=x, y=y, out=out) as graph:
        for _ in range(100):
            kernel([x, y, out], 1, 1)
    return {
        LOOP: lambda: None,
        **entry_points("cpu"),
        "Helion's launcher": lambda: _C._helion_launch(jit_kernel, (4,), x, y, out, _block_dims=(256, 1, 1)),
        "graph(x, y, out) of 100 launches": lambda: graph(x, y, out),
    }


def run_profiled(site: str) -> None:
    """The child: calls each candidate under callgrind, which dumps its counters after each."""
    # An editable installation finds its own extension otherwise.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "ScikitBuildRedirectingFinder"]
    sys.path.insert(0, site)
    import os

    from helion_msl import _C

    def control(command: str) -> None:
        subprocess.run(["callgrind_control", command, str(os.getpid())], check=True, stdout=subprocess.DEVNULL)

    def loop(function: Callable[[], object], count: int) -> None:
        for _ in range(count):
            function()

    with _C._NullEngine():
        candidates = calls()
        for function in candidates.values():
            loop(function, 3)
        for name, function in candidates.items():
            control("--instr=on")
            loop(function, 10)
            control("--zero")
            loop(function, CALLS)
            control("--dump")
            control("--instr=off")
            print(name, flush=True)


def read_dump(text: str) -> dict[str, float]:
    """Return how many instructions a call spends in each function itself, by ``name [library]``."""
    counts = {}
    for line in text.splitlines():
        found = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(.*)", line)
        if found and "PROGRAM TOTALS" not in line and "events annotated" not in line:
            name = re.sub(r"^\S*?:", "", found[2]).strip()
            counts[name] = counts.get(name, 0.0) + int(found[1].replace(",", "")) / CALLS
    return counts


def part_of(function: str) -> str:
    """Return the part of a launch that a function belongs to."""
    return next(part for part, pattern in PARTS.items() if re.search(pattern, function))


def profile(site: Path) -> dict[str, dict[str, float]]:
    """Return the counts of each call's functions, without those of the loop."""
    for old in BUILD.glob("callgrind.out*"):
        old.unlink()
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--dump-line=no"]
    command += [f"--callgrind-out-file={BUILD}/callgrind.out", sys.executable, "-m", __spec__.name, "--site", str(site)]
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    profiles = {}
    for number, name in enumerate(done.stdout.splitlines(), start=1):
        annotate = ["callgrind_annotate", "--threshold=100", "--auto=no", str(BUILD / f"callgrind.out.{number}")]
        profiles[name] = read_dump(subprocess.run(annotate, check=True, capture_output=True, text=True).stdout)
    loop = profiles.pop(LOOP)
    return {
        name: {function: count - loop.get(function, 0.0) for function, count in counts.items()}
        for name, counts in profiles.items()
    }


def main() -> None:
    """Print a table of parts and calls, in instructions a call."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_launch", description=__doc__)
    parser.add_argument("--functions", type=int, default=0, metavar="N")
    parser.add_argument("--site", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.site:
        return run_profiled(options.site)
    if shutil.which("valgrind") is None:
        parser.error("valgrind is missing. On Debian: apt-get install valgrind")
    for name, counts in profile(build()).items():
        print(f"\n{name}: {sum(counts.values()):.0f} instructions")
        parts = {part: sum(count for function, count in counts.items() if part_of(function) == part) for part in PARTS}
        for part, count in parts.items():
            if count >= 1:
                print(f"  {count:7.0f}  {part}")
        for function, count in sorted(counts.items(), key=lambda item: -item[1])[: options.functions]:
            print(f"    {count:7.0f}  {function[:150]}")
    return None


if __name__ == "__main__":
    main()
