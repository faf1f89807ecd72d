"""Types of the values in generated code, which Helion's text does not carry."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import torch
from helion import exc

from helion_msl._helion.markers import AT_MARKER, FOLD_MARKER, INDEX_MARKER, MATMUL_MARKER, SCAN_MARKER, VALUE_MARKER
from helion_msl._helion.values import METAL_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TYPES = {name: dtype for dtype, name in METAL_TYPES.items()}
_PREDICATES = frozenset({"ml.isnan", "ml.isinf", "ml.isfinite", "ml.signbit"})


class Types:
    """The type of every name that some statements assign.

    Args:
        statements: in their order.
        tensors: types of the tensor arguments.
    """

    def __init__(self, statements: Sequence[ast.stmt], tensors: Mapping[str, torch.dtype]) -> None:
        self._tensors = tensors
        self._names: dict[str, torch.dtype | None] = {}
        # The second pass knows what a loop leaves behind for its next iteration.
        for _ in range(2):
            for statement in statements:
                self._visit(statement)

    def of_name(self, name: str) -> torch.dtype:
        """Return the type of a name; raises BackendUnsupported where it cannot be told."""
        dtype = self._names.get(name)
        if dtype is None:
            raise exc.BackendUnsupported("metal", f"{name}: a tile whose type cannot be told; convert it with .to()")
        return dtype

    def same(self, new: str, old: str) -> None:
        """Give a new name the type of another."""
        self._names[new] = self._names.get(old)

    def _visit(self, statement: ast.AST) -> None:
        for node in ast.iter_child_nodes(statement):
            if isinstance(node, ast.stmt):
                self._visit(node)
        if isinstance(statement, ast.For) and isinstance(statement.target, ast.Name):
            self._names[statement.target.id] = torch.int64
            for node in statement.body:
                self._visit(node)
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            dtype = self.of(statement.value)
            known = self._names.get(name)
            self._names[name] = dtype if known is None else known if dtype is None else _promoted(known, dtype)

    def of(self, node: ast.expr) -> torch.dtype | None:
        """Return the type of an expression, None where it is not known."""
        if isinstance(node, ast.Constant):
            return {bool: torch.bool, int: torch.int64, float: torch.float32}.get(type(node.value))
        if isinstance(node, ast.Name):
            return self._names.get(node.id)
        if isinstance(node, ast.Attribute):
            return torch.float32 if ast.unparse(node) in ("ml.inf", "ml.nan") else None
        if isinstance(node, ast.Compare | ast.BoolOp):
            return torch.bool
        if isinstance(node, ast.UnaryOp):
            return torch.bool if isinstance(node.op, ast.Not) else self.of(node.operand)
        if isinstance(node, ast.BinOp):
            result = self._joined(node.left, node.right)
            is_quotient = isinstance(node.op, ast.Div) and result is not None and not result.is_floating_point
            return torch.float32 if is_quotient else result
        if isinstance(node, ast.IfExp):
            return self._joined(node.body, node.orelse)
        if isinstance(node, ast.Subscript):
            # An inserted axis, or a position of a thread.
            return torch.int64 if ast.unparse(node.value).startswith("ml.") else self.of(node.value)
        return self._of_call(node) if isinstance(node, ast.Call) else None

    def _of_call(self, node: ast.Call) -> torch.dtype | None:
        name = ast.unparse(node.func)
        if name in _TYPES:
            return _TYPES[name]
        if name == "tl.load" or name.startswith("tl.atomic_"):
            pointer = node.args[0]
            while isinstance(pointer, ast.BinOp):
                pointer = pointer.left
            return self._tensors.get(ast.unparse(pointer))
        if name == AT_MARKER:
            return self.of(node.args[0])
        if name == MATMUL_MARKER:
            return torch.float32
        if name == INDEX_MARKER:
            return torch.int32
        if name == VALUE_MARKER or name in (SCAN_MARKER, FOLD_MARKER):
            types = ast.literal_eval(node.args[1])
            chosen = types if isinstance(types, str) else types[ast.literal_eval(node.args[5])]
            dtype: torch.dtype = getattr(torch, chosen.removeprefix("torch."))
            return dtype
        if name == "ml.bitcast":
            return _TYPES.get(ast.unparse(node.args[1]))
        if name in _PREDICATES:
            return torch.bool
        if name.startswith("ml.") or name in ("min", "max", "abs"):
            return self._joined(*node.args)
        return None

    def _joined(self, *nodes: ast.expr) -> torch.dtype | None:
        """The type of operands that are combined; a literal takes the type of the others of its kind."""
        known = [(self.of(node), isinstance(node, ast.Constant)) for node in nodes]
        result: torch.dtype | None = None
        for dtype, is_literal in sorted(known, key=lambda pair: pair[1]):
            if dtype is None:
                return None
            if result is None:
                result = dtype
            elif not is_literal or (dtype.is_floating_point and not result.is_floating_point):
                result = _promoted(result, dtype)
        return result


def _promoted(left: torch.dtype, right: torch.dtype) -> torch.dtype:
    return left if left == right else torch.promote_types(left, right)
