"""``make wall-compile``: the wheel for arm64 macOS 14, built on Linux, its warnings errors and its contents checked.

usage: python -m mac_build.wall_compile

The wheel goes to ``build/mac/dist``. It is one for the stable ABI where the machine has Python 3.12 or later; where
it has not, the stable ABI's headers are missing too, and the wheel is one for the running Python alone.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from mac_build import wheel_check

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "mac"
STABLE_ABI_SINCE = (3, 12)
BACKEND = ["scikit-build-core>=0.11", "nanobind>=3.0,<4", "cmake>=3.18", "ninja"]
TOOLS = Path(__file__).with_name("requirements.txt")
PLATFORM = "macosx-14.0-arm64"


def version_of(python: str) -> tuple[int, int] | None:
    """Version of the interpreter ``python`` with its C headers, None where it does not run or lacks them."""
    probe = (
        "import os, sys, sysconfig; header = os.path.join(sysconfig.get_path('include'), 'Python.h');"
        "has_headers = os.path.exists(header) and not sys.abiflags;"
        "print(*sys.version_info[:2] if has_headers else ())"
    )
    try:
        output = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=False, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    numbers = output.split()
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else None


def find_python() -> tuple[str, tuple[int, int]]:
    """The interpreter to build with: the oldest that has the stable ABI, or else the running one."""
    candidates = [found for minor in range(12, 20) if (found := shutil.which(f"python3.{minor}"))]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += sorted(str(path) for path in pyenv.glob("3.*/bin/python3"))
    usable = [(version, python) for python in candidates if (version := version_of(python)) is not None]
    usable = [each for each in usable if each[0] >= STABLE_ABI_SINCE]
    if usable:
        version, python = min(usable)
        return python, version
    version = version_of(sys.executable)
    if version is None:
        raise SystemExit(f"{sys.executable} has no C headers (Python.h); on Debian: apt-get install python3-dev")
    return sys.executable, version


def own_environment() -> dict[str, str]:
    """The environment for another interpreter, which must not find the packages of this one."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def prepare_environment(python: str, version: tuple[int, int]) -> Path:
    """Make the virtual environment that builds, and return its interpreter."""
    environment = BUILD / f"environment-{version[0]}.{version[1]}"
    interpreter = environment / "bin" / "python"
    stamp = environment / "requirements"
    wanted = "\n".join([*BACKEND, TOOLS.read_text(encoding="utf-8")])
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        subprocess.run([python, "-m", "venv", "--clear", str(environment)], check=True)
        install = [str(interpreter), "-m", "pip", "install", "--quiet", *BACKEND, "-r", str(TOOLS)]
        subprocess.run(install, check=True, env=own_environment())
        stamp.write_text(wanted, encoding="utf-8")
    return interpreter


def prepare_headers(interpreter: Path) -> Path:
    """Copy Python's headers, with a ``pyconfig.h`` of the Mac's."""
    probe = "import sysconfig; print(sysconfig.get_path('include'))"
    include = Path(
        subprocess.run([str(interpreter), "-c", probe], capture_output=True, text=True, check=True).stdout.strip()
    )
    headers = BUILD / "python-headers"
    shutil.rmtree(headers, ignore_errors=True)
    shutil.copytree(include, headers, symlinks=False)
    shutil.copy(Path(__file__).with_name("pyconfig.h"), headers / "pyconfig.h")
    return headers


def prepare_tools(interpreter: Path) -> Path:
    """Write the programs that CMake takes for a Mac's compiler and archiver."""
    tools = BUILD / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    for tool in ("cc", "c++", "ar", "ranlib"):
        path = tools / tool
        path.write_text(
            f"#!/bin/sh\nPYTHONPATH='{ROOT / 'scripts'}' exec '{interpreter}' -m mac_build.compiler {tool} \"$@\"\n",
            encoding="utf-8",
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return tools


def build_wheel(interpreter: Path, headers: Path, tools: Path, version: tuple[int, int]) -> Path:
    """Build the wheel through the package's own build backend, as pip does on a Mac."""
    dist = BUILD / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir(parents=True)
    settings = {
        "build-dir": str(BUILD / f"cmake-{version[0]}.{version[1]}"),
        "cmake.define.CMAKE_TOOLCHAIN_FILE": str(Path(__file__).with_name("toolchain.cmake")),
        "cmake.define.Python_INCLUDE_DIR": str(headers),
        "cmake.define.CMAKE_OSX_DEPLOYMENT_TARGET": "",
    }
    program = f"from scikit_build_core.build import build_wheel; build_wheel({str(dist)!r}, {settings!r})"
    environment = {
        **own_environment(),
        "PATH": f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}",
        "HELION_MSL_CROSS_TOOLS": str(tools),
        "HELION_MSL_CROSS_STUBS": str(BUILD / "stubs"),
        # What sysconfig takes for the platform of the interpreter, and so the wheel's tag.
        "_PYTHON_HOST_PLATFORM": PLATFORM,
    }
    status = subprocess.run([str(interpreter), "-c", program], cwd=ROOT, env=environment, check=False).returncode
    if status != 0:
        raise SystemExit("wall-compile: the extension does not build for the Mac; the compiler's messages are above")
    (wheel,) = dist.glob("*.whl")
    return wheel


def main() -> int:
    """Build and check; 0 where all is well."""
    python, version = find_python()
    print(f"building with {python} (Python {version[0]}.{version[1]})", flush=True)
    interpreter = prepare_environment(python, version)
    wheel = build_wheel(interpreter, prepare_headers(interpreter), prepare_tools(interpreter), version)
    is_stable = version >= STABLE_ABI_SINCE
    problems = wheel_check.problems_of(wheel, is_stable=is_stable, version=version)
    for problem in problems:
        print(f"wall-compile: {problem}")
    if problems:
        return 1
    print(f"wall-compile: {wheel.relative_to(ROOT)} is right ({wheel.stat().st_size / 1e6:.1f} MB)")
    if not is_stable:
        needed = ".".join(map(str, STABLE_ABI_SINCE))
        print(f"wall-compile: NOT CHECKED: the wheel for the stable ABI, which needs Python {needed} or later here")
    return 0


if __name__ == "__main__":
    sys.exit(main())
