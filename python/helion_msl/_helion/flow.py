"""Which values differ between the elements of a tile, and along which of its dimensions."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from helion_msl._helion import slices
from helion_msl._helion.markers import AT_MARKER, FOLD_MARKER, INDEX_MARKER, MATMUL_MARKER, SCAN_MARKER, VALUE_MARKER
from helion_msl._helion.products import constant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


class Flow:
    """The dimensions that every name of a kernel depends on.

    Args:
        statements: the kernel.
        indices: the block id of each index variable.
        canonical: returns the block id that stands for all that share a block size.

    Attributes:
        varying: names whose value may differ between elements or is computed by the whole threadgroup.
        matrix: block ids of rows and columns of products.
        whole: block ids of dimensions that are reduced or multiplied over.
    """

    def __init__(
        self, statements: Sequence[ast.stmt], indices: Mapping[str, int], canonical: Callable[[int], int]
    ) -> None:
        self._canonical = canonical
        self._blocks: dict[str, frozenset[int]] = {name: frozenset([block]) for name, block in indices.items()}
        self.varying: set[str] = set(indices)
        self.matrix: set[int] = set()
        self.whole: set[int] = set()
        for statement in statements:
            self._roles(statement)
        while self._grow(statements, frozenset(), is_varying=False):
            pass

    def blocks(self, name: str) -> frozenset[int]:
        """The block ids of the dimensions that a name depends on."""
        return self._blocks.get(name, frozenset())

    def same(self, new: str, old: str) -> None:
        """Give a new name the dimensions of another."""
        self._blocks[new] = self.blocks(old)
        if old in self.varying:
            self.varying.add(new)

    def _roles(self, statement: ast.AST) -> None:
        for call in slices.calls(statement, MATMUL_MARKER):
            rows, columns, inner = (constant(argument) for argument in call.args[2:5])
            self.matrix |= {self._canonical(block) for block in (rows, columns) if isinstance(block, int)}
            if isinstance(inner, int):
                self.whole.add(self._canonical(inner))
        for name, place in ((VALUE_MARKER, -2), (INDEX_MARKER, -2), (SCAN_MARKER, 3), (FOLD_MARKER, 3), (AT_MARKER, 1)):
            for call in slices.calls(statement, name):
                block = constant(call.args[place])
                if isinstance(block, int):
                    self.whole.add(self._canonical(block))

    def _grow(self, statements: Iterable[ast.stmt], control: frozenset[int], is_varying: bool) -> bool:
        changed = False
        for statement in statements:
            if isinstance(statement, ast.Assign):
                blocks = self._of(statement.value) | control
                varies = is_varying or self._varies(statement.value)
                for name in slices.writes(statement):
                    changed |= self._add(name, blocks, varies)
            elif isinstance(statement, ast.If | ast.While):
                blocks = self._of(statement.test) | control
                varies = is_varying or self._varies(statement.test)
                changed |= self._grow([*statement.body, *statement.orelse], blocks, varies)
            elif isinstance(statement, ast.For):
                blocks = self._of(statement.iter) | control
                varies = is_varying or self._varies(statement.iter)
                changed |= self._grow(statement.body, blocks, varies)
        return changed

    def _add(self, name: str, blocks: frozenset[int], varies: bool) -> bool:
        before = self.blocks(name), name in self.varying
        self._blocks[name] = self.blocks(name) | blocks
        if varies:
            self.varying.add(name)
        return before != (self.blocks(name), name in self.varying)

    def _varies(self, node: ast.expr) -> bool:
        if slices.reads(node) & self.varying:
            return True
        markers = (MATMUL_MARKER, VALUE_MARKER, INDEX_MARKER, SCAN_MARKER, FOLD_MARKER, AT_MARKER)
        return "tl.atomic_" in ast.unparse(node) or any(
            next(slices.calls(node, name), None) is not None for name in markers
        )

    def _of(self, node: ast.AST) -> frozenset[int]:
        """The block ids that an expression depends on."""
        if isinstance(node, ast.Name):
            return self.blocks(node.id)
        found: frozenset[int] = frozenset()
        for part in ast.iter_child_nodes(node):
            found |= self._of(part)
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name == MATMUL_MARKER:
                rows, columns, inner = (constant(argument) for argument in node.args[2:5])
                found -= {self._canonical(block) for block in (inner,) if isinstance(block, int)}
                found |= {self._canonical(block) for block in (rows, columns) if isinstance(block, int)}
            elif name in (VALUE_MARKER, INDEX_MARKER, FOLD_MARKER):
                block = constant(node.args[3 if name == FOLD_MARKER else -2])
                found -= {self._canonical(block)} if isinstance(block, int) else set()
            elif name == AT_MARKER:
                block = constant(node.args[1])
                others = self._of(node.args[0]) - ({self._canonical(block)} if isinstance(block, int) else set())
                return others | self._of(node.args[2])
            elif name == SCAN_MARKER:
                block = constant(node.args[3])
                found |= {self._canonical(block)} if isinstance(block, int) else set()
        return found


def exposed(statements: Iterable[ast.stmt]) -> set[str]:
    """Names that some statements may read before they assign them."""
    found: set[str] = set()
    assigned: set[str] = set()
    for statement in statements:
        if isinstance(statement, ast.Assign):
            found |= slices.reads(statement) - assigned
            assigned |= slices.writes(statement)
        elif isinstance(statement, ast.If):
            found |= (slices.reads(statement.test) | exposed(statement.body) | exposed(statement.orelse)) - assigned
        else:
            found |= slices.reads(statement) - assigned
    return found
