"""The wheel: what is in it, what it says about itself, and that the type stubs are those of the module."""

from __future__ import annotations

import email
import importlib.metadata
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import helion_msl

ROOT = Path(__file__).resolve().parents[1]
HEADERS = ROOT / "python" / "helion_msl" / "host" / "include"


def needed_files() -> set[str]:
    """Every file of the package in the source tree, as named in a wheel."""
    package = ROOT / "python"
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    return {path.relative_to(package).as_posix() for path in files}


def check_contents(names: set[str]) -> None:
    assert needed_files() <= names
    assert "helion_msl/py.typed" in names
    assert "helion_msl/_C.pyi" in names
    assert any(name.startswith("helion_msl/host/include/") for name in names)
    extensions = [name for name in names if name.startswith("helion_msl/_C.") and not name.endswith(".pyi")]
    assert len(extensions) == 1
    assert extensions[0].endswith(".so")
    assert sum(name.endswith("licenses/LICENSE") for name in names) == 1
    stray = {name for name in names if name.split("/")[0] not in {"helion_msl", "..", "share"}}
    assert all(name.startswith(f"helion_msl-{helion_msl.__version__}.dist-info/") for name in stray)


def test_installed_files():
    distribution = importlib.metadata.distribution("helion-msl")
    names = {file.as_posix() for file in distribution.files or ()}
    if any("editable" in name for name in names):
        pytest.skip("this is an editable install, whose files stay in the source tree")
    check_contents({name for name in names if "__pycache__" not in name})


def test_installed_metadata():
    metadata = importlib.metadata.metadata("helion-msl")
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.10"
    requirements = metadata.get_all("Requires-Dist") or []
    assert any(requirement.startswith("torch") for requirement in requirements)
    assert any(requirement.startswith("ziglang") and "Darwin" in requirement for requirement in requirements)
    assert any(requirement.startswith("helion<1.6,>=1.5.1") and "extra" in requirement for requirement in requirements)


@pytest.mark.slow
def test_wheel(tmp_path):
    for module in ("scikit_build_core", "nanobind"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed, and a build of its own would need the network")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "-w", str(tmp_path)]
    # A build directory of its own, because the developer's must not change; without optimization, to be quick.
    options = ["-C", f"build-dir={tmp_path / 'build'}", "-C", "cmake.build-type=Debug"]
    subprocess.run([*build, *options, str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    tags = "-cp312-abi3-" if sys.version_info >= (3, 12) else f"-{python}-{python}-"
    assert tags in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        check_contents(names)
        (metadata_name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(metadata_name))
    assert metadata["Name"] == "helion-msl"
    assert metadata["Version"] == helion_msl.__version__
    assert metadata["License-File"] == "LICENSE"
    assert metadata.get_payload().startswith((ROOT / "README.md").read_text()[:100])


def test_stubs_are_those_of_the_module(tmp_path):
    if importlib.util.find_spec("nanobind") is None:
        pytest.skip("nanobind, whose generator writes the stubs, is not installed")
    stub = tmp_path / "_C.pyi"
    generate = [sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "helion_msl._C", "-o", str(stub)]
    subprocess.run([*generate, "-p", str(ROOT / "src" / "_C_stub_patterns.txt")], check=True)
    committed = ROOT / "python" / "helion_msl" / "_C.pyi"
    assert stub.read_text() == committed.read_text(), "run `cmake --build <build directory> --target update_stub`"


def test_stubs_pass_the_strict_type_checker(tmp_path):
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    user = tmp_path / "user.py"
    user.write_text(
        "import helion_msl\n"
        "kernel: helion_msl.Kernel = helion_msl.compile('', name=None, constants={'a': 1, 0: True})\n"
        "kernel([1, 2.5, object()], (1, 2), 3)\n"
        "helion_msl.launch('', (), grid=1, block_dims=[1], name='f')\n"
        "names: list[str] = [argument.name for argument in kernel.arguments]\n"
        "hits: int = helion_msl.cache_info().hits\n"
        "helion_msl.launch(b'', (), 1, 1)  # type: ignore[arg-type]\n"
    )
    # Only the user's file is judged here: `make types` checks the package itself.
    mypy = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    command = [*mypy, "--cache-dir", str(tmp_path / "cache"), str(user)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path,
                             env={"MYPYPATH": str(ROOT / "python"), "PATH": ""})  # fmt: skip
    assert checked.returncode == 0, checked.stdout
