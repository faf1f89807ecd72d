"""Numbers as literals of MSL."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .types import BOOL, FLOAT32, INT32, INT64, UINT32, UINT64, ScalarType

if TYPE_CHECKING:
    from . import ir


_SUFFIXES = {INT32: "", UINT32: "u", INT64: "L", UINT64: "UL"}


def number_text(value: ir.Number, scalar: ScalarType) -> str:
    """Return a number as a literal of exactly one type: the shortest that reads back as the same value."""
    if scalar is BOOL:
        return "true" if value else "false"
    if scalar.is_float:
        return _float_text(float(value), scalar)
    whole = int(value)
    if scalar.bits < 32:
        return f"{scalar.msl}({whole})"
    suffix = _SUFFIXES[scalar]
    # -2147483648 is a minus before a number that is no int.
    return f"({whole + 1}{suffix} - 1)" if scalar.kind == "int" and whole == scalar.minimum else f"{whole}{suffix}"


def _is_single(text: str, single: float) -> bool:
    """Whether a decimal reads as this float32; with nine digits every one does."""
    try:
        return bool(struct.unpack("f", struct.pack("f", float(text)))[0] == single)
    except OverflowError:
        return False


def _float_text(value: float, scalar: ScalarType) -> str:
    if value != value:
        text = "NAN"
    elif value in (float("inf"), float("-inf")):
        text = "INFINITY" if value > 0 else "-INFINITY"
    else:
        try:
            rounded = struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:
            return _float_text(float("inf") if value > 0 else float("-inf"), scalar)
        if rounded == 0.0:
            value = rounded
        digits = next(text for text in (f"{value:.{count}g}" for count in range(6, 10)) if _is_single(text, rounded))
        text = digits if any(mark in digits for mark in ".e") else digits + ".0"
        text += "f"
    return text if scalar is FLOAT32 else f"{scalar.msl}({text})"


def string_text(text: str) -> str:
    """Return text as a literal of C: ASCII, everything else by its UTF-8 bytes."""
    parts = []
    for byte in text.encode():
        character = chr(byte)
        if character in '"\\':
            parts.append("\\" + character)
        elif character == "\n":
            parts.append("\\n")
        else:
            # Three octal digits end an escape, whatever follows it.
            parts.append(character if 32 <= byte < 127 and character != "?" else f"\\{byte:03o}")
    return '"' + "".join(parts) + '"'
