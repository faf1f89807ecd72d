"""``make wall-declarations``: checks ``src/metal_declarations`` against PyObjC's macOS wheels.

usage: python -m declarations_wall [--verbose]
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

from . import clang_declarations, comparison, pyobjc_metadata

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src"
RECORD = Path(__file__).with_name("checked_by_hand.txt")
WHEELS = ROOT / "build/pyobjc"
INCLUDES = ["<Foundation/Foundation.h>", "<Metal/Metal.h>", '"metal_newer.h"']


class WheelsMissingError(RuntimeError):
    """The wheels cannot be downloaded; the message is pip's."""


def fetch_wheels() -> list[Path]:
    """Return the PyObjC wheels for macOS, downloading them into ``build/`` the first time."""
    wheels = sorted(WHEELS.glob("*.whl"))
    if len(wheels) < 2:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--platform", "macosx_10_13_universal2", "--python-version", "3.12", "--dest", str(WHEELS)]
        command += ["pyobjc-framework-Metal", "pyobjc-framework-Cocoa"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise WheelsMissingError(f"pip cannot download the PyObjC wheels for macOS:\n{result.stderr}")
        wheels = sorted(WHEELS.glob("*.whl"))
    return wheels


@functools.cache
def known() -> pyobjc_metadata.Knowledge:
    """Return what the wheels know."""
    return pyobjc_metadata.read_wheels(fetch_wheels())


def check(sources: Path, record: str) -> tuple[comparison.Verdict, list[str]]:
    """Return the verdict on the headers below ``sources`` (the project's ``src``), and all mistakes found."""
    roots = [sources / "metal_declarations/metal", sources / "metal_declarations/foundation", sources]
    declared = clang_declarations.read_headers(roots, INCLUDES)
    verdict = comparison.compare(declared, known())
    return verdict, verdict.mistakes + comparison.missing_from_record(verdict, record)


def main() -> int:
    """Run the wall; 1 where a declaration is wrong or nobody has checked it."""
    verdict, mistakes = check(SOURCES, RECORD.read_text(encoding="utf-8"))
    if "--verbose" in sys.argv:
        print("\n".join(sorted(verdict.confirmed)))
    print(f"confirmed by PyObjC's metadata: {len(verdict.confirmed)} declarations")
    print(f"not in the metadata, checked by hand: {len(verdict.unrecorded) + len(verdict.disputed)}")
    for name in sorted([*verdict.unrecorded, *verdict.disputed]):
        print(f"  {name}")
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
