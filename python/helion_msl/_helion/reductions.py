"""Reductions across the threads of a threadgroup.

While Helion generates a kernel, the shape of its threadgroup is not known yet. A reduction is therefore written as a
call of a *marker*, which names the thread axis; ``tidy`` replaces it once the shape is known
(:func:`helion_msl._helion.groups.expand`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy
import torch
from helion import exc
from helion._compiler.ast_extension import expr_from_string
from helion._compiler.compile_environment import CompileEnvironment
from helion._compiler.device_function import DeviceFunction
from helion._compiler.inductor_lowering import CodegenState, ReductionLowering
from helion._compiler.reduction_strategy import LoopedReductionStrategy, ReductionStrategy, reduction_acc_dtype

from helion_msl._helion import wrapping
from helion_msl._helion.handlers import metal_handlers, typed_inputs
from helion_msl._helion.markers import BLOCK, INDEX_MARKER, VALUE_MARKER
from helion_msl._helion.matmul import works_together
from helion_msl._helion.tiles import MetalTileStrategy
from helion_msl._helion.values import METAL_TYPES, Value, as_value, literal_text

if TYPE_CHECKING:
    from helion._compiler.aten_lowering import LoweringContext

# Inductor's names of reductions, and which of ours computes them. `any` arrives as 0 and 1.
_KINDS = {"sum": "sum", "prod": "prod", "max": "max", "min": "min", "any": "max"}
INDEXED = ("argmax", "argmin")
_NEUTRAL = {**_KINDS, "argmax": "max", "argmin": "min"}


def accumulator_type(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which values of `dtype` are reduced."""
    if dtype in (torch.float16, torch.bfloat16, torch.float32):
        return torch.float32
    if dtype in (torch.bool, torch.int8, torch.int16, torch.int32):
        return torch.int32
    if dtype in (torch.uint8, torch.uint16, torch.uint32):
        return torch.uint32
    if dtype in (torch.int64, torch.uint64):
        return dtype
    raise exc.BackendUnsupported("metal", f"a reduction over {dtype}: Metal has no such type")


def kind(reduction_type: str) -> str:
    """Our name of one of Inductor's reductions; raises BackendUnsupported for those that are not supported."""
    if reduction_type in _KINDS:
        return _KINDS[reduction_type]
    raise exc.BackendUnsupported(
        "metal", f"the reduction {reduction_type}; supported are sum, prod, amax, amin, argmax, argmin, any and all"
    )


def identity(reduction: str, dtype: torch.dtype) -> str:
    """The value of `dtype` that changes no result of `reduction`, as Metal Python."""
    if reduction in ("sum", "prod"):
        number: float = 0 if reduction == "sum" else 1
    elif dtype == torch.bool:
        return "False" if reduction == "max" else "True"
    elif dtype.is_floating_point:
        number = float("-inf") if reduction == "max" else float("inf")
    else:
        limits = torch.iinfo(dtype)
        number = limits.min if reduction == "max" else limits.max
    return f"{METAL_TYPES[dtype]}({literal_text(float(number) if dtype.is_floating_point else number)})"


def combine(reduction_type: str, left: str, right: str, dtype: torch.dtype) -> str:
    """One step of a reduction: an expression of the accumulator's type."""
    reduction = kind(reduction_type)
    accumulator = accumulator_type(dtype)
    right = f"{METAL_TYPES[accumulator]}({right})"
    if reduction in ("sum", "prod"):
        operands = Value(left, accumulator), Value(right, accumulator)
        return f"({wrapping.arithmetic('+' if reduction == 'sum' else '*', *operands, accumulator)})"
    return f"ml.{'maximum' if reduction == 'max' else 'minimum'}({left}, {right})"


def value_marker(reduction_type: str, value: str, axis: int, span: int, dtype: torch.dtype) -> str:
    """The reduction of `value` over `span` threads along thread axis `axis`; every thread gets the result."""
    accumulator = accumulator_type(dtype)
    value = f"{METAL_TYPES[accumulator]}({value})"
    reduction = kind(reduction_type)
    if span == 1:
        return value
    if reduction in ("sum", "prod") and accumulator in wrapping.UNSIGNED:
        unsigned = wrapping.UNSIGNED[accumulator]
        text = f"{VALUE_MARKER}({reduction!r}, {str(unsigned)!r}, {METAL_TYPES[unsigned]}({value}), {axis}, {span})"
        return f"{METAL_TYPES[accumulator]}({text})"
    return f"{VALUE_MARKER}({reduction!r}, {str(accumulator)!r}, {value}, {axis}, {span})"


def index_marker(reduction_type: str, value: str, index: str, axis: int, span: int, dtype: torch.dtype) -> str:
    """The index that belongs to the extreme value; the lowest one of a tie, the first NaN where there is one."""
    accumulator = accumulator_type(dtype)
    if span == 1:
        return f"ml.int32({index})"
    operands = f"{METAL_TYPES[accumulator]}({value}), ml.int32({index})"
    return f"{INDEX_MARKER}({reduction_type!r}, {str(accumulator)!r}, {operands}, {axis}, {span})"


