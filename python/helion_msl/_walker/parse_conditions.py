"""Comparisons, ``and``, ``or``, ``not`` and conditional expressions of Python to IR."""

# ruff: noqa: N802 - the visitors are named after the classes of the ast module

from __future__ import annotations

import ast
import functools
from typing import TYPE_CHECKING

from . import fold, ir, operators, values, vectors
from .parse_base import leaves_of
from .parse_values import ValueParser
from .types import BOOL, ScalarType, TupleType, join
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    from .values import Value


_IDENTITY = (ast.Is, ast.IsNot)
_MEMBERSHIP = (ast.In, ast.NotIn)


class ConditionParser(ValueParser):
    """Expressions that decide."""

    def visit_BoolOp(self, node: ast.BoolOp) -> Value:
        """Return ``and`` or ``or``: the operand that decides, the others are not evaluated."""
        is_and = isinstance(node.op, ast.And)
        found = self.as_number(node.values[0])
        for index, following in enumerate(node.values[1:]):
            test = self.truth_of(node.values[index], found)
            if isinstance(test, ir.Constant):
                if bool(test.value) is is_and:
                    found = self.as_number(following)
                    continue
                return found
            assigned = set(self.assigned) if self.assigned is not None else None
            right = self.as_number(following)
            self.assigned = assigned
            found = self._decide(node, is_and, found, right, following)
        return found

    def _decide(self, node: ast.AST, is_and: bool, left: Value, right: Value, right_node: ast.expr) -> ir.Expression:
        combine = fold.logical_and if is_and else fold.logical_or
        right_number = self.as_scalar(right_node, right) if not self._is_number(right) else right
        assert values.is_expression(left)
        assert values.is_expression(right_number)
        if left.type is BOOL and right_number.type is BOOL:
            return combine(left, right_number)
        first, again = self.kept(node, left)
        scalar = self.joined(left, right_number)
        test = fold.truth(first)
        kept, other = fold.convert(again, scalar), fold.convert(right_number, scalar)
        return fold.conditional(test, other, kept, scalar) if is_and else fold.conditional(test, kept, other, scalar)

    @staticmethod
    def _is_number(value: Value) -> bool:
        return values.is_expression(value) and isinstance(value.type, ScalarType)

    def condition(self, node: ast.expr) -> ir.Expression:
        """Return the truth value of an expression that is only tested: ``and`` and ``or`` need no operand's value."""
        if isinstance(node, ast.BoolOp):
            is_and = isinstance(node.op, ast.And)
            test = self.condition(node.values[0])
            when_true = set(self.assigned or ()) | self.assigned_when_true
            for following in node.values[1:]:
                if isinstance(test, ir.Constant) and bool(test.value) is not is_and:
                    break
                assigned = set(self.assigned) if self.assigned is not None else None
                if is_and and self.assigned is not None:
                    self.assigned |= when_true
                right = self.condition(following)
                when_true |= set(self.assigned or ()) | self.assigned_when_true
                self.assigned = assigned
                test = fold.logical_and(test, right) if is_and else fold.logical_or(test, right)
            self.assigned_when_true = when_true if is_and else set()
            return test
        self.assigned_when_true = set()
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            test = fold.logical_not(self.condition(node.operand))
            self.assigned_when_true = set()
            return test
        return self.truth_of(node, self.as_number(node))

    def joined(self, left: ir.Expression, right: ir.Expression) -> ScalarType:
        """Return the type that holds either of two values; a literal adapts to the other one where it fits."""
        left_type, right_type = operators.scalar_type(left), operators.scalar_type(right)
        for literal, other in ((left, right_type), (right, left_type)):
            if isinstance(literal, ir.Constant) and literal.is_weak and other is not BOOL:
                if other.is_float and fold.is_exact(float(literal.value), other):
                    return other
                is_whole = other.is_integer and not isinstance(literal.value, float)
                if is_whole and other.minimum <= literal.value <= other.maximum:
                    return other
        return join(left_type, right_type)

    # ---- Comparisons and conditions --------------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> Value:
        """Return a comparison; a chain is a conjunction that evaluates each operand at most once."""
        result: ir.Expression = ir.Constant(True, BOOL)
        left: Value = self.as_number(node.left)
        left_node = node.left
        for index, (kind, right_node) in enumerate(zip(node.ops, node.comparators, strict=True)):
            right: Value = self.as_number(right_node)
            again = right
            if index + 1 < len(node.ops) and self._is_number(right):
                assert values.is_expression(right)
                right, again = self.kept(right_node, right)
            test = self.compared(node, kind, left_node, left, right_node, right)
            if vectors.is_vector(test) and len(node.ops) > 1:
                raise self.error(
                    node, "a chain of comparisons of vectors has no one truth value", "combine them with &"
                )
            result = fold.logical_and(result, test)
            if isinstance(result, ir.Constant) and not result.value:
                return result
            left, left_node = again, right_node
        return result

    def compared(
        self, node: ast.AST, kind: ast.cmpop, left_node: ast.expr, left: Value, right_node: ast.expr, right: Value
    ) -> ir.Expression:
        """Return one comparison of a chain."""
        if isinstance(kind, _IDENTITY):
            return self._identity(node, isinstance(kind, ast.Is), left, right)
        if isinstance(kind, _MEMBERSHIP):
            return self._membership(node, isinstance(kind, ast.In), left_node, left, right)
        if self._is_tuple(left) or self._is_tuple(right):
            return self._compared_tuples(node, kind, left_node, left, right_node, right)
        if vectors.is_vector(left) or vectors.is_vector(right):
            sides = tuple(
                side if vectors.is_vector(side) else self.as_scalar(place, side)
                for place, side in ((left_node, left), (right_node, right))
            )
            build = functools.partial(operators.compare, type(kind))
            return self.in_order(node, sides, lambda *parts: vectors.lifted(self, node, parts, build))  # type: ignore[arg-type]
        are_objects = isinstance(left, PythonObject) and isinstance(right, PythonObject)
        if are_objects and isinstance(kind, ast.Eq | ast.NotEq):
            return ir.Constant((left == right) is isinstance(kind, ast.Eq), BOOL)
        operands = (self.as_scalar(left_node, left), self.as_scalar(right_node, right))
        try:
            return self.in_order(node, operands, functools.partial(operators.compare, type(kind)))
        except operators.OperatorError as error:
            raise self.located(node, error) from None

    @staticmethod
    def _is_tuple(value: Value) -> bool:
        return isinstance(value, TupleValue) or (values.is_expression(value) and isinstance(value.type, TupleType))

    def _compared_tuples(
        self, node: ast.AST, kind: ast.cmpop, left_node: ast.expr, left: Value, right_node: ast.expr, right: Value
    ) -> ir.Expression:
        """Compare two tuples item by item; the first difference decides about their order."""
        before: list[ir.Expression] = []
        sides: list[list[Value]] = []
        for place, side in ((left_node, left), (right_node, right)):
            if not self._is_tuple(side):
                raise self.error(place, f"a tuple is compared with {values.describe(side)}", "compare its items")
            items = side if isinstance(side, TupleValue) else self.items_of(place, side, before)  # type: ignore[arg-type]
            sides.append([self._compared_item(place, item, before) for item in items.items])
        lengths = [len(items) for items in sides]
        pairs = list(zip(*sides, strict=False))
        is_equality = isinstance(kind, ast.Eq | ast.NotEq)
        if is_equality:
            result: ir.Expression = ir.Constant(lengths[0] == lengths[1], BOOL)
        else:
            result = ir.Constant(operators.COMPARISONS[type(kind)][1](*lengths), BOOL)
        for first, second in reversed(pairs):
            equal = self.compared(node, ast.Eq(), left_node, first, right_node, second)
            if is_equality:
                result = fold.logical_and(equal, result)
                continue
            strict = ast.Lt() if isinstance(kind, ast.Lt | ast.LtE) else ast.Gt()
            differs = self.compared(node, strict, left_node, first, right_node, second)
            result = fold.logical_or(differs, fold.logical_and(equal, result))
        if isinstance(kind, ast.NotEq):
            result = fold.logical_not(result)
        for first_value in reversed(before):
            result = ir.Sequence(first_value, result, BOOL)
        return result

    def _compared_item(self, node: ast.expr, item: Value, before: list[ir.Expression]) -> Value:
        """Return an item that may be evaluated twice."""
        if not values.is_expression(item) or not isinstance(item.type, ScalarType):
            return item
        first, again = self.kept(node, item)
        if first is not again:
            before.append(first)
        return again

    def _identity(self, node: ast.AST, is_same: bool, left: Value, right: Value) -> ir.Expression:
        if not any(isinstance(side, PythonObject) for side in (left, right)):
            raise self.error(node, "`is` compares objects, and a kernel has numbers", "write `==` or `!=`")
        same = isinstance(left, PythonObject) and isinstance(right, PythonObject) and left.value is right.value
        return self.after((left, right), ir.Constant(same is is_same, BOOL))

    def _membership(self, node: ast.AST, is_in: bool, left_node: ast.expr, left: Value, right: Value) -> ir.Expression:
        if not isinstance(right, TupleValue):
            raise self.error(node, "`in` needs a tuple written out", "write `x in (1, 2)`, or loop over the elements")
        if isinstance(left, PythonObject):
            is_member = any(isinstance(item, PythonObject) and item == left for item in right.items)
            return ir.Constant(is_member is is_in, BOOL)
        if self._is_tuple(left):
            return self._tuple_membership(node, is_in, left_node, left, right)
        items, number = list(right.items), self.as_scalar(left_node, left)
        before: list[ir.Expression] = []
        if any(map(ir.is_ordered, leaves_of(items))):
            # Python evaluates all of them before it compares.
            number, *items = [self.evaluated(left_node, item, before) for item in (number, *items)]  # type: ignore[assignment]
        first, again = self.kept(left_node, number)
        result: ir.Expression = ir.Constant(False, BOOL)
        for item in items:
            test = self.compared(node, ast.Eq(), left_node, first, left_node, item)
            result, first = fold.logical_or(result, test), again
        result = result if is_in else fold.logical_not(result)
        for each in reversed(before):
            result = ir.Sequence(each, result, BOOL)
        return result

    def evaluated(self, node: ast.AST, item: Value, before: list[ir.Expression]) -> Value:
        """Return the value of an item that ``before`` computes, each leaf of a tuple by itself."""
        if isinstance(item, TupleValue):
            return TupleValue(tuple(self.evaluated(node, part, before) for part in item.items))
        if not values.is_number(item) or isinstance(item, ir.Constant):
            return item
        temporary = ir.Variable("item", item.type, self.source.line(node), is_temporary=True)
        before.append(ir.AssignExpression(temporary, item, item.type))
        return ir.Read(temporary, item.type)

    def _tuple_membership(
        self, node: ast.AST, is_in: bool, left_node: ast.expr, left: Value, right: TupleValue
    ) -> ir.Expression:
        before: list[ir.Expression] = []
        items = left if isinstance(left, TupleValue) else self.items_of(left_node, left, before)  # type: ignore[arg-type]
        kept = TupleValue(tuple(self._compared_item(left_node, item, before) for item in items.items))
        others = list(right.items)
        if any(map(ir.is_ordered, leaves_of(others))):
            kept, *others = [self.evaluated(left_node, item, before) for item in (kept, *others)]  # type: ignore[assignment]
        result: ir.Expression = ir.Constant(False, BOOL)
        for item in others:
            result = fold.logical_or(result, self.compared(node, ast.Eq(), left_node, kept, left_node, item))
        result = result if is_in else fold.logical_not(result)
        for first in reversed(before):
            result = ir.Sequence(first, result, BOOL)
        return result

    def visit_IfExp(self, node: ast.IfExp) -> Value:
        """Return a conditional expression: only the branch chosen is evaluated."""
        test = self.condition(node.test)
        if isinstance(test, ir.Constant):
            return self.value(node.body if test.value else node.orelse)
        before = set(self.assigned) if self.assigned is not None else None
        if self.assigned is not None:
            self.assigned |= self.assigned_when_true
        body = self.as_number(node.body)
        self.assigned = set(before) if before is not None else None
        orelse = self.as_number(node.orelse)
        self.assigned = before
        return self._chosen(node, test, body, orelse)

    def _chosen(self, node: ast.IfExp, test: ir.Expression, body: Value, orelse: Value) -> Value:
        """Return one of two values; of tuples each item is chosen by itself."""
        if isinstance(body, TupleValue) and isinstance(orelse, TupleValue):
            if len(body.items) != len(orelse.items):
                raise self.error(node, f"one of tuples of {len(body.items)} and of {len(orelse.items)} items", "")
            # The first item that is computed keeps the condition for the others.
            test, again = self.kept(node.test, test, "condition")
            items: list[Value] = []
            for first, second in zip(body.items, orelse.items, strict=True):
                items.append(self._chosen(node, test, first, second))
                test = again
            return TupleValue(tuple(items))
        if vectors.is_vector(body) and vectors.is_vector(orelse) and body.type == orelse.type:  # type: ignore[union-attr]
            return ir.Conditional(test, body, orelse, body.type)  # type: ignore[arg-type,union-attr]
        left, right = self.as_scalar(node.body, body), self.as_scalar(node.orelse, orelse)
        scalar = self.joined(left, right)
        return fold.conditional(test, fold.convert(left, scalar), fold.convert(right, scalar), scalar)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> Value:
        """Return ``name := value``."""
        value = self.scalar(node.value)
        variable, converted = self.assign_name(node.target, node.target.id, value)
        return ir.AssignExpression(variable, converted, variable.type)

    def assign_name(self, node: ast.AST, name: str, value: ir.Expression) -> tuple[ir.Variable, ir.Expression]:
        """Record an assignment to a name; implemented with the statements."""
        raise NotImplementedError
