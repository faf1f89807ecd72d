"""Runs the benchmarks, prints their tables, and writes them as JSON and as bars."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

import torch

from benchmarks import charts
from benchmarks.measure import QUICK, Comparison, machine
from benchmarks.noise import Noise
from benchmarks.results import write_json

# Modules with a function `run(device)`, in the order in which they run.
BENCHMARKS = (
    "launch_overhead",
    "first_launch",
    "throughput",
    "synchronization",
    "row_softmax",
    "matmul",
    "translation",
    "beside_others",
    "instruction_counts",
)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmarks that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHMARKS)}; all if none")
    parser.add_argument("--device", default="mps" if torch.backends.mps.is_available() else "cpu", help="cpu or mps")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/latest.json"), help="file to write")
    parser.add_argument("--quick", action="store_true", help="only try whether they work: the figures say nothing")
    parser.add_argument("--list", action="store_true", help="name the benchmarks")
    options = parser.parse_args(arguments)
    if options.list:
        return print("\n".join(BENCHMARKS))
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if options.quick:
        os.environ[QUICK] = "1"
    return run(options.names or BENCHMARKS, options.device, options.json)


def run(names: list[str] | tuple[str, ...], device: str, path: Path) -> None:
    """Run benchmarks, with the reference of :mod:`benchmarks.noise` before, between and after them."""
    for key, value in machine().items():
        print(f"{key}: {value}")
    noise, results = Noise(), []
    noise.sample()
    for name in names:
        for result in importlib.import_module(f"benchmarks.{name}").run(device):
            print(f"\n{result.table()}")
            results.append(result)
        noise.sample()
    print(f"\n{noise.describe()}")
    comparisons = [result for result in results if isinstance(result, Comparison)]
    if comparisons:
        noisiest = max(comparisons, key=Comparison.spread)
        print(f"rounds differed most in {noisiest.title!r}: median {noisiest.spread():.2f} times the minimum")
    path.parent.mkdir(parents=True, exist_ok=True)
    files = charts.draw(path, comparisons)
    write_json(path, results, noise)
    print(f"written: {', '.join(map(str, [path, *files]))}")


if __name__ == "__main__":
    main()
