"""Reads the Objective-C protocols that a Mach-O library carries.

A compiled ``@protocol(X)`` puts the whole protocol into the binary: every selector with the type encoding that the
compiler saw in the SDK, class names included (``@"NSString"``). The layouts are those of ``objc4``'s
``objc-runtime-new.h`` (``protocol_t``, ``method_list_t``, ``protocol_list_t``) and of ``<mach-o/loader.h>``.
"""

from __future__ import annotations

import dataclasses
import struct

_FAT_MAGIC = 0xCAFEBABE
_MACHO_MAGIC_64 = 0xFEEDFACF
_CPU_TYPE_ARM64 = 0x0100000C
_LC_SEGMENT_64 = 0x19
_LC_DYLD_CHAINED_FIXUPS = 0x80000034
_RELATIVE_METHODS = 0x80000000


class MachOError(ValueError):
    """A file that is not a Mach-O library of the kind this reader knows."""


@dataclasses.dataclass(frozen=True)
class ProtocolMethod:
    """One method of a protocol: ``encoding`` is the compiler's extended type encoding, with frame offsets."""

    selector: str
    encoding: str
    is_class_method: bool
    is_required: bool


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A protocol: the protocols it inherits from, and its own methods."""

    name: str
    parents: tuple[str, ...]
    methods: tuple[ProtocolMethod, ...]


class _Image:
    """The arm64 part of a Mach-O file, addressed by virtual address."""

    def __init__(self, content: bytes) -> None:
        self._bytes = _arm64_slice(content)
        magic, _, _, _, command_count, _, _, _ = struct.unpack_from("<8I", self._bytes)
        if magic != _MACHO_MAGIC_64:
            raise MachOError(f"not a 64-bit little-endian Mach-O file: magic {magic:#x}")
        self._segments: list[tuple[int, int, int]] = []
        self.sections: dict[str, tuple[int, int]] = {}
        offset = 32
        for _ in range(command_count):
            command, size = struct.unpack_from("<2I", self._bytes, offset)
            if command == _LC_DYLD_CHAINED_FIXUPS:
                raise MachOError("chained fixups: pointers in the file are not addresses")
            if command == _LC_SEGMENT_64:
                self._read_segment(offset)
            offset += size

    def _read_segment(self, offset: int) -> None:
        address, _, file_offset, file_size = struct.unpack_from("<4Q", self._bytes, offset + 24)
        self._segments.append((address, file_offset, file_size))
        (section_count,) = struct.unpack_from("<I", self._bytes, offset + 64)
        for index in range(section_count):
            start = offset + 72 + 80 * index
            name = self._bytes[start : start + 16].rstrip(b"\0").decode()
            self.sections[name] = struct.unpack_from("<2Q", self._bytes, start + 32)

    def _position(self, address: int) -> int:
        for start, file_offset, size in self._segments:
            if start <= address < start + size:
                return file_offset + address - start
        raise MachOError(f"address {address:#x} is in no segment")

    def integers(self, layout: str, address: int) -> tuple[int, ...]:
        return struct.unpack_from("<" + layout, self._bytes, self._position(address))

    def string(self, address: int) -> str:
        start = self._position(address)
        return self._bytes[start : self._bytes.index(b"\0", start)].decode()


def _arm64_slice(content: bytes) -> bytes:
    (magic,) = struct.unpack_from(">I", content)
    if magic != _FAT_MAGIC:
        return content
    (count,) = struct.unpack_from(">I", content, 4)
    for index in range(count):
        cpu, _, offset, size, _ = struct.unpack_from(">5I", content, 8 + 20 * index)
        if cpu == _CPU_TYPE_ARM64:
            return content[offset : offset + size]
    raise MachOError("a universal file without an arm64 part")


def read_protocols(content: bytes) -> dict[str, Protocol]:
    """Return the protocols of the Mach-O file ``content`` by name; raise MachOError where it cannot be read."""
    image = _Image(content)
    if "__objc_protolist" not in image.sections:
        return {}
    address, size = image.sections["__objc_protolist"]
    protocols = [_protocol(image, image.integers("Q", address + 8 * index)[0]) for index in range(size // 8)]
    return {protocol.name: protocol for protocol in protocols}


def _protocol(image: _Image, address: int) -> Protocol:
    _, name, parents, *method_lists = image.integers("7Q", address)
    (encodings,) = image.integers("Q", address + 72)
    parent_count = image.integers("Q", parents)[0] if parents else 0
    parent_addresses = image.integers(f"{parent_count}Q", parents + 8) if parents else ()
    methods: list[ProtocolMethod] = []
    # The order of the four lists is also that of the extended encodings.
    for index, method_list in enumerate(method_lists):
        for selector in _selectors(image, method_list):
            (encoding,) = image.integers("Q", encodings + 8 * len(methods))
            methods.append(ProtocolMethod(selector, image.string(encoding), index % 2 == 1, index < 2))
    return Protocol(
        image.string(name),
        tuple(image.string(image.integers("2Q", parent)[1]) for parent in parent_addresses),
        tuple(methods),
    )


def _selectors(image: _Image, address: int) -> list[str]:
    if not address:
        return []
    flags, count = image.integers("2I", address)
    entry_size = flags & 0xFFFC
    pointers = [address + 8 + entry_size * index for index in range(count)]
    if flags & _RELATIVE_METHODS:
        # The linker's compact form: a 32-bit offset from the entry to the pointer to the selector's name.
        pointers = [entry + image.integers("i", entry)[0] for entry in pointers]
    return [image.string(image.integers("Q", pointer)[0]) for pointer in pointers]
