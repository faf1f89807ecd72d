"""Functions of integers and random numbers: ``ml.cdiv``, ``ml.popcount``, ``ml.rand`` and their kin."""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING, Any

from .. import language_integers, language_random
from . import fold, ir, operators
from .binding import bind_numbers
from .types import FLOAT32, INT32, INT64, SCALAR_TYPES, UINT32

if TYPE_CHECKING:
    from .parse_expressions import ExpressionParser
    from .threads import Handler
    from .values import Value


_UNSIGNED = {scalar.bits: scalar for scalar in SCALAR_TYPES if scalar.kind == "uint"}


def _integers(parser: ExpressionParser, node: ast.Call, function: object) -> list[ir.Expression]:
    """Return the arguments of a call, all of them integers."""
    numbers = list(bind_numbers(parser, node, function).values())
    for number in numbers:
        if not operators.scalar_type(number).is_integer:
            name = getattr(function, "__name__", "this")
            raise parser.error(node, f"{name} needs integers, this is a {number.type}", "convert first: ml.int32(x)")
    return numbers


def _cdiv(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    left, right = _integers(parser, node, language_integers.cdiv)
    constants = [part.value for part in (left, right) if isinstance(part, ir.Constant)]
    if len(constants) == 2 and constants[1] != 0:
        return fold.integer(-(-int(constants[0]) // int(constants[1])))
    first_left, left = parser.kept(node, left)
    first_right, right = parser.kept(node, right)
    quotient = parser.binary(node, ast.FloorDiv(), first_left, first_right)
    rest = operators.compare(ast.NotEq, parser.binary(node, ast.Mod(), left, right), fold.integer(0))
    return parser.binary(node, ast.Add(), quotient, fold.convert(rest, INT32))


def _of_bits(name: str) -> Handler:
    function = getattr(language_integers, name)

    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        (number,) = _integers(parser, node, function)
        scalar = operators.scalar_type(number)
        number = fold.convert(number, scalar)
        if name == "reverse_bits" and scalar.kind == "int":
            scalar = _UNSIGNED[scalar.bits]
            number = fold.convert(number, scalar)
        counted = ir.Call(f"metal::{name}", (number,), scalar)
        return counted if name == "reverse_bits" else fold.convert(counted, INT32)

    return handle


def _mulhi(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    left, right = _integers(parser, node, language_integers.mulhi)
    scalar = operators.common_type(left, right)
    if scalar not in (INT32, UINT32):
        raise parser.error(
            node, f"mulhi multiplies two int32 or two uint32, not {left.type} and {right.type}", "convert both"
        )
    return ir.Call("metal::mulhi", (fold.convert(left, scalar), fold.convert(right, scalar)), scalar)


def _random(name: str) -> Handler:
    function = getattr(language_random, name)

    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        seed, offset = (fold.convert(number, INT64) for number in _integers(parser, node, function))
        return ir.Call(f"helion_msl::{name}", (seed, offset), UINT32 if name == "randint" else FLOAT32)

    return handle


def _scaled(factor: float) -> Handler:
    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        if len(node.args) != 1 or node.keywords:
            raise parser.error(node, "an angle is one number")
        return parser.binary(node, ast.Mult(), parser.number(node.args[0]), ir.Constant(factor, FLOAT32))

    return handle


HANDLERS: dict[Any, Handler] = {
    language_integers.cdiv: _cdiv,
    language_integers.mulhi: _mulhi,
    **{getattr(language_integers, name): _of_bits(name) for name in ("popcount", "clz", "ctz", "reverse_bits")},
    **{getattr(language_random, name): _random(name) for name in language_random.__all__},
    math.degrees: _scaled(180.0 / math.pi),
    math.radians: _scaled(math.pi / 180.0),
}
