"""``make wall-link``: every symbol that the cross-built extension takes from elsewhere is accounted for.

usage: python -m mac_build.wall_link

Needs the wheel of ``make wall-compile``. A symbol is accounted for by the Python stable ABI, by Apple's own list of
libSystem's exports, by an import of torch's macOS wheels from the same library, or by ``system_symbols.DOCUMENTED``.
The names that the extension looks up in torch when it runs are held against what torch's wheels export, the messages
that it sends against ``docs/metal_runtime.md``, and torch's own messages against what the engine relies on.
"""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
from pathlib import Path

import abi3info
import ziglang
from abi3info.models import PyVersion, Symbol

from mac_build import macho, messages, system_symbols, torch_wheels

DIST = torch_wheels.ROOT / "build" / "mac" / "dist"
PAGE = torch_wheels.ROOT / "docs" / "metal_runtime.md"
STABLE_ABI = PyVersion(3, 12)
# torch's encoder is a serial one, and its command buffers keep what they use. What would make others:
_OTHER_ENCODER = re.compile(r"computeCommandEncoderWith\w+:|commandBufferWith(UnretainedReferences|Descriptor:)")
_OWN_ENCODER = frozenset({"computeCommandEncoder", "commandBufferFromCommandQueue:"})


def libsystem_exports() -> frozenset[str]:
    """Symbols of libSystem and the libraries it re-exports, from Apple's list that ziglang ships."""
    listing = Path(ziglang.__file__).parent / "lib" / "libc" / "darwin" / "libSystem.tbd"
    text = listing.read_text(encoding="utf-8")
    return frozenset(re.findall(r"[\w$.]+", text))


def python_problem(symbol: str) -> str | None:
    """Why the interpreter may not export ``symbol``; None where every one from 3.12 on does."""
    name = Symbol(symbol.removeprefix("_"))
    entry = abi3info.FUNCTIONS.get(name) or abi3info.DATAS.get(name)
    if entry is None:
        return "is not in Python's stable ABI"
    if entry.added > STABLE_ABI:
        return f"is in Python's stable ABI only since {entry.added}"
    return None


def system_problem(
    symbol: str, library: str, torches: list[torch_wheels.TorchWheel], libsystem: frozenset[str]
) -> str | None:
    """Why ``library`` may not export ``symbol`` on macOS 14; None where it does."""
    if library == system_symbols.LIBSYSTEM and symbol in libsystem:
        return None
    if any(symbol in torch.system_imports.get(library, ()) for torch in torches):
        return None
    if system_symbols.documentation_of(library, symbol) is not None:
        return None
    return f"is not known to be exported by {library}"


def torch_names(image: macho.Image) -> set[str]:
    """The symbols that the extension looks up in torch when it runs: its strings that are names of torch's.

    Mangled ones of its MPS stream, and those of its stable C interface.
    """
    pattern = re.compile(r"_ZN?K?N?[0-9K]*(2at3mps|5torch3mps)\w+|aoti_torch_\w+")
    return {f"_{text}" for text in image.strings if pattern.fullmatch(text)}


def torch_message_problems(torch: torch_wheels.TorchWheel) -> list[str]:
    """One line for each message by which ``torch`` may make other encoders or command buffers than expected."""
    problems = [
        f"torch {torch.version} sends {selector}: launches may need barriers, or have to retain what they use"
        for selector in sorted(torch.selectors)
        if _OTHER_ENCODER.fullmatch(selector)
    ]
    problems += [
        f"torch {torch.version} does not send {selector}: how does it make its encoder?"
        for selector in sorted(_OWN_ENCODER - torch.selectors)
    ]
    return problems


def unnamed_messages(image: macho.Image, page: str) -> list[str]:
    """One line for each message that the extension sends and ``page`` does not name."""
    return [
        f"message {name} is sent, and {PAGE.name} does not say why" for name in messages.unnamed(image.selectors, page)
    ]


def problems_of(image: macho.Image, torches: list[torch_wheels.TorchWheel]) -> list[str]:
    """One line for each symbol that is not accounted for."""
    libsystem = libsystem_exports()
    problems = []
    for symbol, library in sorted(image.imports.items()):
        if library is not None:
            problem = system_problem(symbol, library, torches, libsystem)
        elif system_symbols.is_python(symbol):
            problem = python_problem(symbol)
        else:
            problem = "is in no library that the extension loads"
        if problem is not None:
            problems.append(f"{symbol} {problem}")
    names = torch_names(image)
    if not any("3mps" in name for name in names):
        problems.append("the extension looks up no symbol of torch's MPS stream, so it cannot reach it")
    if not any(name.startswith("_aoti_torch_get_") for name in names):
        problems.append(
            "the extension looks up no function of torch's stable C interface, so tensors take longer to read"
        )
    for torch in torches:
        problems += [f"{name} is not exported by torch {torch.version}" for name in sorted(names - torch.exports)]
        problems += torch_message_problems(torch)
    return problems


def main() -> int:
    """Check the extension in the wheel; 0 where every symbol is accounted for."""
    wheels = list(DIST.glob("*.whl"))
    if not wheels:
        raise SystemExit("wall-link: build the wheel first: make wall-compile")
    with zipfile.ZipFile(wheels[0]) as archive, tempfile.TemporaryDirectory() as directory:
        (name,) = (name for name in archive.namelist() if name.endswith(".so"))
        image = macho.read_image(Path(archive.extract(name, directory)), with_strings=True)
    versions = sorted({torch_wheels.OLDEST, torch_wheels.TESTED, torch_wheels.newest_version()})
    torches = [torch_wheels.TorchWheel(version) for version in versions]
    problems = problems_of(image, torches) + unnamed_messages(image, PAGE.read_text(encoding="utf-8"))
    for problem in problems:
        print(f"wall-link: {problem}")
    if problems:
        return 1
    print(
        f"wall-link: all {len(image.imports)} symbols of {name} are accounted for, and all {len(torch_names(image))} "
        f"that it looks up in torch {', '.join(versions)}; {PAGE.name} names all {len(image.selectors)} messages"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
