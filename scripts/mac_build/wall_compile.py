"""``make wall-compile``: the wheel for arm64 macOS 14, built on Linux, its warnings errors and its contents checked.

usage: python -m mac_build.wall_compile

The wheel, one for the stable ABI of Python 3.12, goes to ``build/mac/dist``.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from mac_build import build_python, wheel_check

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "mac"
BACKEND = ["scikit-build-core>=0.11", "nanobind>=3.0,<4", "cmake>=3.18", "ninja"]
PLATFORM = "macosx-14.0-arm64"


def prepare_packages(version: tuple[int, int]) -> Path:
    """Install the build backend for a Python of ``version``, which may lack pip, and return the directory."""
    packages = BUILD / f"packages-{version[0]}.{version[1]}"
    stamp = packages / "requirements"
    wanted = "\n".join(BACKEND)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(packages, ignore_errors=True)
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(packages)]
        install += ["--only-binary=:all:", "--python-version", ".".join(map(str, version)), *BACKEND]
        subprocess.run(install, check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return packages


def prepare_headers(interpreter: str) -> Path:
    """Copy Python's headers, with a ``pyconfig.h`` of the Mac's."""
    probe = "import sysconfig; print(sysconfig.get_path('include'))"
    include = Path(
        subprocess.run([interpreter, "-c", probe], capture_output=True, text=True, check=True).stdout.strip()
    )
    headers = BUILD / "python-headers"
    shutil.rmtree(headers, ignore_errors=True)
    shutil.copytree(include, headers, symlinks=False)
    shutil.copy(Path(__file__).with_name("pyconfig.h"), headers / "pyconfig.h")
    return headers


def prepare_tools() -> Path:
    """Write the programs that CMake takes for a Mac's compiler and archiver."""
    tools = BUILD / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    for tool in ("cc", "c++", "ar", "ranlib"):
        path = tools / tool
        path.write_text(
            f"#!/bin/sh\nPYTHONPATH='{ROOT / 'scripts'}' exec '{sys.executable}' -m mac_build.compiler {tool} \"$@\"\n",
            encoding="utf-8",
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return tools


def build_wheel(interpreter: str, packages: Path, headers: Path, tools: Path) -> Path:
    """Build the wheel through the package's own build backend, as pip does on a Mac."""
    dist = BUILD / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir(parents=True)
    settings = {
        "build-dir": str(BUILD / f"cmake-{packages.name}"),
        "cmake.define.CMAKE_TOOLCHAIN_FILE": str(Path(__file__).with_name("toolchain.cmake")),
        "cmake.define.Python_INCLUDE_DIR": str(headers),
        "cmake.define.CMAKE_OSX_DEPLOYMENT_TARGET": "",
        "cmake.define.HELION_MSL_WERROR": "ON",
    }
    program = f"from scikit_build_core.build import build_wheel; build_wheel({str(dist)!r}, {settings!r})"
    environment = {
        **os.environ,
        "PYTHONPATH": str(packages),
        "HELION_MSL_CROSS_TOOLS": str(tools),
        "HELION_MSL_CROSS_STUBS": str(BUILD / "stubs"),
        # What sysconfig takes for the platform of the interpreter, and so the wheel's tag.
        "_PYTHON_HOST_PLATFORM": PLATFORM,
    }
    status = subprocess.run([interpreter, "-c", program], cwd=ROOT, env=environment, check=False).returncode
    if status != 0:
        raise SystemExit("wall-compile: the extension does not build for the Mac; the compiler's messages are above")
    (wheel,) = dist.glob("*.whl")
    return wheel


def main() -> int:
    """Build and check; 0 where all is well."""
    interpreter, version = build_python.find_python(BUILD)
    print(f"building with {interpreter} (Python {version[0]}.{version[1]})", flush=True)
    wheel = build_wheel(interpreter, prepare_packages(version), prepare_headers(interpreter), prepare_tools())
    problems = wheel_check.problems_of(wheel, wheel_check.STABLE_ABI)
    for problem in problems:
        print(f"wall-compile: {problem}")
    if problems:
        return 1
    print(f"wall-compile: {wheel.relative_to(ROOT)} is right ({wheel.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
