"""The typed intermediate representation: what values are made of; see :mod:`.statements` for the rest of it.

Every expression has a ``type``, and the types of operands agree where C++ needs them to: conversions are nodes of their
own. Memory is reached through :class:`Load` and :class:`Store`, which carry their mask, so that a later lowering can
give each of them a shape. Statements carry the line of the Python source they come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..types import INT32, VOID

if TYPE_CHECKING:
    from ..types import (
        PointerType,
        ScalarType,
        SimdgroupMatrixType,
        TensorType,
        ThreadgroupArrayType,
        TupleType,
        Type,
        VectorType,
    )
    from .statements import Function

Number: TypeAlias = bool | int | float

PositionKind = Literal[
    "threadgroup_position_in_grid",
    "thread_position_in_threadgroup",
    "thread_position_in_grid",
    "threads_per_threadgroup",
    "threadgroups_per_grid",
    "simdgroup_index_in_threadgroup",
    "thread_index_in_simdgroup",
    "simdgroups_per_threadgroup",
    "thread_index_in_threadgroup",
    "thread_index_in_quadgroup",
    "quadgroup_index_in_threadgroup",
]


@dataclass(slots=True, eq=False)
class Variable:
    """A local variable: one name, one type, one declaration.

    Attributes:
        name: the name in Python, or a suggestion for a temporary one.
        type: its type so far; inference widens it.
        line: where it was assigned first, from 1.
        is_non_negative: whether every value assigned so far is known to be 0 or more.
        is_pinned: an annotation fixes the type.
        is_temporary: made by the translator.
        is_loop_owned: it exists only in its loop, so that loops side by side may use one name.
        constant: the literal it holds where it is assigned nothing else.
        assignments: places in the text that assign it.
        is_constant_used: whether the pass has relied on `constant`.
        is_sign_used: whether the pass has relied on `is_non_negative`.
    """

    name: str
    type: Type
    line: int = 0
    is_non_negative: bool = True
    is_pinned: bool = False
    is_temporary: bool = False
    is_loop_owned: bool = False
    constant: Constant | None = None
    assignments: int = 0
    is_constant_used: bool = False
    is_sign_used: bool = False


@dataclass(slots=True, eq=False)
class Argument:
    """One entry of the kernel's argument table.

    Attributes:
        name: the name in Python, or a suggestion for one that the launch adds.
        type: a tensor or a scalar.
        kind: ``"tensor"`` and ``"scalar"`` are the caller's; ``"size"`` and ``"stride"`` are read from a tensor.
        parameter: the index of the Python parameter that it comes from.
        dimension: which size or stride.
        is_written: whether the kernel stores into the tensor.
    """

    name: str
    type: TensorType | ScalarType | VectorType | SimdgroupMatrixType
    kind: Literal["tensor", "scalar", "size", "stride"]
    parameter: int
    dimension: int = 0
    is_written: bool = False


@dataclass(slots=True, eq=False)
class ThreadgroupArray:
    """An array in threadgroup memory; declared at the top of the kernel, as MSL requires.

    ``argument`` is the index among a function's arguments where the caller passes it, None where it is declared.
    """

    name: str
    type: ThreadgroupArrayType
    argument: int | None = None


# ---- Expressions ---------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Constant:
    """A number known at translation.

    ``is_weak`` marks a Python literal, which takes the type of what it is combined with. ``name`` is a constant of the
    source (``BLOCK``), printed by its name.
    """

    value: Number
    type: ScalarType
    is_weak: bool = True
    name: str | None = None


@dataclass(slots=True, eq=False)
class Read:
    """The value of a local variable."""

    variable: Variable
    type: Type


@dataclass(slots=True, eq=False)
class ArgumentRead:
    """The value of a scalar argument, of a size or of a stride."""

    argument: Argument
    type: ScalarType | VectorType | SimdgroupMatrixType
    is_non_negative: bool = False


@dataclass(slots=True, eq=False)
class TensorReference:
    """A tensor argument, as a whole."""

    argument: Argument
    type: TensorType


@dataclass(slots=True, eq=False)
class ThreadgroupArrayReference:
    """A threadgroup array, as a whole."""

    array: ThreadgroupArray
    type: ThreadgroupArrayType


MEMORY = (TensorReference, ThreadgroupArrayReference)
"""What has elements, for ``isinstance``."""


@dataclass(slots=True, eq=False)
class Pointer:
    """The address ``base + offset``, in elements."""

    base: TensorReference | ThreadgroupArrayReference
    offset: Expression
    type: PointerType


@dataclass(slots=True, eq=False)
class Position:
    """Where the thread is in its launch: a signed integer, so that it compares with negative numbers as Python's do."""

    kind: PositionKind
    axis: int | None
    type: ScalarType = INT32
    exclusive_bound: int | None = None


