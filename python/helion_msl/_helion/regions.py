"""Regions: matrix products of a threadgroup as Metal Python. Operands and products lie in threadgroup memory."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import torch
from helion import exc

from helion_msl._helion import slices
from helion_msl._helion.elements import loop
from helion_msl._helion.products import Code, Region, Side, constant, expression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from helion_msl._helion.elements import Dimension, Elements
    from helion_msl._helion.products import Term


class Regions:
    """Writes regions."""

    def __init__(self, elements: Elements) -> None:
        self.elements = elements
        self.new_name = elements.new_name

    def region(self, region: Region, pure: list[ast.stmt], uniform: list[ast.stmt]) -> Code:
        """The statements of a region whose operands depend on the statements `pure`.

        Args:
            region: the products.
            pure: statements of single elements.
            uniform: statements of the region's loop that are the same for all elements.
        """
        memory = self.elements.memory
        before: list[ast.stmt] = []
        after: list[str] = []
        step: list[ast.stmt] = []
        additions: list[str] = []
        code = Code([], {})
        accumulators: dict[str, str] = {}
        staged: dict[str, str] = {}
        inner = self.elements.dimension(region.terms[0].blocks[2])
        depth = min(self.elements.limits.inner, inner.size) if inner is not None else 1
        chunk = self.new_name("inner") if inner is not None and depth < inner.size else None
        divides = inner is None or inner.size % depth == 0
        merged = chunk is not None and divides and self._is_only_index(region, inner)
        inner_base = self.elements.base(inner) if inner is not None else "0"
        if chunk is not None and not merged:
            inner_base = f"{inner_base} + {chunk}"
        limit = None if divides or inner is None else f"{inner.size} - {chunk}"
        for term in region.terms:
            if term.target in accumulators:
                continue
            rows, columns = self._sides(term)
            name = accumulators[term.target] = self.new_name("accumulator")
            text = f"{name} = ml.matmul_accumulator({rows.padded}, {columns.padded}, {self.elements.simdgroups})"
            before += ast.parse(text).body
            product = memory.allocate("product", torch.float32, rows.padded, columns.padded)
            after.append(f"ml.matmul_store({name}, {product})")
            code.products[term.target] = expression(f"{product}[{rows.position}, {columns.position}]")
        mark = memory.mark()
        for number, term in enumerate(region.terms):
            if term.blocks[2] != region.terms[0].blocks[2]:
                raise exc.BackendUnsupported("metal", "matrix products over different dimensions in one loop")
            rows, columns = self._sides(term)
            inner_side = Side(inner, depth, inner_base, limit, chunk if not merged else None)
            operands = []
            for role, value, sides in (
                ("left", term.marker.args[0], (rows, inner_side)),
                ("right", term.marker.args[1], (inner_side, columns)),
            ):
                key = f"{ast.unparse(value)} {sides} {term.dtype}"
                if key not in staged:
                    role = f"{role}_{number}" if number else role
                    dtype = getattr(torch, term.dtype.removeprefix("ml."))
                    staged[key] = memory.allocate(role, dtype, sides[0].padded, sides[1].padded)
                    fill = self._fill(staged[key], value, sides, pure)
                    step += [*memory.step(fill), fill]
                operands.append(staged[key])
            additions.append(f"ml.matmul_add({accumulators[term.target]}, {', '.join(operands)})")
        memory.synchronized()
        step += ast.parse("\n".join(["ml.barrier()", *additions, "ml.barrier()"])).body
        memory.release(mark)
        code.statements += before
        code.statements += self._loops(region, uniform, step, inner, chunk, depth, merged)
        code.statements += ast.parse("\n".join([*after, "ml.barrier()"])).body
        return code

    def _sides(self, term: Term) -> tuple[Side, Side]:
        rows, columns = (self.elements.dimension(block) for block in term.blocks[:2])
        return self._side(rows), self._side(columns)

    def _side(self, dimension: Dimension | None) -> Side:
        base = self.elements.base(dimension) if dimension is not None else "0"
        return Side(dimension, self.elements.extent(dimension), base)

    @staticmethod
    def _loops(
        region: Region,
        uniform: list[ast.stmt],
        step: list[ast.stmt],
        inner: Dimension | None,
        chunk: str | None,
        depth: int,
        merged: bool,
    ) -> list[ast.stmt]:
        """The steps of a region inside the loops over the inner dimension."""
        if chunk is not None and not merged:
            assert inner is not None
            step = [loop(chunk, f"range(0, {inner.size}, {depth})", step)]
        if region.loop is None:
            return step
        bounds = region.loop.iter
        if merged:
            assert isinstance(bounds, ast.Call)
            bounds = ast.Call(bounds.func, [*bounds.args[:2], ast.Constant(depth)], [])
        return [ast.For(target=region.loop.target, iter=bounds, body=[*uniform, *step], orelse=[])]

    def _fill(self, array: str, value: ast.expr, sides: tuple[Side, Side], pure: list[ast.stmt]) -> ast.stmt:
        """The loop in which the threads put the elements of an operand into a threadgroup array."""
        cone = slices.backward(pure, slices.reads(value))
        rows, columns = sides
        row, column, element = self.new_name("row"), self.new_name("column"), self.new_name("element")
        replacements: dict[str, str | ast.expr] = {}
        body = [*self._bind(rows, row, replacements), *self._bind(columns, column, replacements)]
        for dimension in self.elements.used(value, *cone):
            if dimension not in (rows.dimension, columns.dimension):
                if self.elements.extent(dimension) != 1:
                    raise exc.BackendUnsupported(
                        "metal",
                        "a matrix product of tiles that have more dimensions than rows, columns and batches",
                    )
                body += self.elements.bind(dimension, "0", replacements)
        body += slices.fresh(cone, replacements, self.new_name)
        target = f"{array}[{row}, {column}]"
        body += ast.parse(f"{target} = {ast.unparse(slices.renamed(value, replacements))}").body
        tests = [f"{name} < {bound}" for name, side in ((row, rows), (column, columns)) for bound in side.bounds]
        if tests:
            # Multiplied as zeros.
            branch = ast.parse(f"if {' and '.join(tests)}:\n    pass\nelse:\n    {target} = 0.0").body[0]
            assert isinstance(branch, ast.If)
            branch.body = body
            body = [branch]
        # Neighbouring threads read neighbouring elements of memory.
        if self._is_fastest(rows, columns, [*cone, ast.Expr(value)]):
            split = f"{column} = {element} // {rows.padded}\n{row} = {element} % {rows.padded}"
        else:
            split = f"{row} = {element} // {columns.padded}\n{column} = {element} % {columns.padded}"
        return self.elements.strided(element, rows.padded * columns.padded, [*ast.parse(split).body, *body])

    def _bind(self, side: Side, place: str, replacements: dict[str, str | ast.expr]) -> list[ast.stmt]:
        """Gives the variables of a side's dimension their values for the element at `place`."""
        if side.dimension is None:
            return []
        replacements[side.dimension.position] = expression(f"{side.first} + {place}" if side.first else place)
        index = self.elements.index(side.dimension)
        if index is None:
            return []
        new = replacements[index] = self.new_name(index)
        return ast.parse(f"{new} = {side.base} + {place}").body

    def _is_only_index(self, region: Region, inner: Dimension | None) -> bool:
        """Whether the loop's counter is used for nothing but the index of the elements."""
        if region.loop is None or inner is None or not isinstance(region.loop.target, ast.Name):
            return False
        uses = [name for statement in region.loop.body for name in slices.names(statement, ast.Load)]
        return uses.count(region.loop.target.id) == 1

    def _is_fastest(self, rows: Side, columns: Side, nodes: Sequence[ast.AST]) -> bool:
        """Whether rows, and not columns, are next to each other in the memory that an operand comes from."""
        strides: dict[str, int] = {}
        for node in nodes:
            for load in slices.calls(node, "tl.load"):
                for part in ast.walk(load.args[0]):
                    if (
                        isinstance(part, ast.BinOp)
                        and isinstance(part.op, ast.Mult)
                        and isinstance(part.left, ast.Name)
                    ):
                        stride = constant(part.right)
                        if isinstance(stride, int):
                            strides.setdefault(part.left.id, stride)
        row, column = (
            strides.get(self.elements.index(side.dimension) or "") if side.dimension is not None else None
            for side in (rows, columns)
        )
        return row == 1 and column != 1
