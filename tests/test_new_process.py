"""A process whose kernels have all been compiled before: it loads no translator and runs no compiler."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

KERNEL = """
    from helion_msl import language as ml
    from helion_msl import metal_jit

    FACTOR = 3.0

    @metal_jit
    def row_sums(x, out):
        row = ml.tgid[0]
        total = ml.simd_sum(x[row, ml.tid[0]] * FACTOR)
        if ml.tid[0] == 0:
            out[row] = total

    x, out = torch.arange(64.0).reshape(2, 32), torch.zeros(2)
    row_sums[2, 32](x, out)
    result = out.tolist()
"""
HELION = """
    import helion
    import helion.language as hl
    import helion_msl

    helion_msl.register_helion_backend()

    @helion.kernel(backend="metal", configs=[helion.Config(block_sizes=[64], num_warps=2)])
    def row_sums(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty(x.size(0))
        for tile in hl.tile(x.size(0)):
            out[tile] = x[tile, :].sum(-1) * 3.0
        return out

    result = row_sums(torch.arange(64.0).reshape(2, 32)).tolist()
"""
# What the process has loaded of the translator, and the memory of its largest child: 0 where it never had one.
REPORT = """
    import json
    import resource
    import sys

    loaded = sorted(name for name in sys.modules if name.startswith(("helion_msl.walker", "helion_msl._walker.")))
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"result": result, "loaded": loaded, "children": children}))
"""
# What finds a kernel, and not what translates one.
LIGHT = {
    f"helion_msl._walker.{name}"
    for name in ("annotations", "captured", "dialect", "outline", "source", "translation", "types")
}


def run(program: Path, cache: Path, **environment: str) -> dict:
    done = subprocess.run(
        [sys.executable, program],
        env={**os.environ, "HELION_MSL_CACHE_DIR": str(cache), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def written(directory: Path, text: str) -> Path:
    program = directory / "program.py"
    program.write_text("import torch\n" + textwrap.dedent(text) + textwrap.dedent(REPORT))
    return program


@pytest.mark.parametrize(
    "text",
    [
        KERNEL,
        pytest.param(
            HELION,
            marks=pytest.mark.skipif(importlib.util.find_spec("helion") is None, reason="needs helion"),
        ),
    ],
    ids=["metal_jit", "helion"],
)
def test_nothing_is_translated_or_compiled_again(text, tmp_path):
    program = written(tmp_path, text)
    first = run(program, tmp_path / "cache")
    assert first["result"] == [1488.0, 4560.0]
    assert "helion_msl.walker" in first["loaded"]
    second = run(program, tmp_path / "cache")
    assert second["result"] == first["result"]
    assert set(second["loaded"]) <= LIGHT
    if sys.platform != "darwin":  # there, xcrun is asked where clang is
        assert second["children"] == 0


def test_the_compiler_may_be_broken_once_its_work_is_done(tmp_path):
    """A script that is asked for its version in every process, as any script is, and compiles only at first."""
    ziglang = pytest.importorskip("ziglang")
    zig = Path(ziglang.__file__).parent / "zig"
    broken = tmp_path / "broken"
    compiler = tmp_path / "clang"
    compiler.write_text(f'#!/bin/sh\n[ -e "{broken}" ] && [ "$1" != --version ] && exit 70\nexec "{zig}" clang "$@"\n')
    compiler.chmod(0o755)
    program = written(tmp_path, KERNEL)
    first = run(program, tmp_path / "cache", HELION_MSL_CLANG=str(compiler))
    broken.touch()
    assert run(program, tmp_path / "cache", HELION_MSL_CLANG=str(compiler))["result"] == first["result"]
    changed = program.read_text().replace("FACTOR = 3.0", "FACTOR = 4.0")
    program.write_text(changed)
    with pytest.raises(AssertionError, match="exit code 70"):
        run(program, tmp_path / "cache", HELION_MSL_CLANG=str(compiler))
