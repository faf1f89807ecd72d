"""Loops of Python to IR: counted ones, ``while``, and what is unrolled at translation."""

# ruff: noqa: N802 - the visitors are named after the classes of the ast module

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import fold, ir, operators, sequences, values
from .parse_assignments import AssignmentParser
from .sequences import MAXIMUM_TURNS
from .types import BOOL, INT32, INT64, ScalarType, promote
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .values import Value


@dataclass(slots=True)
class Loop:
    """A loop around the current statement.

    Attributes:
        flag: the variable that a ``break`` clears, where something depends on it.
        is_unrolled: each turn has its own text.
        breaks: the names that are assigned at each ``break``.
        continues: the same at each ``continue`` of the turn of an unrolled loop.
        is_flag_cleared: whether a ``break`` does clear it.
        has_jump: whether a jump of the C++ text leaves the body, or the turn of an unrolled loop.
        body: the turn of an unrolled loop.
        ended: ``"break"`` where every path through a turn leads to a `break`.
    """

    flag: ir.Variable | None
    is_unrolled: bool = False
    breaks: list[set[str] | None] = field(default_factory=list)
    continues: list[set[str] | None] = field(default_factory=list)
    is_flag_cleared: bool = False
    has_jump: bool = False
    body: list[ir.Statement] = field(default_factory=list)
    ended: str = ""


