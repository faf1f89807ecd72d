"""Type inference: the variables of a function, and the pass over it repeated until no type changes.

A pass reads each variable at the type known so far and widens it by every value assigned to it. A later assignment can
widen a variable that earlier statements have read (``acc = 0`` before ``acc = acc + 1.5`` in a loop); then the pass is
repeated with what is known now. Types only widen, and there are few, so this ends after two or three passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import fold, ir
from .survey import survey
from .types import BOOL, ScalarType, join

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable


class TypeConflictError(Exception):
    """Two values of one variable that no type can hold both of; ``line`` is where the other one is assigned."""

    def __init__(self, name: str, held: object, assigned: object, line: int) -> None:
        self.name, self.held, self.assigned, self.line = name, held, assigned, line
        super().__init__(name)


class Variables:
    """The local variables of one function, across the passes over it."""

    def __init__(self, definition: ast.FunctionDef, keeps_literals_weak: bool) -> None:
        self.survey = survey(definition)
        self.local_names = self.survey.assigned
        self.changed = False
        self._keeps_literals_weak = keeps_literals_weak
        self._variables: dict[str, ir.Variable] = {}
        self._private: dict[int, ir.Variable] = {}
        self._shadows: list[tuple[str, ir.Variable]] = []

    def begin_pass(self) -> None:
        """Forget what is counted anew in each pass; types stay."""
        self.changed = False
        for variable in self._variables.values():
            variable.assignments = 0

    def is_known(self, name: str) -> bool:
        """Whether an assignment to the name has been seen."""
        return name in self._variables

    def line_of(self, name: str) -> int:
        """Return where a variable is assigned first."""
        return self._variables[name].line

    def _find(self, name: str) -> ir.Variable:
        for shadowed, variable in reversed(self._shadows):
            if shadowed == name:
                return variable
        return self._variables[name]

    def read(self, name: str) -> ir.Expression:
        """Return a variable's value; a literal that nothing else was assigned over still adapts to what it meets."""
        variable = self._find(name)
        literal = variable.constant
        if self._keeps_literals_weak and literal is not None and variable.assignments == 1:
            return ir.Constant(literal.value, literal.type)
        return ir.Read(variable, variable.type)

    def assign(self, name: str, value: ir.Expression, line: int) -> tuple[ir.Variable, ir.Expression]:
        """Record an assignment; return the variable, and the value converted to its type.

        Raises:
            TypeConflictError: the variable holds something else at another place.
        """
        variable = self._variables.get(name)
        if variable is None:
            variable = self._variables[name] = ir.Variable(name, value.type, line)
            variable.is_non_negative = _is_known_non_negative(value)
            variable.constant = value if isinstance(value, ir.Constant) and value.is_weak else None
        else:
            self._widen(variable, value)
        variable.assignments += 1
        if isinstance(variable.type, ScalarType):
            value = fold.convert(value, variable.type)
        return variable, value

    def _widen(self, variable: ir.Variable, value: ir.Expression) -> None:
        held, assigned = variable.type, value.type
        if held != assigned:
            if not (isinstance(held, ScalarType) and isinstance(assigned, ScalarType)):
                raise TypeConflictError(variable.name, held, assigned, variable.line)
            joined = held if variable.is_pinned else join(held, assigned)
            if joined is not held:
                variable.type = joined
                self.changed = True
        if variable.is_non_negative and not _is_known_non_negative(value):
            variable.is_non_negative = False
            self.changed = True
        if variable.constant is not None and not (
            isinstance(value, ir.Constant) and value.is_weak and value.value == variable.constant.value
        ):
            variable.constant = None
            self.changed = True

    def pin(self, name: str, scalar: ScalarType, line: int) -> None:
        """Fix a variable's type by an annotation.

        Raises:
            TypeConflictError: another annotation or assignment gave it another type.
        """
        variable = self._variables.get(name)
        if variable is None:
            self._variables[name] = ir.Variable(name, scalar, line, is_pinned=True)
        elif variable.is_pinned and variable.type is not scalar:
            raise TypeConflictError(name, variable.type, scalar, variable.line)
        elif not variable.is_pinned:
            self.changed = self.changed or variable.type is not scalar
            variable.type, variable.is_pinned = scalar, True

    def pinned_type(self, name: str) -> ScalarType | None:
        """Return the type that an annotation fixed."""
        variable = self._variables.get(name)
        return variable.type if variable and variable.is_pinned and isinstance(variable.type, ScalarType) else None

    def counter(self, node: ast.For, name: str, scalar: ScalarType, is_non_negative: bool, line: int) -> ir.Variable:
        """Return the variable that counts a loop; it exists only in the loop."""
        counter = self._private.get(id(node))
        if counter is None:
            counter = self._private[id(node)] = ir.Variable(name, scalar, line)
        counter.type = scalar
        counter.is_non_negative = is_non_negative
        counter.assignments = 1
        return counter

    def shadow(self, name: str, variable: ir.Variable) -> None:
        """Let a name mean a loop's own counter, until :meth:`unshadow`."""
        self._shadows.append((name, variable))

    def unshadow(self) -> None:
        """End the last :meth:`shadow`."""
        self._shadows.pop()


def _is_known_non_negative(value: ir.Expression) -> bool:
    is_integer = value.type is BOOL or (isinstance(value.type, ScalarType) and value.type.is_integer)
    return is_integer and ir.is_non_negative(value)


def stable(variables: Variables, one_pass: Callable[[], ir.Kernel]) -> ir.Kernel:
    """Repeat a pass until it has read every variable at its final type; return what the last one built."""
    while True:
        variables.begin_pass()
        kernel = one_pass()
        if not variables.changed:
            return kernel
