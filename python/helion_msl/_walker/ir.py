"""The typed intermediate representation of one kernel.

Every expression has a ``type``, and the types of operands agree where C++ needs them to: conversions are nodes of their
own. Memory is reached through :class:`Load` and :class:`Store`, which carry their mask, so that a later lowering can
give each of them a shape. Statements carry the line of the Python source they come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from .types import BOOL, INT32, VOID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .types import PointerType, ScalarType, TensorType, ThreadgroupArrayType, Type

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
    type: TensorType | ScalarType
    kind: Literal["tensor", "scalar", "size", "stride"]
    parameter: int
    dimension: int = 0
    is_written: bool = False


@dataclass(slots=True, eq=False)
class ThreadgroupArray:
    """An array in threadgroup memory; declared at the top of the kernel, as MSL requires."""

    name: str
    type: ThreadgroupArrayType


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
    type: ScalarType
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
    type: ScalarType


@dataclass(slots=True, eq=False)
class Binary:
    """An operator of C++ on two operands of the same type; comparisons and logical operators give bool."""

    operator: str
    left: Expression
    right: Expression
    type: ScalarType


@dataclass(slots=True, eq=False)
class Conditional:
    """``test ? body : orelse``: only one of the two is evaluated."""

    test: Expression
    body: Expression
    orelse: Expression
    type: Type


@dataclass(slots=True, eq=False)
class Cast:
    """A conversion of values, as C++ does it."""

    operand: Expression
    type: ScalarType


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
    """The value of an element; where ``mask`` is false memory is not touched and the value is ``other``."""

    element: Element
    type: ScalarType
    mask: Expression | None = None
    other: Expression | None = None


@dataclass(slots=True, eq=False)
class AddressOf:
    """The address of an element as another type, for atomics: ``(device atomic_int*)&x[i]``."""

    element: Element
    pointee: str
    type: PointerType


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
)

# ---- Statements ----------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Assign:
    """``variable = value``."""

    variable: Variable
    value: Expression
    line: int


@dataclass(slots=True, eq=False)
class Store:
    """Writes an element, only where ``mask`` is true."""

    element: Element
    value: Expression
    mask: Expression | None
    line: int


@dataclass(slots=True, eq=False)
class Evaluate:
    """An expression for its effect."""

    value: Expression
    line: int


@dataclass(slots=True, eq=False)
class If:
    """Either ``body`` or ``orelse``."""

    test: Expression
    body: list[Statement]
    orelse: list[Statement]
    line: int


@dataclass(slots=True, eq=False)
class For:
    """A counted loop. ``counter`` exists only inside; ``stop`` and ``step`` do not change while it runs."""

    counter: Variable
    start: Expression
    stop: Expression
    step: Expression
    body: list[Statement]
    line: int


@dataclass(slots=True, eq=False)
class While:
    """A loop that tests before each round."""

    test: Expression
    body: list[Statement]
    line: int


@dataclass(slots=True, eq=False)
class Jump:
    """``break``, ``continue`` or ``return``."""

    keyword: Literal["break", "continue", "return"]
    line: int


Statement: TypeAlias = Assign | Store | Evaluate | If | For | While | Jump


@dataclass(slots=True, eq=False)
class Kernel:
    """A whole kernel, ready to print.

    Attributes:
        name: the name of the Python function.
        arguments: the argument table in the order of the buffers.
        body: the statements.
        threadgroup_arrays: all arrays in threadgroup memory.
        block_dims: threads of a threadgroup in x, y and z where they are fixed.
        filename: what ``#line`` directives call the source, None for none.
        comments: comment lines and blank lines of the source by their number, kept between the statements.
    """

    name: str
    arguments: list[Argument]
    body: list[Statement]
    threadgroup_arrays: list[ThreadgroupArray] = field(default_factory=list)
    block_dims: tuple[int, int, int] | None = None
    filename: str | None = None
    comments: dict[int, str] = field(default_factory=dict)


# ---- Questions about expressions -----------------------------------------------------------------------------------


def operands(node: Expression) -> tuple[Expression, ...]:
    """Return the expressions that a node is made of, in the order in which Python evaluates them."""
    match node:
        case Binary():
            return (node.left, node.right)
        case Unary() | Cast():
            return (node.operand,)
        case Load():
            masks = tuple(part for part in (node.mask, node.other) if part is not None)
            return masks[:1] + node.element.indices + masks[1:]
        case AddressOf():
            return node.element.indices
        case Call():
            return node.arguments
        case Conditional():
            return (node.test, node.body, node.orelse)
        case Pointer():
            return (node.offset,)
        case AssignExpression():
            return (node.value,)
        case Sequence():
            return (node.first, node.second)
        case _:
            return ()


def walk(node: Expression) -> Iterator[Expression]:
    """Yield a node and everything below it."""
    yield node
    for operand in operands(node):
        yield from walk(operand)


def has_effect(node: Expression) -> bool:
    """Whether evaluating the expression twice, or not at all, would change what the program does."""
    return any(
        (isinstance(part, Call) and part.has_effect) or isinstance(part, AssignExpression) for part in walk(node)
    )


def is_ordered(node: Expression) -> bool:
    """Whether it matters when the expression is evaluated; keeping a value in a temporary does not count."""
    return any(
        (isinstance(part, Call) and part.has_effect)
        or (isinstance(part, AssignExpression) and not part.variable.is_temporary)
        for part in walk(node)
    )


def assigns(node: Expression, variable: Variable) -> bool:
    """Whether evaluating the expression assigns a variable."""
    return any(isinstance(part, AssignExpression) and part.variable is variable for part in walk(node))


def reads_memory(node: Expression) -> bool:
    """Whether another statement may change the value of the expression though no variable changes."""
    return any(isinstance(part, Load) or (isinstance(part, Call) and part.has_effect) for part in walk(node))


def is_simple(node: Expression) -> bool:
    """Whether an expression may stand in the text twice: a name or a number."""
    while isinstance(node, Cast):
        node = node.operand
    return isinstance(node, Constant | Read | ArgumentRead | Position)


_COUNTS = frozenset({"threads_per_threadgroup", "threadgroups_per_grid", "simdgroups_per_threadgroup"})


def is_positive(node: Expression) -> bool:
    """Whether an integer expression is known to be 1 or more, overflow aside."""
    match node:
        case Constant():
            return node.value > 0
        case Position():
            return node.kind in _COUNTS
        case Cast():
            return is_positive(node.operand)
        case Binary() if node.operator == "*":
            return is_positive(node.left) and is_positive(node.right)
        case Binary() if node.operator == "+":
            parts = (node.left, node.right)
            return any(map(is_positive, parts)) and all(map(is_non_negative, parts))
        case _:
            return False


def is_non_negative(node: Expression) -> bool:
    """Whether an integer expression is known to be 0 or more, overflow aside."""
    match node:
        case Constant():
            return node.value >= 0
        case Read():
            return node.variable.is_non_negative
        case Position():
            return True
        case ArgumentRead():
            return node.is_non_negative or node.type.kind == "uint"
        case Cast():
            return node.type.is_integer and is_non_negative(node.operand)
        case Binary() if node.operator in ("+", "*", "/", "%", ">>", "|"):
            return is_non_negative(node.left) and is_non_negative(node.right)
        case Binary() if node.operator == "&":
            return is_non_negative(node.left) or is_non_negative(node.right)
        case Conditional():
            return is_non_negative(node.body) and is_non_negative(node.orelse)
        case Call() if node.function == "metal::abs":
            return True
        case _:
            scalar = node.type
            return scalar is BOOL or getattr(scalar, "kind", "") == "uint"
