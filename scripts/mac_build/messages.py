"""Which messages the Metal engine sends, and whether ``docs/metal_runtime.md`` says of each why.

``wall_link`` asks it about the selectors of the linked extension, which are exact; the test suite about those that the
sources show, which needs no compiler.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SOURCES = ("*.mm", "*.m", "objective_c_text.h", "autorelease_pool.h", "retained.h")
_HEADERS = ("metal_declarations/**/*.h", "metal_newer.h", "metal_platform.h")
_PROPERTY = re.compile(r"@property\s*(?:\(([^)]*)\))?\s*[^;]*?(\w+)\s*;")
# A comment, or a text in quotes.
_UNREAD = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_CLOSING = {"[": "]", "(": ")", "{": "}"}


@dataclass(frozen=True)
class Sent:
    """A message in the sources.

    Attributes:
        selector: its name, ``setBytes:length:atIndex:``.
        place: where it is sent, ``metal_runtime.mm:229``.
    """

    selector: str
    place: str


def declared_properties(sources: Path) -> dict[str, str | None]:
    """The setter of every property that the headers of ``sources`` declare, by the property's name; None: read-only."""
    properties: dict[str, str | None] = {}
    for pattern in _HEADERS:
        for path in sorted(sources.glob(pattern)):
            for attributes, name in _PROPERTY.findall(_blank(path.read_text(encoding="utf-8"))):
                is_read_only = re.search(r"\breadonly\b", attributes) is not None
                properties[name] = None if is_read_only else f"set{name[0].upper()}{name[1:]}:"
    return properties


def sent_messages(sources: Path) -> list[Sent]:
    """Every message that the Objective-C sources below ``sources`` send, also as ``object.property``.

    A member of a C++ class that has the name of a property counts as well: nothing is missed.
    """
    properties = declared_properties(sources)
    messages = []
    for pattern in _SOURCES:
        for path in sorted(sources.glob(pattern)):
            text = _blank(path.read_text(encoding="utf-8"))
            for position, selector in (*_brackets(text), *_dots(text, properties)):
                messages.append(Sent(selector, f"{path.name}:{text.count(chr(10), 0, position) + 1}"))
    return messages


def unnamed(selectors: set[str], page: str) -> list[str]:
    """Those of ``selectors`` that ``page`` does not name in code quotes; a setter may be named by its property."""
    # One pair of quotes may hold several parts: `setLabel:`, `buffer.status`.
    words = {word for quoted in re.findall(r"`([^`]+)`", page) for word in re.findall(r"[\w:]+", quoted)}

    def is_named(selector: str) -> bool:
        match = re.fullmatch(r"set([A-Z])(\w*):", selector)
        if match is not None and match[1].lower() + match[2] in words:
            return True
        return selector in words or f"is{selector[0].upper()}{selector[1:]}" in words

    return sorted(selector for selector in selectors if not is_named(selector))


def _blank(text: str) -> str:
    """``text`` with comments and quoted texts as blanks, so that places stay."""
    return _UNREAD.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def _brackets(text: str) -> Iterator[tuple[int, str]]:
    for match in re.finditer(r"\[", text):
        end = _end_of_group(text, match.start())
        selector = _selector(_flat(text[match.start() + 1 : end]))
        if selector:
            yield match.start(), selector


def _dots(text: str, properties: dict[str, str | None]) -> Iterator[tuple[int, str]]:
    for match in re.finditer(r"\.(\w+)\b(?!\s*\()(\s*=(?!=))?", text):
        name, is_set = match[1], match[2] is not None
        if name not in properties:
            continue
        selector = properties[name] if is_set else name
        if selector is not None:
            yield match.start(), selector


def _end_of_group(text: str, start: int) -> int:
    """Position of what closes the bracket at ``start``."""
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] in _CLOSING) - (text[position] in _CLOSING.values())
        if depth == 0:
            return position
    return len(text)


def _flat(content: str) -> str:
    """``content`` with every group in brackets as one word."""
    flat, position = "", 0
    while position < len(content):
        if content[position] in _CLOSING:
            position = _end_of_group(content, position)
            flat += "_"
        else:
            flat += content[position]
        position += 1
    return flat


def _selector(content: str) -> str | None:
    """The selector of a message expression's ``content``; None where it is a capture, an attribute or a subscript."""
    parts = re.findall(r"\s(\w+):(?!:)", content)
    if parts:
        return "".join(f"{part}:" for part in parts)
    unary = re.fullmatch(r"\s*[\w.:]+\s+(\w+)\s*", content)
    return unary[1] if unary else None
