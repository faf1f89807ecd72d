"""The compiler's version, which a process that has met no kernel before asks for while it loads the translator."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    sys.platform == "darwin" or importlib.util.find_spec("ziglang") is None,
    reason="needs the ziglang package, and no Mac: there nothing is asked ahead",
)

PROGRAM = """
    import json
    import threading

    import torch

    import helion_msl
    from helion_msl import _toolchain, language as ml, metal_jit

    asked = []
    real = _toolchain._ask_version

    def ask(clang):
        asked.append(threading.current_thread() is threading.main_thread())
        return real(clang)

    _toolchain._ask_version = ask

    @metal_jit
    def double(x):
        x[ml.tid[0]] *= 2.0

    @metal_jit
    def triple(x):
        x[ml.tid[0]] *= 3.0

    x, error = torch.ones(4), None
    try:
        double[1, 4](x)
        triple[1, 4](x)
    except helion_msl.EngineUnavailableError as failure:
        error = str(failure)
    print(json.dumps({"asked": asked, "result": x.tolist(), "error": error}))
"""


def run(directory: Path, **environment: str) -> dict:
    program = directory / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    variables = {**os.environ, "HELION_MSL_CACHE_DIR": str(directory / "cache"), **environment}
    done = subprocess.run([sys.executable, program], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_it_is_asked_once_and_not_by_the_thread_that_translates(tmp_path):
    first = run(tmp_path)
    assert first == {"asked": [False], "result": [6.0] * 4, "error": None}
    assert run(tmp_path)["asked"] == []


def test_it_is_asked_once_where_nothing_is_kept_on_disk(tmp_path):
    assert run(tmp_path, HELION_MSL_CACHE_DIR="") == {"asked": [False], "result": [6.0] * 4, "error": None}


def test_a_program_that_is_no_compiler_is_named_as_ever(tmp_path):
    found = run(tmp_path, HELION_MSL_CLANG="/bin/ls")
    assert "/bin/ls is no clang" in found["error"]
    assert found["result"] == [1.0] * 4


def test_a_missing_compiler_is_named_as_ever(tmp_path):
    found = run(tmp_path, HELION_MSL_CLANG="/nowhere/clang")
    assert found["asked"] == []
    assert "/nowhere/clang" in found["error"]
