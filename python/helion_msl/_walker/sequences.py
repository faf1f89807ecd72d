"""Tuples, which exist at translation only: their functions and operators, and the loops that are unrolled."""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING, Any

from .. import language
from . import fold, ir, operators, values
from .parse_base import fields_of, leaves_of
from .types import BOOL, TupleType, VectorType
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    from .parse_expressions import ExpressionParser
    from .threads import Handler
    from .values import Value

_NAMED = (ir.Read, ir.ArgumentRead)


def as_tuple(parser: ExpressionParser, value: Value) -> TupleValue | None:
    """Return a value as a tuple: one, a named vector, a position, a constant range; None for anything else."""
    if isinstance(value, TupleValue):
        return value
    if isinstance(value, _NAMED) and isinstance(value.type, VectorType):
        kind = value.type.element
        return TupleValue(tuple(ir.Swizzle(value, place, kind) for place in "xyzw"[: value.type.size]))
    if values.is_expression(value) and isinstance(value.type, TupleType):
        return _fields_computed_once(value)
    if isinstance(value, PythonObject) and isinstance(value.value, language.Position):
        from .threads import POSITIONS

        return TupleValue(tuple(parser.position(POSITIONS[id(value.value)], axis) for axis in range(3)))
    if isinstance(value, PythonObject) and isinstance(value.value, range) and len(value.value) <= MAXIMUM_TURNS:
        return TupleValue(tuple(fold.integer(number) for number in value.value))
    return None


def _fields_computed_once(value: ir.Expression) -> TupleValue:
    """Return the items of a call's result; where the call has an effect, the first item keeps it for the others."""
    if not ir.is_ordered(value):
        return fields_of(value)
    temporary = ir.Variable("value", value.type, is_temporary=True)
    first = fields_of(ir.AssignExpression(temporary, value, value.type)).items[:1]
    return TupleValue((*first, *fields_of(ir.Read(temporary, value.type)).items[1:]))


def in_order(parser: ExpressionParser, node: ast.AST, items: tuple[Value, ...], used: tuple[Value, ...]) -> TupleValue:
    """Return what is used of the items of a tuple.

    Raises:
        TranslationError: an item with an effect would not be evaluated once and in its place.
    """
    is_changed = len(used) != len(items) or any(one is not other for one, other in zip(used, items, strict=True))
    if is_changed and any(map(ir.is_ordered, leaves_of(items))):
        raise parser.error(
            node, "an item of this tuple changes memory or a variable", "assign the tuple to a name first"
        )
    return TupleValue(used)


def items_of(parser: ExpressionParser, node: ast.expr) -> tuple[Value, ...]:
    """Return the items of an expression that is a tuple.

    Raises:
        TranslationError: it is none.
    """
    value = parser.value(node)
    found = as_tuple(parser, value)
    if found is None:
        raise parser.error(node, f"{values.describe(value)} is no tuple", "loop over a range, and read elements")
    return found.items


def display(parser: ExpressionParser, node: ast.Tuple) -> TupleValue:
    """Return a tuple that is written out, with the items of starred tuples."""
    items: list[Value] = []
    for part in node.elts:
        items += items_of(parser, part.value) if isinstance(part, ast.Starred) else (parser.value(part),)
    return TupleValue(tuple(items))


def combined(parser: ExpressionParser, node: ast.BinOp, left: Value, right: Value) -> TupleValue | None:
    """Return ``t + u`` and ``t * 2``; None where they are no operators of tuples."""
    sides = [
        _fields_computed_once(side) if values.is_expression(side) and isinstance(side.type, TupleType) else side
        for side in (left, right)
    ]
    if isinstance(node.op, ast.Add) and all(isinstance(side, TupleValue) for side in sides):
        return TupleValue(tuple(item for side in sides for item in side.items))  # type: ignore[union-attr]
    if isinstance(node.op, ast.Mult):
        for sequence, count, place in ((left, right, node.right), (right, left, node.left)):
            if isinstance(sequence, TupleValue) and values.is_number(count):
                items = sequence.items * parser.known_integer(place, count, "how often a tuple is repeated")
                return in_order(parser, node, sequence.items, items)
    return None


def sliced(parser: ExpressionParser, node: ast.Slice, value: TupleValue) -> TupleValue:
    """Return ``t[1:]``, with constant bounds."""
    bounds = [
        None if part is None else parser.constant_integer(part, "a bound of a slice")
        for part in (node.lower, node.upper, node.step)
    ]
    if bounds[2] == 0:
        raise parser.error(node, "the step of a slice is 0", "take every n-th item with n from 1 on")
    return in_order(parser, node, value.items, value.items[slice(*bounds)])


def chosen(parser: ExpressionParser, node: ast.Subscript, value: TupleValue, index: ir.Expression) -> ir.Expression:
    """Return the item at an index of run time, as one expression that compares the index with each place.

    Raises:
        TranslationError: the items have no common type, or are too many.
    """
    count = len(value.items)
    if not 0 < count <= MAXIMUM_CHOICES:
        raise parser.error(
            node, f"one of {count} items at an index known only at run time", "pass a tensor, or fill ml.local_array"
        )
    in_order(parser, node, value.items, ())
    numbers = [parser.as_scalar(node, item) for item in value.items]
    scalar = operators.scalar_type(numbers[0])
    for number in numbers[1:]:
        scalar = parser.joined(ir.Read(ir.Variable("", scalar), scalar), number)
    first, again = parser.kept(node, index, "index")
    if not ir.is_non_negative(index):
        # Negative ones count from the end.
        shifted = parser.binary(node, ast.Add(), again, fold.integer(count))
        test = operators.compare(ast.Lt, first, fold.integer(0))
        kind = operators.scalar_type(shifted)
        first, again = parser.kept(node, fold.conditional(test, shifted, fold.convert(again, kind), kind), "index")
    result = fold.convert(numbers[-1], scalar)
    for place in range(count - 2, -1, -1):
        test = operators.compare(ast.Eq, again if place else first, fold.integer(place))
        result = fold.conditional(test, fold.convert(numbers[place], scalar), result, scalar)
    return result if count > 1 else numbers[0]


