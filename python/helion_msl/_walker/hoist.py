"""Offsets into tensors that a loop does not change are computed in front of it.

``x[row * x_stride_0 + column]`` in a loop over columns becomes ``x[x_offset + column]``, with ``int x_offset = row *
x_stride_0;`` before the loop. Only sums and products of integers move, whose evaluation nobody can observe. A later
loop reads the offset of an earlier one that always comes before it, as long as nothing has assigned what it is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from . import ir
from .types import ScalarType

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

_Offsets: TypeAlias = "dict[Hashable, ir.Assign]"  # by what is computed

_SUFFIX = "_offset"
_LOOPS = (ir.For, ir.While)
_LEAVES = (ir.Constant, ir.ArgumentRead, ir.Position)


def hoist_offsets(body: list[ir.Statement]) -> None:
    """Move what each loop of a function, and the loops inside it, leaves unchanged of its offsets."""
    if any(isinstance(statement, _LOOPS) for statement in ir.walk_statements(body)):
        _Hoister(body).block(body, {})


class _Hoister:
    """Moves the offsets of one function."""

    def __init__(self, body: list[ir.Statement]) -> None:
        self._changes: dict[int, set[int]] = {}
        _note_changes(body, self._changes)

    def block(self, body: list[ir.Statement], known: _Offsets) -> None:
        """Move the offsets of the loops of a block, where those in ``known`` have been computed."""
        index = 0
        while index < len(body):
            statement = body[index]
            changed = self._changes[id(statement)]
            if changed:
                known = {key: offset for key, offset in known.items() if not _reads(offset.value, changed)}
            if isinstance(statement, _LOOPS):
                moved = _of_loop(statement, changed, known)
                body[index:index] = moved
                index += len(moved)
            for block in ir.blocks(statement):
                self.block(block, dict(known))
            index += 1


def _note_changes(body: list[ir.Statement], changes: dict[int, set[int]]) -> set[int]:
    """Note for each statement, by its id, the ids of the variables that it assigns; return those of the block."""
    in_block: set[int] = set()
    for statement in body:
        changed = {
            id(part.variable)
            for expression in ir.expressions(statement)
            for part in ir.walk(expression)
            if isinstance(part, ir.AssignExpression)
        }
        if isinstance(statement, ir.Assign | ir.StoreComponents):
            changed.add(id(statement.variable))
        elif isinstance(statement, ir.For):
            changed.add(id(statement.counter))
        for block in ir.blocks(statement):
            changed |= _note_changes(block, changes)
        changes[id(statement)] = changed
        in_block |= changed
    return in_block


def _reads(node: ir.Expression, variables: set[int]) -> bool:
    return any(isinstance(part, ir.Read) and id(part.variable) in variables for part in ir.walk(node))


def _of_loop(loop: ir.For | ir.While, changed: set[int], known: _Offsets) -> list[ir.Assign]:
    """Return the assignments that go in front of a loop, and let its elements use them and the known ones."""
    count = len(known)
    for element in _elements(loop):
        _move(element, changed, known)
    return list(known.values())[count:]


def _elements(loop: ir.For | ir.While) -> Iterator[ir.Element]:
    """Yield the elements of tensors that a loop reads and writes."""
    tests = [loop.test] if isinstance(loop, ir.While) else []
    parts = [part for test in tests for part in ir.walk(test)]
    for statement in ir.walk_statements(loop.body):
        if isinstance(statement, ir.Store) and isinstance(statement.element.base, ir.TensorReference):
            yield statement.element
        parts += [part for expression in ir.expressions(statement) for part in ir.walk(expression)]
    for part in parts:
        if isinstance(part, ir.Load | ir.AddressOf | ir.VectorStore) and isinstance(
            part.element.base, ir.TensorReference
        ):
            yield part.element


def _terms(node: ir.Expression) -> list[ir.Expression]:
    """Return what a sum adds up, from left to right."""
    if isinstance(node, ir.Binary) and node.operator == "+":
        return [*_terms(node.left), *_terms(node.right)]
    return [node]


def _move(element: ir.Element, changed: set[int], known: _Offsets) -> None:
    (offset,) = element.indices
    scalar = offset.type
    terms = _terms(offset)
    fixed = [term for term in terms if _is_work(term) and _is_fixed(term, changed)]
    if not isinstance(scalar, ScalarType) or not any(isinstance(term, ir.Binary) for term in fixed):
        return
    total = _sum(fixed, scalar)
    key = _key(total)
    assignment = known.get(key)
    if assignment is None:
        assert isinstance(element.base, ir.TensorReference)  # as _elements() yields no others
        variable = ir.Variable(f"{element.base.argument.name}{_SUFFIX}", scalar, is_temporary=True)
        # Of no line: the loop's own follows.
        assignment = known[key] = ir.Assign(variable, total, 0)
    rest = [term for term in terms if not any(term is other for other in fixed)]
    element.indices = (_sum([ir.Read(assignment.variable, scalar), *rest], scalar),)


def _is_work(term: ir.Expression) -> bool:
    """Whether a term is a product, or what was moved out of a loop around this one."""
    if isinstance(term, ir.Read):
        return term.variable.is_temporary and term.variable.name.endswith(_SUFFIX)
    return isinstance(term, ir.Binary)


def _sum(terms: list[ir.Expression], scalar: ScalarType) -> ir.Expression:
    total = terms[0]
    for term in terms[1:]:
        total = ir.Binary("+", total, term, scalar)
    return total


def _is_fixed(node: ir.Expression, changed: set[int]) -> bool:
    """Whether an expression is a number that the loop does not change, made of sums and products of integers."""
    if isinstance(node, ir.Read):
        return id(node.variable) not in changed
    if isinstance(node, _LEAVES):
        return True
    if isinstance(node, ir.Cast):
        return isinstance(node.type, ScalarType) and node.type.is_integer and _is_fixed(node.operand, changed)
    if isinstance(node, ir.Binary) and node.operator in ("+", "-", "*"):
        return _is_fixed(node.left, changed) and _is_fixed(node.right, changed)
    return False


def _key(node: ir.Expression) -> Hashable:
    """Return what equal expressions have in common."""
    match node:
        case ir.Read():
            return ("variable", id(node.variable))
        case ir.ArgumentRead():
            return ("argument", id(node.argument))
        case ir.Position():
            return (node.kind, node.axis)
        case ir.Constant():
            return (node.value, id(node.type))
        case _:
            return (type(node), getattr(node, "operator", ""), id(node.type), *map(_key, ir.operands(node)))
