"""What a kernel reads from around it: numbers that become part of it, and the functions that it calls."""

from __future__ import annotations

import builtins
import enum
import inspect
import numbers
from types import CellType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .._outline_cache import outlined_source
from ..errors import TranslationError
from ..language import DType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LIBRARIES = frozenset({"torch", "numpy", "helion_msl", "math"})
_CONSTANTS = (bool, int, float, str, tuple, type(None), numbers.Number, enum.Enum, DType)


class Captured(NamedTuple):
    """A value around a kernel that is part of it.

    Attributes:
        place: the variable that a function captures, or the globals that it looks names up in.
        name: the global name, or that of the captured variable.
        attributes: the path from what is found there to the value, as in ``config.sizes.BLOCK``.
    """

    place: CellType | dict[str, object]
    name: str
    attributes: tuple[str, ...]

    def value(self) -> Any:
        """Return what is found now; None where there is nothing any more."""
        try:
            value = self.place.cell_contents if isinstance(self.place, CellType) else self.place.get(self.name)
            for attribute in self.attributes:
                value = getattr(value, attribute)
        except Exception:  # whatever an attribute raises that is computed
            return None
        return value


def is_translated(value: object) -> bool:
    """Whether a call of an object is translated: it is a Python function, and of no library that works on tensors."""
    return inspect.isfunction(value) and (value.__module__ or "").split(".")[0] not in _LIBRARIES


def _is_library(value: object) -> bool:
    """Whether a value is a module of a library, of which nothing is ever replaced."""
    return inspect.ismodule(value) and value.__name__.split(".")[0] in _LIBRARIES


def _is_constant(value: object) -> bool:
    """Whether a value can become part of a kernel's text, or decide about it."""
    return isinstance(value, _CONSTANTS) or type(value).__name__ == "dtype" or is_translated(value)


def captured(functions: Iterable[FunctionType]) -> list[Captured]:
    """Return the values around functions, and around those that they call, which a kernel made of them depends on."""
    found: dict[tuple[int, str, tuple[str, ...]], Captured] = {}
    pending = list(functions)
    seen = set(pending)
    while pending:
        current = pending.pop()
        defaults = (*(current.__defaults__ or ()), *(current.__kwdefaults__ or {}).values())
        read = [(each, each.value()) for each in _read_by(current)]
        found.update(((id(each.place), each.name, each.attributes), each) for each, _ in read)
        for function in functions_among((*(value for _, value in read), *defaults)):
            if function not in seen:
                seen.add(function)
                pending.append(function)
    return list(found.values())


def functions_among(values: Iterable[object]) -> Iterator[FunctionType]:
    """Yield the functions among values whose calls are translated, those in tuples too."""
    for value in values:
        if is_translated(value):
            yield cast("FunctionType", value)
        elif isinstance(value, tuple):
            yield from functions_among(value)


def _read_by(function: FunctionType) -> Iterator[Captured]:
    """Yield the values around a function that its own text names."""
    try:
        outline = outlined_source(function).outline
    except TranslationError:  # the translation will say why
        return
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    for root, *attributes in (chain.split(".") for chain in outline.chains):
        if root not in cells and root not in function.__globals__ and hasattr(builtins, root):
            continue
        place = cells.get(root, function.__globals__)
        if _is_library(Captured(place, root, ()).value()):
            continue
        for length in range(len(attributes), -1, -1):
            entry = Captured(place, root, tuple(attributes[:length]))
            value = entry.value()
            if _is_constant(value):
                yield entry
                break
            if length == len(attributes) and _has_members(value):
                # It may be passed on, and its members be read there.
                members = [name for name, member in vars(value).items() if _is_constant(member)]
                yield from (Captured(place, root, (*entry.attributes, name)) for name in members)


def _has_members(value: object) -> bool:
    """Whether a value is an object with numbers of its own: no module, class, function or tensor."""
    is_other = inspect.ismodule(value) or callable(value) or hasattr(value, "__dlpack__")
    return not is_other and hasattr(value, "__dict__")


def functions_called(function: FunctionType) -> list[FunctionType]:
    """Return a function and those that it calls by their names, directly or not."""
    found = {function: None}
    pending = [function]
    while pending:
        for called in functions_among(_named(pending.pop())):
            if called not in found:
                found[called] = None
                pending.append(called)
    return list(found)


def _named(function: FunctionType) -> Iterator[object]:
    code = function.__code__
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # assigned only after the function
            continue
    for name in code.co_names:
        yield function.__globals__.get(name)
