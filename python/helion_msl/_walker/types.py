"""What a value in a kernel can be, and how two types become one.

A type is one of the classes below. Scalars belong to one thread; a type for values that are spread over the threads of
a threadgroup would stand beside them, which is why nothing outside this module may assume that a type is a scalar.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, TypeAlias

Kind = Literal["bool", "int", "uint", "float"]
MAXIMUM_THREADGROUP_MEMORY = 32768  # bytes; Metal Feature Set Tables, "maximum total threadgroup memory allocation"
MAXIMUM_LOCAL_ARRAY = 4096  # bytes of one thread; more than its registers, and less than its stack
AddressSpace = Literal["device", "threadgroup", "constant", "thread"]


# Scalar types are compared by identity: there is one object of each.
@dataclass(frozen=True, slots=True, eq=False)
class ScalarType:
    """One number of one thread.

    Attributes:
        name: as in ``torch`` and in ``helion_msl.language``, for messages: ``"int32"``.
        msl: the name of the type in MSL: ``"int"``.
        kind: ``"bool"``, ``"int"`` (signed), ``"uint"`` or ``"float"``.
        bits: width of the value.
        is_float: whether it is half, bfloat or float.
        is_integer: whether it is an integer of any width, bool excluded.
        is_narrow: whether C++ computes with it as ``int``: bool and integers below 32 bits.
        size_in_bytes: size in memory.
        minimum: the lowest value of an integer type.
        maximum: the highest value of an integer type.
    """

    name: str
    msl: str
    kind: Kind
    bits: int
    # Computed once, because a translation asks for them hundreds of times.
    is_float: bool = field(init=False, repr=False)
    is_integer: bool = field(init=False, repr=False)
    is_narrow: bool = field(init=False, repr=False)
    size_in_bytes: int = field(init=False, repr=False)
    minimum: int = field(init=False, repr=False)
    maximum: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        is_float, is_signed = self.kind == "float", self.kind == "int"
        computed = {
            "is_float": is_float,
            "is_integer": self.kind in ("int", "uint"),
            "is_narrow": not is_float and self.bits < 32,
            "size_in_bytes": max(self.bits // 8, 1),
            "minimum": -(1 << (self.bits - 1)) if is_signed else 0,
            "maximum": (1 << (self.bits - is_signed)) - 1,
        }
        for name, value in computed.items():
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        return self.name


BOOL = ScalarType("bool", "bool", "bool", 1)
INT8 = ScalarType("int8", "char", "int", 8)
INT16 = ScalarType("int16", "short", "int", 16)
INT32 = ScalarType("int32", "int", "int", 32)
INT64 = ScalarType("int64", "long", "int", 64)
UINT8 = ScalarType("uint8", "uchar", "uint", 8)
UINT16 = ScalarType("uint16", "ushort", "uint", 16)
UINT32 = ScalarType("uint32", "uint", "uint", 32)
UINT64 = ScalarType("uint64", "ulong", "uint", 64)
FLOAT16 = ScalarType("float16", "half", "float", 16)
BFLOAT16 = ScalarType("bfloat16", "bfloat", "float", 16)
FLOAT32 = ScalarType("float32", "float", "float", 32)

SCALAR_TYPES = (BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FLOAT16, BFLOAT16, FLOAT32)
BY_NAME = {scalar.name: scalar for scalar in SCALAR_TYPES}
BY_MSL_NAME = {scalar.msl: scalar for scalar in SCALAR_TYPES}


@dataclass(frozen=True, slots=True)
class VectorType:
    """Two to four numbers of one thread.

    Attributes:
        element: type of the components.
        size: how many there are.
    """

    element: ScalarType
    size: int

    @property
    def msl(self) -> str:
        """The name of the type in MSL."""
        return f"{self.element.msl}{self.size}"

    def __str__(self) -> str:
        return self.msl


@dataclass(frozen=True, slots=True)
class SimdgroupMatrixType:
    """A matrix of 8 by 8 numbers that the threads of a simdgroup hold together."""

    element: ScalarType

    @property
    def msl(self) -> str:
        """The name of the type in MSL."""
        return f"metal::simdgroup_{self.element.msl}8x8"

    def __str__(self) -> str:
        return f"simdgroup matrix of {self.element}"


@dataclass(frozen=True, slots=True)
class TensorType:
    """A tensor in device memory.

    Attributes:
        dtype: type of the elements.
        rank: number of dimensions; a tensor of rank 0 is read by its name, as a scalar.
        strides: for each dimension its stride in elements where it is fixed, ``None`` where the launch passes it.
            ``None`` instead of a tuple: the tensor is contiguous, strides follow from the sizes.
        sizes: for each dimension its size where it is fixed, ``None`` where the launch passes it.
        is_large: the tensor has 2**31 elements or more, so that offsets into it need 64 bits.
        is_flat: it is another tensor's memory seen as a row of elements.
    """

    dtype: ScalarType
    rank: int
    strides: tuple[int | None, ...] | None = None
    sizes: tuple[int | None, ...] | None = None
    is_large: bool = False
    is_flat: bool = False

    def __str__(self) -> str:
        return f"{self.rank}-dimensional tensor of {self.dtype}"


@dataclass(frozen=True, slots=True)
class ThreadgroupArrayType:
    """An array in threadgroup memory, shared by the threads of one threadgroup; or one that each thread has for itself.

    Attributes:
        dtype: type of the elements.
        shape: the sizes.
        space: ``"thread"`` for one of each thread.
    """

    dtype: ScalarType
    shape: tuple[int, ...]
    space: AddressSpace = "threadgroup"

    @property
    def size_in_bytes(self) -> int:
        """What it takes of the threadgroup's memory."""
        return math.prod(self.shape) * self.dtype.size_in_bytes

    def __str__(self) -> str:
        return f"{'local' if self.space == 'thread' else 'threadgroup'} array of {self.dtype}"


