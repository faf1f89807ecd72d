"""Puts this package's lowerings in the place of Helion's.

Helion lowers an element-wise or reducing PyTorch operation through a lowering object in the graph node. Its generator
of expressions knows the texts of its operands but not their types. The subclasses used here generate with types, and
round each node's result to the dtype that PyTorch gives it.
"""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING

import sympy
from helion._compiler.ast_extension import expr_from_string
from helion._compiler.inductor_lowering import PointwiseLowering, ReductionLowering

from helion_msl._helion.handlers import metal_handlers, typed_inputs
from helion_msl._helion.reductions import MetalReductionLowering
from helion_msl._helion.value_ranges import ValueRanges
from helion_msl._helion.values import as_value, cast

if TYPE_CHECKING:
    import ast
    import contextlib
    from collections.abc import Sequence

    import torch
    from helion._compiler.aten_lowering import LoweringContext
    from helion._compiler.device_ir import GraphInfo


class MetalPointwiseLowering(PointwiseLowering):
    """An element-wise operation whose result has exactly the node's dtype.

    Attributes:
        ranges: of the values in the graphs that are generated.
    """

    ranges: ValueRanges

    def codegen_from_input_asts(
        self,
        ctx: LoweringContext,
        node: torch.fx.Node,
        input_asts: list[ast.AST],
        *,
        kernel_handlers: contextlib.AbstractContextManager[None] | None = None,
    ) -> object:
        del kernel_handlers
        self._check_block_broadcast_compatibility(ctx, node)
        indices = [sympy.Symbol(f"i{n}") for n in range(len(self.buffer.data.ranges))]
        inputs = typed_inputs(self.input_names, input_asts, node)
        check = functools.partial(self._check_position_preserving_load, node, indices)
        stays_in_range = self.ranges.stays_in_range(node, ctx.cg)
        with metal_handlers(ctx.cg, inputs, check, stays_in_range):
            value = as_value(self.buffer.data.inner_fn(indices))
        result = expr_from_string(cast(value, self.buffer.get_dtype()))
        return self._reshape_for_size1_reduction(ctx, node, result, input_asts)


def use_metal_expressions(graphs: Sequence[GraphInfo]) -> None:
    """Replace the lowerings of every node in `graphs`, which belong to one code generation, in place."""
    ranges = ValueRanges(graphs)
    for graph in graphs:
        for node in graph.graph.nodes:
            lowering = node.meta.get("lowering")
            replacement = _REPLACEMENTS.get(type(lowering))
            if replacement is None:
                continue
            typed = copy.copy(lowering)
            typed.__class__ = replacement
            if isinstance(typed, MetalPointwiseLowering):
                typed.ranges = ranges
            node.meta["lowering"] = typed


_REPLACEMENTS: dict[type, type] = {
    PointwiseLowering: MetalPointwiseLowering,
    ReductionLowering: MetalReductionLowering,
}