@dataclass(slots=True, eq=False)
class Unary:
    """``-x``, ``~x`` or ``!x``."""

    operator: str
    operand: Expression
    type: ScalarType | VectorType


@dataclass(slots=True, eq=False)
class Binary:
    """An operator of C++ on two operands of the same type; comparisons and logical operators give bool."""

    operator: str
    left: Expression
    right: Expression
    type: ScalarType | VectorType


@dataclass(slots=True, eq=False)
class Conditional:
    """``test ? body : orelse``: only one of the two is evaluated."""

    test: Expression
    body: Expression
    orelse: Expression
    type: Type


@dataclass(slots=True, eq=False)
class Cast:
    """A conversion of values, as C++ does it; of a vector, component by component."""

    operand: Expression
    type: ScalarType | VectorType


@dataclass(slots=True, eq=False)
class Call:
    """A call of an MSL function or of one of the prelude.

    Attributes:
        function: the qualified name.
        arguments: the operands.
        type: what it returns.
        has_effect: it writes memory or exchanges values between threads, so that its place in the program matters.
    """

    function: str
    arguments: tuple[Expression, ...]
    type: Type
    has_effect: bool = False


@dataclass(slots=True, eq=False)
class Symbol:
    """A name of the MSL standard library that a call takes: ``metal::memory_order_relaxed``."""

    name: str
    type: Type = VOID


@dataclass(slots=True, eq=False)
class Element:
    """One element of a tensor or a threadgroup array. Tensors have one linear index, arrays one for each dimension."""

    base: TensorReference | ThreadgroupArrayReference
    indices: tuple[Expression, ...]


@dataclass(slots=True, eq=False)
class Load:
    """The value of an element; where ``mask`` is false memory is not touched and the value is ``other``.

    Of a vector type it is the value of as many consecutive elements.
    """

    element: Element
    type: ScalarType | VectorType
    mask: Expression | None = None
    other: Expression | None = None


@dataclass(slots=True, eq=False)
class AddressOf:
    """The address of an element, for atomics as another type: ``(device atomic_int*)&x[i]``; "" for its own."""

    element: Element
    pointee: str
    type: PointerType


@dataclass(slots=True, eq=False)
class Swizzle:
    """Components of a vector, by letters of xyzw."""

    operand: Expression
    places: str
    type: Type


@dataclass(slots=True, eq=False)
class Component:
    """The component of a vector at an index that is known at run time only."""

    operand: Expression
    index: Expression
    type: ScalarType


@dataclass(slots=True, eq=False)
class VectorStore:
    """Writes a vector into consecutive elements, or a number into one; yields nothing."""

    element: Element
    value: Expression
    type: Type = VOID
    has_effect: bool = True


@dataclass(slots=True, eq=False)
class AssignExpression:
    """Assigns and yields the value: keeps a value that an expression needs twice."""

    variable: Variable
    value: Expression
    type: Type


@dataclass(slots=True, eq=False)
class Sequence:
    """Evaluates ``first`` before ``second`` and yields ``second``, where C++ leaves the order of operands open."""

    first: Expression
    second: Expression
    type: Type


@dataclass(slots=True, eq=False)
class FunctionCall:
    """A call of a function that the translation emits; ``arrays`` is the threadgroup memory that it needs."""

    function: Function
    arguments: tuple[Expression, ...]
    arrays: tuple[ThreadgroupArrayReference, ...]
    type: Type

    @property
    def has_effect(self) -> bool:
        """Whether it writes memory or exchanges values between threads."""
        return self.function.has_effect


@dataclass(slots=True, eq=False)
class TupleExpression:
    """Several values as one, which a function returns."""

    items: tuple[Expression, ...]
    type: TupleType


@dataclass(slots=True, eq=False)
class Field:
    """One item of a tuple that a function returned."""

    operand: Expression
    index: int
    type: Type


Expression: TypeAlias = (
    Constant
    | Read
    | ArgumentRead
    | TensorReference
    | ThreadgroupArrayReference
    | Pointer
    | Position
    | Unary
    | Binary
    | Conditional
    | Cast
    | Call
    | Load
    | AddressOf
    | AssignExpression
    | Sequence
    | Symbol
    | FunctionCall
    | Swizzle
    | Component
    | VectorStore
    | TupleExpression
    | Field
)
