"""What an expression of a generated kernel can name: variables, tensors, functions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .numbers import SIGNED, SMALL, Number

if TYPE_CHECKING:
    import random

LIMIT = 1009


@dataclass(frozen=True)
class Kind:
    """What a variable, a parameter or a result holds.

    Attributes:
        types: the types that values assigned to it may have; each variable of the kind gets one of them.
        low: the least value.
        high: the largest value.
        fine: floats are multiples of ``2 ** -fine``.
        size: components of a vector, or 1.
        msl: the name of a vector's type.
    """

    types: frozenset[str]
    low: float
    high: float
    fine: int = 0
    size: int = 1
    msl: str = ""

    def number(self, text: str) -> Number:
        """Return the number that a name of this kind is."""
        return Number(text, self.types, self.low, self.high, self.fine, size=self.size, is_name=True)


INTEGER = Kind(SMALL, -LIMIT, LIMIT)
WIDE = Kind(frozenset({"int64"}), -(1 << 40), 1 << 40)
UNSIGNED = Kind(frozenset({"uint32"}), 0, 1 << 20)
TRUTH = Kind(frozenset({"bool"}), 0, 1)
FLOAT = Kind(frozenset({"float32"}), -256, 256, 4)
HALF = Kind(frozenset({"float16"}), -32, 32, 3)
BFLOAT = Kind(frozenset({"bfloat16"}), -16, 16, 2)
# Parameters of functions: what they hold depends on the call.
ANY_INTEGER = Kind(SIGNED, -LIMIT, LIMIT)
ANY_NUMBER = Kind(SMALL | {"float32"}, -64, 64, 2)
FLOAT_VECTORS = tuple(Kind(FLOAT.types, -64, 64, 3, size, f"float{size}") for size in (2, 3, 4))
INTEGER_VECTORS = tuple(Kind(frozenset({"int32"}), -LIMIT, LIMIT, 0, size, f"int{size}") for size in (2, 3, 4))
SCALARS = (INTEGER, INTEGER, INTEGER, WIDE, UNSIGNED, TRUTH, FLOAT, FLOAT, HALF, BFLOAT)
VECTORS = FLOAT_VECTORS + INTEGER_VECTORS


@dataclass(frozen=True)
class Variable:
    """A name that holds numbers of a kind; a tuple's items are variables too, written with their subscript."""

    text: str
    kind: Kind
    is_assignable: bool = True


@dataclass(frozen=True)
class Tensor:
    """A parameter that is a tensor, or an array of the threadgroup.

    Attributes:
        name: how the source calls it.
        dtype: type of the elements.
        shape: its sizes.
        low: the least value of an element.
        high: the largest value.
        fine: floats are multiples of ``2 ** -fine``.
        is_written: whether each thread owns the row with its index, and may write there.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: float
    high: float
    fine: int = 0
    is_written: bool = False


@dataclass(frozen=True)
class Function:
    """A Python function that kernels call; ``result`` holds several kinds where it returns a tuple."""

    name: str
    parameters: tuple[Kind | Tensor, ...]
    names: tuple[str, ...]
    result: tuple[Kind, ...]
    is_pure: bool
    defaults: int = 0


@dataclass
class Scope:
    """What is visible at a place of a kernel."""

    rng: random.Random
    variables: list[Variable] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    constants: list[Number] = field(default_factory=list)
    positions: list[Number] = field(default_factory=list)
    row: Number | None = None
    has_effects: bool = False

    def inner(self) -> Scope:
        """Return the scope of a block: what it adds is gone after it."""
        return replace(self, variables=list(self.variables))

    def named(self, accepts: object = None) -> list[Variable]:
        """Return the variables of kinds that a test accepts."""
        return [each for each in self.variables if accepts is None or accepts(each)]  # type: ignore[operator]

    def is_integer(self, each: Variable) -> bool:
        """Whether a variable holds integers."""
        return each.kind.size == 1 and each.kind.number("").is_integer

    def is_float(self, each: Variable) -> bool:
        """Whether a variable holds floats."""
        return each.kind.size == 1 and each.kind.number("").is_float
