"""What a run writes: one JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.measure import Comparison, machine, notes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.instruction_counts import InstructionCounts
    from benchmarks.noise import Noise


def write_json(path: Path, results: Sequence[Comparison | InstructionCounts], noise: Noise) -> None:
    """Write the machine, how noisy it was, seconds by candidate, instructions by kernel, and what is missing."""
    comparisons = [asdict(result) for result in results if isinstance(result, Comparison)]
    counts = [asdict(result) for result in results if not isinstance(result, Comparison)]
    document = {
        "machine": machine(),
        "noise": noise.as_json(),
        "comparisons": comparisons,
        "instruction_counts": counts,
        "notes": notes,
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
