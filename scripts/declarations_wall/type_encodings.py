"""Objective-C type encodings: taking them apart and comparing them.

The grammar is that of "Type Encodings" in Apple's Objective-C Runtime Programming Guide, plus the extended forms that
clang writes for protocols and blocks: ``@"NSString"``, ``@"<MTLDevice>"``, ``@?<v@?Q>``.
"""

from __future__ import annotations

import re

# const, in, inout, out, bycopy, byref, oneway, atomic: they qualify a type and do not change how it is passed.
_QUALIFIERS = "rnNoORVA"
_CLOSING = {"{": "}", "[": "]", "(": ")", "<": ">"}
# What PyObjC writes instead of the compiler's letter, to tell what a char or an int means (its "objc" module, type
# encoding constants): Z BOOL, z a char that is a number, t and T text, Y a bool of CoreFoundation.
_PYOBJC_LETTERS = {"Z": "B", "z": "c", "t": "c", "T": "S", "Y": "B"}


def split(encoding: str) -> list[str]:
    """Return the types of a method signature one by one, without frame offsets: ``v24@0:8Q16`` is v, @, : and Q."""
    types: list[str] = []
    position = 0
    while position < len(encoding):
        end = _end_of_type(encoding, position)
        types.append(encoding[position:end])
        position = end
        while position < len(encoding) and encoding[position].isdigit():
            position += 1
    return types


def _end_of_type(encoding: str, position: int) -> int:
    while position < len(encoding) and encoding[position] in _QUALIFIERS:
        position += 1
    if position >= len(encoding):
        raise ValueError(f"type encoding ends early: {encoding!r}")
    letter = encoding[position]
    if letter == "^":
        return _end_of_type(encoding, position + 1)
    if letter in _CLOSING:
        return _end_of_group(encoding, position)
    position += 1
    if letter == "b":
        while position < len(encoding) and encoding[position].isdigit():
            position += 1
    if letter == "@" and encoding[position : position + 1] == '"':
        position = encoding.index('"', position + 1) + 1
    elif letter == "@" and encoding[position : position + 1] == "?":
        position += 1
        if encoding[position : position + 1] == "<":
            position = _end_of_group(encoding, position)
    return position


def _end_of_group(encoding: str, start: int) -> int:
    opening, closing = encoding[start], _CLOSING[encoding[start]]
    depth = 0
    quoted = False
    for position in range(start, len(encoding)):
        character = encoding[position]
        if character == '"':
            quoted = not quoted
        elif not quoted:
            depth += (character == opening) - (character == closing)
            if depth == 0:
                return position + 1
    raise ValueError(f"no {closing!r} in type encoding {encoding!r}")


def disagree(declared: str, known: str) -> bool:
    """Whether one declared type contradicts a known one.

    What only one of the two tells (a class name, the signature of a block, a struct's tag) contradicts nothing.
    """
    declared, known = declared.lstrip(_QUALIFIERS), known.lstrip(_QUALIFIERS)
    if declared[:1] == "^" and known[:1] == "^":
        return disagree(declared[1:], known[1:])
    if declared[:1] == "@" and known[:1] == "@":
        return _objects_disagree(declared, known)
    if declared[:1] == "{" and known[:1] == "{":
        return _structs_disagree(declared, known)
    return _plain(declared) != _plain(known)


def _objects_disagree(declared: str, known: str) -> bool:
    if declared.startswith("@?<") and known.startswith("@?<"):
        ours, theirs = split(declared[3:-1]), split(known[3:-1])
        return len(ours) != len(theirs) or any(map(disagree, ours, theirs))
    # A block is not an object of a class; an `id` may be declared where the class is known.
    if declared.startswith("@?") != known.startswith("@?"):
        return True
    return '"' in declared and '"' in known and declared != known


def _structs_disagree(declared: str, known: str) -> bool:
    our_tag, _, our_fields = declared[1:-1].partition("=")
    their_tag, _, their_fields = known[1:-1].partition("=")
    if "?" not in (our_tag, their_tag) and our_tag.lstrip("_") != their_tag.lstrip("_"):
        return True
    if not our_fields or not their_fields:  # an incomplete type behind a pointer
        return False
    ours, theirs = split(our_fields), split(their_fields)
    return len(ours) != len(theirs) or any(map(disagree, ours, theirs))


def _plain(encoding: str) -> str:
    # `l` and `L` are 32-bit longs in the runtime's encoding, and clang never writes them on 64-bit targets.
    letters = re.sub("[ZztTY]", lambda letter: _PYOBJC_LETTERS[letter.group()], encoding)
    return "*" if letters == "^c" else letters
