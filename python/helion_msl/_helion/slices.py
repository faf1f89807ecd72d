"""Slices of generated code: which statements a value needs, and copies of them under other names."""

from __future__ import annotations

import ast
import contextlib
from typing import TYPE_CHECKING, Any

from helion._compiler.ast_extension import ExtendedAST, create

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence


def names(node: ast.AST, context: type[ast.expr_context]) -> Iterator[str]:
    """The names that a node reads (``ast.Load``) or assigns (``ast.Store``), in the order of the text."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, context):
            yield part.id


def reads(*nodes: ast.AST) -> set[str]:
    """All names that some nodes read."""
    return {name for node in nodes for name in names(node, ast.Load)}


def writes(*nodes: ast.AST) -> set[str]:
    """All names that some nodes assign."""
    return {name for node in nodes for name in names(node, ast.Store)}


def calls(node: ast.AST, function: str) -> Iterator[ast.Call]:
    """The calls of a function inside a node; `function` may be dotted."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and ast.unparse(part.func) == function:
            yield part


def backward(statements: Sequence[ast.stmt], wanted: Iterable[str]) -> list[ast.stmt]:
    """Those of `statements` on which the values of `wanted` depend, in their order.

    The statements have no effects but the names that they assign.
    """
    needed = set(wanted)
    kept: list[ast.stmt] = []
    for statement in reversed(statements):
        assigned = writes(statement)
        if assigned & needed:
            kept.append(statement)
            if isinstance(statement, ast.Assign):
                needed -= assigned
            needed |= reads(statement)
    kept.reverse()
    return kept


def renamed(node: Any, replacements: Mapping[str, str | ast.expr]) -> Any:
    """A copy of a node, or of a list of them, with names replaced by other names, or by expressions.

    Nodes keep their places in the user's source.
    """
    if isinstance(node, list):
        return [renamed(part, replacements) for part in node]
    if not isinstance(node, ast.AST):
        return node
    if isinstance(node, ast.Name) and node.id in replacements:
        new = replacements[node.id]
        return ast.Name(new, node.ctx) if isinstance(new, str) else renamed(new, {})
    fields = {field: renamed(getattr(node, field, None), replacements) for field in node._fields}
    if isinstance(node, ExtendedAST):
        return node.new(fields)
    return type(node)(**fields)


def replaced(node: Any, old: ast.AST, new: ast.expr) -> Any:
    """A copy of a node with every part that reads like `old` replaced."""
    text = ast.unparse(old)

    class Replacement(ast.NodeTransformer):
        def visit_Call(self, call: ast.Call) -> ast.expr:
            if ast.unparse(call) == text:
                return new
            return self.generic_visit(call)  # type: ignore[return-value]

    return Replacement().visit(renamed(node, {}))


def extended(node: Any) -> Any:
    """The same node with every part a node of Helion's, which has a place in the user's source."""
    if isinstance(node, list):
        return [extended(part) for part in node]
    if not isinstance(node, ast.AST):
        return node
    fields = {field: extended(getattr(node, field, None)) for field in node._fields}
    if isinstance(node, ExtendedAST):
        return node.new(fields)
    place = next((part for part in ast.walk(node) if isinstance(part, ExtendedAST)), None)
    with place if place is not None else contextlib.nullcontext():
        return create(type(node), **fields)


def fresh(
    statements: Sequence[ast.stmt], replacements: dict[str, str | ast.expr], new_name: Callable[[str], str]
) -> list[ast.stmt]:
    """Copies of statements that assign names of their own; `replacements` gains those names."""
    for name in dict.fromkeys(name for statement in statements for name in names(statement, ast.Store)):
        replacements[name] = new_name(name)
    return [renamed(statement, replacements) for statement in statements]
