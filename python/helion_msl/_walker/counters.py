"""Loops that count in the variable that Python names, where no one can tell.

Python's ``for k in range(n)`` assigns ``k`` anew in each turn: the body may change it without changing the count, and
after the loop it holds the last number. So where other statements use the variable too, the parser counts in a variable
of its own and copies it. The copy goes where the body leaves ``k`` alone and nothing reads it after the loop before
assigning it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import ir

if TYPE_CHECKING:
    from collections.abc import Iterable


def count_in_place(body: list[ir.Statement]) -> None:
    """Let loops count in their variable where the function cannot tell it from a copy."""
    wanted = [loop for loop in ir.walk_statements(body) if isinstance(loop, ir.For) and _may_count_in_place(loop)]
    if not wanted:
        return
    liveness = _Liveness({id(_copy_of(loop).variable) for loop in wanted})
    liveness.block(body, frozenset())
    for loop in wanted:
        variable = _copy_of(loop).variable
        if id(variable) not in liveness.after[id(loop)]:
            loop.counter = variable
            del loop.body[0]


def _copy_of(loop: ir.For) -> ir.Assign:
    copy = loop.body[0]
    assert isinstance(copy, ir.Assign)
    return copy


def _may_count_in_place(loop: ir.For) -> bool:
    """Whether a loop's body begins with a copy of its counter that the rest of it leaves alone."""
    copy = loop.body[0] if loop.body and not loop.counter.is_loop_owned else None
    if not isinstance(copy, ir.Assign) or not isinstance(copy.value, ir.Read):
        return False
    variable = copy.variable
    if copy.value.variable is not loop.counter or variable.type is not loop.counter.type:
        return False
    is_changed = any(
        (isinstance(statement, ir.Assign) and statement.variable is variable)
        or any(ir.assigns(expression, variable) for expression in ir.expressions(statement))
        for statement in ir.walk_statements(loop.body[1:])
    )
    return not is_changed


_Live = frozenset[int]


@dataclass(slots=True)
class _Liveness:
    """Finds the variables whose values are read later, by the ids of those that are asked about.

    Attributes:
        variables: those asked about.
        after: for each loop over a range, by its id, what is read after it.
    """

    variables: set[int]
    after: dict[int, _Live] = field(default_factory=dict)
    _at_break: list[_Live] = field(default_factory=list)
    _at_continue: list[_Live] = field(default_factory=list)

    def block(self, body: list[ir.Statement], live: _Live) -> _Live:
        """Return what is live in front of a block, where ``live`` is behind it."""
        for statement in reversed(body):
            live = self._before(statement, live)
        return live

    def _before(self, statement: ir.Statement, live: _Live) -> _Live:
        match statement:
            case ir.Jump(keyword="break"):
                return self._at_break[-1]
            case ir.Jump(keyword="continue"):
                return self._at_continue[-1]
            case ir.Jump():
                return frozenset()
            case ir.Return():
                live = frozenset()
            case ir.Assign():
                live -= {id(statement.variable)}
            case ir.If():
                live = self.block(statement.body, live) | self.block(statement.orelse, live)
            case ir.Once():
                live = self._inside(statement.body, live, live, live)
            case ir.For() | ir.While():
                if isinstance(statement, ir.For):
                    self.after[id(statement)] = live
                return self._before_loop(statement, live)
        return live | self._read(ir.expressions(statement))

    def _before_loop(self, loop: ir.For | ir.While, live: _Live) -> _Live:
        test = self._read(ir.expressions(loop))
        after = live | test
        while True:
            # What the body reads first is live at its end, too, for the next turn.
            before = self._inside(loop.body, after, after, live) | after
            if before == after:
                return before
            after = before

    def _inside(self, body: list[ir.Statement], behind: _Live, at_continue: _Live, at_break: _Live) -> _Live:
        self._at_break.append(at_break)
        self._at_continue.append(at_continue)
        live = self.block(body, behind)
        self._at_break.pop()
        self._at_continue.pop()
        return live

    def _read(self, expressions: Iterable[ir.Expression]) -> _Live:
        return frozenset(
            id(part.variable)
            for expression in expressions
            for part in ir.walk(expression)
            if isinstance(part, ir.Read) and id(part.variable) in self.variables
        )
