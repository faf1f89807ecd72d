"""What a statement in the generated code of one element is."""

from __future__ import annotations

import ast

from helion_msl._helion import slices
from helion_msl._helion.markers import (
    AT_MARKER,
    BLOCK,
    FOLD_MARKER,
    INDEX_MARKER,
    MATMUL_MARKER,
    SCAN_MARKER,
    VALUE_MARKER,
)

_STORES = ("tl.store", "tl.atomic")
_REDUCTIONS = (VALUE_MARKER, INDEX_MARKER)


def assignment(target: str, value: str) -> ast.stmt:
    """``target = value``."""
    return ast.parse(f"{target} = {value}").body[0]


def store_target(text: str) -> ast.expr:
    """An expression as the target of an assignment."""
    statement = ast.parse(f"{text} = 0").body[0]
    assert isinstance(statement, ast.Assign)
    return statement.targets[0]


def is_exchange(statement: ast.AST) -> bool:
    """Whether a statement is an atomic whose result is used."""
    call = statement.value if isinstance(statement, ast.Assign) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func).startswith("tl.atomic")


def is_store(statement: ast.AST) -> bool:
    """Whether a statement is a store, or an atomic whose result is not used."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func).startswith(_STORES)


def innermost_marker(node: ast.AST) -> ast.Call | None:
    """A call of a marker that has none in its operands."""
    for name in (MATMUL_MARKER, SCAN_MARKER, FOLD_MARKER, AT_MARKER, *_REDUCTIONS):
        for call in slices.calls(node, name):
            if name in _REDUCTIONS and ast.literal_eval(call.args[-1]) != BLOCK:
                continue
            inner = [found for argument in call.args if (found := innermost_marker(argument)) is not None]
            return inner[0] if inner else call
    return None


def is_zero(pure: list[ast.stmt], name: str) -> bool:
    """Whether a variable is all zeros after the statements `pure`."""
    assignments = [statement for statement in pure if name in slices.writes(statement)]
    value = assignments[-1].value if assignments and isinstance(assignments[-1], ast.Assign) else None
    while isinstance(value, ast.Call) and len(value.args) == 1:
        value = value.args[0]
    return isinstance(value, ast.Constant) and value.value == 0