@dataclass(frozen=True, slots=True)
class PointerType:
    """An address: what ``tensor + offset`` is in Helion's dialect."""

    dtype: ScalarType
    space: AddressSpace

    def __str__(self) -> str:
        return f"pointer to {self.dtype}"


@dataclass(frozen=True, slots=True)
class TupleType:
    """Several values that a function returns as one."""

    items: tuple[Type, ...]

    def __str__(self) -> str:
        return f"tuple of {len(self.items)}"


@dataclass(frozen=True, slots=True)
class VoidType:
    """What a call returns that is made for its effect."""

    def __str__(self) -> str:
        return "nothing"


VOID = VoidType()
Type: TypeAlias = (
    ScalarType
    | VectorType
    | SimdgroupMatrixType
    | TensorType
    | ThreadgroupArrayType
    | PointerType
    | TupleType
    | VoidType
)


def integer_type_of(value: int) -> ScalarType | None:
    """Return the type of a Python integer by itself: int32, else int64, else uint64; None above that."""
    for candidate in (INT32, INT64, UINT64):
        if candidate.minimum <= value <= candidate.maximum:
            return candidate
    return None


def _integer_holding(left: ScalarType, right: ScalarType) -> ScalarType:
    """Return the narrowest integer type from 32 bits on with the values of both, int64 where there is none."""
    for candidate in (INT32, UINT32, INT64, UINT64):
        if all(candidate.minimum <= side.minimum and side.maximum <= candidate.maximum for side in (left, right)):
            return candidate
    return INT64


@cache
def promote(left: ScalarType, right: ScalarType) -> ScalarType:
    """Return the type in which an arithmetic operator computes.

    Integers compute in the narrowest of int32, uint32, int64, uint64 that holds both types' values (int64 where none
    does); a float and an integer compute in the float's type; two different floats in float32.
    """
    if left.is_float or right.is_float:
        if not right.is_float:
            return left
        if not left.is_float:
            return right
        return left if left is right else FLOAT32
    return _integer_holding(left, right)


@cache
def join(left: ScalarType, right: ScalarType) -> ScalarType:
    """Return the type of a variable that holds values of both types: one that keeps every value where there is one."""
    if left is right:
        return left
    if left.is_float or right.is_float:
        narrow_float = right if left is FLOAT32 else left
        other = left if narrow_float is right else right
        # Small integers fit a half exactly (11 significant bits); wider ones need float32.
        return narrow_float if narrow_float is FLOAT16 and other.bits <= 8 and not other.is_float else FLOAT32
    if left is BOOL:
        return right
    return left if right is BOOL else _integer_holding(left, right)
