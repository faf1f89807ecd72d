"""Reductions and scans over a dimension of a tile, by a whole threadgroup.

What is reduced may be any value of single elements; it is computed where it is reduced. The result of a tile of rows
lies in threadgroup memory, that of a single row in every thread.
"""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING

import torch

from helion_msl._helion import slices
from helion_msl._helion.elements import loop
from helion_msl._helion.groups import SIMD_WIDTH, Group, GroupReduction
from helion_msl._helion.markers import SCAN_MARKER
from helion_msl._helion.products import constant, expression
from helion_msl._helion.reductions import identity
from helion_msl._helion.values import METAL_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from helion_msl._helion.elements import Dimension, Elements


class TileReductions:
    """Writes reductions and scans."""

    def __init__(self, elements: Elements) -> None:
        self.elements = elements
        self.new_name = elements.new_name

    def reduce(self, marker: ast.Call, pure: Sequence[ast.stmt]) -> tuple[list[ast.stmt], ast.expr]:
        """The statements of a reduction, and where an element of the result is found.

        Args:
            marker: the call that stands for it.
            pure: statements of single elements that its operands depend on.
        """
        kind, type_name = str(constant(marker.args[0])), str(constant(marker.args[1]))
        operands = marker.args[2:-2]
        dimension = self.elements.dimension(int(str(constant(marker.args[-2]))))
        assert dimension is not None
        dtype: torch.dtype = getattr(torch, type_name.removeprefix("torch."))
        cone = slices.backward(pure, slices.reads(*operands))
        kept = [used for used in self.elements.used(*operands, *cone) if used is not dimension]
        rows = math.prod(self.elements.extent(used) for used in kept)
        extent = self.elements.extent(dimension)
        result_type = dtype if len(operands) == 1 else torch.int32
        partial = _Partial(self.new_name, kind, dtype)
        replacements: dict[str, str | ast.expr] = {}
        row, column = self.new_name("row"), self.new_name("column")
        head = self.elements.split(row, kept, replacements) if rows > 1 else self._single(kept, replacements)
        body = self.elements.bind(dimension, column, replacements)
        body += slices.fresh(cone, replacements, self.new_name)
        body += partial.update([slices.renamed(operand, replacements) for operand in operands])
        if rows == 1:
            return self._one_row(column, extent, head, body, partial)
        target = self.elements.array("reduced", kept, result_type)
        place = f"{target.name}[{ast.unparse(_at(target.element, replacements))}]"
        if extent < SIMD_WIDTH:
            # A thread for each row.
            per_row = [*head, *partial.start(), loop(column, f"range({extent})", body)]
            per_row += ast.parse(f"{place} = {partial.result}").body
            statement = self.elements.strided(row, rows, per_row)
        else:
            # A simdgroup for each row.
            lanes = loop(column, f"range(ml.simd_lane, {extent}, {SIMD_WIDTH})", body)
            group = Group(0, SIMD_WIDTH, (self.elements.threads, 1, 1))
            arrays, combine, result = GroupReduction(self.new_name, group, partial.kind, dtype).expand(*partial.names)
            assert not arrays
            write = ast.parse(f"if ml.simd_lane == 0:\n    {place} = {result}").body
            per_row = [*head, *partial.start(), lanes, *combine, *write]
            statement = loop(row, f"range(ml.simd_group, {rows}, {self.elements.simdgroups})", per_row)
        return [*self.elements.memory.step(statement), statement], expression(target.element)

    def _single(self, kept: Sequence[Dimension], replacements: dict[str, str | ast.expr]) -> list[ast.stmt]:
        return [part for dimension in kept for part in self.elements.bind(dimension, "0", replacements)]

    def _one_row(
        self, column: str, extent: int, head: list[ast.stmt], body: list[ast.stmt], partial: _Partial
    ) -> tuple[list[ast.stmt], ast.expr]:
        """All threads reduce one row; each of them gets the result."""
        threads = self.elements.threads
        lanes = loop(column, f"range(ml.thread_index, {extent}, {threads})", body)
        group = Group(0, threads, (threads, 1, 1))
        arrays, combine, result = GroupReduction(self.new_name, group, partial.kind, partial.dtype).expand(
            *partial.names
        )
        memory = self.elements.memory
        memory.declarations += arrays
        memory.size += sum(self.elements.simdgroups * 8 for _ in arrays)
        before = memory.step(lanes)
        if arrays:
            # Their barriers order everything before.
            memory.synchronized()
        return [*before, *head, *partial.start(), lanes, *combine], expression(result)

    def scan(self, marker: ast.Call, pure: Sequence[ast.stmt]) -> tuple[list[ast.stmt], ast.expr]:
        """The statements of a scan, or of a reduction with a function; arguments and result as of :meth:`reduce`."""
        texts, types = ast.literal_eval(marker.args[0]), ast.literal_eval(marker.args[1])
        assert isinstance(marker.args[2], ast.List)
        values, mask = marker.args[2].elts, marker.args[6]
        is_reverse, number = ast.literal_eval(marker.args[4]), ast.literal_eval(marker.args[5])
        is_scan = ast.unparse(marker.func) == SCAN_MARKER
        dimension = self.elements.dimension(int(str(constant(marker.args[3]))))
        assert dimension is not None
        dtypes = [getattr(torch, name.removeprefix("torch.")) for name in types]
        cone = slices.backward(pure, slices.reads(*values, mask))
        kept = [used for used in self.elements.used(*values, *cone) if used is not dimension]
        rows = math.prod(self.elements.extent(used) for used in kept)
        extent = self.elements.extent(dimension)
        target = self.elements.array(
            "scanned" if is_scan else "folded", [*kept, dimension] if is_scan else kept, dtypes[number]
        )
        replacements: dict[str, str | ast.expr] = {}
        row, column, started = self.new_name("row"), self.new_name("column"), self.new_name("started")
        head = self.elements.split(row, kept, replacements) if rows > 1 else self._single(kept, replacements)
        body = self.elements.bind(dimension, column, replacements)
        body += slices.fresh(cone, replacements, self.new_name)
        running = [self.new_name("running") for _ in values]
        lines = []
        operands: dict[str, str | ast.expr] = {}
        for position, (value, name, dtype) in enumerate(zip(values, running, dtypes, strict=True)):
            operand = self.new_name("operand")
            lines.append(f"{operand} = {METAL_TYPES[dtype]}({ast.unparse(slices.renamed(value, replacements))})")
            operands |= {f"_left_{position}": name, f"_right_{position}": operand}
        combined = [ast.unparse(slices.renamed(expression(text), operands)) for text in texts]
        news = [self.new_name("combined") for _ in values]
        for new, text, position in zip(news, combined, range(len(values)), strict=True):
            first = operands[f"_right_{position}"]
            lines.append(f"{new} = {METAL_TYPES[dtypes[position]]}({text} if {started} else {first})")
        is_inside = isinstance(mask, ast.Constant) or ast.unparse(slices.renamed(mask, replacements))
        update = [f"{name} = {new}" for name, new in zip(running, news, strict=True)] + [f"{started} = True"]
        if isinstance(is_inside, str):
            update = [f"if {is_inside}:", *("    " + line for line in update)]
        lines += update
        write = f"{target.name}[{ast.unparse(_at(target.element, replacements))}] = {running[number]}"
        body += ast.parse("\n".join([*lines, write] if is_scan else lines)).body
        start = [f"{name} = {METAL_TYPES[dtype]}(0)" for name, dtype in zip(running, dtypes, strict=True)]
        steps = f"range({extent - 1}, -1, -1)" if is_reverse else f"range({extent})"
        per_row = [*head, *ast.parse("\n".join([*start, f"{started} = False"])).body, loop(column, steps, body)]
        if not is_scan:
            per_row += ast.parse(write).body
        statement = self.elements.strided(row, rows, per_row)
        return [*self.elements.memory.step(statement), statement], expression(target.element)


