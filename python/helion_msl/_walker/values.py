"""What an expression of the source can be beside IR, known at translation: Python objects, tuples, methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from . import ir
from .types import ScalarType, VectorType

if TYPE_CHECKING:
    from typing_extensions import TypeIs


@dataclass(frozen=True, slots=True)
class PythonObject:
    """A Python object that the source names: a module, a function, a type, a string, None."""

    value: object


@dataclass(frozen=True, slots=True)
class TupleValue:
    """A tuple; it exists at translation only."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class TensorMethod:
    """``x.size``, before it is called."""

    tensor: ir.TensorReference
    name: str


@dataclass(frozen=True, slots=True)
class DottedName:
    """A name that is no Python object but means something in a dialect: ``metal.precise.exp``."""

    path: str


Value: TypeAlias = ir.Expression | PythonObject | TupleValue | TensorMethod | DottedName


# Sets, because a kernel of fifty lines asks a thousand times.
_NO_EXPRESSIONS = frozenset({PythonObject, TupleValue, TensorMethod, DottedName})
_NUMBERS = frozenset({ScalarType, VectorType})


def is_expression(value: Value) -> TypeIs[ir.Expression]:
    """Whether a value is IR, and not an object that exists at translation only."""
    return type(value) not in _NO_EXPRESSIONS


def is_number(value: Value) -> TypeIs[ir.Expression]:
    """Whether a value is a number or a vector of numbers."""
    return is_expression(value) and type(value.type) in _NUMBERS


def describe(value: Value) -> str:
    """Say what a value is, for messages."""
    match value:
        case PythonObject(value=None):
            return "None"
        case PythonObject(value=str() as text):
            return f"the string {text!r}"
        case PythonObject(value=thing):
            return f"the Python object {getattr(thing, '__name__', None) or repr(thing)}"
        case TupleValue():
            return "a tuple"
        case TensorMethod(name=name):
            return f"the method {name}"
        case DottedName(path=path):
            return f"the name {path}"
        case _:
            kind = str(value.type)
            return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