# ---- Functions -----------------------------------------------------------------------------------------------------


def _enumerate(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    start = node.args[1] if len(node.args) == 2 else None
    for keyword in node.keywords:
        start = keyword.value if keyword.arg == "start" else start
    if not 1 <= len(node.args) <= 2 or any(keyword.arg != "start" for keyword in node.keywords):
        raise parser.error(node, "enumerate takes a tuple and the first number", "write enumerate(t, 1)")
    first = parser.constant_integer(start, "the first number") if start is not None else 0
    items = enumerate(items_of(parser, node.args[0]), first)
    return TupleValue(tuple(TupleValue((fold.integer(index), item)) for index, item in items))


def _zip(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    sides = [items_of(parser, argument) for argument in node.args]
    is_strict = False
    for keyword in node.keywords:
        value = parser.value(keyword.value)
        if keyword.arg != "strict" or not isinstance(value, ir.Constant):
            raise parser.error(keyword.value, "zip takes tuples, and `strict` as a constant", "write zip(a, b)")
        is_strict = bool(value.value)
    if is_strict and len({len(items) for items in sides}) > 1:
        lengths = ", ".join(str(len(items)) for items in sides)
        raise parser.error(node, f"the tuples have different lengths: {lengths}", "leave `strict` out, or fill them up")
    count = min(map(len, sides), default=0)
    sides = [in_order(parser, node, items, items[:count]).items for items in sides]
    return TupleValue(tuple(TupleValue(items) for items in zip(*sides, strict=True)))


def _only_tuple(parser: ExpressionParser, node: ast.Call) -> tuple[Value, ...]:
    if len(node.args) != 1 or node.keywords:
        name = getattr(node.func, "id", "this")
        raise parser.error(node, f"{name} takes one tuple in a kernel", f"write {name}((a, b, c))")
    return items_of(parser, node.args[0])


def _reversed(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    items = _only_tuple(parser, node)
    return in_order(parser, node, items, items[::-1])


def _sum(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    if len(node.args) == 1 and isinstance(node.args[0], ast.GeneratorExp | ast.ListComp):
        raise parser.error(node, "the builtin `sum` takes a tuple in a kernel", "loop over a range, and add up")
    numbers = [parser.as_scalar(node, item) for item in _only_tuple(parser, node)]
    total = numbers.pop(0) if numbers and numbers[0].type is not BOOL else fold.integer(0)
    for number in numbers:
        total = parser.binary(node, ast.Add(), total, number)
    return total


def quantified(parser: ExpressionParser, node: ast.Call, items: tuple[Value, ...], is_all: bool) -> ir.Expression:
    """Return ``all`` or ``any`` of a tuple; all items have been evaluated, as the tuple is made first."""
    before: list[ir.Expression] = []
    if any(map(ir.is_ordered, leaves_of(items))):
        items = tuple(parser.evaluated(node, item, before) for item in items)
    result: ir.Expression = ir.Constant(is_all, BOOL)
    for item in items:
        test = parser.truth_of(node.args[0], parser.as_scalar(node.args[0], item))
        result = fold.logical_and(result, test) if is_all else fold.logical_or(result, test)
    for first in reversed(before):
        result = ir.Sequence(first, result, BOOL)
    return result


def starred_arguments(parser: ExpressionParser, node: ast.Call) -> ast.Call:
    """Return a call with the items of starred tuples written out, each by its index."""
    if not any(isinstance(argument, ast.Starred) for argument in node.args):
        return node
    arguments: list[ast.expr] = []
    for argument in node.args:
        if not isinstance(argument, ast.Starred):
            arguments.append(argument)
            continue
        source = argument.value
        if isinstance(source, ast.Tuple):
            arguments += source.elts
            continue
        if not isinstance(source, ast.Name | ast.Attribute):
            raise parser.error(argument, "a starred argument has no fixed length", "assign the tuple to a name first")
        for index in range(len(items_of(parser, source))):
            item = ast.Subscript(source, ast.copy_location(ast.Constant(index), source), ast.Load())
            arguments.append(ast.copy_location(item, source))
    return ast.copy_location(ast.Call(node.func, arguments, node.keywords), node)


def static_range(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    """Return the numbers of ``ml.static_range``."""
    if not 1 <= len(node.args) <= 3 or node.keywords:
        raise parser.error(node, f"static_range takes 1 to 3 arguments, not {len(node.args)}", "write as for range")
    bounds = [parser.constant_integer(argument, "a bound of static_range") for argument in node.args]
    if len(bounds) == 3 and bounds[2] == 0:
        raise parser.error(node.args[2], "the step of a range is 0", "count with a step that is not 0")
    numbers = range(*bounds)
    if len(numbers) > MAXIMUM_TURNS:
        raise parser.error(
            node, f"a loop of {len(numbers)} turns would be written out", "write range, which stays a loop"
        )
    return TupleValue(tuple(fold.integer(number) for number in numbers))


MAXIMUM_TURNS = 256  # of an unrolled loop
MAXIMUM_CHOICES = 16  # of a tuple at an index of run time


HANDLERS: dict[Any, Handler] = {
    builtins.enumerate: _enumerate,
    builtins.zip: _zip,
    builtins.reversed: _reversed,
    builtins.sum: _sum,
    language.static_range: static_range,
}
