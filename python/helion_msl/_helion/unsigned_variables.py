"""Lets variables of wrapping arithmetic be unsigned where that saves conversions.

``v = ml.int32(ml.uint32(x) * 5)`` that is only read as ``ml.uint32(v)`` becomes ``v = ml.uint32(x) * 5`` and is read
as ``v``, so that a chain of operations is converted once on its way in and once on its way out.
"""

from __future__ import annotations

import ast
import collections

import torch

from helion_msl._helion.values import METAL_TYPES
from helion_msl._helion.wrapping import UNSIGNED

# What the conversion of a signed variable to the unsigned type of its size is called.
_CONVERSIONS = {
    METAL_TYPES[signed]: METAL_TYPES[unsigned]
    for signed, unsigned in UNSIGNED.items()
    if signed in (torch.int32, torch.int64)
}
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.LShift)


def leave_unsigned(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return `body` with as few conversions between signed and unsigned variables as its variables need."""
    definitions = _definitions(body)
    reads = collections.Counter(
        node.id
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    )
    converted = collections.Counter(
        name
        for statement in body
        for node in ast.walk(statement)
        if (name := _converted_name(node)) is not None and _conversion(node) == definitions.get(name)
    )
    unsigned = {name for name in definitions if converted[name] and converted[name] == reads[name]}
    rewriter = _Rewriter(unsigned)
    return [rewriter.visit(statement) for statement in body]


def _definitions(body: list[ast.stmt]) -> dict[str, str]:
    """Variables that are assigned once, to unsigned arithmetic that becomes signed; with the unsigned type."""
    stores: collections.Counter[str] = collections.Counter()
    found: dict[str, str] = {}
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                stores[node.id] += 1
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                unsigned = _CONVERSIONS.get(_conversion(node.value) or "")
                if unsigned is not None and _is_arithmetic(_operand(node.value), unsigned):
                    found[node.targets[0].id] = unsigned
    return {name: unsigned for name, unsigned in found.items() if stores[name] == 1}


def _conversion(node: ast.AST) -> str | None:
    """The type that a call converts to."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 1:
        return ast.unparse(node.func)
    return None


def _operand(node: ast.AST) -> ast.expr:
    assert isinstance(node, ast.Call)
    return node.args[0]


def _converted_name(node: ast.AST) -> str | None:
    if _conversion(node) is None:
        return None
    operand = _operand(node)
    return operand.id if isinstance(operand, ast.Name) else None


def _is_arithmetic(node: ast.expr, unsigned: str) -> bool:
    """Whether an expression computes in an unsigned type, whose conversions stand in it."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _conversion(node.operand) == unsigned
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, _OPERATORS)):
        return False
    if isinstance(node.op, ast.LShift):
        return _conversion(node.left) == unsigned
    operands = (node.left, node.right)
    return any(_conversion(operand) == unsigned for operand in operands) and all(
        isinstance(operand, ast.Constant) or _conversion(operand) == unsigned for operand in operands
    )


class _Rewriter(ast.NodeTransformer):
    def __init__(self, unsigned: set[str]) -> None:
        self.unsigned = unsigned

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        (target,) = node.targets
        if isinstance(target, ast.Name) and target.id in self.unsigned:
            node.value = _operand(node.value)
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = _converted_name(node)
        return _operand(node) if name in self.unsigned else self.generic_visit(node)  # type: ignore[return-value]
