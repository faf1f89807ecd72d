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
from helion._compiler.inductor_lowering import ReductionLowering
from helion._compiler.reduction_strategy import ReductionStrategy, reduction_acc_dtype

from helion_msl._helion.expressions import METAL_TYPES, literal_text, result_text
from helion_msl._helion.tiles import MetalTileStrategy

if TYPE_CHECKING:
    import ast

    from helion._compiler.aten_lowering import LoweringContext

VALUE_MARKER = "_helion_reduce"
INDEX_MARKER = "_helion_reduce_index"

# Inductor's names of reductions, and which of ours computes them. `any` arrives as 0 and 1.
_KINDS = {"sum": "sum", "prod": "prod", "max": "max", "min": "min", "any": "max"}
INDEXED = ("argmax", "argmin")


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
    elif dtype.is_floating_point:
        number = float("-inf") if reduction in ("max", "argmax") else float("inf")
    else:
        limits = torch.iinfo(dtype)
        number = limits.min if reduction in ("max", "argmax") else limits.max
    return f"{METAL_TYPES[dtype]}({literal_text(float(number) if dtype.is_floating_point else number)})"


def combine(reduction_type: str, left: str, right: str, dtype: torch.dtype) -> str:
    """One step of a reduction: an expression of the accumulator's type."""
    reduction = kind(reduction_type)
    right = f"{METAL_TYPES[accumulator_type(dtype)]}({right})"
    if reduction in ("sum", "prod"):
        return f"({left} {'+' if reduction == 'sum' else '*'} {right})"
    return f"ml.{'maximum' if reduction == 'max' else 'minimum'}({left}, {right})"


def value_marker(reduction_type: str, value: str, axis: int, span: int, dtype: torch.dtype) -> str:
    """The reduction of `value` over `span` threads along thread axis `axis`; every thread gets the result."""
    accumulator = METAL_TYPES[accumulator_type(dtype)]
    value = f"{accumulator}({value})"
    reduction = kind(reduction_type)
    if span == 1:
        return value
    return f"{VALUE_MARKER}({reduction!r}, {str(accumulator_type(dtype))!r}, {value}, {axis}, {span})"


def index_marker(reduction_type: str, value: str, index: str, axis: int, span: int, dtype: torch.dtype) -> str:
    """The index that belongs to the extreme value; the lowest one of a tie, the first NaN where there is one."""
    accumulator = METAL_TYPES[accumulator_type(dtype)]
    if span == 1:
        return f"ml.int32({index})"
    return (
        f"{INDEX_MARKER}({reduction_type!r}, {str(accumulator_type(dtype))!r}, {accumulator}({value}), ml.int32({index}), "
        f"{axis}, {span})"
    )


def strategy_placement(block_size_var: str | None) -> tuple[int, int]:
    """Thread axis and number of threads of the reduction over a whole tensor dimension.

    Args:
        block_size_var: the name that Helion gave to the dimension's size, which identifies the reduction.
    """
    for strategy in DeviceFunction.current().tile_strategy.strategies:
        if isinstance(strategy, ReductionStrategy) and strategy.block_size_var(strategy.block_index) == block_size_var:
            return strategy._get_thread_axis(), strategy._reduction_thread_count()
    raise exc.BackendUnsupported("metal", "a reduction whose threads cannot be found")


def tile_placement(fn: DeviceFunction, block_id: int) -> tuple[int, int]:
    """Thread axis and number of threads of a tile dimension that is reduced.

    Raises:
        helion.exc.BackendUnsupported: the dimension has no threads of its own.
    """
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
        if env.block_sizes[self.block_index].reduction:
            return super().codegen(ctx, node)
        return self._reduce_tile(ctx, node)

    def _reduce_tile(self, ctx: LoweringContext, node: torch.fx.Node) -> ast.AST:
        """Reduces over a tile dimension, inside the loop over it or after.

        Helion's own strategy returns each thread's partial value where the loop over the tile has ended.
        """
        env = CompileEnvironment.current()
        reduction = self.buffer.data
        inputs = self.input_fake_tensors(node)
        if len(inputs) != 1:
            raise exc.BackendUnsupported("metal", "a reduction over a tile that reads several values at once")
        (dim,) = self._get_reduction_dims(node.meta["orig_node"], inputs[0])
        env.backend.validate_reduction_input(self.block_index, inputs[0])
        count = len(reduction.ranges)
        indices = [sympy.Symbol(f"i{n}") for n in range(count + 1)]
        with self.install_kernel_handlers(ctx, node):
            value = result_text(reduction.inner_fn(indices[:count], indices[count:]))
        axis, span = tile_placement(ctx.cg.device_function, self.block_index)
        output = node.meta["val"]
        accumulate = reduction_acc_dtype(reduction.reduction_type, inputs[0], output)
        del dim
        if reduction.reduction_type in INDEXED:
            position = f"{ctx.cg.index_var(self.block_index)} - {ctx.cg.tile_begin_var(self.block_index)}"
            text = index_marker(reduction.reduction_type, value, position, axis, span, accumulate)
        else:
            text = value_marker(reduction.reduction_type, value, axis, span, accumulate)
        return env.backend.cast_ast(expr_from_string(text), output.dtype)
