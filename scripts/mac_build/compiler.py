"""Stands for clang on a Mac: translates the command lines that CMake writes for it to ziglang's clang and linker.

usage: compiler.py {cc|c++|ar|ranlib} ARGUMENTS...

Environment: HELION_MSL_CROSS_STUBS is the directory for the stubs of Apple's libraries.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import ziglang

from mac_build import macho, system_symbols

TARGET = "aarch64-macos.14.0"
ZIG = str(Path(ziglang.__file__).parent / "zig")
DECLARATIONS = Path(__file__).parents[2] / "src" / "metal_declarations"

# With libc++'s availability annotations, as in Apple's own libc++: what macOS 14 lacks must not compile.
COMPILE_FLAGS = [
    "-target",
    TARGET,
    "-U_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS",
    "-D_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS=1",
    f"-I{DECLARATIONS / 'foundation'}",
    f"-I{DECLARATIONS / 'metal'}",
]


def compile_arguments(arguments: list[str]) -> list[str]:
    """``arguments`` without what ziglang's tools lack: its linker takes no bitcode."""
    return [argument for argument in arguments if not argument.startswith("-flto")]


def link_arguments(arguments: list[str]) -> tuple[list[str], set[str]]:
    """``arguments`` for ziglang's linker, and the libraries of macOS that they ask for."""
    kept = []
    libraries = {system_symbols.LIBOBJC, system_symbols.LIBCXX}
    rest = iter(compile_arguments(arguments))
    for argument in rest:
        if argument == "-framework":
            libraries |= system_symbols.FRAMEWORKS[next(rest)]
        elif argument == "-bundle":
            kept.append("-shared")  # ziglang's linker makes dylibs; Python loads both
        elif not argument.startswith(("-Wl,@", "-Wl,-headerpad")):
            kept.append(argument)
    return kept, libraries


def write_stub(library: str, symbols: list[str], directory: Path) -> Path:
    """Write a text-based stub library, in the format that Apple's SDK uses, that exports ``symbols``."""
    path = directory / f"lib{Path(library).name.split('.')[0].removeprefix('lib')}.tbd"
    names = ", ".join(f"'{symbol}'" for symbol in sorted(symbols))
    path.write_text(
        "--- !tapi-tbd\n"
        "tbd-version: 4\n"
        "targets: [ arm64-macos ]\n"
        f"install-name: '{library}'\n"
        "current-version: 1\n"
        "compatibility-version: 1\n"
        "exports:\n"
        "  - targets: [ arm64-macos ]\n"
        f"    symbols: [ {names} ]\n"
        "...\n",
        encoding="utf-8",
    )
    return path


def link(arguments: list[str]) -> int:
    """Link twice: once to learn which symbols come from elsewhere, and once against stubs that export these."""
    arguments, libraries = link_arguments(arguments)
    output = arguments.index("-o") + 1
    command = [ZIG, "cc", "-target", TARGET, "-Wl,-undefined,dynamic_lookup"]
    with tempfile.TemporaryDirectory() as scratch:
        first = Path(scratch) / "first.dylib"
        status = subprocess.call([*command, *arguments[:output], str(first), *arguments[output + 1 :]])
        if status != 0:
            return status
        imports = macho.read_image(first).imports
    stubs = Path(os.environ["HELION_MSL_CROSS_STUBS"])
    stubs.mkdir(parents=True, exist_ok=True)
    by_library: dict[str, list[str]] = {}
    for symbol, bound_to in imports.items():
        library = system_symbols.library_of(symbol) if bound_to is None else None
        if library in libraries and not system_symbols.is_python(symbol):
            by_library.setdefault(library, []).append(symbol)
    stub_paths = [str(write_stub(library, symbols, stubs)) for library, symbols in sorted(by_library.items())]
    return subprocess.call([*command, *arguments, *stub_paths])


def main(arguments: list[str]) -> int:
    """Run the tool that ``arguments`` ask for, and return its exit status."""
    tool, *rest = arguments
    if tool in ("ar", "ranlib"):
        return subprocess.call([ZIG, tool, *rest])
    if {"-c", "-E", "-S"}.isdisjoint(rest) and "-o" in rest:
        return link(rest)
    return subprocess.call([ZIG, tool, *COMPILE_FLAGS, *compile_arguments(rest)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
