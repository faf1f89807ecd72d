"""What a Mach-O file holds, as far as the walls ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import lief

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Image:
    """A loadable image for arm64.

    Attributes:
        libraries: install names of the libraries it loads.
        imports: install name of the exporting library for every symbol that it takes from elsewhere; None where it is
            searched in all loaded images (the interpreter's, in an extension).
        exports: the symbols it offers.
        minimum_macos: lowest version of macOS that it runs on.
        strings: the C string literals in it.
        selectors: the names of the messages that it sends or asks for.
    """

    libraries: frozenset[str]
    imports: dict[str, str | None]
    exports: frozenset[str]
    minimum_macos: tuple[int, ...]
    strings: frozenset[str]
    selectors: frozenset[str] = frozenset()


def read_image(path: Path, *, with_strings: bool = False) -> Image:
    """Read the arm64 part of ``path``.

    Raises:
        ValueError: it is no such file.
    """
    lief.logging.disable()
    fat = lief.MachO.parse(str(path))
    image = fat.take(lief.MachO.Header.CPU_TYPE.ARM64) if fat is not None else None
    if image is None:
        raise ValueError(f"{path} is no Mach-O file for arm64")
    libraries = [library.name for library in image.libraries if library.command != lief.MachO.LoadCommand.TYPE.ID_DYLIB]
    defined = {symbol.name for symbol in image.exported_symbols}
    imports: dict[str, str | None] = {}
    for symbol in image.imported_symbols:
        # Only the symbol table's: the table of weak bindings also names definitions of the image's own, such as the
        # type information of exceptions, that any other image's might replace.
        if symbol.name in defined or symbol.origin != lief.MachO.Symbol.ORIGIN.SYMTAB:
            continue
        # Two-level name space: the high byte is the place of the library among the load commands, from 1.
        ordinal = (symbol.description >> 8) & 0xFF
        imports[str(symbol.name)] = str(libraries[ordinal - 1]) if 1 <= ordinal <= len(libraries) else None
    texts: dict[str, set[str]] = {"__objc_methname": set()} | ({"__cstring": set()} if with_strings else {})
    for section in image.sections:
        if section.name in texts:
            texts[section.name].update(bytes(section.content).decode("utf-8", "replace").split("\0"))
    return Image(
        libraries=frozenset(str(library) for library in libraries),
        imports=imports,
        exports=frozenset(str(name) for name in defined),
        minimum_macos=tuple(image.build_version.minos) if image.has_build_version else (),
        strings=frozenset(texts.get("__cstring", ())),
        selectors=frozenset(texts["__objc_methname"] - {""}),
    )
