"""Numbers of generated kernels: the types that they may have, their bounds, and the language's table of types.

The rules are those that docs/language.md promises, written down a second time: they keep values inside of their types.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

INTEGERS = {
    "bool": (0, 1),
    **{f"int{bits}": (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
}
SIGNIFICANT_BITS = {"float16": 11, "bfloat16": 8, "float32": 24}
LARGEST = {"float16": 65504.0, "bfloat16": 3e38, "float32": 3e38}
# Everything that computes in int32 or int64: no unsigned number among them wraps below 0.
SIGNED = frozenset({"bool", "int8", "int16", "int32", "int64", "uint8", "uint16"})
SMALL = SIGNED - {"int64"}
UNSIGNED = frozenset({"uint32", "uint64"})


@dataclass(frozen=True)
class Number:
    """An expression of a generated kernel.

    Attributes:
        text: as Python.
        types: the types it can have; several inside of functions, whose arguments decide.
        low: the least value.
        high: the largest value.
        fine: floats are multiples of ``2 ** -fine``.
        is_literal: it takes the type of what it meets.
        is_pure: it changes nothing.
        size: 1, or how many components a vector has.
        is_name: it is evaluated by reading a variable.
    """

    text: str
    types: frozenset[str]
    low: float
    high: float
    fine: int = 0
    is_literal: bool = False
    is_pure: bool = True
    size: int = 1
    is_name: bool = False

    @property
    def is_float(self) -> bool:
        """Whether it can be a float."""
        return bool(self.types & SIGNIFICANT_BITS.keys())

    @property
    def is_integer(self) -> bool:
        """Whether it is an integer or a truth value."""
        return not self.is_float

    @property
    def reach(self) -> float:
        """The largest magnitude."""
        return max(abs(self.low), abs(self.high))

    def with_text(self, text: str) -> Number:
        """Return the same number written differently."""
        return replace(self, text=text, is_name=False)


def literal(value: float, text: str | None = None) -> Number:
    """Return a literal, or a name that stands for one."""
    kind = "bool" if isinstance(value, bool) else "float32" if isinstance(value, float) else natural(value)
    written = text or (repr(value) if value >= 0 else f"({value!r})")
    fine = 0
    while (value * 2**fine) % 1:
        fine += 1
    return Number(written, frozenset({kind}), value, value, fine, is_literal=True)


def natural(value: int) -> str:
    """Return the type of an integer by itself."""
    return next(name for name in ("int32", "int64", "uint64") if INTEGERS[name][0] <= value <= INTEGERS[name][1])


def holds(kind: str, low: float, high: float, fine: int = 0) -> bool:
    """Whether a type holds all multiples of ``2 ** -fine`` between two values exactly."""
    if kind in INTEGERS:
        return INTEGERS[kind][0] <= low and high <= INTEGERS[kind][1]
    reach = max(abs(low), abs(high))
    return reach <= LARGEST[kind] and reach * 2**fine <= 2 ** SIGNIFICANT_BITS[kind] and fine <= 14


def is_held(number: Number, kinds: frozenset[str]) -> bool:
    """Whether each of some types holds a number exactly."""
    return all(holds(kind, number.low, number.high, number.fine) for kind in kinds)


def _narrowest(left: str, right: str) -> str:
    low = min(INTEGERS[left][0], INTEGERS[right][0])
    high = max(INTEGERS[left][1], INTEGERS[right][1])
    return next((kind for kind in ("int32", "uint32", "int64", "uint64") if holds(kind, low, high)), "int64")


def promote(left: str, right: str) -> str:
    """Return the type in which an operator computes."""
    if left in SIGNIFICANT_BITS and right in SIGNIFICANT_BITS:
        return left if left == right else "float32"
    if left in SIGNIFICANT_BITS:
        return left
    return right if right in SIGNIFICANT_BITS else _narrowest(left, right)


def join(left: str, right: str) -> str:
    """Return the type of a variable that holds values of both types."""
    if left == right:
        return left
    if left in SIGNIFICANT_BITS or right in SIGNIFICANT_BITS:
        other = right if left == "float16" else left
        is_tiny = other in ("bool", "int8", "uint8")
        return "float16" if "float16" in (left, right) and is_tiny else "float32"
    if "bool" in (left, right):
        return right if left == "bool" else left
    return _narrowest(left, right)


def _adapted(number: Number, other: str) -> str:
    if number.is_float:
        return other if other in SIGNIFICANT_BITS else "float32"
    if other in SIGNIFICANT_BITS:
        return other
    wide = promote(other, other)
    return wide if holds(wide, number.low, number.high) else promote(wide, natural(int(number.low)))


def computed(left: Number, right: Number) -> frozenset[str]:
    """Return the types in which an operator may compute on two numbers."""
    if left.is_literal and not right.is_literal:
        return frozenset(_adapted(left, kind) for kind in right.types)
    if right.is_literal and not left.is_literal:
        return frozenset(_adapted(right, kind) for kind in left.types)
    return frozenset(promote(first, second) for first in left.types for second in right.types)


def _adapts(number: Number, other: str) -> bool:
    if not number.is_literal or other == "bool" or (number.is_float and other in INTEGERS):
        return False
    return holds(other, number.low, number.high, number.fine)


def joined(left: Number, right: Number) -> frozenset[str]:
    """Return the types of `left if condition else right`."""
    found = set()
    for first in left.types:
        for second in right.types:
            if _adapts(left, second):
                found.add(second)
            elif _adapts(right, first):
                found.add(first)
            else:
                found.add(join(first, second))
    return frozenset(found)


def merged(text: str, left: Number, right: Number, extra: tuple[float, ...] = ()) -> Number | None:
    """Return the number that is one of two, or one of some values; None where no type holds both."""
    if left.size != right.size:
        return None
    kinds = joined(left, right)
    low, high = min(left.low, right.low, *extra), max(left.high, right.high, *extra)
    found = Number(text, kinds, low, high, max(left.fine, right.fine), size=left.size)
    if not is_held(found, kinds):
        return None
    # Where the condition is known at translation, the number is one of the two.
    alone = frozenset(promote(kind, kind) for kind in left.types | right.types)
    return replace(found, types=kinds | alone, is_pure=left.is_pure and right.is_pure)


def arithmetic(operator: str, left: Number, right: Number, text: str | None = None) -> Number | None:
    """Return `left operator right` for `+`, `-` and `*`; None where a type could not hold what it computes."""
    ends = {
        "+": (left.low + right.low, left.high + right.high),
        "-": (left.low - right.high, left.high - right.low),
        "*": tuple(a * b for a in (left.low, left.high) for b in (right.low, right.high)),
    }[operator]
    fine = left.fine + right.fine if operator == "*" else max(left.fine, right.fine)
    is_literal = left.is_literal and right.is_literal
    kinds = computed(left, right)
    if is_literal and left.is_integer and right.is_integer:
        if not holds("int64", min(ends), max(ends)):
            return None
        kinds = frozenset({natural(int(ends[0]))})
    if left.size != right.size and 1 not in (left.size, right.size):
        return None
    size = max(left.size, right.size)
    is_pure = left.is_pure and right.is_pure
    written = text or f"({left.text} {operator} {right.text})"
    found = Number(written, kinds, min(ends), max(ends), fine, is_literal, is_pure, size)
    return found if all(is_held(part, kinds) for part in (left, right, found)) else None
