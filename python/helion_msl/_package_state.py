"""Tells one state of this package from another, for what is kept on disk of what its Python code makes."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def package_state() -> str:
    """Return a checksum of the package's Python files, by size and time of change, and of Python's version."""
    root = os.path.dirname(__file__)  # noqa: PTH120  (pathlib would take most of the time)
    facts = (2, sys.version_info[:3], sorted(_files_below(root, "")))
    return hashlib.sha256(repr(facts).encode(errors="surrogatepass")).hexdigest()


def _files_below(directory: str, place: str) -> Iterator[tuple[str, str, int, int]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                status = entry.stat()
                yield place, entry.name, status.st_size, status.st_mtime_ns
            elif "." not in entry.name and entry.is_dir(follow_symlinks=False):
                yield from _files_below(entry.path, f"{place}/{entry.name}")


PACKAGE = package_state()
"""Read at import: a package that is replaced later is not the one that runs."""