def strategy_placement(block_size_var: str | None) -> tuple[int, int]:
    """Thread axis and number of threads of the reduction over a whole tensor dimension.

    Args:
        block_size_var: the name that Helion gave to the dimension's size, which identifies the reduction.
    """
    for strategy in DeviceFunction.current().tile_strategy.strategies:
        if isinstance(strategy, ReductionStrategy) and strategy.block_size_var(strategy.block_index) == block_size_var:
            if works_together(DeviceFunction.current()):
                return strategy.block_index, BLOCK
            return strategy._get_thread_axis(), strategy._reduction_thread_count()
    raise exc.BackendUnsupported("metal", "a reduction whose threads cannot be found")


def tile_placement(fn: DeviceFunction, block_id: int) -> tuple[int, int]:
    """Thread axis and number of threads of a tile dimension that is reduced.

    Raises:
        helion.exc.BackendUnsupported: the dimension has no threads of its own.
    """
    if works_together(fn):
        return block_id, BLOCK
    env = CompileEnvironment.current()
    canonical = env.canonical_block_id(block_id)
    placements = set()
    for strategy in fn.tile_strategy.strategies:
        if not isinstance(strategy, MetalTileStrategy):
            continue
        for own in strategy.block_ids:
            if own == block_id or env.canonical_block_id(own) == canonical:
                placements.add(_placement(strategy, own))
    placements.discard(None)
    if len(placements) != 1:
        raise exc.BackendUnsupported(
            "metal",
            f"a reduction over tile dimension {block_id}: its elements are not spread over one axis of threads; "
            "reduce inside the loop over that tile",
        )
    (placement,) = placements
    assert placement is not None
    return placement


def _placement(strategy: MetalTileStrategy, block_id: int) -> tuple[int, int] | None:
    if strategy.lanes(block_id) != 1:
        raise exc.BackendUnsupported(
            "metal", f"a reduction over tile dimension {block_id}, which gives several elements to each thread"
        )
    size = strategy._configured_block_size_int(strategy.block_size[strategy.block_ids.index(block_id)])
    if size == 1:
        return (0, 1)
    return strategy.placement.get(block_id)


class MetalReductionLowering(ReductionLowering):
    """A reduction whose element-wise part is generated with types, over a tensor dimension or over a tile."""

    def codegen(self, ctx: LoweringContext, node: torch.fx.Node) -> object:
        env = CompileEnvironment.current()
        reduction = self.buffer.data
        source, dim = self._reduced_input(node)
        is_tile = not env.block_sizes[self.block_index].reduction
        env.backend.validate_reduction_input(self.block_index, source)
        value = self._element(ctx, node)
        output = node.meta["val"]
        if is_tile:
            result = expr_from_string(
                self._tile_reduction(ctx, value, reduction_acc_dtype(reduction.reduction_type, source, output))
            )
            return env.backend.cast_ast(result, output.dtype)
        strategy = ctx.cg.device_function.tile_strategy.get_reduction_strategy(self.block_index)
        state = CodegenState(ctx.cg, fx_node=node)
        result = strategy.codegen_reduction(state, value, reduction.reduction_type, dim, source, output)
        if isinstance(strategy, LoopedReductionStrategy):
            # The result is assigned behind the loop, with its final type; Helion must not assign it here.
            node.meta["delayed_result"] = True
            return result
        return env.backend.cast_ast(result, output.dtype)

    def _reduced_input(self, node: torch.fx.Node) -> tuple[torch.Tensor, int]:
        """The input that has the reduced dimension, and which one it is."""
        inputs = self.input_fake_tensors(node)
        original = node.meta["orig_node"]
        # A variance also reads the mean, which is 1 long there.
        source = max(inputs, key=lambda tensor: (tensor.ndim, sum(size != 1 for size in tensor.size())))
        dims = self._get_reduction_dims(original, source)
        if len(dims) != 1:
            raise exc.BackendUnsupported(
                "metal",
                f"a reduction over {len(dims)} dimensions at once ({original.target}): reduce one after the other",
            )
        return source, dims[0]

    def _element(self, ctx: LoweringContext, node: torch.fx.Node) -> Value:
        """The value of one element, before the reduction."""
        reduction = self.buffer.data
        count = len(reduction.ranges)
        indices = [sympy.Symbol(f"i{n}") for n in range(count + len(reduction.reduction_ranges))]
        with metal_handlers(ctx.cg, typed_inputs(self.input_names, self.input_asts(ctx, node), node)) as expressions:
            value = as_value(reduction.inner_fn(indices[:count], indices[count:]))
        mask = ctx.cg.mask_var(self.block_index) if expressions.has_computed else None
        if mask is None:
            return value
        # Helion masks what goes into this expression, which is not what comes out of it: (x - mean)**2.
        neutral = identity(_NEUTRAL.get(reduction.reduction_type, reduction.reduction_type), value.dtype)
        return expressions.assign(f"{value} if {mask} else {neutral}", value.dtype)

    def _tile_reduction(self, ctx: LoweringContext, value: Value, dtype: torch.dtype) -> str:
        """Reduces over a tile dimension, inside the loop over it or after.

        Helion's own strategy returns each thread's partial value where the loop over the tile has ended.
        """
        kind_name = self.buffer.data.reduction_type
        axis, span = tile_placement(ctx.cg.device_function, self.block_index)
        if kind_name not in INDEXED:
            return value_marker(kind_name, value, axis, span, dtype)
        position = f"{ctx.cg.index_var(self.block_index)} - {ctx.cg.tile_begin_var(self.block_index)}"
        return index_marker(kind_name, value, position, axis, span, dtype)
