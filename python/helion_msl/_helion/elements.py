"""Tiles of a threadgroup: their dimensions, the parts they are done in, and loops over their elements.

The code of one element names its place by its *index* (``indices_3``, counted from the tensor's begin) and by its
*position* (a name that stands for its place in the tile). A loop over elements gives both a value.
"""

from __future__ import annotations

import ast
import dataclasses
import math
from typing import TYPE_CHECKING

from helion import exc
from helion._compiler.compile_environment import CompileEnvironment
from helion._compiler.reduction_strategy import ReductionStrategy

from helion_msl._helion import slices
from helion_msl._helion.memory import ThreadgroupMemory
from helion_msl._helion.threads import DimensionOfTile, largest_divisor
from helion_msl._helion.tiles import MetalTileStrategy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch
    from helion._compiler.device_function import DeviceFunction


# A limit that no tile reaches.
WHOLE = 1 << 30


@dataclasses.dataclass(frozen=True)
class Dimension:
    """One dimension of a tile.

    Attributes:
        block: Helion's id of it; loops over tiles of one block size share it.
        size: elements of the tile.
    """

    block: int
    size: int

    @property
    def position(self) -> str:
        """Stands for an element's place in its part of the tile, until a loop over elements gives it a variable."""
        return f"_position_{self.block}"


@dataclasses.dataclass(frozen=True)
class Limits:
    """How large the parts of tiles may be.

    Attributes:
        matrix: rows and columns of a product.
        inner: elements of the inner dimension that are multiplied at once.
        other: any other dimension, in kernels without products.
    """

    matrix: int
    inner: int
    other: int


@dataclasses.dataclass(frozen=True)
class Array:
    """A tile in threadgroup memory.

    Attributes:
        name: the threadgroup array.
        dimensions: those of the tile, slowest first.
        element: text of the element at the positions of `dimensions`.
        dtype: its type.
    """

    name: str
    dimensions: tuple[Dimension, ...]
    element: str
    dtype: torch.dtype


