"""Offsets into tensors that a loop does not change are computed in front of it.

``x[row * x_stride_0 + column]`` in a loop over columns becomes ``x[x_offset + column]``, with ``int x_offset = row *
x_stride_0;`` before the loop. Only sums and products of integers move, whose evaluation nobody can observe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import ir
from .types import ScalarType

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

_SUFFIX = "_offset"
_LEAVES = (ir.Constant, ir.ArgumentRead, ir.Position)


def hoist_offsets(body: list[ir.Statement]) -> None:
    """Move what each loop of a block, and the loops inside it, leaves unchanged of its offsets."""
    index = 0
    while index < len(body):
        statement = body[index]
        if isinstance(statement, ir.For | ir.While):
            moved = _of_loop(statement)
            body[index:index] = moved
            index += len(moved)
        for block in ir.blocks(statement):
            hoist_offsets(block)
        index += 1


def _of_loop(loop: ir.For | ir.While) -> list[ir.Statement]:
    """Return the assignments that go in front of a loop, and let its elements use them."""
    elements = list(_elements(loop))
    if not elements:
        return []
    changed = _assigned(loop)
    moved: dict[Hashable, ir.Assign] = {}
    for element in elements:
        _move(element, changed, moved)
    return list(moved.values())


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


def _assigned(loop: ir.For | ir.While) -> set[int]:
    """Return the variables, by their ids, that a turn of a loop changes."""
    found = {id(loop.counter)} if isinstance(loop, ir.For) else set()
    expressions = [loop.test] if isinstance(loop, ir.While) else []
    for statement in ir.walk_statements(loop.body):
        if isinstance(statement, ir.Assign | ir.StoreComponents):
            found.add(id(statement.variable))
        elif isinstance(statement, ir.For):
            found.add(id(statement.counter))
        expressions += ir.expressions(statement)
    for expression in expressions:
        found.update(id(part.variable) for part in ir.walk(expression) if isinstance(part, ir.AssignExpression))
    return found


def _terms(node: ir.Expression) -> list[ir.Expression]:
    """Return what a sum adds up, from left to right."""
    if isinstance(node, ir.Binary) and node.operator == "+":
        return [*_terms(node.left), *_terms(node.right)]
    return [node]


def _move(element: ir.Element, changed: set[int], moved: dict[Hashable, ir.Assign]) -> None:
    (offset,) = element.indices
    scalar = offset.type
    terms = _terms(offset)
    fixed = [term for term in terms if _is_work(term) and _is_fixed(term, changed)]
    if not isinstance(scalar, ScalarType) or not any(isinstance(term, ir.Binary) for term in fixed):
        return
    total = _sum(fixed, scalar)
    key = _key(total)
    assignment = moved.get(key)
    if assignment is None:
        assert isinstance(element.base, ir.TensorReference)  # as _elements() yields no others
        variable = ir.Variable(f"{element.base.argument.name}{_SUFFIX}", scalar, is_temporary=True)
        # Of no line: the loop's own follows.
        assignment = moved[key] = ir.Assign(variable, total, 0)
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
