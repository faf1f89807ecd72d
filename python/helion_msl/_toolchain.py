"""Finds the compiler of the host engine. Asked by the native module at the first compile, never at import."""

# The first launch of every process waits for this, and pathlib takes twice the time.
# ruff: noqa: PTH100, PTH112, PTH113, PTH118, PTH120

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from . import _C
from .errors import EngineUnavailableError

if TYPE_CHECKING:
    from concurrent.futures import Future

# The first one with arithmetic on __bf16 (Clang 17 release notes). Apple numbers its own differently.
_OLDEST_CLANG = 17
_CLANG_VERSION = re.compile(r"clang version (\d+)")
# How executables begin: ELF, and Mach-O for one processor or for several (loader.h, fat.h).
_PROGRAM_MAGIC = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_REMEDY = "pip install ziglang, or set HELION_MSL_CLANG to the path of a clang"


class Toolchain(NamedTuple):
    """How kernels are compiled and linked on this machine.

    Attributes:
        clang: the command line that is clang, to be followed by its arguments.
        linker: the command line that links a shared object, to be followed by ``-o``, the output and the inputs.
        include_directories: absolute paths: the MSL headers of this package, then torch's.
        description: what compiles, for people: ``"clang 22"``.
        version: all that ``clang --version`` says, which goes into the keys of the disk cache.
    """

    clang: list[str]
    linker: list[str]
    include_directories: list[str]
    description: str
    version: str


def find_toolchain() -> Toolchain:
    """Finds clang: ``HELION_MSL_CLANG``, else Xcode's on a Mac, else the one in the ``ziglang`` package.

    Raises:
        EngineUnavailableError: there is none, or it does not run; the message says what to install.
    """
    clang, linker = _programs()
    version = _version(clang)
    return Toolchain(clang, linker, _include_directories(), _describe(clang, version), version)


# What the compiler is being asked by ask_ahead(), by what its answer is kept under; None until it has been called.
_asked_ahead: dict[bytes, Future[str]] | None = None


def ask_ahead() -> None:
    """Begin to ask the compiler for its version, so that it answers while the translator is loaded.

    Does nothing where the answer is known, from the second call on, and on a Mac, where kernels mostly run on the GPU.
    What fails is said by :func:`find_toolchain`.
    """
    global _asked_ahead
    if _asked_ahead is not None or sys.platform == "darwin":
        return
    _asked_ahead = {}
    try:
        clang, _ = _programs()
    except EngineUnavailableError:
        return
    key = _identity(clang)
    if key is None or _C.disk_cache_find("fingerprints", key) is not None:
        return
    executor = ThreadPoolExecutor(max_workers=1)
    _asked_ahead[key] = executor.submit(_ask_version, clang)
    executor.shutdown(wait=False)


def _programs() -> tuple[list[str], list[str]]:
    """Return the command lines of clang and of the linker."""
    chosen = os.environ.get("HELION_MSL_CLANG")
    if chosen:
        return _chosen_clang(chosen)
    return _xcode_clang() if sys.platform == "darwin" else _zig_clang()


def _chosen_clang(chosen: str) -> tuple[list[str], list[str]]:
    path = shutil.which(chosen)
    if path is None:
        msg = f"HELION_MSL_CLANG is {chosen!r}, which is no program that can be run; set it to the path of a clang"
        raise EngineUnavailableError(msg)
    return [path], _link_with(path)


def _xcode_clang() -> tuple[list[str], list[str]]:
    import subprocess

    found = subprocess.run(["/usr/bin/xcrun", "-f", "clang"], capture_output=True, text=True, check=False)
    path = found.stdout.strip() if found.returncode == 0 else ""
    if not path:
        msg = (
            "the host engine needs clang, and Xcode's command line tools have none: xcode-select --install, "
            "or set HELION_MSL_CLANG to the path of a clang"
        )
        raise EngineUnavailableError(msg)
    return [path], _link_with(path)


