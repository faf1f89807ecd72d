"""The vectors of :mod:`helion_msl.language`: two, three or four numbers of one type that one thread computes with.

``v = ml.float4(1.0, 2.0, 3.0, 4.0)`` makes one of numbers, ``ml.float4(0.0)`` repeats a number,
``ml.float4(xy, z, w)`` joins smaller ones and ``ml.float4(v)`` converts or copies. ``v.x``, ``v.zyx`` and ``v[2]`` read
components, also by the names r, g, b and a; ``v.x = 1.0`` and ``v.xy = w`` write them. Operators and mathematical
functions work component by component, with a number as with a vector that repeats it; comparisons give vectors of truth
values, for :func:`any`, :func:`all` and :func:`where`. Component types follow the rules for numbers: ``float4 * int4``
is a ``float4``.
"""

from __future__ import annotations

import builtins
import math
import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from .language import DType

__all__ = [
    "Vector",
    "VectorDType",
    "all",
    "any",
    "cross",
    "distance",
    "dot",
    "length",
    "length_squared",
    "load_vector",
    "normalize",
    "select",
    "store_vector",
]

LETTERS = ("xyzw", "rgba")


class Vector:
    """Two to four numbers, as plain Python; the types of :mod:`helion_msl.language` make them."""

    __hash__ = None  # type: ignore[assignment]
    _values: list[Any]

    def __init__(self, values: Sequence[Any]) -> None:
        object.__setattr__(self, "_values", list(values))

    def _places(self, name: str) -> list[int]:
        for letters in LETTERS:
            if name and all(letter in letters[: len(self._values)] for letter in name):
                return [letters.index(letter) for letter in name]
        raise AttributeError(f"a vector of {len(self._values)} has no component `{name}`")

    def __getattr__(self, name: str) -> Any:
        """Return one component, or several as a vector."""
        values = [self._values[place] for place in self._places(name)]
        return values[0] if len(values) == 1 else Vector(values)

    def __setattr__(self, name: str, value: Any) -> None:
        """Write one component, or several."""
        places = self._places(name)
        if len(set(places)) != len(places):
            raise AttributeError(f"`{name}` writes a component twice")
        parts = list(value) if isinstance(value, Vector) else [value] * len(places)
        for place, part in zip(places, parts, strict=True):
            self._values[place] = part

    def __getitem__(self, index: int) -> Any:
        return self._values[index]

    def __setitem__(self, index: int, value: Any) -> None:
        self._values[index] = value

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._values))

    def __repr__(self) -> str:
        return f"Vector({self._values})"

    def __str__(self) -> str:
        return str(tuple(self._values))

    def __bool__(self) -> bool:
        raise TypeError("a vector has no one truth value; use ml.any(v) or ml.all(v)")

    def _with(self, function: Callable[[Any, Any], Any], other: Any) -> Vector:
        return elementwise_call(function, (self, other))

    def _from(self, function: Callable[[Any, Any], Any], other: Any) -> Vector:
        return elementwise_call(function, (other, self))

    def __eq__(self, other: object) -> Vector:  # type: ignore[override]
        return self._with(operator.eq, other)

    def __ne__(self, other: object) -> Vector:  # type: ignore[override]
        return self._with(operator.ne, other)

    def __neg__(self) -> Vector:
        return Vector([-value for value in self._values])

    def __pos__(self) -> Vector:
        return Vector([+value for value in self._values])

    def __invert__(self) -> Vector:
        return Vector([not value if isinstance(value, bool) else ~value for value in self._values])

    def __abs__(self) -> Vector:
        return Vector([abs(value) for value in self._values])

    if TYPE_CHECKING:

        def __add__(self, other: Any) -> Vector: ...
        def __radd__(self, other: Any) -> Vector: ...
        def __sub__(self, other: Any) -> Vector: ...
        def __rsub__(self, other: Any) -> Vector: ...
        def __mul__(self, other: Any) -> Vector: ...
        def __rmul__(self, other: Any) -> Vector: ...
        def __truediv__(self, other: Any) -> Vector: ...
        def __rtruediv__(self, other: Any) -> Vector: ...
        def __floordiv__(self, other: Any) -> Vector: ...
        def __rfloordiv__(self, other: Any) -> Vector: ...
        def __mod__(self, other: Any) -> Vector: ...
        def __rmod__(self, other: Any) -> Vector: ...
        def __pow__(self, other: Any) -> Vector: ...
        def __rpow__(self, other: Any) -> Vector: ...
        def __lshift__(self, other: Any) -> Vector: ...
        def __rshift__(self, other: Any) -> Vector: ...
        def __and__(self, other: Any) -> Vector: ...
        def __rand__(self, other: Any) -> Vector: ...
        def __or__(self, other: Any) -> Vector: ...
        def __ror__(self, other: Any) -> Vector: ...
        def __xor__(self, other: Any) -> Vector: ...
        def __rxor__(self, other: Any) -> Vector: ...
        def __lt__(self, other: Any) -> Vector: ...
        def __le__(self, other: Any) -> Vector: ...
        def __gt__(self, other: Any) -> Vector: ...
        def __ge__(self, other: Any) -> Vector: ...


