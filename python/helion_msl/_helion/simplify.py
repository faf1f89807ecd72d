"""Removes from a generated kernel what changes nothing.

Only statements of the generator's own making come here: their expressions have no effects, so that a value that nothing
reads can be dropped and a name for another value can be replaced by it.
"""

from __future__ import annotations

import ast
import collections
from typing import TYPE_CHECKING

from helion_msl._helion.values import METAL_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

_EFFECTS = ("ml.simd_", "ml.barrier", "ml.threadgroup_array", "ml.atomic_")
_CASTS = frozenset(METAL_TYPES.values())


def simplify(body: list[ast.stmt], block_dims: tuple[int, int, int]) -> list[ast.stmt]:
    """Return statements that do the same as `body` in threadgroups of shape `block_dims`."""
    while True:
        before = _text(body)
        body = _Folder(block_dims).block(body)
        body = _Propagation(body).block(body)
        body = _without_dead_assignments(body)
        if _text(body) == before:
            return body


def _text(body: list[ast.stmt]) -> str:
    return "\n".join(map(ast.unparse, body))


class _Blocks(ast.NodeTransformer):
    """A transformer whose statement lists may shrink."""

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for statement in body:
            new = self.visit(statement)
            if isinstance(new, list):
                result += new
            elif new is not None:
                result.append(new)
        return result

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        node.test = self.visit(node.test)
        node.body = self.block(node.body)
        node.orelse = self.block(node.orelse)
        return node

    def visit_For(self, node: ast.For) -> ast.stmt | list[ast.stmt]:
        node.iter = self.visit(node.iter)
        node.body = self.block(node.body)
        return node

    def visit_While(self, node: ast.While) -> ast.stmt | list[ast.stmt]:
        node.test = self.visit(node.test)
        node.body = self.block(node.body)
        return node


def _is(node: ast.AST, value: object) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is type(value) and node.value == value


class _Folder(_Blocks):
    """Folds ``x * 1``, ``x + 0``, ``True and x``, ``x if True else y`` and thread bounds that always hold."""

    def __init__(self, block_dims: tuple[int, int, int]) -> None:
        self.block_dims = block_dims

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        left, right = node.left, node.right
        if isinstance(node.op, ast.Mult):
            if _is(right, 1):
                return left
            if _is(left, 1):
                return right
        elif isinstance(node.op, ast.Add):
            if _is(right, 0):
                return left
            if _is(left, 0):
                return right
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        neutral = isinstance(node.op, ast.And)
        values: list[ast.expr] = []
        for value in node.values:
            parts = value.values if isinstance(value, ast.BoolOp) and type(value.op) is type(node.op) else [value]
            for part in parts:
                if not _is(part, neutral) and all(ast.unparse(part) != ast.unparse(other) for other in values):
                    values.append(part)
        if not values:
            return ast.Constant(neutral)
        return values[0] if len(values) == 1 else ast.BoolOp(op=node.op, values=values)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        axis = thread_axis(node.left)
        if axis is not None and len(node.ops) == 1 and isinstance(node.ops[0], ast.Lt):
            bound = node.comparators[0]
            if (
                isinstance(bound, ast.Constant)
                and isinstance(bound.value, int)
                and self.block_dims[axis] <= bound.value
            ):
                return ast.Constant(True)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        axis = thread_axis(node)
        if axis is not None and self.block_dims[axis] == 1:
            return ast.Constant(0)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = ast.unparse(node.func)
        inner = node.args[0] if len(node.args) == 1 else None
        is_repeated = isinstance(inner, ast.Call) and ast.unparse(inner.func) == name and len(inner.args) == 1
        return inner if inner is not None and is_repeated and name in _CASTS else node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        super().visit_If(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        node.body = node.body or [ast.Pass()]
        return node


def _is_integer(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def thread_axis(node: ast.AST) -> int | None:
    """The axis of ``ml.tid[axis]``, or None for anything else."""
    if (
        isinstance(node, ast.Subscript)
        and ast.unparse(node.value) == "ml.tid"
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, int)
    ):
        return node.slice.value
    return None


def _assignments(body: list[ast.stmt]) -> Iterator[ast.Assign]:
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign):
                yield node


class _Propagation(_Blocks):
    """Puts a name's value in its place where both never change: constants, other names, thread positions."""

    def __init__(self, body: list[ast.stmt]) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        for statement in body:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    self.counts[node.id] += 1
        loop_variables = {
            node.target.id
            for statement in body
            for node in ast.walk(statement)
            if isinstance(node, ast.For) and isinstance(node.target, ast.Name)
        }
        self.values: dict[str, ast.expr] = {}
        for assignment in _assignments(body):
            (target,) = assignment.targets
            if not isinstance(target, ast.Name) or self.counts[target.id] != 1:
                continue
            value = assignment.value
            is_fixed = _is_integer(value) or thread_axis(value) is not None
            is_fixed_name = (
                isinstance(value, ast.Name) and self.counts[value.id] <= 1 and value.id not in loop_variables
            )
            if is_fixed or is_fixed_name:
                self.values[target.id] = value

    def visit_Name(self, node: ast.Name) -> ast.expr:
        seen: ast.expr = node
        while isinstance(seen, ast.Name) and isinstance(node.ctx, ast.Load) and seen.id in self.values:
            seen = self.values[seen.id]
        return seen


def _without_dead_assignments(body: list[ast.stmt]) -> list[ast.stmt]:
    read = {
        node.id
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    } | {
        node.target.id
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
    }
    return _DeadCode(read).block(body)


class _DeadCode(_Blocks):
    def __init__(self, read: set[str]) -> None:
        self.read = read

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | None:
        (target,) = node.targets
        if not isinstance(target, ast.Name) or target.id in self.read:
            return node
        text = ast.unparse(node.value)
        is_needed = any(effect in text for effect in _EFFECTS) and not text.startswith("ml.threadgroup_array")
        return node if is_needed else None

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        super().visit_If(node)
        if not node.body and not node.orelse:
            return []
        node.body = node.body or [ast.Pass()]
        return node

    def visit_For(self, node: ast.For) -> ast.stmt | list[ast.stmt]:
        super().visit_For(node)
        return node if node.body and not all(isinstance(child, ast.Pass) for child in node.body) else []

    def visit_While(self, node: ast.While) -> ast.stmt | list[ast.stmt]:
        super().visit_While(node)
        node.body = node.body or [ast.Pass()]
        return node
