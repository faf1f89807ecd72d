"""What ``import helion_msl`` costs and offers, also where there is no compiler."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

import helion_msl
from helion_msl import _toolchain


def run_python(code: str, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *flags, "-c", textwrap.dedent(code)], capture_output=True, text=True,
                          check=False, env={**os.environ, **environment})  # fmt: skip


LAUNCH = """
    import torch, helion_msl
    x = torch.zeros(1, dtype=torch.int32)
    try:
        helion_msl.launch("kernel void f(device int *x [[buffer(0)]]) { x[0] = 7; }", [x], 1, 1)
        print(x.item())
    except helion_msl.EngineUnavailableError as error:
        print("unavailable:", error)
"""


def test_import_loads_neither_torch_nor_helion_nor_the_walker():
    result = run_python("import sys; before = set(sys.modules); import helion_msl; print(*(set(sys.modules) - before))")
    loaded = set(result.stdout.split())
    assert "helion_msl._C" in loaded
    assert {name for name in loaded if name.startswith("helion_msl")} == {
        "helion_msl",
        "helion_msl._C",
        "helion_msl._toolchain",
        "helion_msl.errors",
    }
    assert loaded.isdisjoint({"torch", "helion", "numpy", "ast", "inspect", "subprocess", "ziglang"})


def test_public_names_are_there():
    # Helion's plug-in has tests of its own: Helion is an extra.
    for name in set(helion_msl.__all__) - {"register_helion_backend"}:
        assert getattr(helion_msl, name) is not None
    assert set(helion_msl.__all__) <= set(dir(helion_msl))
    with pytest.raises(AttributeError, match="module 'helion_msl' has no attribute 'lunch'"):
        _ = helion_msl.lunch


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a global interpreter lock")
def test_import_leaves_the_global_interpreter_lock_off():
    assert run_python("import sys, helion_msl; print(sys._is_gil_enabled())").stdout == "False\n"


def test_version_is_that_of_the_distribution():
    import importlib.metadata

    assert helion_msl.__version__ == importlib.metadata.version("helion-msl")


def test_errors_can_be_caught_as_builtins():
    assert issubclass(helion_msl.ArgumentError, TypeError)
    assert issubclass(helion_msl.ArgumentError, ValueError)
    for name in helion_msl.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(helion_msl, name), helion_msl.HelionMslError)


def test_source_tree_without_the_extension_says_what_to_do(tmp_path):
    package = Path(helion_msl.__file__).parent
    shutil.copytree(package, tmp_path / "helion_msl", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    # -S: without site, no hook of an editable install finds the extension elsewhere.
    result = run_python("import helion_msl", "-S", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "ImportError: helion_msl was imported from" in result.stderr
    assert "has not been built: install the package first (pip install . or pip install -e .)" in result.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac uses Xcode's clang")
def test_without_a_compiler_import_works_and_the_first_launch_says_what_to_install():
    code = "import sys; sys.modules['ziglang'] = None\n" + textwrap.dedent(LAUNCH)
    result = run_python(code, HELION_MSL_CLANG="")
    assert result.stdout.startswith("unavailable: the host engine needs clang")
    assert "pip install ziglang, or set HELION_MSL_CLANG" in result.stdout


def test_chosen_clang_that_does_not_exist():
    result = run_python(LAUNCH, HELION_MSL_CLANG="/nowhere/clang")
    assert result.stdout.startswith("unavailable: HELION_MSL_CLANG is '/nowhere/clang', which is no program")


def test_chosen_clang_that_is_none():
    result = run_python(LAUNCH, HELION_MSL_CLANG=sys.executable)
    assert result.stdout.startswith(f"unavailable: {sys.executable} is no clang: `--version` answers 'Python")


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_chosen_clang_that_is_too_old(tmp_path):
    old = program(tmp_path / "clang", "echo Debian clang version 14.0.6")
    result = run_python(LAUNCH, HELION_MSL_CLANG=old)
    assert result.stdout.startswith(
        f"unavailable: {old} is clang 14, but kernels need 17 or later; pip install ziglang"
    )


@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="the ziglang package is not installed")
def test_chosen_clang_compiles(tmp_path):
    import ziglang

    zig = Path(ziglang.__file__).parent / "zig"
    # As a clang of the user's own would: it links, too.
    chosen = program(
        tmp_path / "clang",
        f'[ "$1" = -shared ] && exec "{zig}" ld.lld "$@"\necho compiled >> {tmp_path}/log\nexec "{zig}" clang "$@"',
    )
    result = run_python(LAUNCH, HELION_MSL_CLANG=chosen)
    assert result.stdout == "7\n", result.stderr
    assert "compiled" in (tmp_path / "log").read_text()


def test_a_failed_search_is_not_kept():
    code = (
        LAUNCH
        + """
    import os
    del os.environ["HELION_MSL_CLANG"]
    x = torch.zeros(1, dtype=torch.int32)
    helion_msl.launch("kernel void f(device int *x [[buffer(0)]]) { x[0] = 7; }", [x], 1, 1)
    print(x.item())
    """
    )
    result = run_python(code, HELION_MSL_CLANG="/nowhere/clang")
    assert result.stdout.splitlines()[1:] == ["7"], result.stderr


def test_include_directories_are_this_packages_and_torchs():
    if importlib.util.find_spec("ziglang") is None and sys.platform != "darwin":
        pytest.skip("the ziglang package is not installed")
    toolchain = _toolchain.find_toolchain()
    ours, torchs = (Path(directory) for directory in toolchain.include_directories)
    assert (ours / "helion_host" / "abi.h").is_file()
    assert (ours / "metal_stdlib").is_file()
    assert (torchs / "c10" / "metal" / "utils.h").is_file()
    assert toolchain.description.startswith("clang ")