class _Partial:
    """What one thread has reduced so far."""

    def __init__(self, new_name: object, kind: str, dtype: torch.dtype) -> None:
        self.kind = kind
        self.dtype = dtype
        assert callable(new_name)
        self.is_indexed = kind in ("argmax", "argmin")
        self._new_name = new_name
        self.value: str = new_name("partial")
        self.index: str = new_name("index") if self.is_indexed else ""

    @property
    def names(self) -> list[str]:
        """The variables: a value, and the index that belongs to it."""
        return [self.value, self.index] if self.is_indexed else [self.value]

    @property
    def result(self) -> str:
        """The variable with the result."""
        return self.index if self.is_indexed else self.value

    def start(self) -> list[ast.stmt]:
        """Assigns what changes no result."""
        neutral = {"argmax": "max", "argmin": "min"}.get(self.kind, self.kind)
        lines = [f"{self.value} = {identity(neutral, self.dtype)}"]
        if self.is_indexed:
            lines.append(f"{self.index} = ml.int32({torch.iinfo(torch.int32).max})")
        return ast.parse("\n".join(lines)).body

    def update(self, operands: Sequence[ast.expr]) -> list[ast.stmt]:
        """Takes an element in."""
        value = f"{METAL_TYPES[self.dtype]}({ast.unparse(operands[0])})"
        if not self.is_indexed:
            return ast.parse(f"{self.value} = {_combine(self.kind, self.value, value)}").body
        candidate, position, better = self._new_name("candidate"), self._new_name("position"), self._new_name("better")
        test = f"{candidate} {'>' if self.kind == 'argmax' else '<'} {self.value}"
        test += f" or ({candidate} == {self.value} and {position} < {self.index})"
        if self.dtype.is_floating_point:
            test += f" or (ml.isnan({candidate}) and not ml.isnan({self.value}))"
        return ast.parse(
            f"{candidate} = {value}\n{position} = {ast.unparse(operands[1])}\n{better} = {test}\n"
            f"{self.index} = {position} if {better} else {self.index}\n"
            f"{self.value} = {candidate} if {better} else {self.value}"
        ).body


def _combine(kind: str, left: str, right: str) -> str:
    operators = {"sum": "+", "prod": "*"}
    if kind in operators:
        return f"{left} {operators[kind]} {right}"
    return f"ml.{'maximum' if kind == 'max' else 'minimum'}({left}, {right})"


def _at(element: str, replacements: dict[str, str | ast.expr]) -> ast.expr:
    """The subscript of an element whose positions have variables."""
    node = expression(element)
    assert isinstance(node, ast.Subscript)
    subscript: ast.expr = slices.renamed(node.slice, replacements)
    return subscript
