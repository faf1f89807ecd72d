"""What a kernel reads from around it: numbers that become part of it, and the functions that it calls."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CellType, FunctionType

    Captured = tuple[str, CellType | None]

_LIBRARIES = frozenset({"torch", "numpy", "helion_msl", "math"})


def is_translated(value: object) -> bool:
    """Whether a call of an object is translated: it is a Python function, and of no library that works on tensors."""
    return inspect.isfunction(value) and (value.__module__ or "").split(".")[0] not in _LIBRARIES


def _names(function: FunctionType) -> Iterator[tuple[Captured, Any]]:
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield (name, cell), cell.cell_contents
        except ValueError:  # assigned only after the function
            continue
    for name in code.co_names:
        if name in function.__globals__:
            yield (name, None), function.__globals__[name]


def captured(function: FunctionType) -> list[Captured]:
    """Return the names around a kernel whose values are part of it, each with the cell of a captured variable.

    Those of the functions that it calls are among them, but for global names of other modules: these are read once.
    """
    found: dict[tuple[str, int], Captured] = {}
    pending, seen = [function], {function}
    while pending:
        current = pending.pop()
        is_local = current.__globals__ is function.__globals__
        for (name, cell), value in _names(current):
            is_function = is_translated(value)
            if (is_local or cell is not None) and (is_function or isinstance(value, bool | int | float | tuple)):
                found[name, id(cell)] = (name, cell)
            if is_function and value not in seen:
                seen.add(value)
                pending.append(value)
    return sorted(found.values(), key=lambda entry: (entry[0], entry[1] is not None))


def functions_called(function: FunctionType) -> list[FunctionType]:
    """Return a function and those that it calls, directly or not."""
    found = {function: None}
    pending = [function]
    while pending:
        for _, value in _names(pending.pop()):
            if is_translated(value) and value not in found:
                found[value] = None
                pending.append(value)
    return list(found)