class LoopParser(AssignmentParser):
    """Loops and the jumps inside them; ``copies_counter`` tells of loops that count in a variable of their own."""

    loops: list[Loop]
    copies_counter: bool

    def visit_Break(self, node: ast.Break) -> None:
        """Leave the innermost loop."""
        loop = self._innermost(node)
        loop.breaks.append(set(self.assigned) if self.assigned is not None else None)
        self.assigned = None
        if loop.is_unrolled and self._body is loop.body and not loop.continues:
            loop.ended = "break"
            return
        if loop.flag is not None:
            loop.is_flag_cleared = True
            self.emit(ir.Assign(loop.flag, ir.Constant(False, BOOL, False), self.source.line(node)))
        self.emit(ir.Jump("break", self.source.line(node)))
        loop.has_jump = True

    def visit_Continue(self, node: ast.Continue) -> None:
        """Go on with the next round of the innermost loop."""
        loop = self._innermost(node)
        loop.continues.append(set(self.assigned) if self.assigned is not None else None)
        self.assigned = None
        if loop.is_unrolled and self._body is loop.body:
            return
        self.emit(ir.Jump("continue", self.source.line(node)))
        loop.has_jump = True

    def _innermost(self, node: ast.stmt) -> Loop:
        if not self.loops:
            raise self.error(node, "there is no loop around this", "end the thread with `return`")
        return self.loops[-1]

    def visit_While(self, node: ast.While) -> None:
        """``while`` with an optional ``else``."""
        before = set(self.assigned or ())
        test = self.condition(node.test)
        if isinstance(test, ir.Constant) and not test.value:
            for statement in node.orelse:
                self.statement(statement)
            return
        never_ends = isinstance(test, ir.Constant)
        with_test = set(self.assigned or ())
        self.assigned = with_test | self.assigned_when_true
        body, loop = self._loop_body(node)
        self.emit(ir.While(test, body, self.source.line(node)))
        self.assigned = None if never_ends else with_test | before
        self._loop_else(node, loop)
        self.assigned = self.join_assigned(self.assigned, *loop.breaks)

    def _loop_body(self, node: ast.For | ast.While) -> tuple[list[ir.Statement], Loop]:
        """Return a loop's body, and what was found in it."""
        loop = Loop(self._completion_flag(node) if node.orelse else None)
        self.loops.append(loop)
        self.looping.append(self.variables.survey.loops[id(node)].assigned)
        body = self.block(node.body)
        self.looping.pop()
        self.loops.pop()
        return body, loop

    def _completion_flag(self, node: ast.For | ast.While) -> ir.Variable | None:
        """Return the variable that a ``break`` of the loop clears; None for a loop without one."""
        if not self.variables.survey.loops[id(node)].has_break:
            return None
        flag = ir.Variable("completed", BOOL, self.source.line(node), is_temporary=True)
        self.emit(ir.Assign(flag, ir.Constant(True, BOOL, False), flag.line))
        return flag

    def _loop_else(self, node: ast.For | ast.While, loop: Loop) -> None:
        """Parse the ``else`` of a loop: it runs where no ``break`` did."""
        if not node.orelse or loop.ended == "break" or self.assigned is None:
            return
        if loop.flag is None or not loop.is_flag_cleared:
            for statement in node.orelse:
                if self.assigned is not None:
                    self.statement(statement)
            return
        body = self.block(node.orelse)
        self.emit(ir.If(ir.Read(loop.flag, BOOL), body, [], self.source.line(node.orelse[0])))

    # ---- Loops over a range ----------------------------------------------------------------------------------------

    def visit_For(self, node: ast.For) -> None:
        """``for`` over a range, which stays a loop, or over a tuple, which is unrolled."""
        bounds = self.range_bounds(node)
        if bounds is not None:
            if not isinstance(node.target, ast.Name):
                raise self.error(node.target, "a loop counts in one variable", "write `for i in range(n)`")
            self._counted_loop(node, node.target.id, *bounds)
            return
        items = sequences.as_tuple(self, self.value(node.iter))
        if items is None:
            raise self.error(
                node.iter, "a loop runs over a range or a tuple", "write `for i in range(n)` and read x[i]"
            )
        if len(items.items) > MAXIMUM_TURNS:
            raise self.error(
                node.iter, f"a loop over {len(items.items)} items would be written out", "pass them as a tensor"
            )
        self._unrolled_loop(node, items.items)

    def range_bounds(self, node: ast.For) -> tuple[ir.Expression, ir.Expression, ir.Expression] | None:
        """Return start, stop and step of ``range(...)``; None for anything else."""
        call = node.iter
        if not isinstance(call, ast.Call) or not self.is_range(self.value(call.func)):
            return None
        if call.keywords:
            raise self.error(call, "range takes no keyword arguments")
        if not 1 <= len(call.args) <= 3:
            raise self.error(call, f"range takes 1 to 3 arguments, not {len(call.args)}")
        numbers = [self.integer(argument, "a bound of range") for argument in call.args]
        start = numbers[0] if len(numbers) > 1 else fold.integer(0)
        stop = numbers[1] if len(numbers) > 1 else numbers[0]
        step = numbers[2] if len(numbers) > 2 else fold.integer(1)
        if fold.is_constant(step, 0):
            raise self.error(call.args[2], "the step of a range is 0", "count with a step that is not 0")
        return start, stop, step

    def is_range(self, function: Value) -> bool:
        """Whether a value is the builtin ``range``."""
        return isinstance(function, PythonObject) and function.value is range

    def _counted_loop(
        self, node: ast.For, name: str, start: ir.Expression, stop: ir.Expression, step: ir.Expression
    ) -> None:
        changed = self.variables.survey.loops[id(node)].assigned | {name}
        if any(map(ir.is_ordered, (stop, step))):
            # Each bound keeps the value that it has before the next one is evaluated.
            start, stop = (
                bound if isinstance(bound, ir.Constant) else self._temporary(node, bound) for bound in (start, stop)
            )
        stop, step = self._fixed(node, stop, changed), self._fixed(node, step, changed)
        counter_type = self._counter_type(start, stop, step)
        start, stop, step = (fold.convert(bound, counter_type) for bound in (start, stop, step))
        owned = id(node) in self.variables.survey.owned
        before = set(self.assigned or ())
        rises = ir.is_positive(step)
        non_negative = (ir.is_non_negative(start) and rises) or self._falls_to_zero(stop, step)
        line = self.source.line(node)
        counter = self.variables.counter(node, name, counter_type, non_negative, line)
        counter.is_loop_owned, counter.is_temporary = owned, not owned
        if owned:
            self.variables.shadow(name, counter)
            if self.assigned is not None:
                self.assigned.add(name)
        header: list[ir.Statement] = []
        if not owned:
            self.copies_counter = True
            variable, value = self.assign_name(node.target, name, ir.Read(counter, counter_type))
            header.append(ir.Assign(variable, value, line))
        body, loop = self._loop_body(node)
        after_body = self.assigned
        if owned:
            self.variables.unshadow()
        self.emit(ir.For(counter, start, stop, step, header + body, line))
        self.assigned = self._assigned_after(node, before, after_body, loop.breaks, (start, stop, step))
        if owned and self.assigned is not None:
            self.assigned.discard(name)
        if node.orelse:
            self._loop_else(node, loop)
            self.assigned = self.join_assigned(self.assigned, *loop.breaks) if loop.breaks else self.assigned

    def _assigned_after(
        self,
        node: ast.For,
        before: set[str],
        after_body: set[str] | None,
        breaks: list[set[str] | None],
        bounds: tuple[ir.Expression, ir.Expression, ir.Expression],
    ) -> set[str] | None:
        """Return the names assigned after a loop: those of its body too, where it runs at least once."""
        runs = all(isinstance(bound, ir.Constant) for bound in bounds) and len(
            range(*(int(bound.value) for bound in bounds if isinstance(bound, ir.Constant)))
        )
        has_continue = self.variables.survey.loops[id(node)].has_continue
        if runs:
            before = before | {node.target.id}  # type: ignore[attr-defined]
        if not runs or has_continue or after_body is None:
            return set(before)
        return self.join_assigned(after_body, *breaks)

    def _fixed(self, node: ast.For, bound: ir.Expression, changed: set[str]) -> ir.Expression:
        """Return a bound that keeps its value while the loop runs, as Python evaluates it once."""
        if (
            ir.reads_memory(bound)
            or ir.has_effect(bound)
            or self._uses(bound, {part for name in changed for part in self.variables.names_of(name)})
        ):
            return self._temporary(node, bound)
        return bound

    def _counter_type(self, *bounds: ir.Expression) -> ScalarType:
        scalar = self.index_type
        for bound in bounds:
            kind = operators.scalar_type(bound)
            if not (isinstance(bound, ir.Constant) and bound.is_weak and kind is INT32):
                scalar = promote(scalar, kind)
        # Counting past the last value must not overflow.
        limits = [int(bound.value) for bound in bounds[1:] if isinstance(bound, ir.Constant)]
        return INT64 if len(limits) == 2 and not INT32.minimum <= sum(limits) <= INT32.maximum else scalar

    @staticmethod
    def _falls_to_zero(stop: ir.Expression, step: ir.Expression) -> bool:
        falls = isinstance(step, ir.Constant) and step.value < 0
        return falls and isinstance(stop, ir.Constant) and stop.value >= -1

    # ---- Loops over a tuple ----------------------------------------------------------------------------------------

    def _unrolled_loop(self, node: ast.For, items: Sequence[Value]) -> None:
        """Write the body once for each item; the loop's variable is the item itself where nobody could tell."""
        surveyed = self.variables.survey.loops[id(node)]
        changed = surveyed.assigned | {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
        kept = [self._kept_item(node, item, changed) for item in items]
        outer, loop = self._body, Loop(self._completion_flag(node), is_unrolled=True)
        self.loops.append(loop)
        for item in kept:
            was_cleared = loop.is_flag_cleared
            loop.has_jump, loop.continues, loop.body = False, [], []
            self._body = loop.body
            self._turn(node, item)
            self._body = outer
            self._emit_turn(node, loop, was_cleared)
            self.assigned = self.join_assigned(self.assigned, *loop.continues)
            if self.assigned is None or loop.ended == "break":
                break
        self.loops.pop()
        self._loop_else(node, loop)
        self.assigned = self.join_assigned(self.assigned, *loop.breaks)

    def _kept_item(self, node: ast.For, item: Value, changed: set[str]) -> Value:
        if isinstance(item, TupleValue):
            return TupleValue(tuple(self._kept_item(node, part, changed) for part in item.items))
        is_number = values.is_expression(item) and isinstance(item.type, ScalarType)
        return self._fixed(node, item, changed) if is_number else item  # type: ignore[arg-type]

    def _turn(self, node: ast.For, item: Value) -> None:
        """Parse one turn into the current block."""
        if id(node) not in self.variables.survey.owned:
            self.assign_target(node.target, item)
            self._statements(node.body)
            return
        names = self._bind_items(node.target, item)
        self._statements(node.body)
        for name in names:
            self.bound[name].pop()

    def _bind_items(self, target: ast.expr, item: Value) -> list[str]:
        """Let names stand for the items of this turn."""
        if isinstance(target, ast.Name):
            self.bound.setdefault(target.id, []).append(item)
            return [target.id]
        if not isinstance(target, ast.Tuple | ast.List):
            raise self.error(target, "a loop over a tuple assigns names", "write `for a, b in ...`")
        if not isinstance(item, TupleValue) or len(item.items) != len(target.elts):
            count = len(item.items) if isinstance(item, TupleValue) else 1
            raise self.error(target, f"{len(target.elts)} targets for {count} value{'s' if count != 1 else ''}")
        pairs = zip(target.elts, item.items, strict=True)
        return [name for part, value in pairs for name in self._bind_items(part, value)]

    def _statements(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if self.assigned is None:
                break
            self.statement(statement)

    def _emit_turn(self, node: ast.For, loop: Loop, is_guarded: bool) -> None:
        """Append a turn: only where no ``break`` came before it, and in a block that jumps can leave."""
        turn = loop.body
        if loop.has_jump:
            turn = [ir.Once(turn, self.source.line(node))]
        if is_guarded and loop.flag is not None:
            turn = [ir.If(ir.Read(loop.flag, BOOL), turn, [], self.source.line(node))]
        self._body.extend(turn)
