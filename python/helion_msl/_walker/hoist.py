"""Offsets into tensors that a loop does not change are computed in front of it.

``x[row * x_stride_0 + column]`` in a loop over columns becomes ``x[x_offset + column]``, with ``long x_offset = row *
x_stride_0;`` before the loop. Only sums and products of integers move, whose evaluation nobody can observe. A later
loop reads the offset of an earlier one that always comes before it, as long as nothing has assigned what it is made of.

An offset has 64 bits, and so has what is added to it in the loop: as an address it gets them anyway, in front of the
loop instead of for each element. That makes the sum exact in any order, which terms of 32 bits are not where the terms
that move stand among others. A pointer to the row would be as fast, but the row of a thread that a later condition
excludes may lie outside of the tensor, where C++ lets no pointer be formed.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from . import fold, ir
from .types import INT32, INT64, ScalarType


class _Offset(NamedTuple):
    """A variable that holds an offset, and the ids of those that it was computed from."""

    assignment: ir.Assign
    read: frozenset[int]


_Offsets: TypeAlias = dict[Hashable, _Offset]  # by what is computed

_SUFFIX = "_offset"
_LOOPS = (ir.For, ir.While)
_WITH_ELEMENT = (ir.Load, ir.AddressOf, ir.VectorStore)
_ASSIGNING = (ir.Assign, ir.StoreComponents)
_LEAVES = (ir.Constant, ir.ArgumentRead, ir.Position)


def hoist_offsets(body: list[ir.Statement]) -> None:
    """Move what each loop of a function, and the loops inside it, leaves unchanged of its offsets."""
    if any(isinstance(statement, _LOOPS) for statement in ir.walk_statements(body)):
        _Hoister().block(body, {})


@dataclass(slots=True)
class _Contents:
    """What a statement and those inside it contain.

    Attributes:
        changed: the variables, by their ids, that they assign.
        stored: the elements of tensors that they store into, in the order of the text.
        used: those that their expressions read and write, in the order of the text.
        bounds: how many of `used` a counted loop evaluates once, in front of its first round.
    """

    changed: set[int] = field(default_factory=set)
    stored: list[ir.Element] = field(default_factory=list)
    used: list[ir.Element] = field(default_factory=list)
    bounds: int = 0


class _Hoister:
    """Moves the offsets of one function."""

    def __init__(self) -> None:
        self._contents: dict[int, _Contents] = {}  # by the id of the statement

    def block(self, body: list[ir.Statement], known: _Offsets) -> None:
        """Move the offsets of the loops of a block, where those in ``known`` have been computed."""
        index = 0
        while index < len(body):
            statement = body[index]
            if known:
                changed = self._contents_of(statement).changed
                if changed and any(not offset.read.isdisjoint(changed) for offset in known.values()):
                    known = {key: offset for key, offset in known.items() if offset.read.isdisjoint(changed)}
            if isinstance(statement, _LOOPS):
                moved = self._of_loop(statement, known)
                body[index:index] = moved
                index += len(moved)
            for block in ir.blocks(statement):
                self.block(block, dict(known))
            index += 1

    def _of_loop(self, loop: ir.For | ir.While, known: _Offsets) -> list[ir.Assign]:
        """Return the assignments that go in front of a loop, and let its elements use them and the known ones."""
        count, contents = len(known), self._contents_of(loop)
        for element in (*contents.stored, *contents.used[contents.bounds :]):
            _move(element, contents.changed, known)
        return [offset.assignment for offset in list(known.values())[count:]]

    def _contents_of(self, statement: ir.Statement) -> _Contents:
        found = self._contents.get(id(statement))
        if found is None:
            found = self._contents[id(statement)] = _own_contents(statement)
            for block in ir.blocks(statement):
                for inner in block:
                    contents = self._contents_of(inner)
                    found.changed |= contents.changed
                    found.stored += contents.stored
                    found.used += contents.used
        return found


def _own_contents(statement: ir.Statement) -> _Contents:
    """Return what a statement contains beside the statements inside it."""
    found = _Contents()
    if isinstance(statement, _ASSIGNING):
        found.changed.add(id(statement.variable))
    elif isinstance(statement, ir.Store) and isinstance(statement.element.base, ir.TensorReference):
        found.stored.append(statement.element)
    for expression in ir.expressions(statement):
        for part in ir.walk(expression):
            if isinstance(part, ir.AssignExpression):
                found.changed.add(id(part.variable))
            elif isinstance(part, _WITH_ELEMENT) and isinstance(part.element.base, ir.TensorReference):
                found.used.append(part.element)
    if isinstance(statement, ir.For):
        found.changed.add(id(statement.counter))
        found.bounds = len(found.used)
    return found


def _terms(node: ir.Expression) -> list[ir.Expression]:
    """Return what a sum adds up from left to right, a sum in parentheses as one term."""
    terms: list[ir.Expression] = []
    while isinstance(node, ir.Binary) and node.operator == "+":
        terms.append(node.right)
        node = node.left
    terms.append(node)
    terms.reverse()
    return terms


def _move(element: ir.Element, changed: set[int], known: _Offsets) -> None:
    (index,) = element.indices
    scalar = index.type
    terms = _terms(index)
    fixed: list[ir.Expression] = []
    rest: list[ir.Expression] = []
    for term in terms:
        (fixed if _is_work(term) and _is_fixed(term, changed) else rest).append(term)
    if not isinstance(scalar, ScalarType) or all(isinstance(term, ir.Read) for term in fixed):
        return
    wide = INT64 if scalar is INT32 else scalar
    total = _total(fixed, terms, scalar, wide)
    key = _key(total)
    found = known.get(key)
    if found is None:
        assert isinstance(element.base, ir.TensorReference)  # as _elements() yields no others
        variable = ir.Variable(f"{element.base.argument.name}{_SUFFIX}", wide, is_temporary=True)
        # Of no line: the loop's own follows.
        read = frozenset(id(part.variable) for part in ir.walk(total) if isinstance(part, ir.Read))
        found = known[key] = _Offset(ir.Assign(variable, total, 0), read)
    left: ir.Expression = ir.Read(found.assignment.variable, wide)
    for term in rest:
        # C++ widens the term itself.
        left = ir.Binary("+", left, term, wide)
    element.indices = (left,)


def _total(
    fixed: list[ir.Expression], terms: list[ir.Expression], scalar: ScalarType, wide: ScalarType
) -> ir.Expression:
    """Return the sum of some terms of an index: in its own type as long as it begins with them, then in 64 bits."""
    total, kind = fixed[0], scalar if fixed[0] is terms[0] else wide
    for term, other in zip(fixed[1:], terms[1:], strict=False):
        kind = kind if term is other else wide
        total = ir.Binary("+", fold.convert(total, kind), fold.convert(term, kind), kind)
    return total


def _is_work(term: ir.Expression) -> bool:
    """Whether a term is or contains a product, or is what was moved out of a loop around this one."""
    if isinstance(term, ir.Read):
        return term.variable.is_temporary and term.variable.name.endswith(_SUFFIX)
    return isinstance(term, ir.Binary) and (term.operator != "+" or _is_work(term.left) or _is_work(term.right))


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
