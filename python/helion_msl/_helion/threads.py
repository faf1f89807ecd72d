"""How many threads each tile dimension gets.

Every element of a tile belongs to one thread. A threadgroup has at most 1024 threads, so a tile with more elements
gives several to each thread, which walks them in a *lane loop* around its work. A lane loop is right where the work of
one element does not look at another element of the same thread:

- around the whole kernel body (a dimension of the grid), unless the body reduces over that dimension;
- around the body of a device loop, unless it reduces over that dimension or carries values along it from one iteration
  to the next.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from helion import exc
from helion._compiler.compile_environment import CompileEnvironment
from helion._compiler.device_ir import ForLoopGraphInfo, ReductionLoopGraphInfo
from helion._compiler.host_function import HostFunction
from helion._compiler.inductor_lowering import ReductionLowering
from helion._compiler.reduction_strategy import PersistentReductionStrategy
from helion.language import _tracing_ops
from torch._inductor.runtime.runtime_utils import next_power_of_2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helion._compiler.device_function import DeviceFunction
    from helion._compiler.device_ir import GraphInfo
    from helion.runtime.config import Config

# Metal Feature Set Tables, "Maximum threads per threadgroup" of every Apple GPU family.
MAX_THREADS_PER_THREADGROUP = 1024


@dataclasses.dataclass
class _Block:
    """What is known of one tile dimension."""

    block_id: int
    size: int
    threads: int
    is_reduced: bool = False
    is_carried: bool = False

    @property
    def may_have_lanes(self) -> bool:
        return not (self.is_reduced or self.is_carried)


def plan_threads(fn: DeviceFunction, config: Config, reduction_threads: int) -> dict[int, int]:
    """Return the number of threads of every tile dimension of `fn`, by block id.

    Dimensions of which Helion does not know the size when it generates code are left out.

    Args:
        fn: the kernel that is being generated.
        config: gives the block sizes, and the threads where the user chose them.
        reduction_threads: threads that reductions over whole tensor dimensions take.

    Raises:
        helion.exc.BackendUnsupported: the tiles that are active together need more threads than a threadgroup has.
    """
    graphs = list(fn.codegen.codegen_graphs)
    blocks = _blocks(graphs, config)
    for path in _paths(graphs):
        _fit([blocks[block_id] for block_id in path if block_id in blocks], reduction_threads)
    return {block_id: block.threads for block_id, block in blocks.items()}


def _blocks(graphs: list[GraphInfo], config: Config) -> dict[int, _Block]:
    env = CompileEnvironment.current()
    blocks: dict[int, _Block] = {}
    by_canonical: dict[int, _Block] = {}
    for info in env.block_sizes:
        size = None if info.reduction else info.from_config(config)
        if not isinstance(size, int):
            continue
        # Tiles with one block size share it, since a value that one loop leaves behind may enter the next.
        canonical = env.canonical_block_id(info.block_id)
        block = by_canonical.get(canonical)
        if block is None or block.size != size:
            threads = int(env.config_spec.num_threads.config_get(config.num_threads, info.block_id, 0))
            block = _Block(info.block_id, size, largest_divisor(size, threads) if threads > 0 else size)
            by_canonical[canonical] = block
        blocks[info.block_id] = block
    for graph in graphs:
        for node in graph.graph.nodes:
            lowering = node.meta.get("lowering")
            if isinstance(lowering, ReductionLowering) and lowering.block_index in blocks:
                blocks[lowering.block_index].is_reduced = True
        if _is_device_loop(graph):
            for block_id in _carried_block_ids(graph):
                if block_id in blocks:
                    blocks[block_id].is_carried = True
    for block in blocks.values():
        if block.is_reduced:
            block.threads = block.size
    return blocks


def _is_device_loop(graph: GraphInfo) -> bool:
    return isinstance(graph, ForLoopGraphInfo) and not isinstance(graph, ReductionLoopGraphInfo)


def _carried_block_ids(graph: GraphInfo) -> Iterator[int]:
    """The loop's own dimensions that appear in the shape of a value that leaves an iteration."""
    env = CompileEnvironment.current()
    own = {env.canonical_block_id(block_id): block_id for block_id in graph.block_ids}
    for output in graph.graph.find_nodes(op="output"):
        for node in output.all_input_nodes:
            value = node.meta.get("val")
            if not isinstance(value, torch.Tensor):
                continue
            for size in value.size():
                block_id = env.resolve_block_id(size)
                if block_id is not None and env.canonical_block_id(block_id) in own:
                    yield own[env.canonical_block_id(block_id)]


