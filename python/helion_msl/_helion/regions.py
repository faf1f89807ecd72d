"""Regions: matrix products of a threadgroup, and loops over the elements of a tile, as Metal Python.

Operands and products lie in threadgroup memory. Where a tile is too large for that, it is done in parts of at most 64
by 64 elements, one after the other.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from helion import exc
from helion._compiler.compile_environment import CompileEnvironment
from helion._compiler.reduction_strategy import ReductionStrategy

from helion_msl._helion import slices
from helion_msl._helion.products import Code, Dimension, Region, Side, Term, constant, expression, padded
from helion_msl._helion.threads import largest_divisor
from helion_msl._helion.tiles import MetalTileStrategy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from helion._compiler.device_function import DeviceFunction

# Metal Feature Set Tables, "Maximum threadgroup memory allocation" of every Apple GPU family.
_THREADGROUP_BYTES = 32768
# Largest extent of a part of a tile, and of the slice of the inner dimension that is multiplied at once.
_EXTENTS = ((64, 32), (64, 16), (32, 32), (32, 16), (64, 8), (32, 8), (16, 16), (16, 8), (8, 8))


class Emitter:
    """Writes regions and loops over elements, and keeps account of threadgroup memory.

    Attributes:
        arrays: declarations for the top of the kernel.
        threads: threads of the threadgroup.
        by_index: the dimensions of all tiles by the variable of their index.
    """

    def __init__(self, fn: DeviceFunction) -> None:
        self.new_name = fn.new_var
        self.simdgroups = max(1, min(int(fn.config.num_warps or 4), 32))
        self.threads = 32 * self.simdgroups
        self.arrays: list[ast.stmt] = []
        self.by_index = {dimension.index: dimension for dimension in _dimensions(fn)}
        self._by_block = {dimension.block: dimension for dimension in self.by_index.values()}
        self._pool: dict[tuple[str, str, int, int], str] = {}
        self._bytes = 0
        # For each dimension that is done in parts the variable that counts them, and their size.
        self._parts: dict[int, tuple[str, int]] = {}
        self._slice = _EXTENTS[0][1]
        self._outer: list[tuple[dict[int, tuple[str, int]], int]] = []

    def dimension(self, block: int | None) -> Dimension | None:
        """The dimension of a block id; None for a dimension of one element."""
        if block is None:
            return None
        env = CompileEnvironment.current()
        for known, dimension in self._by_block.items():
            if known == block or env.canonical_block_id(known) == env.canonical_block_id(block):
                return dimension
        raise exc.BackendUnsupported("metal", "a matrix product with a dimension that is no tile of the kernel")

    # ---- parts of tiles --------------------------------------------------------------------------------------------

    def divide(self, scope: Sequence[Dimension], regions: Sequence[Region]) -> list[tuple[str, int, int]]:
        """Decides in which parts the tiles of a scope are done; returns the loops over them: name, size, step."""
        self._outer.append((dict(self._parts), self._slice))
        terms = [term for region in regions for term in region.terms]
        sides = [self.dimension(block) for term in terms for block in term.blocks[:2]]
        inner = [self.dimension(term.blocks[2]) for term in terms]
        extents, self._slice = self._extents(terms)
        loops = []
        for dimension in scope:
            part = extents.get(dimension.block, 1)
            if dimension in inner:
                continue
            if dimension not in sides and dimension.block in self._parts:
                continue
            if part < dimension.size:
                name = self.new_name(f"part_{dimension.block}")
                self._parts[dimension.block] = (name, part)
                loops.append((name, dimension.size, part))
        return loops

    def undivide(self) -> None:
        """Ends the last :meth:`divide`."""
        self._parts, self._slice = self._outer.pop()

    def _extents(self, terms: Sequence[Term]) -> tuple[dict[int, int], int]:
        whole = {dimension.block for term in terms if (dimension := self.dimension(term.blocks[2])) is not None}
        for largest, inner_slice in _EXTENTS:
            extents: dict[int, int] = {}
            arrays: set[tuple[str, int, int]] = set()
            total = 0
            for term in terms:
                rows, columns, inner = (self.dimension(block) for block in term.blocks)
                height, width = (
                    1 if side is None else side.size if side.block in whole else largest_divisor(side.size, largest)
                    for side in (rows, columns)
                )
                depth = padded(min(inner.size, inner_slice) if inner is not None else 1)
                for dimension, part in ((rows, height), (columns, width)):
                    if dimension is not None:
                        extents[dimension.block] = part
                size = 4 if term.dtype == "ml.float32" else 2
                total += (padded(height) + padded(width)) * depth * size
                arrays.add((term.target, padded(height), padded(width)))
            total += sum(height * width * 4 for _, height, width in arrays)
            if total <= _THREADGROUP_BYTES - self._bytes:
                return extents, inner_slice
        raise exc.BackendUnsupported(
            "metal", f"{len(terms)} matrix products at once: their tiles do not fit in a threadgroup's memory"
        )

    def _extent(self, dimension: Dimension | None) -> int:
        if dimension is None:
            return 1
        return self._parts[dimension.block][1] if dimension.block in self._parts else dimension.size

    def _base(self, dimension: Dimension) -> str:
        if dimension.block in self._parts:
            return f"{dimension.offset} + {self._parts[dimension.block][0]}"
        return dimension.offset

    def _array(self, role: str, dtype: str, rows: int, columns: int) -> str:
        """A threadgroup array; regions that are not computed together share those of one role."""
        key = (role, dtype, rows, columns)
        if key not in self._pool:
            name = self._pool[key] = self.new_name(role)
            self.arrays += ast.parse(f"{name} = ml.threadgroup_array(({rows}, {columns}), {dtype})").body
            self._bytes += rows * columns * (4 if dtype == "ml.float32" else 2)
        return self._pool[key]

    # ---- products --------------------------------------------------------------------------------------------------

    def region(self, region: Region, pure: list[ast.stmt], uniform: list[ast.stmt], scope: Sequence[Dimension]) -> Code:
        """The statements of a region whose operands depend on the statements `pure`, in the tiles `scope`."""
        before: list[str] = []
        after: list[str] = []
        step: list[ast.stmt] = []
        additions: list[str] = []
        code = Code([], {})
        accumulators: dict[str, str] = {}
        staged: dict[str, str] = {}
        inner = self.dimension(region.terms[0].blocks[2])
        depth = min(self._slice, inner.size) if inner is not None else 1
        chunk = self.new_name("inner") if inner is not None and depth < inner.size else None
        divides = inner is None or inner.size % depth == 0
        merged = chunk is not None and divides and _is_only_index(region, inner)
        inner_base = inner.offset if inner is not None else "0"
        if chunk is not None and not merged:
            inner_base = f"{inner_base} + {chunk}"
        for number, term in enumerate(region.terms):
            if term.blocks[2] != region.terms[0].blocks[2]:
                raise exc.BackendUnsupported("metal", "matrix products over different dimensions in one loop")
            rows, columns = (self.dimension(block) for block in term.blocks[:2])
            row_side = Side(rows, self._extent(rows), self._base(rows) if rows is not None else "0")
            column_side = Side(columns, self._extent(columns), self._base(columns) if columns is not None else "0")
            inner_side = Side(inner, depth, inner_base, None if divides or inner is None else f"{inner.size} - {chunk}")
            if term.target not in accumulators:
                name = accumulators[term.target] = self.new_name("accumulator")
                shape = f"{row_side.padded}, {column_side.padded}"
                before.append(f"{name} = ml.matmul_accumulator({shape}, {self.simdgroups})")
                role = "product" if len({other.target for other in region.terms}) == 1 else f"product_{term.target}"
                product = self._array(role, "ml.float32", row_side.padded, column_side.padded)
                after.append(f"ml.matmul_store({name}, {product})")
                code.products[term.target] = expression(f"{product}[{row_side.position}, {column_side.position}]")
            operands = []
            for role, value, sides in (
                ("left", term.marker.args[0], (row_side, inner_side)),
                ("right", term.marker.args[1], (inner_side, column_side)),
            ):
                key = f"{ast.unparse(value)} {sides} {term.dtype}"
                if key not in staged:
                    role = f"{role}_{number}" if number else role
                    staged[key] = self._array(role, term.dtype, sides[0].padded, sides[1].padded)
                    step.append(self._fill(staged[key], value, sides, pure, scope))
                operands.append(staged[key])
            additions.append(f"ml.matmul_add({accumulators[term.target]}, {', '.join(operands)})")
        step += ast.parse("\n".join(["ml.barrier()", *additions, "ml.barrier()"])).body
        code.statements += ast.parse("\n".join(before)).body
        code.statements += self._loops(region, uniform, step, inner, chunk, depth, merged)
        code.statements += ast.parse("\n".join([*after, "ml.barrier()"])).body
        return code

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
            loop = ast.parse(f"for {chunk} in range(0, {inner.size}, {depth}):\n    pass").body[0]
            assert isinstance(loop, ast.For)
            loop.body = step
            step = [loop]
        if region.loop is None:
            return step
        bounds = region.loop.iter
        if merged:
            assert isinstance(bounds, ast.Call)
            bounds = ast.Call(bounds.func, [*bounds.args[:2], ast.Constant(depth)], [])
        return [ast.For(target=region.loop.target, iter=bounds, body=[*uniform, *step], orelse=[])]

    def _fill(
        self,
        array: str,
        value: ast.expr,
        sides: tuple[Side, Side],
        pure: list[ast.stmt],
        scope: Sequence[Dimension],
    ) -> ast.stmt:
        """The loop in which the threads put the elements of an operand into a threadgroup array."""
        cone = slices.backward(pure, slices.reads(value))
        rows, columns = sides
        row, column, element = self.new_name("row"), self.new_name("column"), self.new_name("element")
        replacements: dict[str, str | ast.expr] = {}
        body = [*rows.bind(row, replacements, self.new_name), *columns.bind(column, replacements, self.new_name)]
        for dimension in scope:
            is_used = {dimension.index, dimension.position} & slices.reads(value, *cone)
            if is_used and dimension not in (rows.dimension, columns.dimension):
                body += self._only(dimension).bind("0", replacements, self.new_name)
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
        if _is_fastest(rows, columns, [*cone, ast.Expr(value)]):
            split = f"{column} = {element} // {rows.padded}\n{row} = {element} % {rows.padded}"
        else:
            split = f"{row} = {element} // {columns.padded}\n{column} = {element} % {columns.padded}"
        return self._strided(element, rows.padded * columns.padded, [*ast.parse(split).body, *body])

    def _only(self, dimension: Dimension) -> Side:
        """A dimension along which the part of the tile has one element."""
        if self._extent(dimension) != 1:
            raise exc.BackendUnsupported(
                "metal", "a matrix product of tiles that have more dimensions than rows, columns and batches"
            )
        return Side(dimension, 1, self._base(dimension))

    def _strided(self, element: str, count: int, body: list[ast.stmt]) -> ast.stmt:
        loop = ast.parse(f"for {element} in range(ml.thread_index, {count}, {self.threads}):\n    pass").body[0]
        assert isinstance(loop, ast.For)
        loop.body = body
        return loop

    # ---- stores ----------------------------------------------------------------------------------------------------

    def stores(self, pure: list[ast.stmt], scope: Sequence[Dimension], stores: Sequence[ast.Call]) -> list[ast.stmt]:
        """The loops over elements that do some stores, which depend on the statements `pure`."""
        groups: list[tuple[list[Dimension], list[ast.Call]]] = []
        for store in stores:
            cone = slices.backward(pure, slices.reads(store))
            used = slices.reads(store, *cone)
            dimensions = [dimension for dimension in scope if {dimension.index, dimension.position} & used]
            if groups and groups[-1][0] == dimensions:
                groups[-1][1].append(store)
            else:
                groups.append((dimensions, [store]))
        return [statement for dimensions, group in groups for statement in self._store(pure, dimensions, group)]

    def _store(self, pure: list[ast.stmt], dimensions: list[Dimension], stores: Sequence[ast.Call]) -> list[ast.stmt]:
        cone = slices.backward(pure, slices.reads(*stores))
        replacements: dict[str, str | ast.expr] = {}
        places: list[str] = []
        element = self.new_name("element")
        body: list[ast.stmt] = []
        count = 1
        looped = [dimension for dimension in dimensions if self._extent(dimension) > 1]
        for dimension in dimensions:
            place = self.new_name("column" if dimension is dimensions[-1] else "row")
            side = Side(dimension, self._extent(dimension), self._base(dimension))
            body += side.bind(place, replacements, self.new_name)
            places.append(place)
        split = []
        for place, dimension in reversed(list(zip(places, dimensions, strict=True))):
            extent = self._extent(dimension)
            quotient = element if count == 1 else f"{element} // {count}"
            is_last = dimension is looped[0] if looped else True
            split.append(
                f"{place} = 0" if extent == 1 else f"{place} = {quotient}" + ("" if is_last else f" % {extent}")
            )
            count *= extent
        body = [*ast.parse("\n".join(reversed(split))).body, *body]
        body += slices.fresh(cone, replacements, self.new_name)
        body += [ast.Expr(slices.renamed(store, replacements)) for store in stores]
        if count == 1:
            branch = ast.parse("if ml.thread_index == 0:\n    pass").body[0]
            assert isinstance(branch, ast.If)
            branch.body = body
            return [branch]
        return [self._strided(element, count, body)]


def _dimensions(fn: DeviceFunction) -> list[Dimension]:
    found = []
    for strategy in fn.tile_strategy.strategies:
        if isinstance(strategy, MetalTileStrategy):
            for block, size in zip(strategy.block_ids, strategy.block_size, strict=True):
                extent = strategy._configured_block_size_int(size)
                if extent is None:
                    raise exc.BackendUnsupported("metal", "a matrix product with a tile of run-time size")
                found.append(Dimension(block, strategy.index_var(block), strategy.offset_var(block), extent))
        elif isinstance(strategy, ReductionStrategy):
            block = strategy.block_index
            size = CompileEnvironment.current().block_sizes[block].numel
            if getattr(size, "free_symbols", None):
                raise exc.BackendUnsupported(
                    "metal", f"a matrix product in a kernel with a whole dimension of run-time size {size}: tile it"
                )
            found.append(Dimension(block, strategy.index_var(block), "0", int(size)))
    return found


def _is_only_index(region: Region, inner: Dimension | None) -> bool:
    """Whether the loop's counter is used for nothing but the index of the elements."""
    if region.loop is None or inner is None:
        return False
    uses = [name for statement in region.loop.body for name in slices.names(statement, ast.Load)]
    return uses.count(inner.offset) == 1


def _is_fastest(rows: Side, columns: Side, nodes: Sequence[ast.AST]) -> bool:
    """Whether rows, and not columns, are next to each other in the memory that an operand comes from."""
    strides: dict[str, int] = {}
    for node in nodes:
        for load in slices.calls(node, "tl.load"):
            for part in ast.walk(load.args[0]):
                if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mult) and isinstance(part.left, ast.Name):
                    stride = constant(part.right)
                    if isinstance(stride, int):
                        strides.setdefault(part.left.id, stride)
    row = strides.get(rows.dimension.index) if rows.dimension is not None else None
    column = strides.get(columns.dimension.index) if columns.dimension is not None else None
    return row == 1 and column != 1
