"""Instructions that kernels execute for each element on the host engine, beside the text of Helion's own walker.

Callgrind counts them, so that the figures are the same on a busy machine. A kernel is launched in two sizes, and what
the larger one needs more, divided by its additional elements, is the figure: what a launch costs drops out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.counted.programs import FIXED_SIZES, HELIONS, OURS, SAME_TEXT
from benchmarks.first_launch import own_cache

ROOT = Path(__file__).parents[1]
TITLES = {
    "example": "instructions an element: the kernels of examples/kernels",
    "helion": "instructions an element: Helion kernels",
}


@dataclass(frozen=True)
class InstructionCounts:
    """Instructions an element by kernel and side; in place of a number, why there is none."""

    title: str
    counts: dict[str, dict[str, float | str]]

    def ratio(self, kernel: str) -> float | None:
        """Our number divided by that of Helion's walker; None where one of them is missing."""
        ours, helions = (self.counts[kernel].get(side) for side in (OURS, HELIONS))
        return ours / helions if isinstance(ours, float) and isinstance(helions, float) else None

    def table(self) -> str:
        """The numbers as text, one kernel a line, and below them what is missing and why."""
        sides = [
            side for side in (OURS, SAME_TEXT, HELIONS, FIXED_SIZES) if any(side in row for row in self.counts.values())
        ]
        width = max(map(len, self.counts))
        lines = [self.title, f"  {'':{width}}" + "".join(f"  {side:>19}" for side in sides) + "    ratio"]
        missing = []
        for kernel, row in self.counts.items():
            line = f"  {kernel:{width}}"
            for side in sides:
                count = row.get(side)
                line += f"  {count:19.2f}" if isinstance(count, float) else f"  {'-':>19}"
                if isinstance(count, str):
                    missing.append(f"  {kernel}, {side}: {count}")
            ratio = self.ratio(kernel)
            lines.append(line + (f"  {ratio:7.2f}" if ratio is not None else ""))
        return "\n".join([*lines, *missing])


def run(device: str, names: list[str] | None = None) -> list[InstructionCounts]:
    """Count the instructions of all kernels, or of those named.

    Args:
        device: only ``"cpu"`` can be counted.
        names: of the cases in :mod:`benchmarks.counted.cases`.
    """
    missing = what_is_missing(device)
    if missing:
        print(f"\ninstruction counts left out: {missing}")
        return []
    with own_cache(), tempfile.TemporaryDirectory(prefix="helion-msl-counts-") as directory:
        prepare = [sys.executable, "-W", "ignore", "-m", "benchmarks.counted.prepare", directory, *(names or [])]
        subprocess.run(prepare, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        totals = _count(Path(directory))
        return _per_element(json.loads((Path(directory) / "runs.json").read_text(encoding="utf-8")), totals)


def what_is_missing(device: str) -> str | None:
    """Say what this machine lacks for counting; None: nothing."""
    if device != "cpu":
        return "they are those of the host engine"
    if shutil.which("valgrind") is None:
        return "valgrind is missing (Debian: apt-get install valgrind)"
    for module in ("helion", "numpy"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is missing (pip install helion-msl[bench,helion])"
    return None


def _count(directory: Path) -> list[int]:
    """Return the instructions of each launch, in the order in which they were written."""
    output = directory / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={output}"]
    command += [sys.executable, "-m", "benchmarks.counted.under_callgrind", str(directory)]
    # One thread: which of several does how much is up to the clock.
    environment = os.environ | {"HELION_MSL_THREADS": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"callgrind ended with {result.returncode}:\n{result.stderr}")
    dumps = sorted(directory.glob("callgrind.out.*"), key=lambda path: int(path.suffix[1:]))
    # The first ends where the first launch begins; from there on they alternate.
    return [_total(dump) for dump in dumps[1::2]]


def _total(dump: Path) -> int:
    found = re.search(r"^totals: (\d+)$", dump.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{dump} has no totals")
    return int(found[1])


def _per_element(runs: list[dict[str, Any]], totals: list[int]) -> list[InstructionCounts]:
    expected = sum(len(run["launches"]) for run in runs)
    if len(totals) != expected:
        raise RuntimeError(f"callgrind counted {len(totals)} launches of {expected}")
    remaining = iter(totals)
    points: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    counts: dict[str, dict[str, dict[str, float | str]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        row, side = counts[run["group"]][run["name"]], run["side"]
        if run["refusal"]:
            row[side] = run["refusal"]
            continue
        at_sizes = points[run["group"], run["name"], side]
        at_sizes.append((run["elements"], sum(next(remaining) for _ in run["launches"])))
        if len(at_sizes) == 2:
            (few, small), (many, large) = at_sizes
            row[side] = (large - small) / (many - few)
    return [InstructionCounts(TITLES[group], {k: dict(v) for k, v in rows.items()}) for group, rows in counts.items()]


def main() -> None:
    """Print the tables, of the cases named on the command line."""
    for table in run("cpu", sys.argv[1:]):
        print(f"\n{table.table()}")


if __name__ == "__main__":
    main()