def _paths(graphs: list[GraphInfo]) -> Iterator[list[int]]:
    """The block ids that are active together, for each way from a root to an innermost loop."""
    by_id = {graph.graph_id: graph for graph in graphs}
    device_ir = HostFunction.current().device_ir

    def walk(graph: GraphInfo, active: list[int]) -> Iterator[list[int]]:
        children = [by_id[child] for child in _children(graph) if child in by_id]
        if not children:
            yield active
        for child in children:
            own = list(child.block_ids) if _is_device_loop(child) else []
            yield from walk(child, active + own)

    for root_id, block_ids in zip(device_ir.root_ids, device_ir.grid_block_ids, strict=True):
        yield from walk(by_id[root_id], list(block_ids))


def _children(graph: GraphInfo) -> Iterator[int]:
    for node in graph.graph.nodes:
        if node.op != "call_function":
            continue
        if _tracing_ops.is_for_loop_target(node.target):
            yield node.args[0]
        elif node.target is _tracing_ops._while_loop:
            yield from (node.args[0], node.args[1])
        elif node.target is _tracing_ops._if:
            yield from (node.args[1], node.args[2])


def _fit(path: list[_Block], reduction_threads: int) -> None:
    """Takes threads from the dimensions of `path` until all of them fit in a threadgroup."""
    blocks = list({id(block): block for block in path}.values())

    def total() -> int:
        product = reduction_threads
        for block in path:
            product *= block.threads
        return product

    while total() > MAX_THREADS_PER_THREADGROUP:
        candidates = [block for block in blocks if block.may_have_lanes and block.threads > 1]
        if not candidates:
            sizes = " x ".join(str(block.size) for block in path)
            rest = f" beside {reduction_threads} threads of a reduction" if reduction_threads > 1 else ""
            raise exc.BackendUnsupported(
                "metal",
                f"tiles of {sizes} elements{rest}: every element needs a thread of its own here, because the kernel "
                f"reduces over them or carries them through a loop, and a threadgroup has at most "
                f"{MAX_THREADS_PER_THREADGROUP} threads; choose smaller block_sizes",
            )
        widest = max(candidates, key=lambda block: block.threads)
        widest.threads = largest_divisor(widest.size, widest.threads - 1)


def whole_dimensions() -> list[int]:
    """The block ids of the dimensions of tensors that a kernel takes whole.

    Without those in name only: what ``tile.index[:, None]`` makes has the elements of the tile.
    """
    blocks = CompileEnvironment.current().block_sizes
    tiles = {info.symbol() for info in blocks if not info.reduction}
    return [info.block_id for info in blocks if info.reduction and info.symbol() not in tiles]


class DimensionOfTile(PersistentReductionStrategy):
    """A dimension whose elements have the threads of a tile, so that it takes none itself."""

    def __init__(self, fn: DeviceFunction, block_id: int) -> None:
        super().__init__(fn, block_id)
        self._thread_count = 0


def reduction_threads(block_id: int, config: Config) -> int:
    """How many threads a reduction over a whole dimension takes."""
    env = CompileEnvironment.current()
    chunk = env.config_spec.reduction_loops.config_get(config.reduction_loops, block_id, None)
    elements = env.block_sizes[block_id].size_hint() if chunk is None else chunk
    return next_power_of_2(max(1, min(int(elements), MAX_THREADS_PER_THREADGROUP)))


def largest_divisor(size: int, limit: int) -> int:
    """The largest divisor of `size` that is at most `limit`."""
    return next(divisor for divisor in range(min(size, limit), 0, -1) if size % divisor == 0)
