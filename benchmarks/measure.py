"""Timing side by side: candidates take turns, so that a slow spell of the machine meets them all."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

QUICK = "HELION_MSL_BENCH_QUICK"

# What could not be measured, a line each.
notes: list[str] = []


def is_quick() -> bool:
    """Whether this run only tries whether the benchmarks work; the processes that they start know it too."""
    return os.environ.get(QUICK) == "1"


def scaled(full: int, quick: int) -> int:
    """A size: the second one in a quick run."""
    return quick if is_quick() else full


def note(line: str) -> None:
    """Say, here and in the JSON, what is missing from the results."""
    if line not in notes:
        print(f"  ({line})")
        notes.append(line)


@dataclass(frozen=True)
class Timing:
    """Seconds that one call, or one operation, takes: the least and the median of the rounds."""

    minimum: float
    median: float


@dataclass(frozen=True)
class Comparison:
    """Timings of several candidates that ran in turns, and which of them the ratios refer to.

    ``traffic`` has the bytes that one call of a candidate reads and writes, where that is what its time goes to.
    """

    title: str
    yardstick: str
    timings: dict[str, Timing]
    traffic: dict[str, int] = field(default_factory=dict)

    def spread(self) -> float:
        """How far rounds of one candidate differ: the largest median, in times of its minimum."""
        return max(timing.median / timing.minimum for timing in self.timings.values())

    def ratio(self, name: str) -> float:
        """How many times as long as the yardstick ``name`` takes, by the medians."""
        return self.timings[name].median / self.timings[self.yardstick].median

    def least_ratio(self, name: str) -> float:
        """The same by the minima, which a busy machine disturbs less."""
        return self.timings[name].minimum / self.timings[self.yardstick].minimum

    def table(self) -> str:
        """The comparison as text, one candidate a line."""
        width = max(len(name) for name in self.timings)
        heading = f"  {'':{width}}  {'minimum':>12}  {'median':>12}  {'of minima':>9}  {'of medians':>10}"
        lines = [self.title, f"{heading}  {'best GB/s':>9}" if self.traffic else heading]
        for name, timing in self.timings.items():
            line = f"  {name:{width}}  {duration(timing.minimum)}  {duration(timing.median)}"
            line += f"  {self.least_ratio(name):9.2f}  {self.ratio(name):10.2f}"
            if name in self.traffic:
                line += f"  {self.traffic[name] / timing.minimum / 1e9:9.1f}"
            lines.append(line)
        return "\n".join(lines)


def compare(
    title: str,
    candidates: Mapping[str, Callable[[], object]],
    *,
    yardstick: str,
    calls: int = 1,
    operations: int = 1,
    rounds: int = 15,
    before_round: Callable[[], object] | None = None,
    traffic: Mapping[str, int] | None = None,
) -> Comparison:
    """Time ``candidates`` in turns.

    Args:
        title: the heading of the table.
        candidates: name to the function to time, called without arguments.
        yardstick: the candidate that the ratios refer to.
        calls: calls in one timed round; the round's time is divided by it.
        operations: what one call does so many times, and what the timings are for.
        rounds: rounds of each candidate, after one that is not counted.
        before_round: runs before each round, outside the timed part.
        traffic: bytes that one call of a candidate reads and writes.
    """
    if is_quick():
        calls, rounds = min(calls, 2), 1
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for round_number in range(rounds + 1):
            for name, function in candidates.items():
                if before_round is not None:
                    before_round()
                start = time.perf_counter()
                for _ in range(calls):
                    function()
                elapsed = (time.perf_counter() - start) / (calls * operations)
                if round_number > 0:
                    samples[name].append(elapsed)
    finally:
        if collecting:
            gc.enable()
    timings = {name: Timing(min(times), statistics.median(times)) for name, times in samples.items()}
    return Comparison(title, yardstick, timings, dict(traffic or {}))


def machine() -> dict[str, object]:
    """What the numbers were measured on."""
    import torch

    from helion_msl import _C

    return {
        "engine": _C.engine_description(),
        "system": platform.platform(),
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:9.2f} {unit:>2}"
    nanoseconds = seconds / 1e-9
    return f"{nanoseconds:9.0f} ns" if nanoseconds >= 100 else f"{nanoseconds:9.2f} ns"


def _processor_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:  # noqa: PTH123
            for line in cpuinfo:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
