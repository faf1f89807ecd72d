"""The backend that Helion finds under the name ``"metal"`` once the plug-in is registered."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import torch
from helion import exc
from helion._compiler.ast_extension import expr_from_string
from helion._compiler.compile_environment import CompileEnvironment
from helion._compiler.device_function import DeviceFunction
from helion._compiler.host_function import HostFunction
from helion._compiler.metal.backend import MetalBackend
from helion._compiler.reduction_strategy import PersistentReductionStrategy
from helion.language._tracing_ops import _host_tensor
from helion.runtime.config import Config

from helion_msl._helion import reductions, threads
from helion_msl._helion.lowerings import use_metal_expressions
from helion_msl._helion.matmul import CODEGEN_NAME, needs_threadgroup, work_together, works_together
from helion_msl._helion.tidy import tidy
from helion_msl._helion.tiles import MetalTileStrategy
from helion_msl._helion.values import metal_type

if TYPE_CHECKING:
    import ast
    from collections.abc import Sequence

    from helion._compiler.device_function import Argument
    from helion._compiler.device_ir import GraphInfo
    from helion._compiler.tile_dispatch import TileStrategyDispatch
    from helion._compiler.tile_strategy import TileStrategy

_log = logging.getLogger("helion_msl")
# How Inductor writes the numbers for which Python has no literal.
_NON_FINITE = {'float("inf")': "ml.inf", 'float("-inf")': "-ml.inf", 'float("nan")': "ml.nan"}


class HelionMslBackend(MetalBackend):
    """Helion's Metal backend with this package's kernels: typed expressions, plain Metal Python, its own launcher.

    Helion's code for ``"metal"`` decides what is *not* specific to a generated text, such as the search space.
    """

    # ---- what the generated module looks like ---------------------------------------------------------------------

    @property
    def codegen_name(self) -> str:
        """The name under which :mod:`helion_msl._helion.operations` registers."""
        return CODEGEN_NAME

    @property
    def default_launcher_name(self) -> str:
        return "_metal_launcher"

    @property
    def library_imports(self) -> dict[str, str]:
        return {
            "math": "import math",
            "torch": "import torch",
            "helion": "import helion",
            "hl": "import helion.language as hl",
            "ml": "from helion_msl import language as ml",
            "metal_jit": "from helion_msl import metal_jit",
            "_metal_launcher": "from helion_msl._helion.launcher import launch as _metal_launcher",
        }

    @staticmethod
    def reserved_launch_param_names() -> frozenset[str]:
        return frozenset({"ml", "metal_jit"})

    @property
    def constexpr_type(self) -> str:
        return "ml.constexpr"

    def transform_host_arg(self, arg: Argument, host_str: str, tensor_host_args: list[str]) -> str:
        # Numbers travel as numbers, with their own type.
        del arg, tensor_host_args
        return host_str

    def launcher_keyword_args(self, config: Config, *, has_barrier: bool) -> list[str]:
        # Helion asks once for each kernel, when its body is complete.
        del config, has_barrier
        return [f"_block_dims={tidy(DeviceFunction.current())}"]

    # ---- types and expressions ------------------------------------------------------------------------------------

    def dtype_str(self, dtype: torch.dtype) -> str:
        return metal_type(dtype)

    def acc_type(self, dtype: torch.dtype) -> str:
        return metal_type(reductions.accumulator_type(dtype))

    def index_type_str(self, index_dtype: torch.dtype) -> str:
        return metal_type(index_dtype)

    def cast_expr(self, expr_str: str, dtype_str: str) -> str:
        return f"{dtype_str}({expr_str})"

    def full_expr(self, shape_dims: list[str], value_expr: str, dtype: torch.dtype) -> str:
        del shape_dims
        return self.cast_expr(_NON_FINITE.get(value_expr, value_expr), self.dtype_str(dtype))

    def reduction_acc_init_expr(self, shape_dims: list[str], value_expr: str, dtype: torch.dtype) -> str:
        return self.full_expr(shape_dims, value_expr, reductions.accumulator_type(dtype))

    def scalar_float_operand_ast(self, x: ast.AST, value: torch.SymFloat, *, computes_in_float64: bool) -> ast.AST:
        del value, computes_in_float64
        return expr_from_string("ml.float32({x})", x=x)

    def minimum_expr(self, a: str, b: str) -> str:
        return f"min({a}, {b})"

    def _tid(self, axis: int) -> str:
        return "ml." + super()._tid(axis)

    def program_id_expr(self, dim: int, *, index_dtype: str) -> str:
        del index_dtype
        return f"ml.tgid[{dim}]"

    def thread_index_expr(self, *, axis: int) -> str:
        return self._tid(axis)

    def scalar_load_expr(self, tensor_name: str, index_expr: str | None = None) -> str:
        return f"tl.load({tensor_name} + ({index_expr or 0}), None)"

    # ---- tiles ----------------------------------------------------------------------------------------------------

    def create_loop_strategy(self, fn: DeviceFunction, block_ids: list[int], config: Config) -> TileStrategy:
        if len(set(block_ids)) != len(block_ids):
            raise exc.BackendUnsupported(
                self.name,
                f"a tile whose dimensions share one block size (block ids {block_ids}): register a block size for each",
            )
        env = CompileEnvironment.current()
        if works_together(fn):
            return MetalTileStrategy.of_one_thread(fn, block_ids, config)
        try:
            plan = threads.plan_threads(fn, config, self._reserved_reduction_threads(config))
        except exc.BackendUnsupported:
            if any(config.reduction_loops):
                raise
            # More elements than a threadgroup has threads.
            work_together(fn)
            return MetalTileStrategy.of_one_thread(fn, block_ids, config)
        sizes = [env.block_sizes[block_id].from_config_assert(config) for block_id in block_ids]
        order = env.config_spec.loop_orders.config_get(config.loop_orders, block_ids[0]) if len(block_ids) > 1 else None
        strategy = MetalTileStrategy(
            fn, block_ids, sizes, order or [*range(len(block_ids))], [plan.get(block_id, 0) for block_id in block_ids]
        )
        self._reject_dynamic_thread_extents(strategy)
        return strategy

    def force_tile_mask(self) -> bool:
        return False

    # ---- reductions -----------------------------------------------------------------------------------------------

    def create_reduction_strategy(self, fn: DeviceFunction, block_id: int, reduction_loop: int | None) -> TileStrategy:
        if block_id not in threads.whole_dimensions():
            return threads.DimensionOfTile(fn, block_id)
        if works_together(fn):
            # No thread has an element of its own along a whole dimension.
            return PersistentReductionStrategy(fn, block_id)
        return super().create_reduction_strategy(fn, block_id, reduction_loop)

    def _reserved_reduction_threads(self, config: Config) -> int:
        return math.prod(threads.reduction_threads(block_id, config) for block_id in threads.whole_dimensions())

    def _reject_extra_reduction_dimension(self) -> None:
        if len(threads.whole_dimensions()) > 1 and not works_together(DeviceFunction.current()):
            super()._reject_extra_reduction_dimension()

    def reduction_expr(
        self,
        input_name: str,
        reduction_type: str,
        dim: int,
        *,
        block_size_var: str | None = None,
        threads_in_group: int | None = None,
        dtype: torch.dtype | None = None,
    ) -> str:
        del dim, threads_in_group
        assert dtype is not None
        axis, span = reductions.strategy_placement(block_size_var)
        return reductions.value_marker(reduction_type, input_name, axis, span, dtype)

    def reduction_combine_expr(self, reduction_type: str, acc: str, val: str, dtype: torch.dtype) -> str:
        return reductions.combine(reduction_type, acc, val, dtype)

    def argreduce_result_expr(
        self,
        input_name: str,
        index_value: str,
        reduction_type: str,
        dim: int,
        output_dtype: torch.dtype,
        *,
        block_size_var: str | None = None,
        index_dtype: torch.dtype | None = None,
        threads_in_group: int | None = None,
        dtype: torch.dtype | None = None,
    ) -> str:
        del dim, index_dtype, threads_in_group
        assert dtype is not None
        axis, span = reductions.strategy_placement(block_size_var)
        index = reductions.index_marker(reduction_type, input_name, index_value, axis, span, dtype)
        return self.cast_expr(index, self.dtype_str(output_dtype))

    def argreduce_loop_update_statements(
        self,
        *,
        reduction_type: str,
        acc: str,
        acc_index: str,
        value: str,
        index: str,
        dtype: torch.dtype | None = None,
    ) -> list[str]:
        assert dtype is not None
        new_var = DeviceFunction.current().new_var
        candidate, is_better = new_var("candidate"), new_var("is_better")
        accumulator = reductions.accumulator_type(dtype)
        test = f"{candidate} {'>' if reduction_type == 'argmax' else '<'} {acc}"
        # An accumulator that still holds its initial value has no index yet.
        test += f" or ({candidate} == {acc} and {index} < {acc_index})"
        if accumulator.is_floating_point:
            test += f" or (ml.isnan({candidate}) and not ml.isnan({acc}))"
        return [
            f"{candidate} = {metal_type(accumulator)}({value})",
            f"{is_better} = {test}",
            f"{acc_index} = {index} if {is_better} else {acc_index}",
            f"{acc} = {candidate} if {is_better} else {acc}",
        ]

    def codegen_config(self, config: Config) -> Config:
        """Rolls every reduction over a dimension whose size is known only when the kernel runs.

        A reduction in one pass has a thread for each element, and the threadgroup's shape is fixed in the generated
        code: a longer row in a later call would lose its end.
        """
        env = CompileEnvironment.current()
        loops = list(config.reduction_loops)
        if needs_threadgroup(HostFunction.current().device_ir.graphs):
            # A whole threadgroup reduces rows of any length.
            return Config.from_dict({**config.config, "reduction_loops": [None] * len(loops)}) if any(loops) else config
        changed = False
        for position, spec in enumerate(env.config_spec.reduction_loops):
            size = env.block_sizes[spec.block_id].numel
            if loops[position : position + 1] == [None] and getattr(size, "free_symbols", None):
                loops[position] = _DYNAMIC_REDUCTION_CHUNK
                changed = True
        return Config.from_dict({**config.config, "reduction_loops": loops}) if changed else config

    # ---- lowerings ------------------------------------------------------------------------------------------------

    def pre_codegen(self, graphs: list[GraphInfo], config: Config, tile_strategy: TileStrategyDispatch) -> None:
        del config, tile_strategy
        for graph in graphs:
            _refuse_repeated_dimensions(graph)
        use_metal_expressions(graphs)

    # ---- autotuning -----------------------------------------------------------------------------------------------

    def autotune(self, bound_kernel: Any, args: Sequence[object], *, force: bool = True, **kwargs: object) -> Config:
        if self._runs_on_host(args):
            # What is fast on this processor says nothing about a GPU, and Helion's search has no cache for CPUs.
            _log.warning("helion-msl: tensors on the CPU, so %s runs without autotuning", bound_kernel.kernel.name)
            configs = bound_kernel.kernel.configs
            return configs[0] if configs else bound_kernel.config_spec.default_config()
        return super().autotune(bound_kernel, args, force=force, **kwargs)

    @staticmethod
    def _runs_on_host(args: Sequence[object]) -> bool:
        tensors = [argument for argument in args if isinstance(argument, torch.Tensor)]
        return bool(tensors) and all(tensor.device.type == "cpu" for tensor in tensors)


# Elements that a rolled reduction of unknown length takes at once: one for each thread.
_DYNAMIC_REDUCTION_CHUNK = 256


def _refuse_repeated_dimensions(graph: GraphInfo) -> None:
    """Refuses tiles that have one block twice, such as a square: a thread has one position along each block."""
    env = CompileEnvironment.current()
    for node in graph.graph.nodes:
        value = node.meta.get("val")
        if node.op != "call_function" or not isinstance(value, torch.Tensor) or node.target is _host_tensor:
            continue
        block_ids = [env.resolve_block_id(size) for size in value.size() if not env.known_equal(size, 1)]
        known = [block_id for block_id in block_ids if block_id is not None]
        if len(set(known)) != len(known):
            raise exc.BackendUnsupported(
                "metal",
                f"{node.name}, a tile of shape {tuple(value.size())}: Helion takes two of its dimensions for one, "
                "since they have one size; loop over one of them with hl.tile, or give them different block sizes",
            )
