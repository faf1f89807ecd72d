"""The examples run and are right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str) -> str:
    """Runs an example and returns what it prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "@metal_jit" in done.stdout
    assert "equal to torch" in done.stdout
    assert "WRONG" not in done.stdout
    return done.stdout


def test_softmax() -> None:
    output = run("softmax")
    assert "threadgroup_barrier" in output
    assert "simd_max" in output


def test_masked_copy_does_no_more_than_it_must() -> None:
    """One bounds check, two loads, one select, one store."""
    first, second = run("masked_copy").split("kernel void ")[1:]
    body, exact = (text.split(") {", 1)[1].split("\n}\n")[0] for text in (first, second))
    assert "constexpr int _BLOCK_SIZE_0 = 256;" in body
    assert body.count("< 1000") == 1
    assert body.count("tid.x") == 1
    assert body.count("? mask[") == body.count("? x[") == 1
    assert body.count("if (") == 1
    # 1024 elements fill every threadgroup: no check at all.
    assert "1024" not in exact
    assert "if (" not in exact
