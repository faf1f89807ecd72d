"""How the elements of a tile are spread over the threads of a threadgroup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from helion._compiler.ast_extension import statement_from_string
from helion._compiler.compile_environment import CompileEnvironment
from helion._compiler.tile_strategy import PerThreadNDTileStrategy

if TYPE_CHECKING:
    import ast

    from helion._compiler.device_function import DeviceFunction
    from helion._compiler.inductor_lowering import CodegenState
    from helion._compiler.tile_strategy import DeviceGridState, DeviceLoopState
    from helion.runtime.config import Config


class MetalTileStrategy(PerThreadNDTileStrategy):
    """One element for each thread; where a dimension has fewer threads than elements, a loop over lanes.

    Lanes are a whole row of threads apart, so that neighbouring threads touch neighbouring elements of a contiguous
    tensor.

    Attributes:
        placement: thread axis and number of threads of each block, once its loop was generated.
    """

    def __init__(
        self,
        fn: DeviceFunction,
        block_ids: list[int],
        block_size: list[Any],
        loop_order: list[int],
        threads: list[int],
        inactive: set[int] | None = None,
    ) -> None:
        super().__init__(fn, block_ids, block_size, loop_order, 1, threads, inactive_block_ids=inactive)
        self._cute_lane_layout_by_block = dict.fromkeys(self._lane_var_by_block, "strided")
        self.placement: dict[int, tuple[int, int]] = {}

    @classmethod
    def of_one_thread(cls, fn: DeviceFunction, block_ids: list[int], config: Config) -> MetalTileStrategy:
        """Tiles of which Helion generates the first element only, for :mod:`helion_msl._helion.cooperative`."""
        env = CompileEnvironment.current()
        sizes = [env.block_sizes[block_id].from_config_assert(config) for block_id in block_ids]
        order = [*range(len(block_ids))]
        return cls(fn, block_ids, sizes, order, [0] * len(block_ids), inactive=set(block_ids))

    def codegen_grid(self, state: CodegenState) -> DeviceGridState:
        begins, *rest = state.proxy_args
        if rest[0] is not None:
            # Helion asks `begin != 0` of an integer argument, which answers for the value that the kernel was first
            # bound with. A symbol says that it is not known.
            symbols = [_symbol(begin) for begin in begins] if isinstance(begins, (list, tuple)) else _symbol(begins)
            state = state._replace(proxy_args=[symbols, *rest])
        return self._placed(super().codegen_grid(state))

    def codegen_device_loop(self, state: CodegenState) -> DeviceLoopState:
        return self._placed(super().codegen_device_loop(state))

    def _placed(self, loop: Any) -> Any:
        for block_id, axis in loop.block_thread_axes.items():
            self.placement[block_id] = (axis, loop.thread_axis_sizes[axis])
        return loop

    def lanes(self, block_id: int) -> int:
        """Elements that each thread walks along `block_id`."""
        return self._elements_per_thread_for_block(block_id)

    def _setup_mask(
        self,
        state: CodegenState,
        block_idx: int,
        block_size: Any,
        index_var: str,
        end: object,
        *,
        thread_axis: int | None = None,
        block_size_var: str | None = None,
    ) -> ast.stmt | None:
        env = CompileEnvironment.current()
        if env.is_jagged_tile(block_idx):
            return super()._setup_mask(
                state, block_idx, block_size, index_var, end, thread_axis=thread_axis, block_size_var=block_size_var
            )
        terms = []
        if thread_axis is not None and block_size_var not in (None, "1"):
            # Another loop may need more threads along this axis than this tile has elements.
            extent = self._static_thread_extent_for_block(block_idx, block_size)
            terms.append(f"ml.tid[{thread_axis}] < {extent if extent is not None else block_size_var}")
        if not env.block_sizes[block_idx].known_multiple(block_size):
            terms.append(f"{index_var} < {{end}}")
        if not terms:
            self.mask_vars[block_idx] = None
            return None
        self.mask_vars[block_idx] = mask = self.fn.new_var(f"mask_{block_idx}", dce=True)
        return statement_from_string(f"{mask} = {' and '.join(terms)}", end=self._to_ast(end))


def _symbol(value: Any) -> Any:
    return value.node.expr if isinstance(value, torch.SymInt) else value
