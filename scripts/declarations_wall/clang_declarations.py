"""What our framework headers declare, as clang understands them for arm64 macOS.

clang parses the headers and prints its syntax tree as JSON; a second run compiles one constant for each type and each
enumerator, so that type encodings and values are the compiler's as well and nothing here imitates it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ziglang

from . import type_encodings

if TYPE_CHECKING:
    from collections.abc import Iterator

_ZIG = Path(ziglang.__file__).parent
_CLANG = [
    *(str(_ZIG / "zig"), "clang", "-target", "aarch64-macos.14.0", "-x", "objective-c++", "-std=c++20", "-fblocks"),
    # clang's own headers, and Darwin's (libc, objc/): the part of the SDK that is open.
    *("-isystem", str(_ZIG / "lib/include"), "-isystem", str(_ZIG / "lib/libc/include/any-darwin-any")),
]
# Constants that the headers declare in a namespace of this project.
_USING = ("namespace helion_msl::newer {}", "using namespace helion_msl::newer;")
_CONTAINERS = ("ObjCProtocolDecl", "ObjCInterfaceDecl", "ObjCCategoryDecl")


class HeaderError(RuntimeError):
    """The headers do not compile; the message is clang's."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where something is declared."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclasses.dataclass
class Method:
    """A method or a property's accessor. ``types`` are encodings: the result, then the arguments."""

    owner: str
    owner_is_protocol: bool
    selector: str
    is_class_method: bool
    place: Place
    types: list[str]


@dataclasses.dataclass
class Declarations:
    """All that the headers declare."""

    protocols: dict[str, Place] = dataclasses.field(default_factory=dict)
    protocol_parents: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    classes: dict[str, Place] = dataclasses.field(default_factory=dict)
    methods: list[Method] = dataclasses.field(default_factory=list)
    enumerators: dict[str, tuple[Place, int]] = dataclasses.field(default_factory=dict)
    constants: dict[str, tuple[Place, list[str]]] = dataclasses.field(default_factory=dict)
    functions: dict[str, tuple[Place, list[str]]] = dataclasses.field(default_factory=dict)
    struct_fields: dict[str, tuple[Place, list[str]]] = dataclasses.field(default_factory=dict)
    struct_encodings: dict[str, str] = dataclasses.field(default_factory=dict)


def read_headers(roots: list[Path], includes: list[str]) -> Declarations:
    """Return what the headers of the include roots ``roots`` declare when ``includes`` are included.

    Raises:
        HeaderError: clang refuses the headers.
    """
    source = "".join(f"#import {include}\n" for include in includes)
    syntax_tree = json.loads(_clang(roots, source, ["-fsyntax-only", "-Xclang", "-ast-dump=json"]))
    _resolve_places(syntax_tree)
    reader = _TreeReader(roots)
    reader.read(syntax_tree)
    reader.evaluate(source)
    return reader.declarations


def _clang(roots: list[Path], source: str, options: list[str]) -> str:
    includes = [argument for root in roots for argument in ("-I", str(root))]
    command = [*_CLANG, *includes, *options, "-o", "-", "-"]
    result = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    if result.returncode:
        raise HeaderError(result.stderr)
    return result.stdout


def _resolve_places(tree: dict[str, Any]) -> None:
    # clang leaves out a location's file and line where they are those of the location printed before it.
    file, line = "", 0
    pending: list[Any] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if "offset" in node:
                file = node.get("file", file)
                line = node.get("line", line)
                node["file"], node["line"] = file, line
            pending.extend(reversed(node.values()))
        elif isinstance(node, list):
            pending.extend(reversed(node))


@dataclasses.dataclass
class _PendingSignature:
    types: list[str]
    result: list[str]


