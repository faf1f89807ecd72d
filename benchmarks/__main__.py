"""Runs the benchmarks: ``python -m benchmarks [name ...] [--device cpu|mps] [--json FILE]``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks import (
    first_launch,
    instruction_counts,
    launch_overhead,
    matmul,
    row_softmax,
    synchronization,
    throughput,
    translation,
)
from benchmarks.measure import machine, write_json

BENCHMARKS = {
    "launch_overhead": launch_overhead.run,
    "first_launch": first_launch.run,
    "throughput": throughput.run,
    "synchronization": synchronization.run,
    "row_softmax": row_softmax.run,
    "matmul": matmul.run,
    "translation": translation.run,
    "instruction_counts": instruction_counts.run,
}


def main() -> None:
    """Print the tables and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"which to run, of {', '.join(BENCHMARKS)}; all if none"
    )
    parser.add_argument("--device", default="mps" if torch.backends.mps.is_available() else "cpu")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/latest.json"))
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")

    for key, value in machine().items():
        print(f"{key}: {value}")
    comparisons = []
    for name in options.names or BENCHMARKS:
        for comparison in BENCHMARKS[name](options.device):
            print(f"\n{comparison.table()}")
            comparisons.append(comparison)
    write_json(options.json, comparisons)
    print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main()