class Elements:
    """Dimensions of a kernel's tiles, and loops over elements.

    Attributes:
        threads: threads of the threadgroup.
        simdgroups: simdgroups of the threadgroup.
        memory: its memory.
        limits: how large parts may be.
        by_index: the dimension that each index variable belongs to.
    """

    def __init__(self, fn: DeviceFunction, limits: Limits) -> None:
        self.new_name = fn.new_var
        self.simdgroups = max(1, min(int(fn.config.num_warps or 4), 32))
        self.threads = 32 * self.simdgroups
        self.memory = ThreadgroupMemory(fn.new_var)
        self.limits = limits
        self.by_index: dict[str, Dimension] = {}
        self._offsets: dict[str, str] = {}
        self._by_block: dict[int, Dimension] = {}
        self._active: dict[int, str] = {}
        # For each dimension that is done in parts the variable that counts them, and their size.
        self._parts: dict[int, tuple[str, int]] = {}
        for block, size, index, offset in _dimensions(fn):
            dimension = self._by_block.setdefault(canonical(block), Dimension(canonical(block), size))
            if dimension.size != size:
                raise exc.BackendUnsupported("metal", f"tiles of {dimension.size} and {size} elements in one dimension")
            self.by_index[index] = dimension
            self._offsets[index] = offset

    # ---- dimensions ------------------------------------------------------------------------------------------------

    def dimension(self, block: int | None) -> Dimension | None:
        """The dimension of a block id; None for a dimension of one element."""
        if block is None:
            return None
        if canonical(block) not in self._by_block:
            raise exc.BackendUnsupported("metal", "an operation over a dimension that is no tile of the kernel")
        return self._by_block[canonical(block)]

    def enter(self, index: str) -> Dimension:
        """Note that the code which follows is inside the tile with this index variable."""
        dimension = self.by_index[index]
        self._active[dimension.block] = index
        return dimension

    def state(self) -> dict[int, str]:
        """Return the tiles that :meth:`enter` has named, for :meth:`restore`."""
        return dict(self._active)

    def restore(self, state: dict[int, str]) -> None:
        """Leave the tiles that were entered since `state` was taken."""
        self._active = dict(state)

    def index(self, dimension: Dimension) -> str | None:
        """The variable of the current tile's index along a dimension; None outside of all its tiles."""
        return self._active.get(dimension.block)

    def used(self, *nodes: ast.AST) -> list[Dimension]:
        """The dimensions along which the values of some nodes differ, slowest first."""
        reads = slices.reads(*nodes)
        found = {dimension for name, dimension in self.by_index.items() if name in reads}
        return [dimension for dimension in self._by_block.values() if dimension in found or dimension.position in reads]

    def ordered(self, blocks: Iterable[int]) -> tuple[Dimension, ...]:
        """The dimensions of some block ids, slowest first."""
        wanted = {canonical(block) for block in blocks}
        return tuple(dimension for dimension in self._by_block.values() if dimension.block in wanted)

    # ---- parts of tiles --------------------------------------------------------------------------------------------

    def divide(self, dimension: Dimension, limit: int) -> tuple[str, int, int] | None:
        """Does a dimension in parts of at most `limit`; returns the loop over them: name, size, step."""
        part = largest_divisor(dimension.size, limit)
        if dimension.block in self._parts or part == dimension.size:
            return None
        name = self.new_name(f"part_{dimension.block}")
        self._parts[dimension.block] = (name, part)
        return name, dimension.size, part

    def undivide(self, dimensions: Iterable[Dimension]) -> None:
        """Ends :meth:`divide`."""
        for dimension in dimensions:
            del self._parts[dimension.block]

    def parts_beside(self, dimensions: Sequence[Dimension]) -> list[str]:
        """The variables that count the parts of other dimensions than these."""
        own = {dimension.block for dimension in dimensions}
        return [name for block, (name, _) in self._parts.items() if block not in own]

    def extent(self, dimension: Dimension | None) -> int:
        """Elements of the current part."""
        if dimension is None:
            return 1
        return self._parts[dimension.block][1] if dimension.block in self._parts else dimension.size

    def base(self, dimension: Dimension) -> str:
        """Text of the index of the current part's first element."""
        index = self.index(dimension)
        offset = self._offsets[index] if index is not None else "0"
        if dimension.block in self._parts:
            return f"{offset} + {self._parts[dimension.block][0]}"
        return offset

    # ---- arrays ----------------------------------------------------------------------------------------------------

    def array(self, role: str, dimensions: Sequence[Dimension], dtype: torch.dtype) -> Array:
        """A new array for the current parts of some dimensions."""
        sides = [(dimension.position, extent) for dimension in dimensions if (extent := self.extent(dimension)) > 1]
        if len(sides) < 2:
            name = self.memory.allocate(role, dtype, *([sides[0][1]] if sides else [1]))
            place = sides[0][0] if sides else "0"
        else:
            *slow, (column, width) = sides
            name = self.memory.allocate(role, dtype, math.prod(extent for _, extent in slow), width)
            row = slow[0][0]
            for position, extent in slow[1:]:
                row = f"({row}) * {extent} + {position}"
            place = f"{row}, {column}"
        return Array(name, tuple(dimensions), f"{name}[{place}]", dtype)

    # ---- loops -----------------------------------------------------------------------------------------------------

    def bind(self, dimension: Dimension, place: str, replacements: dict[str, str | ast.expr]) -> list[ast.stmt]:
        """Gives the variables of a dimension their values for the element at `place` of the current part."""
        replacements[dimension.position] = place if not place.isdigit() else ast.Constant(int(place))
        index = self.index(dimension)
        if index is None:
            return []
        new = replacements[index] = self.new_name(index)
        return ast.parse(f"{new} = {self.base(dimension)} + {place}").body

    def split(
        self, element: str, dimensions: Sequence[Dimension], replacements: dict[str, str | ast.expr]
    ) -> list[ast.stmt]:
        """The places along `dimensions` of the element that a variable counts, the last dimension fastest."""
        looped = [dimension for dimension in dimensions if self.extent(dimension) > 1]
        count = math.prod(self.extent(dimension) for dimension in looped)
        lines = []
        statements: list[ast.stmt] = []
        for dimension in dimensions:
            extent = self.extent(dimension)
            if extent == 1:
                statements += self.bind(dimension, "0", replacements)
                continue
            place = self.new_name("column" if dimension is looped[-1] else "row")
            count //= extent
            quotient = element if count == 1 else f"{element} // {count}"
            lines.append(f"{place} = {quotient}" + ("" if dimension is looped[0] else f" % {extent}"))
            statements += self.bind(dimension, place, replacements)
        return [*ast.parse("\n".join(lines)).body, *statements]

    def strided(self, element: str, count: int, body: list[ast.stmt]) -> ast.stmt:
        """A loop that all threads share."""
        if count == 1:
            branch = ast.parse("if ml.thread_index == 0:\n    pass").body[0]
            assert isinstance(branch, ast.If)
            branch.body = [*ast.parse(f"{element} = 0").body, *body]
            return branch
        return loop(element, f"range(ml.thread_index, {count}, {self.threads})", body)

    def each(
        self, dimensions: Sequence[Dimension], pure: Sequence[ast.stmt], effects: Sequence[ast.stmt]
    ) -> list[ast.stmt]:
        """Do `effects`, which depend on the statements `pure`, for every element of a tile."""
        cone = slices.backward(pure, slices.reads(*effects))
        replacements: dict[str, str | ast.expr] = {}
        element = self.new_name("element")
        body = self.split(element, dimensions, replacements)
        body += slices.fresh(cone, replacements, self.new_name)
        body += [slices.renamed(effect, replacements) for effect in effects]
        count = math.prod(self.extent(dimension) for dimension in dimensions)
        statement = self.strided(element, count, body)
        return [*self.memory.step(statement), statement]


def canonical(block: int) -> int:
    """The block id that stands for all that share a block size."""
    return CompileEnvironment.current().canonical_block_id(block)


def loop(name: str, bounds: str, body: list[ast.stmt]) -> ast.stmt:
    """``for name in bounds: body``."""
    statement = ast.parse(f"for {name} in {bounds}:\n    pass").body[0]
    assert isinstance(statement, ast.For)
    statement.body = body or [ast.Pass()]
    return statement


def _dimensions(fn: DeviceFunction) -> list[tuple[int, int, str, str]]:
    """Block id, size, index and offset variable of every dimension."""
    found = []
    for strategy in fn.tile_strategy.strategies:
        if isinstance(strategy, MetalTileStrategy):
            for block, size in zip(strategy.block_ids, strategy.block_size, strict=True):
                extent = strategy._configured_block_size_int(size)
                if extent is None:
                    raise exc.BackendUnsupported("metal", "a tile of run-time size in a kernel of this kind")
                found.append((block, extent, strategy.index_var(block), strategy.offset_var(block)))
        elif isinstance(strategy, ReductionStrategy) and not isinstance(strategy, DimensionOfTile):
            block = strategy.block_index
            size = CompileEnvironment.current().block_sizes[block].numel
            if getattr(size, "free_symbols", None):
                raise exc.BackendUnsupported(
                    "metal",
                    f"a whole dimension of run-time size {size} in a kernel of this kind: loop over it with hl.tile",
                )
            found.append((block, int(size), strategy.index_var(block), "0"))
    return found
