"""What the tests of the walls share: the packages of ``scripts``, imported from there."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"


def load(name: str) -> ModuleType:
    """Import ``mac_build.NAME``; skips where what it reads files of the Mac with is not installed."""
    for package in ("lief", "abi3info", "ziglang"):
        pytest.importorskip(package, reason=f"needs {package}: pip install -r scripts/mac_build/requirements.txt")
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module(f"mac_build.{name}")
    finally:
        sys.path.remove(str(SCRIPTS))
