"""Where C++ declares each variable.

Python has one scope for a function, C++ one for each block. A variable is declared in the innermost block that holds
all of its uses: with its first assignment where that stands directly in the block, in the head of a loop that counts in
it where all uses are in that loop, otherwise in front of the statement that uses it first. The parser has made sure
that every use follows an assignment on all paths, so a variable whose uses all lie in a loop's body carries nothing
from one round to the next. Where its uses fall into several inner blocks, each of which assigns it before reading it,
each block declares its own.

A variable that is never read is dropped with its assignments, where these have no effect of their own. A parameter of a
function that Python assigns is assigned itself, as it is the function's own in C++ too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from . import ir

if TYPE_CHECKING:
    from collections.abc import Container

Path = list[tuple[list[ir.Statement], int]]  # block and index of a statement and of those around it, outermost first


@dataclass(slots=True)
class Declarations:
    """What is declared where.

    Attributes:
        with_assignment: assignments that declare their variable, and loops that declare their counter.
        before: variables declared in front of a statement, by the id of the block and the statement's index.
        variables: all of them, in the order of their first use.
    """

    with_assignment: set[int] = field(default_factory=set)
    before: dict[tuple[int, int], list[ir.Variable]] = field(default_factory=dict)
    variables: list[ir.Variable] = field(default_factory=list)


Uses: TypeAlias = "dict[int, list[ir.Read | ir.AssignExpression]]"

_USING = frozenset({ir.Read, ir.AssignExpression})


def drop_unread(body: list[ir.Statement]) -> Uses:
    """Drop assignments to variables that nothing reads, and what only they read.

    Returns:
        Where the expressions of each statement, by its id, use variables, in the order of the text.
    """
    statements = ir.walk_statements(body)
    uses = {id(statement): _uses_in(statement) for statement in statements}
    while True:
        assigned: set[int] = set()
        read: set[int] = set()
        for statement in statements:
            own = statement.variable if isinstance(statement, ir.Assign) else None
            if own is not None:
                assigned.add(id(own))
            for part in uses[id(statement)]:
                if type(part) is ir.Read and (part.variable is not own or _keeps_itself(statement)):
                    read.add(id(part.variable))
        if assigned <= read:
            return uses
        _drop(body, read, uses)
        statements = ir.walk_statements(body)


def _uses_in(statement: ir.Statement) -> list[ir.Read | ir.AssignExpression]:
    found: list[ir.Read | ir.AssignExpression] = []
    for expression in ir.expressions(statement):
        found += [part for part in ir.walk(expression) if type(part) in _USING]  # type: ignore[misc]
    return found


def _keeps_itself(statement: ir.Statement) -> bool:
    """Whether an assignment that reads its own variable is done even if nothing else reads that.

    `x = x + 1` alone keeps nothing alive, but `x = ml.atomic_add(y, 0, x)` does.
    """
    return isinstance(statement, ir.Assign) and ir.has_effect(statement.value)


def _drop(body: list[ir.Statement], read: set[int], uses: Uses) -> None:
    for index in range(len(body) - 1, -1, -1):
        statement = body[index]
        if isinstance(statement, ir.Assign) and id(statement.variable) not in read:
            if not ir.has_effect(statement.value):
                del body[index]
            else:
                body[index] = ir.Evaluate(statement.value, statement.line)
                uses[id(body[index])] = uses[id(statement)]
        for block in ir.blocks(statement):
            _drop(block, read, uses)


def remove_copies(function: ir.Function) -> dict[int, int]:
    """Drop the copies of arguments into variables of the same type.

    Returns:
        The id of the argument that each of these variables is, by the id of the variable.
    """
    found: dict[int, int] = {}
    for copy in function.copies:
        if (
            isinstance(copy, ir.Assign)
            and isinstance(copy.value, ir.ArgumentRead)
            and copy.variable.type == copy.value.type
            and any(copy is statement for statement in function.body)
        ):
            function.body.remove(copy)
            found[id(copy.variable)] = id(copy.value.argument)
    return found


def declare(body: list[ir.Statement], uses: Uses, known: Container[int] = ()) -> Declarations:
    """Return where each variable of a function is declared; those whose ids are in ``known`` have been."""
    search = _Search(uses, known)
    search.block(body, [])
    declarations = Declarations(variables=search.variables)
    for variable in search.variables:
        loop = search.counters.get(id(variable))
        if loop is not None:
            declarations.with_assignment.add(id(loop))
        elif not _declare_in_blocks(variable, search.paths[id(variable)], uses, declarations):
            _declare_in_front(variable, search.paths[id(variable)], declarations)
    return declarations


class _Search:
    """Finds where variables are used.

    Attributes:
        variables: those that are not known, in the order of their first use.
        paths: the statements that use each of them, by its id.
        counters: the loop, by the id of a variable that nothing else assigns.
    """

    def __init__(self, uses: Uses, known: Container[int]) -> None:
        self.variables: list[ir.Variable] = []
        self.paths: dict[int, list[Path]] = {}
        self.counters: dict[int, ir.For | None] = {}
        self._uses, self._known = uses, known

    def block(self, block: list[ir.Statement], path: Path) -> None:
        """Search the statements of a block, and those inside them."""
        for index, statement in enumerate(block):
            here = [*path, (block, index)]
            for part in self._uses[id(statement)]:
                self._use(part.variable, here)
                if type(part) is ir.AssignExpression:
                    self.counters[id(part.variable)] = None
            if isinstance(statement, ir.Assign):
                self._use(statement.variable, here)
                self.counters[id(statement.variable)] = None
            elif isinstance(statement, ir.For):
                counter = id(statement.counter)
                self.counters[counter] = None if counter in self.counters else statement
                self._use(statement.counter, here)
            for child in ir.blocks(statement):
                self.block(child, here)

    def _use(self, variable: ir.Variable, path: Path) -> None:
        found = self.paths.get(id(variable))
        if found is not None:
            # A statement that uses a variable twice says nothing more of where it belongs.
            if found[-1] is not path:
                found.append(path)
        elif id(variable) not in self._known:
            self.paths[id(variable)] = [path]
            self.variables.append(variable)


def _common_depth(paths: list[Path]) -> int:
    """Return how many blocks hold every use."""
    depth = len(paths[0])
    for path in paths[1:]:
        depth = min(depth, len(path))
        while path[depth - 1][0] is not paths[0][depth - 1][0]:
            depth -= 1
    return depth


def _declare_in_blocks(variable: ir.Variable, paths: list[Path], uses: Uses, declarations: Declarations) -> bool:
    """Declare a variable with the assignment that comes before all other uses, or so in each of several blocks.

    Returns False, having changed nothing, where a use may get its value from elsewhere.
    """
    depth = _common_depth(paths)
    first = paths[0]
    block, index = first[depth - 1]
    statement = block[index]
    if len(first) == depth and isinstance(statement, ir.Assign) and statement.variable is variable:
        if any(type(part) is ir.Read and part.variable is variable for part in uses[id(statement)]):
            return False
        declarations.with_assignment.add(id(statement))
        return True
    if isinstance(statement, ir.For) and statement.counter is variable:
        if any(path[depth - 1][1] != index for path in paths):
            return False
        declarations.with_assignment.add(id(statement))
        return True
    if any(len(path) == depth for path in paths):
        return False
    groups: dict[int, list[Path]] = {}
    for path in paths:
        groups.setdefault(id(path[depth][0]), []).append(path)
    if len(groups) < 2:
        return False
    trial = Declarations()
    if not all(_declare_in_blocks(variable, group, uses, trial) for group in groups.values()):
        return False
    declarations.with_assignment |= trial.with_assignment
    return True


def _declare_in_front(variable: ir.Variable, paths: list[Path], declarations: Declarations) -> None:
    """Declare a variable in front of the first statement that uses it, in the innermost block that holds all uses."""
    block, index = paths[0][_common_depth(paths) - 1]
    declarations.before.setdefault((id(block), index), []).append(variable)