class _TreeReader:
    """Walks the syntax tree, and notes the types and enumerators whose encodings the compiler is to be asked for."""

    def __init__(self, roots: list[Path]) -> None:
        self._roots = [root.resolve() for root in roots]
        self._signatures: list[_PendingSignature] = []
        self._enumerators: list[tuple[str, Place]] = []
        self._structs: list[str] = []
        self._type_parameters: set[str] = set()
        self.declarations = Declarations()

    def _place(self, node: dict[str, Any]) -> Place | None:
        location = node.get("loc", {})
        location = location.get("expansionLoc", location)
        if "file" not in location:
            return None
        path = Path(location["file"]).resolve()
        if not any(path.is_relative_to(root) for root in self._roots):
            return None
        return Place(str(path), location["line"])

    def read(self, tree: dict[str, Any]) -> None:
        for node in self._declarations(tree):
            place = self._place(node)
            if place is None or "name" not in node:
                continue
            kind, name = node["kind"], node["name"]
            if kind in _CONTAINERS:
                self._container(node, place)
            elif kind == "VarDecl" and node.get("constexpr"):
                self._enumerators.append((name, place))
            elif kind == "VarDecl":
                self.declarations.constants[name] = (place, self._encoding_of([node["type"]["qualType"]]))
            elif kind == "FunctionDecl":
                self._function(node, place)
            elif kind in ("RecordDecl", "CXXRecordDecl") and node.get("completeDefinition"):
                fields = [child["name"] for child in node["inner"] if child["kind"] == "FieldDecl"]
                self.declarations.struct_fields[name] = (place, fields)
                self._structs.append(name)

    def _declarations(self, node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        anonymous: dict[str, dict[str, Any]] = {}
        for child in node.get("inner", []):
            if child["kind"] in ("LinkageSpecDecl", "NamespaceDecl"):
                yield from self._declarations(child)
                continue
            if child["kind"] == "EnumDecl":
                self._enumeration(child)
            if child["kind"] in ("RecordDecl", "CXXRecordDecl") and "name" not in child:
                anonymous[child["id"]] = child
            if child["kind"] == "TypedefDecl":
                yield from _named_record(child, anonymous)
            yield child

    def _enumeration(self, node: dict[str, Any]) -> None:
        for child in node.get("inner", []):
            place = self._place(child)
            if child["kind"] == "EnumConstantDecl" and place is not None:
                self._enumerators.append((child["name"], place))

    def _container(self, node: dict[str, Any], place: Place) -> None:
        children = node.get("inner", [])
        owner = node["interface"]["name"] if node["kind"] == "ObjCCategoryDecl" else node["name"]
        is_protocol = node["kind"] == "ObjCProtocolDecl"
        is_forward = not children and not node.get("protocols") and not node.get("super")
        if is_protocol and not is_forward:
            self.declarations.protocols[owner] = place
            self.declarations.protocol_parents[owner] = [parent["name"] for parent in node.get("protocols", [])]
        elif node["kind"] == "ObjCInterfaceDecl" and not is_forward:
            self.declarations.classes[owner] = place
        self._type_parameters |= {child["name"] for child in children if child["kind"] == "ObjCTypeParamDecl"}
        for child in children:
            method_place = self._place(child)
            if child["kind"] == "ObjCMethodDecl" and method_place is not None:
                parameters = [inner for inner in child.get("inner", []) if inner["kind"] == "ParmVarDecl"]
                types = [child["returnType"]["qualType"]] + [inner["type"]["qualType"] for inner in parameters]
                method = Method(owner, is_protocol, child["name"], not child["instance"], method_place, [])
                self.declarations.methods.append(method)
                method.types = self._encoding_of(types)

    def _function(self, node: dict[str, Any], place: Place) -> None:
        result = node["type"]["qualType"].split("(", 1)[0].strip()
        parameters = [inner for inner in node.get("inner", []) if inner["kind"] == "ParmVarDecl"]
        types = [result] + [inner["type"]["qualType"] for inner in parameters]
        self.declarations.functions[node["name"]] = (place, self._encoding_of(types))

    def _encoding_of(self, types: list[str]) -> list[str]:
        """A list that ``evaluate`` fills with the encodings of ``types``, written as clang prints types."""
        result: list[str] = []
        # `instancetype` is a keyword of method declarations only.
        self._signatures.append(
            _PendingSignature([re.sub(r"\binstancetype\b", "id", type_) for type_ in types], result)
        )
        return result

    def evaluate(self, source: str) -> None:
        """Have the compiler encode all noted types and evaluate all noted enumerators."""
        lines = [source, *_USING]
        # Outside of its class a generic class's type parameter is an `id`, which is also how it is encoded.
        lines += [f"typedef id {parameter};" for parameter in sorted(self._type_parameters)]
        for number, signature in enumerate(self._signatures):
            for position, type_ in enumerate(signature.types):
                lines.append(f"using T{number}_{position} = {type_};")
            parameters = [f":(T{number}_{position})p{position}" for position in range(1, len(signature.types))]
            method = f"- (T{number}_0)m{' '.join(parameters)};"
            # A protocol in use is compiled with extended encodings, which name classes and blocks' signatures.
            lines.append(f"@protocol Wall{number} {method} @end Protocol *wall_use_{number} = @protocol(Wall{number});")
        for name in self._structs:
            lines.append(f'extern "C" const char wall_struct_{name}[] = @encode({name});')
        for name, _ in self._enumerators:
            lines.append(f'extern "C" const long long wall_value_{name} = (long long){name};')
        self._take(_clang(self._roots, "\n".join(lines), ["-S", "-emit-llvm", "-O0", "-w"]))

    def _take(self, assembly: str) -> None:
        # LLVM's text form: `@name = ... [3 x i8] c"v\00"`, `@name = ... i64 3`, `@name = ... [1 x ptr] [ptr @other]`.
        texts = {
            name: re.sub(r"\\([0-9A-F]{2})", lambda code: chr(int(code.group(1), 16)), text).rstrip("\0")
            for name, text in re.findall(r'^@([\w.]+) = .*? c"(.*?)"', assembly, re.MULTILINE)
        }
        values = dict(re.findall(r"^@wall_value_(\w+) = .*? i64 (-?\d+)", assembly, re.MULTILINE))
        encodings = dict(
            re.findall(r'^@"_OBJC_\$_PROTOCOL_METHOD_TYPES_Wall(\d+)" = .*?\[ptr @([\w.]+)\]', assembly, re.MULTILINE)
        )
        for number, signature in enumerate(self._signatures):
            # "v24@0:8Q16": the result, self, _cmd, the arguments.
            result, _, _, *arguments = type_encodings.split(texts[encodings[str(number)]])
            signature.result[:] = [result, *arguments]
        for name in self._structs:
            self.declarations.struct_encodings[name] = texts[f"wall_struct_{name}"]
        for name, place in self._enumerators:
            self.declarations.enumerators[name] = (place, int(values[name]))


def _named_record(typedef: dict[str, Any], anonymous: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The unnamed struct that ``typedef struct {...} name`` names."""
    pending = list(typedef.get("inner", []))
    while pending:
        node = pending.pop()
        declaration = node.get("decl") or node.get("ownedTagDecl") or {}
        if declaration.get("id") in anonymous:
            yield anonymous[declaration["id"]] | {"name": typedef["name"]}
            return
        pending.extend(node.get("inner", []))
