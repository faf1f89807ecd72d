"""Barriers that only some threads of a threadgroup reach, where the text shows it.

All threads of a threadgroup must reach a barrier, equally often; on a GPU the others wait forever or go on too early
(MSL specification, "Threadgroup and SIMD-group Synchronization Functions"). Whether they do is undecidable in general:
a value counts as *varying* here where it is computed from a thread's position in its threadgroup or read from memory at
a varying place, and a barrier is reported where a varying condition decides whether a thread comes to it. What a
condition means is not looked into, so that this is a warning and not an error.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeAlias

from ..errors import DivergenceWarning
from . import ir

if TYPE_CHECKING:
    from collections.abc import Iterator

BARRIER = "metal::threadgroup_barrier"
_VARYING_POSITIONS = frozenset(
    {
        "thread_position_in_threadgroup",
        "thread_position_in_grid",
        "thread_index_in_threadgroup",
        "thread_index_in_simdgroup",
        "simdgroup_index_in_threadgroup",
        "thread_index_in_quadgroup",
        "quadgroup_index_in_threadgroup",
    }
)

# The line of a barrier, and that of the condition which threads disagree about.
DivergentBarrier: TypeAlias = "tuple[int, int]"


def warn(body: list[ir.Statement], functions: list[ir.Function], filename: str | None) -> None:
    """Warn of the divergent barriers of a kernel and of the functions that it calls, at their lines."""
    meeting: set[int] = set()
    for function in functions:
        if any(_reaches_barrier(statement, meeting) for statement in ir.walk_statements(function.body)):
            meeting.add(id(function))
    places = [(filename, body), *((function.filename, function.body) for function in functions)]
    for file, statements in places:
        for line, condition in divergent_barriers(statements, meeting):
            message = (
                f"the barrier is reached only by threads for which the condition on line {condition} holds, and "
                "threads differ in it; all threads of a threadgroup must reach it, so move it out of the `if` or the "
                "loop"
            )
            warnings.warn_explicit(message, DivergenceWarning, file or "<string>", line)


def divergent_barriers(body: list[ir.Statement], meeting: set[int]) -> list[DivergentBarrier]:
    """Return the barriers of a kernel that a varying condition guards, in the order of the text.

    ``meeting`` has the ids of the functions that come to a barrier.
    """
    inner = (block for statement in body for block in ir.blocks(statement))
    if not any(_reaches_barrier(statement, meeting) for block in inner for statement in ir.walk_statements(block)):
        return []
    varying: set[ir.Variable] = set()
    while True:
        known = len(varying)
        _find_varying(body, varying, is_guarded=False)
        if len(varying) == known:
            break
    return sorted(set(_guarded_barriers(body, varying, meeting, None)))


def _reaches_barrier(statement: ir.Statement, meeting: set[int]) -> bool:
    """Whether a statement itself comes to a barrier, which returns nothing and so is a statement, or in a function."""
    if isinstance(statement, ir.Evaluate):
        call = statement.value
        if isinstance(call, ir.Call) and call.function.startswith(BARRIER):
            return True
    return bool(meeting) and any(
        isinstance(part, ir.FunctionCall) and id(part.function) in meeting
        for expression in ir.expressions(statement)
        for part in ir.walk(expression)
    )


def _is_varying(node: ir.Expression, varying: set[ir.Variable]) -> bool:
    match node:
        case ir.Position():
            return node.kind in _VARYING_POSITIONS and node.exclusive_bound != 1
        case ir.Read():
            return node.variable in varying
        case ir.Load() if isinstance(node.element.base, ir.ThreadgroupArrayReference) and (
            node.element.base.type.space == "thread"
        ):
            return True
        case ir.Binary() if node.operator in ("<", ">=") and _always_below(node.left, node.right):
            return False
        case ir.Call() if node.function.startswith(("metal::simd_", "helion_msl::simd_")):
            # One value for a simdgroup, or one for each lane: the text does not tell whether simdgroups differ.
            return False
        case _:
            return any(_is_varying(operand, varying) for operand in ir.operands(node))


def _always_below(left: ir.Expression, right: ir.Expression) -> bool:
    """Whether a position is below a constant in every thread."""
    while isinstance(left, ir.Cast):
        left = left.operand
    bound = left.exclusive_bound if isinstance(left, ir.Position) else None
    return bound is not None and isinstance(right, ir.Constant) and bound <= right.value


def _turns_vary(loop: ir.For, varying: set[ir.Variable]) -> bool:
    """Whether threads may go round a loop unequally often."""
    start = loop.start
    while isinstance(start, ir.Cast):
        start = start.operand
    stop, step = loop.stop, loop.step
    if (
        isinstance(start, ir.Position)
        and start.exclusive_bound is not None
        and isinstance(stop, ir.Constant)
        and isinstance(step, ir.Constant)
        and isinstance(stop.value, int)
        and isinstance(step.value, int)
    ):
        return len(range(0, stop.value, step.value)) != len(range(start.exclusive_bound - 1, stop.value, step.value))
    return any(_is_varying(part, varying) for part in (start, stop, step))


def _find_varying(body: list[ir.Statement], varying: set[ir.Variable], is_guarded: bool) -> None:
    """Add the variables that may differ between the threads of a threadgroup."""
    for statement in body:
        for expression in ir.expressions(statement):
            for part in ir.walk(expression):
                if isinstance(part, ir.AssignExpression) and (is_guarded or _is_varying(part.value, varying)):
                    varying.add(part.variable)
        inner = is_guarded
        match statement:
            case ir.Assign() | ir.StoreComponents():
                if is_guarded or _is_varying(statement.value, varying):
                    varying.add(statement.variable)
            case ir.If() | ir.While():
                inner = is_guarded or _is_varying(statement.test, varying)
            case ir.For():
                inner = is_guarded or _turns_vary(statement, varying)
                if inner or any(_is_varying(part, varying) for part in (statement.start, statement.step)):
                    varying.add(statement.counter)
        for block in ir.blocks(statement):
            _find_varying(block, varying, inner)


def _guard(statement: ir.Statement, varying: set[ir.Variable]) -> int | None:
    """Return the line of a statement whose blocks not all threads run equally often."""
    match statement:
        case ir.If() if _is_varying(statement.test, varying):
            return statement.line
        case ir.While() if _is_varying(statement.test, varying):
            return statement.line
        case ir.For() if _turns_vary(statement, varying):
            return statement.line
        case ir.For() | ir.While():
            # A thread that leaves the loop, or a turn of it, misses the barriers that come later in it.
            return _varying_jump(statement.body, varying, None)
        case _:
            return None


def _varying_jump(body: list[ir.Statement], varying: set[ir.Variable], guard: int | None) -> int | None:
    """Return the line of the condition under which only some threads leave the loop with this body."""
    for statement in body:
        if isinstance(statement, ir.Jump) and statement.keyword != "return" and guard is not None:
            return guard
        if isinstance(statement, ir.If):
            inner = statement.line if _is_varying(statement.test, varying) else guard
            for block in (statement.body, statement.orelse):
                found = _varying_jump(block, varying, inner)
                if found is not None:
                    return found
    return None


def _guarded_barriers(
    body: list[ir.Statement], varying: set[ir.Variable], meeting: set[int], guard: int | None
) -> Iterator[DivergentBarrier]:
    for statement in body:
        if guard is not None and _reaches_barrier(statement, meeting):
            yield statement.line, guard
        inner = guard if guard is not None else _guard(statement, varying)
        for block in ir.blocks(statement):
            yield from _guarded_barriers(block, varying, meeting, inner)
