"""What PyObjC's macOS wheels know of Apple's frameworks.

``<Framework>/_metadata.py`` in a wheel is Python that registers selectors, constants and functions with PyObjC's
runtime, generated from Apple's SDK. It is read here as a syntax tree and never run. The wheel's extension modules carry
the protocols themselves (see ``macho_protocols``).
"""

from __future__ import annotations

import ast
import dataclasses
import zipfile
from typing import TYPE_CHECKING, Any

from . import macho_protocols

if TYPE_CHECKING:
    from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Signature:
    """A selector as far as it is known: types by position, 0 the result, 1 the first argument."""

    types: dict[int, str]
    source: str
    complete: bool = False  # no types but these


@dataclasses.dataclass
class Knowledge:
    """Everything that the wheels tell, by name."""

    # Recorded for a class, or under "NSObject" for whatever protocol has the selector.
    selectors: dict[tuple[str, str], Signature] = dataclasses.field(default_factory=dict)
    protocols: dict[str, macho_protocols.Protocol] = dataclasses.field(default_factory=dict)
    # Protocols and classes that some signature names, also where nothing more is known of them.
    names: set[str] = dataclasses.field(default_factory=set)
    enumerators: dict[str, int] = dataclasses.field(default_factory=dict)
    constants: dict[str, str] = dataclasses.field(default_factory=dict)
    functions: dict[str, str] = dataclasses.field(default_factory=dict)
    struct_fields: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    struct_encodings: dict[str, str] = dataclasses.field(default_factory=dict)


def read_wheels(wheels: list[Path]) -> Knowledge:
    """Return what the PyObjC wheels at ``wheels`` know together."""
    knowledge = Knowledge()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith("/_metadata.py"):
                    _MetadataReader(knowledge, name).read(archive.read(name).decode())
                elif name.endswith(".so"):
                    knowledge.protocols.update(macho_protocols.read_protocols(archive.read(name)))
    for protocol in knowledge.protocols.values():
        knowledge.names |= {protocol.name, *protocol.parents}
        for method in protocol.methods:
            knowledge.names |= _named_types(method.encoding)
    return knowledge


def _named_types(encoding: str) -> set[str]:
    return {name.strip("<>") for name in encoding.split('"')[1::2]}


class _MetadataReader:
    """Takes one ``_metadata.py`` apart: only literals, and calls whose meaning is known."""

    def __init__(self, knowledge: Knowledge, path: str) -> None:
        self._knowledge = knowledge
        self._path = path

    def read(self, text: str) -> None:
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                self._assignment(statement.targets[0].id, statement.value)
            elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                self._call(statement.value)
            elif isinstance(statement, ast.Try):
                for registration in statement.body:
                    if isinstance(registration, ast.Expr) and isinstance(registration.value, ast.Call):
                        self._selector(registration.value)

    def _assignment(self, name: str, value: ast.expr) -> None:
        if name == "constants":
            # "$NAME$NAME@TYPE$": an object where no type is written.
            for entry in _entries(value):
                constant, _, encoding = entry.partition("@")
                self._knowledge.constants[constant] = encoding or "@"
        elif name == "enums":
            for entry in _entries(value):
                enumerator, _, number = entry.partition("@")
                if number.lstrip("-").isdigit():
                    self._knowledge.enumerators[enumerator] = int(number)
        elif name == "functions":
            for function, description in _literal(value).items():
                self._knowledge.functions[function] = _text(description[0])

    def _call(self, call: ast.Call) -> None:
        if ast.unparse(call.func) == "objc.registerNewKeywordsFromSelector":
            self._knowledge.names.add(_text(_literal(call.args[0])))
        elif ast.unparse(call.func) == "misc.update" and isinstance(call.args[0], ast.Dict):
            for key, value in zip(call.args[0].keys, call.args[0].values, strict=True):
                if isinstance(value, ast.Call) and ast.unparse(value.func) == "objc.createStructType":
                    name = _literal(key)
                    self._knowledge.struct_encodings[name] = _text(_literal(value.args[1]))
                    self._knowledge.struct_fields[name] = _literal(value.args[2])

    def _selector(self, call: ast.Call) -> None:
        owner, selector, description = (_literal(argument) for argument in call.args)
        types: dict[int, str] = {}
        if "type" in description.get("retval", {}):
            types[0] = _text(description["retval"]["type"])
        # Arguments 0 and 1 are self and _cmd.
        for position, argument in description.get("arguments", {}).items():
            encoding = _text(argument.get("type", b""))
            if "callable" in argument:
                encoding = "@?<" + _block_signature(argument["callable"]) + ">"
            if encoding:
                types[position - 1] = encoding
        owner = _text(owner)
        self._knowledge.names.add(owner)
        where = f"{self._path}:{call.lineno}"
        self._knowledge.selectors[owner, _text(selector)] = Signature(types, where)


def _block_signature(description: dict[str, Any]) -> str:
    types = [_text(description.get("retval", {}).get("type", b"v"))]
    for position, argument in sorted(description.get("arguments", {}).items()):
        # Argument 0 is the block itself; PyObjC writes it as a pointer.
        types.append("@?" if position == 0 else _text(argument.get("type", b"@")))
    return "".join(types)


def _entries(value: ast.expr) -> list[str]:
    # "..." % ({...}) and concatenations occur in other frameworks only; a plain literal is what these two have.
    return [entry for entry in str(_literal(value)).split("$") if entry]


def _literal(node: ast.expr | None) -> Any:
    """The value of ``node``; ``sel32or64(a, b)`` and ``selAorI(a, b)`` choose 64-bit arm64."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("sel32or64", "selAorI"):
        return _literal(node.args[1] if node.func.id == "sel32or64" else node.args[0])
    if isinstance(node, ast.Dict):
        return {_literal(key): _literal(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, (ast.Tuple, ast.List)):
        return [_literal(element) for element in node.elts]
    if node is None:
        raise ValueError("a dictionary is unpacked into another")
    return ast.literal_eval(node)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