def _install(name: str, function: Callable[[Any, Any], Any]) -> None:
    setattr(Vector, f"__{name}__", lambda self, other: self._with(function, other))
    if name not in ("lt", "le", "gt", "ge"):
        setattr(Vector, f"__r{name}__", lambda self, other: self._from(function, other))


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "lt", "le", "gt", "ge"):
    _install(_name, getattr(operator, _name))
for _name in ("and", "or", "xor"):
    _install(_name, getattr(operator, f"__{_name}__"))


def elementwise_call(function: Callable[..., Any], arguments: Sequence[Any]) -> Vector:
    """Apply a function of numbers to vectors, component by component; numbers are repeated."""
    sizes = {len(argument) for argument in arguments if isinstance(argument, Vector)}
    if len(sizes) != 1:
        raise TypeError("vectors of different sizes cannot be combined")
    size = sizes.pop()
    columns = [list(argument) if isinstance(argument, Vector) else [argument] * size for argument in arguments]
    return Vector([function(*row) for row in zip(*columns, strict=True)])


class VectorDType:
    """A vector type. Calling it makes a vector: of one repeated number, of as many as it has, or of smaller vectors.

    Attributes:
        name: as in Metal, ``"float4"``.
        element: type of the components.
        size: how many there are.
    """

    def __init__(self, name: str, element: DType, size: int) -> None:
        self.name, self.element, self.size = name, element, size
        self.__doc__ = f"Vector of {size} components of {element.name}."

    def __call__(self, *parts: Any) -> Vector:
        """Return a vector with the components of the parts, converted."""
        values: list[Any] = []
        for part in parts:
            values += list(part) if isinstance(part, Vector) else [part]
        if len(parts) == 1 and not isinstance(parts[0], Vector):
            values *= self.size
        if len(values) != self.size:
            raise TypeError(f"{self.name} has {self.size} components, not {len(values)}")
        return Vector([self.element(value) for value in values])

    def __repr__(self) -> str:
        return f"helion_msl.language.{self.name}"


def dot(x: Any, y: Any) -> float:
    """Return the sum of the products of components, as a float."""
    return float(sum(a * b for a, b in zip(x, y, strict=True)))


def length_squared(x: Any) -> float:
    """Return the square of a vector's length."""
    return dot(x, x)


def length(x: Any) -> float:
    """Return a vector's length."""
    return math.sqrt(dot(x, x))


def distance(x: Any, y: Any) -> float:
    """Return the length of x - y."""
    return length(x - y)


def normalize(x: Any) -> Any:
    """Return the vector of length 1 in the direction of x."""
    size = length(x)
    return x / size if size else x * math.nan


def cross(x: Any, y: Any) -> Any:
    """Return the cross product of two vectors of three."""
    (a, b, c), (d, e, f) = x, y
    return Vector([b * f - c * e, c * d - a * f, a * e - b * d])


def any(condition: Any) -> bool:  # noqa: A001
    """Return whether any component is true."""
    return builtins.any(condition)


def all(condition: Any) -> bool:  # noqa: A001
    """Return whether all components are true."""
    return builtins.all(condition)


def select(x: Any, y: Any, condition: Any) -> Any:
    """Return y where the condition holds, else x, component by component: Metal's order; :func:`where` has numpy's."""
    arguments = (x, y, condition)
    if not builtins.any(isinstance(argument, Vector) for argument in arguments):
        return y if condition else x
    return elementwise_call(lambda first, second, test: second if test else first, arguments)


def load_vector(array: torch.Tensor, index: int | Sequence[int], size: int) -> Any:
    """Return ``size`` elements of a tensor or a threadgroup array as a vector.

    Args:
        array: its last dimension has stride 1.
        index: the first element, one integer for each dimension; fastest where it is a multiple of ``size``.
        size: 2, 3 or 4, known at translation.
    """
    *outer, first = index if isinstance(index, list | tuple) else (index,)
    places = [(*outer, first + offset) for offset in range(size)]
    elements = [array[place] for place in places]
    return Vector([element.item() if hasattr(element, "item") else element for element in elements])


def store_vector(array: torch.Tensor, index: int | Sequence[int], value: Any) -> None:
    """Write the components of a vector into consecutive elements of a tensor or a threadgroup array.

    Args:
        array: its last dimension has stride 1.
        index: the first element, one integer for each dimension; fastest where it is a multiple of the vector's size.
        value: a vector.
    """
    *outer, first = index if isinstance(index, list | tuple) else (index,)
    for offset, component in enumerate(value):
        place = (*outer, first + offset)
        array[place] = component