def _zig_clang() -> tuple[list[str], list[str]]:
    # zig's own compile commands build a C++ library first, which takes a minute; the clang and the lld inside don't.
    zig = _file_of_package("ziglang", "zig")
    if zig is not None:
        return [zig, "clang"], [zig, "ld.lld", "-shared"]
    msg = f"the host engine needs clang to compile kernels, and there is none: {_REMEDY}"
    raise EngineUnavailableError(msg)


def _link_with(clang: str) -> list[str]:
    if sys.platform == "darwin":
        # Kernels call functions of the engine, which the loader finds in the extension.
        return [clang, "-shared", "-undefined", "dynamic_lookup"]
    return [clang, "-shared"]


def _include_directories() -> list[str]:
    directories = [os.path.join(os.path.dirname(os.path.realpath(__file__)), "host", "include")]
    # Kernels may include torch's c10/metal headers. The path is enough: importing torch here would take seconds.
    directories += (os.path.join(directory, "include") for directory in _directories_of_package("torch"))
    return [directory for directory in directories if os.path.isdir(directory)]


def _file_of_package(package: str, name: str) -> str | None:
    """Return the path of a file of a package that is not imported.

    Every first launch of a process asks for this one, and what importlib does beyond looking takes as long as all other
    searching for a compiler: it is asked where there is nothing on the path.
    """
    for entry in sys.path if package not in sys.modules else ():
        path = os.path.join(os.path.abspath(entry), package, name)
        if os.path.isfile(path):
            return path
    found = (os.path.join(directory, name) for directory in _directories_of_package(package))
    return next(filter(os.path.isfile, found), None)


def _directories_of_package(package: str) -> list[str]:
    imported = getattr(sys.modules.get(package), "__path__", None)
    if imported is not None:
        return list(imported)
    spec = importlib.util.find_spec(package)
    return list(spec.submodule_search_locations or []) if spec is not None else []


def _version(clang: list[str]) -> str:
    """Return what ``clang --version`` says, without asking a program that has answered before."""
    key = _identity(clang)
    known = _C.disk_cache_find("fingerprints", key) if key is not None else None
    if known is not None:
        return known.decode(errors="replace")
    asked = (_asked_ahead or {}).pop(key, None) if key is not None else None
    version = _ask_version(clang) if asked is None else asked.result()
    # Not where it was replaced meanwhile.
    if key is not None and key == _identity(clang):
        _C.disk_cache_store("fingerprints", key, version.encode())
    return version


def _identity(clang: list[str]) -> bytes | None:
    """Return what a program's answer is kept under, or None for a script, which may run another one each time."""
    try:
        path = os.path.realpath(shutil.which(clang[0]) or clang[0], strict=True)
        program = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            magic, status = os.read(program, 4), os.fstat(program)
        finally:
            os.close(program)
    except OSError:
        return None
    if magic not in _PROGRAM_MAGIC:
        return None
    return "\n".join([path, str(status.st_size), str(status.st_mtime_ns), *clang]).encode()


def _ask_version(clang: list[str]) -> str:
    import subprocess

    try:
        asked = subprocess.run([*clang, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        msg = f"{' '.join(clang)} does not run: {error}; {_REMEDY}"
        raise EngineUnavailableError(msg) from error
    if asked.returncode != 0 or _CLANG_VERSION.search(asked.stdout) is None:
        said = (asked.stderr or asked.stdout).strip()
        msg = f"{' '.join(clang)} is no clang: `--version` answers {said[:200]!r}; {_REMEDY}"
        raise EngineUnavailableError(msg)
    return asked.stdout


def _describe(clang: list[str], version: str) -> str:
    found = _CLANG_VERSION.search(version)
    number = int(found.group(1)) if found is not None else 0
    if number < _OLDEST_CLANG and "Apple clang" not in version:
        msg = f"{' '.join(clang)} is clang {number}, but kernels need {_OLDEST_CLANG} or later; {_REMEDY}"
        raise EngineUnavailableError(msg)
    return f"clang {number}"
