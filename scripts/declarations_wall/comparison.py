"""Holds declarations against what PyObjC's wheels know."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from . import type_encodings
from .pyobjc_metadata import Knowledge, Signature

if TYPE_CHECKING:
    from .clang_declarations import Declarations, Method


# Protocols of this project that give names to messages of newer systems; no framework declares them.
OWN_PREFIX = "HelionMSL"


@dataclasses.dataclass
class Verdict:
    """The outcome: contradictions with file and line, what was confirmed, and what the wheels say nothing of."""

    mistakes: list[str] = dataclasses.field(default_factory=list)
    confirmed: list[str] = dataclasses.field(default_factory=list)
    unrecorded: dict[str, str] = dataclasses.field(default_factory=dict)  # by name, where it is declared
    # Mistakes unless PyObjC's one signature for all protocols that share the selector is that of another protocol.
    disputed: dict[str, list[str]] = dataclasses.field(default_factory=dict)


def compare(declared: Declarations, known: Knowledge) -> Verdict:
    """Return what ``known`` says about every one of the ``declared``."""
    comparison = _Comparison(declared, known)
    for method in declared.methods:
        comparison.method(method)
    comparison.containers()
    comparison.values()
    comparison.structs()
    return comparison.verdict


def missing_from_record(verdict: Verdict, record: str) -> list[str]:
    """Return a mistake for each name that neither the wheels nor ``record`` knows.

    ``record`` holds names that were checked by hand, one a line, with ``#`` comments. A line that nothing needs is a
    mistake as well.
    """
    by_hand = {line.strip() for line in record.splitlines() if line.strip() and not line.startswith("#")}
    new = [
        f"{place}: {name}: not in PyObjC's metadata; check it against Apple's documentation and add it to the record"
        for name, place in verdict.unrecorded.items()
        if name not in by_hand
    ]
    for name, mistakes in verdict.disputed.items():
        new += [] if name in by_hand else mistakes
    needed = verdict.unrecorded.keys() | verdict.disputed.keys()
    stale = [f"record: {name}: declared no more, or PyObjC knows it now" for name in by_hand - needed]
    return new + sorted(stale)


class _Comparison:
    def __init__(self, declared: Declarations, known: Knowledge) -> None:
        self._declared = declared
        self._known = known
        self.verdict = Verdict()

    def _judge(self, name: str, place: object, mistakes: list[str]) -> None:
        self.verdict.mistakes += [f"{place}: {name}: {mistake}" for mistake in mistakes]
        if not mistakes:
            self.verdict.confirmed.append(name)

    def method(self, method: Method) -> None:
        name = f"{'+' if method.is_class_method else '-'}[{method.owner} {method.selector}]"
        described = f"{name} {' '.join(method.types)}"
        signatures = self._signatures(method)
        if signatures:
            mistakes = min((_type_mistakes(method.types, signature) for signature in signatures), key=len)
            if mistakes and self._is_of_another_protocol(method, signatures):
                self.verdict.disputed[described] = [f"{method.place}: {name}: {mistake}" for mistake in mistakes]
                return
            self._judge(name, method.place, mistakes)
            recorded = {position for signature in signatures for position in signature.types}
            silent = [str(position) for position in range(len(method.types)) if position not in recorded]
            if silent:  # Of a class PyObjC records only what the Objective-C runtime would not tell it.
                self.verdict.unrecorded[f"{described} (types {', '.join(silent)})"] = str(method.place)
        elif method.owner_is_protocol and not method.owner.startswith(OWN_PREFIX):
            self._judge(name, method.place, ["no protocol of the framework has this selector"])
        else:
            self.verdict.unrecorded[described] = str(method.place)

    def _signatures(self, method: Method) -> list[Signature]:
        in_protocol = self._signature_in_protocol(method)
        if in_protocol is not None:
            return [in_protocol]
        owners = {method.owner}
        if method.owner_is_protocol:
            # What PyObjC records of a protocol it records under NSObject, and it records protocols in full.
            owners.add("NSObject")
        if method.owner.startswith(OWN_PREFIX):
            owners = {owner for owner, selector in self._known.selectors if selector == method.selector}
        found = [self._known.selectors.get((owner, method.selector)) for owner in sorted(owners)]
        return [signature for signature in found if signature is not None]

    def _is_of_another_protocol(self, method: Method, signatures: list[Signature]) -> bool:
        # Where several protocols share a selector, PyObjC keeps one of their signatures for all.
        if not method.owner_is_protocol or method.owner in self._known.protocols:
            return False
        for protocol in self._known.protocols.values():
            for other in protocol.methods:
                if other.selector == method.selector:
                    result, _, _, *arguments = type_encodings.split(other.encoding)
                    if any(not _type_mistakes([result, *arguments], signature) for signature in signatures):
                        return True
        return False

    def _signature_in_protocol(self, method: Method) -> Signature | None:
        pending = [method.owner]
        while pending:
            name = pending.pop()
            protocol = self._known.protocols.get(name)
            if protocol is None:
                continue
            for candidate in protocol.methods:
                if (candidate.selector, candidate.is_class_method) == (method.selector, method.is_class_method):
                    result, _, _, *arguments = type_encodings.split(candidate.encoding)
                    return Signature(dict(enumerate([result, *arguments])), f"@protocol({name})")
            pending += protocol.parents
        return None

    def containers(self) -> None:
        for kind, places in (("@protocol", self._declared.protocols), ("@interface", self._declared.classes)):
            for name, place in places.items():
                if name.startswith(OWN_PREFIX):
                    continue
                if name in self._known.names:
                    self.verdict.confirmed.append(f"{kind} {name}")
                else:
                    self.verdict.unrecorded[f"{kind} {name}"] = str(place)
        for name, parents in self._declared.protocol_parents.items():
            protocol = self._known.protocols.get(name)
            if protocol is not None:
                strangers = set(parents) - self._ancestors(name)
                mistakes = [f"does not inherit from {parent}" for parent in sorted(strangers)]
                self._judge(f"@protocol {name} <...>", self._declared.protocols[name], mistakes)

    def _ancestors(self, name: str) -> set[str]:
        protocol = self._known.protocols.get(name)
        parents = protocol.parents if protocol else ()
        return set(parents).union(*map(self._ancestors, parents))

    def values(self) -> None:
        for name, (place, value) in self._declared.enumerators.items():
            if name not in self._known.enumerators:
                self.verdict.unrecorded[f"enum {name} = {value}"] = str(place)
                continue
            expected = self._known.enumerators[name]
            # PyObjC writes unsigned 64-bit numbers; the compiler shows all as signed.
            differs = (value - expected) % 2**64 != 0
            self._judge(f"enum {name}", place, [f"is {expected}, declared as {value}"] if differs else [])
        for name, (place, types) in self._declared.constants.items():
            expected_type = self._known.constants.get(name)
            if expected_type is None:
                self.verdict.unrecorded[f"constant {name} {types[0]}"] = str(place)
                continue
            self._judge(f"constant {name}", place, _type_mistakes(types, Signature({0: expected_type}, "constants")))
        for name, (place, types) in self._declared.functions.items():
            if name not in self._known.functions:
                self.verdict.unrecorded[f"function {name} {' '.join(types)}"] = str(place)
                continue
            expected_types = type_encodings.split(self._known.functions[name])
            self._judge(
                f"function {name}",
                place,
                _type_mistakes(types, Signature(dict(enumerate(expected_types)), "functions", complete=True)),
            )

    def structs(self) -> None:
        for name, (place, fields) in self._declared.struct_fields.items():
            if name not in self._known.struct_fields:
                self.verdict.unrecorded[f"struct {name} {self._declared.struct_encodings[name]} {' '.join(fields)}"] = (
                    str(place)
                )
                continue
            mistakes = []
            if fields != self._known.struct_fields[name]:
                mistakes.append(f"has the fields {self._known.struct_fields[name]}, declared {fields}")
            encoding, expected = self._declared.struct_encodings[name], self._known.struct_encodings[name]
            if type_encodings.disagree(encoding, expected):
                mistakes.append(f"is {expected}, declared as {encoding}")
            self._judge(f"struct {name}", place, mistakes)


def _type_mistakes(types: list[str], signature: Signature) -> list[str]:
    mistakes = []
    count = max(signature.types, default=0) + 1
    if count > len(types) or (signature.complete and count < len(types)):
        mistakes.append(f"takes {count - 1} arguments, declared with {len(types) - 1} ({signature.source})")
    for position, declared in enumerate(types):
        known = signature.types.get(position)
        if known is not None and type_encodings.disagree(declared, known):
            what = "the result" if position == 0 else f"argument {position}"
            mistakes.append(f"{what} is {known}, declared as {declared} ({signature.source})")
    return mistakes
