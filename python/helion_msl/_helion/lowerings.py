"""Puts :class:`~helion_msl._helion.expressions.MetalExpressions` in the place of Helion's expression generator.

Helion lowers an element-wise or reducing PyTorch operation through a lowering object in the graph node. Its generator of
expressions knows the texts of its operands but not their types. The subclasses here generate with types, and round
each node's result to the dtype that PyTorch gives it.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from typing import TYPE_CHECKING, Any

import sympy
import torch
from helion._compiler.ast_extension import expr_from_string
from helion._compiler.inductor_lowering import (
    FakeGraphLowering,
    PointwiseLowering,
    ReductionLowering,
    _patched_inductor_config,
)
from torch._inductor.codegen.simd import SIMDKernelFeatures
from torch._inductor.codegen.triton import TritonKernel
from torch._inductor.virtualized import V
from torch.fx.node import map_arg

from helion_msl._helion.expressions import MetalExpressions, cast, result_text

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterator, Sequence

    from helion._compiler.aten_lowering import LoweringContext
    from helion._compiler.device_ir import GraphInfo

_SYMBOL_DTYPES: dict[type, torch.dtype] = {
    torch.SymInt: torch.int64,
    torch.SymFloat: torch.float32,
    torch.SymBool: torch.bool,
}


def _input_dtypes(node: torch.fx.Node) -> list[torch.dtype]:
    """The dtype of each input of `node`, in the order in which Helion names them."""
    dtypes: list[torch.dtype] = []

    def visit(argument: torch.fx.Node) -> torch.fx.Node:
        value = argument.meta["val"]
        dtypes.append(value.dtype if isinstance(value, torch.Tensor) else _SYMBOL_DTYPES[type(value)])
        return argument

    map_arg((node.args, {**node.kwargs, "_extra_deps": None}), visit)
    return dtypes


@contextlib.contextmanager
def _metal_handlers(
    codegen: Any,
    inputs: dict[str, tuple[ast.AST, torch.dtype]],
    check_load: Callable[[str, sympy.Expr], None] | None = None,
) -> Iterator[None]:
    # Inductor's lowering functions ask for a graph and a kernel; as in Helion, what they answer does not matter here.
    with (
        _patched_inductor_config(),
        V.set_graph_handler(FakeGraphLowering()),
        V.set_ops_handler(MetalExpressions(codegen, inputs, check_load)),
        V.set_kernel_handler(TritonKernel({}, features=SIMDKernelFeatures([], sympy.S.One))),
    ):
        yield


class MetalPointwiseLowering(PointwiseLowering):
    """An element-wise operation whose result has exactly the node's dtype."""

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
        inputs = _typed_inputs(self.input_names, input_asts, node)
        check = functools.partial(self._check_position_preserving_load, node, indices)
        with _metal_handlers(ctx.cg, inputs, check):
            value = result_text(self.buffer.data.inner_fn(indices))
        result = expr_from_string(cast(value, self.buffer.get_dtype()))
        return self._reshape_for_size1_reduction(ctx, node, result, input_asts)


class MetalReductionLowering(ReductionLowering):
    """A reduction whose element-wise part is generated with types."""

    def install_kernel_handlers(
        self, ctx: LoweringContext, node: torch.fx.Node
    ) -> contextlib.AbstractContextManager[None]:
        inputs = _typed_inputs(self.input_names, self.input_asts(ctx, node), node)
        return _metal_handlers(ctx.cg, inputs)


def _typed_inputs(
    names: Sequence[str], expressions: Sequence[ast.AST], node: torch.fx.Node
) -> dict[str, tuple[ast.AST, torch.dtype]]:
    dtypes = _input_dtypes(node)
    assert len(names) == len(expressions) == len(dtypes)
    return dict(zip(names, zip(expressions, dtypes, strict=True), strict=True))



def use_metal_expressions(graphs: Sequence[GraphInfo]) -> None:
    """Replaces the lowerings of every node in `graphs`, which belong to one code generation and are changed in place."""
    for graph in graphs:
        for node in graph.graph.nodes:
            lowering = node.meta.get("lowering")
            replacement = _REPLACEMENTS.get(type(lowering))
            if replacement is None:
                continue
            typed = copy.copy(lowering)
            typed.__class__ = replacement
            node.meta["lowering"] = typed


_REPLACEMENTS: dict[type, type] = {
    PointwiseLowering: MetalPointwiseLowering,
    ReductionLowering: MetalReductionLowering,
}
