"""Statements of the intermediate representation, and the functions and kernels that they make up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from ..types import Type
    from .nodes import Argument, Element, Expression, ThreadgroupArray, Variable


@dataclass(slots=True, eq=False)
class Assign:
    """``variable = value``."""

    variable: Variable
    value: Expression
    line: int


@dataclass(slots=True, eq=False)
class StoreComponents:
    """``variable.xy = value``."""

    variable: Variable
    places: str
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


@dataclass(slots=True, eq=False)
class Once:
    """Statements that ``continue`` and ``break`` leave: one turn of an unrolled loop."""

    body: list[Statement]
    line: int


@dataclass(slots=True, eq=False)
class Return:
    """The end of a function, with its value."""

    value: Expression
    line: int


@dataclass(slots=True, eq=False)
class Message:
    """Text with numbers in it: a format as ``printf`` takes it, and the numbers."""

    format: str
    values: tuple[Expression, ...]


@dataclass(slots=True, eq=False)
class Assert:
    """A condition that must hold."""

    test: Expression
    message: Message
    line: int


@dataclass(slots=True, eq=False)
class Print:
    """A line of text."""

    message: Message
    line: int


Statement: TypeAlias = (
    Assign | StoreComponents | Store | Evaluate | If | For | While | Jump | Once | Return | Assert | Print
)


@dataclass(slots=True, eq=False)
class Function:
    """A Python function that the kernel calls, for one combination of argument types.

    Attributes:
        name: the name of the Python function.
        arguments: what each call passes, in this order.
        body: the statements.
        result: what it returns.
        threadgroup_arrays: arrays that the function uses: those of its arguments, and those it needs beside them.
        is_non_negative: whether the number that it returns is known to be 0 or more.
        has_effect: whether it writes memory, exchanges values between threads, prints or asserts.
        reads_memory: whether its value depends on memory.
        returned: the arguments that it may return as they are.
        copies: assignments of arguments to the variables that the function changes in their place.
        filename: what ``#line`` directives call its source, None for none.
        comments: comment lines and blank lines of its source by their number.
    """

    name: str
    arguments: list[Argument]
    body: list[Statement]
    result: Type
    threadgroup_arrays: list[ThreadgroupArray] = field(default_factory=list)
    is_non_negative: bool = False
    has_effect: bool = False
    reads_memory: bool = False
    returned: list[Argument] = field(default_factory=list)
    copies: list[Statement] = field(default_factory=list)
    filename: str | None = None
    comments: dict[int, str] = field(default_factory=dict)


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
