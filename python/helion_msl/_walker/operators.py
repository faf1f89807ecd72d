"""What Python's operators mean on scalars, as IR: one function for each, in tables.

Two tables differ: :data:`PYTHON` has Python's division, floor and remainder; :data:`CPP` has C++'s, for code that was
written by a generator for C++.
"""

from __future__ import annotations

import ast
import math
import operator
from typing import TYPE_CHECKING, Any

from . import fold, ir
from .types import BOOL, FLOAT16, FLOAT32, INT32, INT64, UINT64, ScalarType, integer_type_of, promote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    BinaryOperator = Callable[[ir.Expression, ir.Expression], ir.Expression]


class OperatorError(Exception):
    """An operator that its operands do not have; the parser adds the place."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        self.cause = cause
        self.remedy = remedy
        super().__init__(cause)


_FOLDERS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}


def scalar_type(node: ir.Expression) -> ScalarType:
    """Return the type of an operand.

    Raises:
        OperatorError: it is no number.
    """
    if isinstance(node.type, ScalarType):
        return node.type
    raise OperatorError(f"a {node.type} is no number", "subscript it to read an element, as in x[i]")


def is_weak(node: ir.Expression) -> bool:
    """Whether a node is a literal that takes the type of the other operand."""
    return isinstance(node, ir.Constant) and node.is_weak


def _adapted(literal: ir.Constant, other: ScalarType) -> ScalarType:
    """Return the type in which a literal and a typed operand compute."""
    value = literal.value
    if isinstance(value, float):
        if not other.is_float:
            return FLOAT32
        too_big = other is FLOAT16 and value == value and 65504 < abs(value) < float("inf")
        return FLOAT32 if too_big else other
    if other.is_float:
        return other
    wide = promote(other, other)
    return wide if wide.minimum <= value <= wide.maximum else promote(wide, integer_type_of(value) or UINT64)


def common_type(left: ir.Expression, right: ir.Expression) -> ScalarType:
    """Return the type in which an arithmetic operator computes on two operands; literals adapt to the other one."""
    left_type, right_type = scalar_type(left), scalar_type(right)
    if isinstance(left, ir.Constant) and left.is_weak and not is_weak(right):
        return _adapted(left, right_type)
    if isinstance(right, ir.Constant) and right.is_weak and not is_weak(left):
        return _adapted(right, left_type)
    return promote(left_type, right_type)


def fold_constants(kind: type[ast.operator], left: ir.Expression, right: ir.Expression) -> ir.Expression | None:
    """Return the value of an operator on two literals, computed by Python; None where one is no literal."""
    if not (isinstance(left, ir.Constant) and isinstance(right, ir.Constant) and left.is_weak and right.is_weak):
        return None
    if kind is ast.LShift and isinstance(right.value, int) and right.value > 128:
        raise OperatorError("the result does not fit 64 bits")
    are_integers = isinstance(left.value, int) and isinstance(right.value, int)
    if kind is ast.Pow and are_integers and right.value > 128 and left.value not in (-1, 0, 1):
        raise OperatorError("the result does not fit 64 bits", "compute with floats: 2.0 ** n")
    try:
        value = _FOLDERS[kind](left.value, right.value)
    except KeyError:
        return None
    except (ZeroDivisionError, TypeError, ValueError, OverflowError) as error:
        raise OperatorError(f"this cannot be computed: {error}") from None
    if isinstance(value, complex):
        raise OperatorError("the result is a complex number, which Metal does not have")
    constant = fold.weak_constant(value)
    if constant is None:
        raise OperatorError(f"{value} does not fit 64 bits", "compute with floats")
    return constant


def _same(operator_text: str, integers_only: bool = False) -> BinaryOperator:
    def build(left: ir.Expression, right: ir.Expression) -> ir.Expression:
        scalar = common_type(left, right)
        if integers_only and scalar.is_float:
            raise OperatorError(
                f"`{operator_text}` needs integers, these are {left.type} and {right.type}",
                "convert first: ml.int32(x)",
            )
        return fold.binary(operator_text, fold.convert(left, scalar), fold.convert(right, scalar), scalar)

    return build


def _differ(left: ir.Expression, right: ir.Expression) -> ir.Expression:
    return ir.Binary("!=", left, right, BOOL)


def _bitwise(operator_text: str) -> BinaryOperator:
    # On truth values C++'s `&` yields an int; the logical operator has the same value and the right type.
    on_bools = {"&": fold.logical_and, "|": fold.logical_or, "^": _differ}[operator_text]
    on_integers = _same(operator_text, integers_only=True)

    def build(left: ir.Expression, right: ir.Expression) -> ir.Expression:
        if left.type is BOOL and right.type is BOOL:
            return on_bools(left, right)
        return on_integers(left, right)

    return build


def _true_divide(left: ir.Expression, right: ir.Expression) -> ir.Expression:
    scalar = common_type(left, right)
    if not scalar.is_float:
        scalar = FLOAT32
    return ir.Binary("/", fold.convert(left, scalar), fold.convert(right, scalar), scalar)


def _refuse_zero(right: ir.Expression) -> None:
    if fold.is_constant(right, 0):
        raise OperatorError("this always divides by zero")


def _floored(operator_text: str, helper: str) -> BinaryOperator:
    def build(left: ir.Expression, right: ir.Expression) -> ir.Expression:
        scalar = common_type(left, right)
        if scalar.is_float:
            return ir.Call(helper, (fold.convert(left, FLOAT32), fold.convert(right, FLOAT32)), FLOAT32)
        _refuse_zero(right)
        positive = isinstance(right, ir.Constant) and right.value > 0
        left, right = fold.convert(left, scalar), fold.convert(right, scalar)
        if positive and ir.is_non_negative(left):
            return fold.binary(operator_text, left, right, scalar)
        return ir.Call(helper, (left, right), scalar)

    return build


def _truncated(operator_text: str, helper: str, on_floats: BinaryOperator) -> BinaryOperator:
    def build(left: ir.Expression, right: ir.Expression) -> ir.Expression:
        scalar = common_type(left, right)
        if scalar.is_float:
            return on_floats(left, right)
        _refuse_zero(right)
        safe = isinstance(right, ir.Constant) and right.value != -1
        left, right = fold.convert(left, scalar), fold.convert(right, scalar)
        return fold.binary(operator_text, left, right, scalar) if safe else ir.Call(helper, (left, right), scalar)

    return build


def _fmod(left: ir.Expression, right: ir.Expression) -> ir.Expression:
    return ir.Call("metal::fmod", (fold.convert(left, FLOAT32), fold.convert(right, FLOAT32)), FLOAT32)


def _power(left: ir.Expression, right: ir.Expression) -> ir.Expression:
    scalar = common_type(left, right)
    if fold.is_constant(right, 2) and ir.is_simple(left):
        squared = scalar if scalar_type(right).is_float else common_type(left, left)
        return fold.binary("*", fold.convert(left, squared), fold.convert(left, squared), squared)
    if not scalar.is_float and fold.is_constant(right, 1):
        return fold.convert(left, scalar)
    if not scalar.is_float and fold.is_constant(right, 0):
        one = fold.convert(fold.integer(1), scalar)
        return ir.Sequence(left, one, scalar) if ir.is_ordered(left) else one
    if scalar.is_float or (isinstance(right, ir.Constant) and right.value < 0):
        return ir.Call("metal::precise::pow", (fold.convert(left, FLOAT32), fold.convert(right, FLOAT32)), FLOAT32)
    if not ir.is_non_negative(right):
        raise OperatorError(
            "the type of an integer power depends on the exponent's sign, which is not known here",
            "write float(x) ** n, or x ** abs(n) for an integer result",
        )
    count = promote(scalar_type(right), scalar_type(right))
    return ir.Call("helion_msl::power", (fold.convert(left, scalar), fold.convert(right, count)), scalar)


def _is_below(node: ir.Expression, limit: int) -> bool:
    """Whether an integer is known to be below a limit, as `n & 31` and `n % 32` are."""
    if isinstance(node, ir.Cast):
        return _is_below(node.operand, limit)
    if isinstance(node, ir.Position):
        return node.exclusive_bound is not None and node.exclusive_bound <= limit
    if not isinstance(node, ir.Binary | ir.Call):
        return False
    is_remainder = isinstance(node, ir.Call) and node.function == "helion_msl::floor_remainder"
    operands = (node.left, node.right) if isinstance(node, ir.Binary) else node.arguments
    if is_remainder or (isinstance(node, ir.Binary) and node.operator == "%"):
        return isinstance(operands[1], ir.Constant) and 0 < operands[1].value <= limit
    is_mask = isinstance(node, ir.Binary) and node.operator == "&"
    return is_mask and any(isinstance(part, ir.Constant) and 0 <= part.value < limit for part in operands)


def _shift(operator_text: str, clamps: bool) -> BinaryOperator:
    def build(left: ir.Expression, right: ir.Expression) -> ir.Expression:
        if scalar_type(left).is_float or scalar_type(right).is_float:
            raise OperatorError(f"`{operator_text}` needs integers, these are {left.type} and {right.type}")
        scalar = promote(scalar_type(left), scalar_type(left))
        left = fold.convert(left, scalar)
        if isinstance(right, ir.Constant):
            if right.value < 0:
                raise OperatorError("the shift count is negative")
            if right.value >= scalar.bits and operator_text == "<<":
                raise OperatorError(
                    f"shifting {scalar} by {right.value} leaves nothing of it", "widen it first: ml.int64(x)"
                )
            if right.value >= scalar.bits and scalar.kind == "uint":
                return ir.Constant(0, scalar, False)
            count: ir.Expression = ir.Constant(min(int(right.value), scalar.bits - 1), INT32, False)
            return fold.binary(operator_text, left, count, scalar)
        wide = scalar_type(right)
        if clamps and wide.maximum > INT32.maximum and not _is_below(right, scalar.bits):
            # A count that int32 does not hold shifts everything out, too.
            right = ir.Call("metal::min", (right, ir.Constant(scalar.bits, wide, False)), wide)
        count = fold.convert(right, INT32)
        if clamps and not _is_below(right, scalar.bits):
            # Python shifts by any count; C++ leaves counts from the width on undefined.
            if operator_text == ">>" and scalar.kind == "int":
                count = ir.Call("metal::min", (count, ir.Constant(scalar.bits - 1, INT32, False)), INT32)
            else:
                helper = "helion_msl::shift_left" if operator_text == "<<" else "helion_msl::shift_right"
                return ir.Call(helper, (left, count), scalar)
        return ir.Binary(operator_text, left, count, scalar)

    return build


PYTHON: Mapping[type[ast.operator], BinaryOperator] = {
    ast.Add: _same("+"),
    ast.Sub: _same("-"),
    ast.Mult: _same("*"),
    ast.Div: _true_divide,
    ast.FloorDiv: _floored("/", "helion_msl::floor_divide"),
    ast.Mod: _floored("%", "helion_msl::floor_remainder"),
    ast.Pow: _power,
    ast.LShift: _shift("<<", clamps=True),
    ast.RShift: _shift(">>", clamps=True),
    ast.BitAnd: _bitwise("&"),
    ast.BitOr: _bitwise("|"),
    ast.BitXor: _bitwise("^"),
}

CPP: Mapping[type[ast.operator], BinaryOperator] = {
    **PYTHON,
    ast.Div: _truncated("/", "helion_msl::divide", _true_divide),
    ast.Mod: _truncated("%", "helion_msl::remainder", _fmod),
    ast.LShift: _shift("<<", clamps=False),
    ast.RShift: _shift(">>", clamps=False),
}

COMPARISONS: Mapping[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
}


COMPARISONS_BY_TEXT = dict(COMPARISONS.values())


def compare(kind: type[ast.cmpop], left: ir.Expression, right: ir.Expression) -> ir.Expression:
    """Return a comparison by value, whatever the signs and widths of the operands."""
    text, function = COMPARISONS[kind]
    if isinstance(left, ir.Constant) and isinstance(right, ir.Constant):
        return ir.Constant(function(fold.value_of(left), fold.value_of(right)), BOOL)
    exact = _compared_with_literal(text, left, right)
    if exact is not None:
        return exact
    decided = _decided_by_bounds(text, left, right)
    if decided is not None:
        return ir.Constant(decided, BOOL)
    left_type, right_type = scalar_type(left), scalar_type(right)
    if left_type is BOOL and right_type is BOOL and text in ("==", "!="):
        return ir.Binary(text, left, right, BOOL)
    scalar = _comparison_type(left, right)
    if scalar is None:
        return _compare_long_with_ulong(text, left, right)
    return ir.Binary(text, fold.convert(left, scalar), fold.convert(right, scalar), BOOL)


_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def _compared_with_literal(text: str, left: ir.Expression, right: ir.Expression) -> ir.Expression | None:
    """Return the comparison of an integer with a float that is known; None where float32 compares them right.

    From 2**24 on a float32 has no room for each integer.
    """
    if isinstance(left, ir.Constant):
        return _compared_with_literal(_MIRRORED[text], right, left)
    scalar = scalar_type(left)
    if not isinstance(right, ir.Constant) or not isinstance(right.value, float) or not scalar.is_integer:
        return None
    value = fold.value_of(right)
    if scalar.bits < 32 or (abs(value) < 1 << 24 and fold.is_exact(value, FLOAT32)):
        return None
    is_fraction = value != value or not float(value).is_integer()
    is_between = value == value and scalar.minimum <= value <= scalar.maximum
    if not is_between or (is_fraction and text in ("==", "!=")):
        # Any integer of the type decides it as every other one does.
        decided = ir.Constant(COMPARISONS_BY_TEXT[text](0, value), BOOL)
        return ir.Sequence(left, decided, BOOL) if ir.is_ordered(left) else decided
    # i < 1.5 is i < 2, and i <= 1.5 is i <= 1.
    bound = math.ceil(value) if text in ("<", ">=") else math.floor(value)
    return ir.Binary(text, left, fold.convert(fold.integer(bound), scalar), BOOL)


def _decided_by_bounds(text: str, left: ir.Expression, right: ir.Expression) -> bool | None:
    """Decide ``tid[0] < 256`` where the threadgroup is no wider."""
    if isinstance(left, ir.Position) and isinstance(right, ir.Constant) and left.exclusive_bound is not None:
        if text == "<" and left.exclusive_bound <= right.value:
            return True
        if text == ">=" and left.exclusive_bound <= right.value:
            return False
    return None


def _comparison_type(left: ir.Expression, right: ir.Expression) -> ScalarType | None:
    """Return a type that keeps the values of both operands apart; None where only signed and unsigned 64 bits do."""
    left_type, right_type = scalar_type(left), scalar_type(right)
    if left_type.is_float or right_type.is_float:
        for literal, other in ((left, right_type), (right, left_type)):
            if isinstance(literal, ir.Constant) and other.is_float and fold.is_exact(float(literal.value), other):
                return other
        return left_type if left_type is right_type else FLOAT32
    for literal, other in ((left, right_type), (right, left_type)):
        wide = promote(other, other)
        if isinstance(literal, ir.Constant) and wide.minimum <= literal.value <= wide.maximum:
            return wide
    scalar = promote(left_type, right_type)
    signs = {left_type.kind, right_type.kind}
    return None if scalar is INT64 and UINT64 in (left_type, right_type) and "int" in signs else scalar


def _compare_long_with_ulong(text: str, left: ir.Expression, right: ir.Expression) -> ir.Expression:
    if scalar_type(left) is UINT64:
        sign = ir.Call("helion_msl::compare", (fold.convert(right, INT64), left), INT32)
        return ir.Binary(text, ir.Constant(0, INT32, False), sign, BOOL)
    sign = ir.Call("helion_msl::compare", (fold.convert(left, INT64), right), INT32)
    return ir.Binary(text, sign, ir.Constant(0, INT32, False), BOOL)


def negative(node: ir.Expression) -> ir.Expression:
    """Return ``-x``."""
    if isinstance(node, ir.Constant) and node.is_weak:
        constant = fold.weak_constant(-node.value)
        if constant is None:
            raise OperatorError(f"{-node.value} does not fit 64 bits")
        return constant
    scalar = promote(scalar_type(node), scalar_type(node))
    return ir.Unary("-", fold.convert(node, scalar), scalar)


def positive(node: ir.Expression) -> ir.Expression:
    """Return ``+x``."""
    scalar = promote(scalar_type(node), scalar_type(node))
    return node if is_weak(node) else fold.convert(node, scalar)


def invert(node: ir.Expression) -> ir.Expression:
    """Return ``~x``."""
    scalar = scalar_type(node)
    if scalar.is_float:
        raise OperatorError(f"`~` needs an integer, this is {scalar}")
    if scalar is BOOL:
        raise OperatorError("`~True` is -2 in Python, rarely what is meant", "write `not x`")
    if isinstance(node, ir.Constant) and node.is_weak:
        return fold.integer(~int(node.value))
    wide = promote(scalar, scalar)
    return ir.Unary("~", fold.convert(node, wide), wide)
