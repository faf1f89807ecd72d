"""Type inference: the variables of a function, and the pass over it repeated until no type changes.

A pass reads each variable at the type known so far and widens it by every value assigned to it. A later assignment can
widen a variable that earlier statements have read (``acc = 0`` before ``acc = acc + 1.5`` in a loop); then the pass is
repeated with what is known now. So it is where a pass has relied on the sign or on the one value of a variable, and a
later assignment takes that away. Types only widen, and there are few, so this ends after two or three passes; most
functions need one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from . import fold, ir
from .types import BOOL, ScalarType, VectorType, join

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable

    from .survey import Survey
    from .types import Type


_Parsed = TypeVar("_Parsed")


class TypeConflictError(Exception):
    """Two values of one variable that no type can hold both of; ``line`` is where the other one is assigned."""

    def __init__(self, name: str, held: object, assigned: object, line: int) -> None:
        self.name, self.held, self.assigned, self.line = name, held, assigned, line
        super().__init__(name)


class Variables:
    """The local variables of one function, across the passes over it."""

    def __init__(self, surveyed: Survey, keeps_literals_weak: bool) -> None:
        self.survey = surveyed
        self.local_names = self.survey.assigned
        self.changed = False
        self.keeps_literals_weak = keeps_literals_weak
        self._variables: dict[str, ir.Variable] = {}
        self._private: dict[int, ir.Variable] = {}
        # What names mean in the loops around, and what each shadow of them hides.
        self._shadows: dict[str, ir.Variable] = {}
        self._hidden: list[tuple[str, ir.Variable | None]] = []
        # Names that hold tuples, with the number of items and the line; each item is a variable, `name.0`.
        self._tuples: dict[str, tuple[int, int]] = {}

    def begin_pass(self) -> None:
        """Forget what is counted anew in each pass; types stay."""
        self.changed = False
        for variable in self._variables.values():
            variable.assignments = 0
            variable.is_constant_used = variable.is_sign_used = False

    def is_known(self, name: str) -> bool:
        """Whether an assignment to the name has been seen."""
        return name in self._variables or name in self._tuples

    def is_assigned(self, name: str) -> bool:
        """Whether this pass has seen an assignment to the name."""
        variable = self._variables.get(name)
        return name in self._tuples or (variable is not None and variable.assignments > 0)

    def line_of(self, name: str) -> int:
        """Return where a variable is assigned first."""
        return self._tuples[name][1] if name in self._tuples else self._variables[name].line

    def tuple_length(self, name: str) -> int | None:
        """Return how many items a name holds, None where it holds no tuple."""
        found = self._tuples.get(name)
        return None if found is None else found[0]

    def is_variable(self, name: str, variable: ir.Variable) -> bool:
        """Whether a name means this variable."""
        return self._variables.get(name) is variable

    def assign_tuple(self, name: str, count: int, line: int) -> None:
        """Record that a name holds a tuple; its items are assigned as `name.0`, `name.1`, ...

        Raises:
            TypeConflictError: it holds something else at another place.
        """
        known = self._variables.get(name)
        if known is not None:
            raise TypeConflictError(name, known.type, f"a tuple of {count}", known.line)
        held = self._tuples.setdefault(name, (count, line))
        if held[0] != count:
            raise TypeConflictError(name, f"a tuple of {held[0]}", f"a tuple of {count}", held[1])

    def names_of(self, name: str) -> list[str]:
        """Return the names of the variables that hold a name's value: its items', where that is a tuple."""
        count = self.tuple_length(name)
        if count is None:
            return [name.replace(".", "_")]
        return [part for index in range(count) for part in self.names_of(f"{name}.{index}")]

    def type_of(self, name: str) -> Type:
        """Return the type of a variable so far."""
        return self._variables[name].type

    def is_non_negative(self, name: str) -> bool:
        """Whether all values assigned to a variable are known to be 0 or more."""
        variable = self._variables[name]
        variable.is_sign_used = True
        return variable.is_non_negative

    def read(self, name: str) -> ir.Expression:
        """Return a variable's value; a literal that nothing else was assigned over still adapts to what it meets."""
        variable = self._shadows.get(name) or self._variables[name]
        literal = variable.constant
        if self.keeps_literals_weak and literal is not None and variable.assignments == 1:
            variable.is_constant_used = True
            return ir.Constant(literal.value, literal.type)
        return ir.Read(variable, variable.type)

    def assign(self, name: str, value: ir.Expression, line: int) -> tuple[ir.Variable, ir.Expression]:
        """Record an assignment; return the variable, and the value converted to its type.

        Raises:
            TypeConflictError: the variable holds something else at another place.
        """
        if name in self._tuples:
            raise TypeConflictError(name, f"a tuple of {self._tuples[name][0]}", value.type, self._tuples[name][1])
        variable = self._variables.get(name)
        if variable is None:
            variable = self._variables[name] = ir.Variable(name.replace(".", "_"), value.type, line)
            variable.is_non_negative = _is_known_non_negative(value)
            variable.constant = _constant_of(value)
        else:
            self._widen(variable, value)
        variable.assignments += 1
        if isinstance(variable.type, ScalarType):
            value = fold.convert(value, variable.type)
        elif isinstance(variable.type, VectorType) and value.type != variable.type:
            value = ir.Cast(value, variable.type)
        return variable, value

    def _widen(self, variable: ir.Variable, value: ir.Expression) -> None:
        held, assigned = variable.type, value.type
        if held != assigned:
            joined = held if variable.is_pinned else self._joined(variable, held, assigned)
            if joined != held:
                variable.type = joined
                self.changed = True
        if variable.is_non_negative and not _is_known_non_negative(value):
            variable.is_non_negative = False
            self.changed = self.changed or variable.is_sign_used
        if variable.constant is not None:
            constant = _constant_of(value)
            if constant is None or constant.value != variable.constant.value:
                variable.constant = None
                self.changed = self.changed or variable.is_constant_used

    @staticmethod
    def _joined(variable: ir.Variable, held: Type, assigned: Type) -> Type:
        if isinstance(held, ScalarType) and isinstance(assigned, ScalarType):
            return join(held, assigned)
        if isinstance(held, VectorType) and isinstance(assigned, VectorType) and held.size == assigned.size:
            return VectorType(join(held.element, assigned.element), held.size)
        raise TypeConflictError(variable.name, held, assigned, variable.line)

    def pin(self, name: str, kind: ScalarType | VectorType, line: int) -> None:
        """Fix a variable's type by an annotation.

        Raises:
            TypeConflictError: another annotation or assignment gave it another type.
        """
        variable = self._variables.get(name)
        if variable is None:
            self._variables[name] = ir.Variable(name, kind, line, is_pinned=True)
        elif variable.is_pinned and variable.type != kind:
            raise TypeConflictError(name, variable.type, kind, variable.line)
        elif not variable.is_pinned:
            self.changed = self.changed or variable.type != kind
            variable.type, variable.is_pinned = kind, True

    def pinned_type(self, name: str) -> ScalarType | VectorType | None:
        """Return the type that an annotation fixed."""
        variable = self._variables.get(name)
        if variable is None or not variable.is_pinned:
            return None
        return variable.type if isinstance(variable.type, ScalarType | VectorType) else None

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
        self._hidden.append((name, self._shadows.get(name)))
        self._shadows[name] = variable

    def unshadow(self) -> None:
        """End the last :meth:`shadow`."""
        name, hidden = self._hidden.pop()
        if hidden is None:
            del self._shadows[name]
        else:
            self._shadows[name] = hidden


def _constant_of(value: ir.Expression) -> ir.Constant | None:
    """Return the literal that a value is, also where a variable holds it and nothing else."""
    if isinstance(value, ir.Read):
        value.variable.is_constant_used = True
        return value.variable.constant
    return value if isinstance(value, ir.Constant) and value.is_weak else None


def _is_known_non_negative(value: ir.Expression) -> bool:
    is_integer = value.type is BOOL or (isinstance(value.type, ScalarType) and value.type.is_integer)
    return is_integer and ir.is_non_negative(value)


def stable(variables: Variables, one_pass: Callable[[], _Parsed]) -> _Parsed:
    """Repeat a pass until it has read every variable at its final type; return what the last one built."""
    while True:
        variables.begin_pass()
        parsed = one_pass()
        if not variables.changed:
            return parsed
