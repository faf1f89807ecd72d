"""Sets up Inductor's lowering functions to generate with :class:`~helion_msl._helion.expressions.MetalExpressions`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import sympy
import torch
from helion._compiler.inductor_lowering import FakeGraphLowering, _patched_inductor_config
from torch._inductor.codegen.simd_kernel_features import SIMDKernelFeatures
from torch._inductor.codegen.triton import TritonKernel
from torch._inductor.virtualized import V
from torch.fx.node import map_arg

from helion_msl._helion.expressions import MetalExpressions

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Iterator, Sequence

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
def metal_handlers(
    codegen: Any,
    inputs: dict[str, tuple[ast.AST, torch.dtype]],
    check_load: Callable[[str, sympy.Expr], None] | None = None,
    stays_in_range: bool = False,
) -> Iterator[MetalExpressions]:
    """Within this context Inductor's functions generate Metal Python; arguments as of MetalExpressions."""
    expressions = MetalExpressions(codegen, inputs, check_load, stays_in_range)
    # Inductor's lowering functions ask for a graph and a kernel; as in Helion, what they answer does not matter here.
    with (
        _patched_inductor_config(),
        V.set_graph_handler(FakeGraphLowering()),
        V.set_ops_handler(expressions),
        V.set_kernel_handler(TritonKernel({}, features=SIMDKernelFeatures([], sympy.S.One))),
    ):
        yield expressions


def typed_inputs(
    names: Sequence[str], expressions: Sequence[ast.AST], node: torch.fx.Node
) -> dict[str, tuple[ast.AST, torch.dtype]]:
    """The inputs of `node` with their dtypes, by the names that Helion gave them."""
    dtypes = _input_dtypes(node)
    assert len(names) == len(expressions) == len(dtypes)
    return dict(zip(names, zip(expressions, dtypes, strict=True), strict=True))
