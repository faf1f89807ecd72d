"""Refuses source files that have grown past what one sitting can read."""

from __future__ import annotations

import sys
from pathlib import Path

LINES_AT_MOST = 550


def main(paths: list[str]) -> int:
    """Print every file of ``paths`` that is too long; 1 if there is one."""
    status = 0
    for path in paths:
        lines = len(Path(path).read_text(encoding="utf-8").splitlines())
        if lines > LINES_AT_MOST:
            print(f"{path}: {lines} lines, at most {LINES_AT_MOST}: split it by what its parts are about")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
