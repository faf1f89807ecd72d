"""Launches what ``benchmarks.counted.prepare`` has written, each once to warm up and once to be counted.

Runs under callgrind, where everything is fifty times slower: it imports numpy and the native module, and no torch.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from helion_msl import _C


def main(directory: Path) -> None:
    """Launch everything; a call of ``getppid``, at which callgrind writes what it has counted, marks both ends."""
    arrays = np.load(directory / "arrays.npz")
    for run in json.loads((directory / "runs.json").read_text(encoding="utf-8")):
        for launch in run["launches"]:
            kernel = _C.compile(launch["msl"], name=launch["name"], device="cpu")
            arguments = [
                arrays[argument].copy() if isinstance(argument, str) else argument for argument in launch["arguments"]
            ]
            grid, block_dims = tuple(launch["grid"]), tuple(launch["block_dims"])
            kernel(arguments, grid, block_dims)
            os.getppid()
            kernel(arguments, grid, block_dims)
            os.getppid()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
