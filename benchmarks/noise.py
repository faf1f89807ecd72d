"""How noisy a run was: the same piece of work, timed again and again while the benchmarks run."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

# A quiet machine stays below this.
CALM = 1.1
# The benchmarks alone keep all cores busy now and then; a load of more for each core is somebody else's.
CROWDED = 1.5
REPETITIONS = 9


@dataclass
class Noise:
    """Seconds that the reference took at each of several moments, and the load then.

    Attributes:
        moments: the least and the median of some repetitions.
        loads: the machine's load average of the last minute, where the system tells it.
    """

    moments: list[tuple[float, float]] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)

    def sample(self) -> None:
        """Time the reference now."""
        times = sorted(_reference() for _ in range(REPETITIONS))
        self.moments.append((times[0], times[REPETITIONS // 2]))
        if hasattr(os, "getloadavg"):
            self.loads.append(os.getloadavg()[0])

    @property
    def drift(self) -> float:
        """By how much the slowest moment exceeds the fastest, by the minima."""
        minima = [minimum for minimum, _ in self.moments]
        return max(minima) / min(minima)

    @property
    def jitter(self) -> float:
        """By how much a median exceeds the least of the same moment, at worst."""
        return max(median / minimum for minimum, median in self.moments)

    @property
    def is_calm(self) -> bool:
        """Whether figures of this run can be read as they are."""
        is_idle = max(self.loads, default=0.0) <= CROWDED * (os.cpu_count() or 1)
        return self.drift <= CALM and self.jitter <= CALM and is_idle

    def describe(self) -> str:
        """Lines for people: what the reference did, and a warning where it did not do the same all the time."""
        load = f", load average {min(self.loads):.1f} to {max(self.loads):.1f}" if self.loads else ""
        lines = [
            f"noise: the same work took up to {self.drift:.2f} times as long at one moment as at another, and up to "
            f"{self.jitter:.2f} times within one{load}"
        ]
        if not self.is_calm:
            lines.append(
                f"WARNING: the machine was busy (more than {CALM} times, or a load above {CROWDED} a core). Candidates "
                "of one table took turns, so that ratios of their minima still say something; don't compare tables."
            )
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "reference_seconds": [{"minimum": minimum, "median": median} for minimum, median in self.moments],
            "load_average": self.loads,
            "drift": self.drift,
            "jitter": self.jitter,
            "is_calm": self.is_calm,
        }


def _reference() -> float:
    """Return the seconds of some work of one core that touches no memory to speak of."""
    start = time.perf_counter()
    total = 0
    for number in range(300_000):
        total += number * number
    return time.perf_counter() - start
