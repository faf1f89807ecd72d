"""Matrix products in a Helion kernel: how they are written down until the kernel is complete.

A product cannot be generated where Helion comes across it, because its operands are tiles of other shapes than the sum.
It is therefore written as a call of a *marker*, which names the tile dimensions that are rows, columns and inner
dimension; :mod:`helion_msl._helion.cooperative` turns the whole kernel around it into code of a threadgroup.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

import torch
from helion import exc
from helion._compiler.ast_extension import expr_from_string
from helion._compiler.compile_environment import CompileEnvironment
from helion._compiler.metal import mpp_graph_transform
from helion.language import atomic_ops, matmul_ops, reduce_ops, scan_ops, view_ops

from helion_msl._helion.markers import MATMUL_MARKER as MARKER
from helion_msl._helion.threads import whole_dimensions
from helion_msl._helion.values import HALF_TYPES, Value, cast, metal_type

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterable

    from helion._compiler.aten_lowering import LoweringContext
    from helion._compiler.device_function import DeviceFunction
    from helion._compiler.device_ir import GraphInfo
    from helion._compiler.inductor_lowering import CodegenState

# The name under which this backend registers its operations.
CODEGEN_NAME = "helion_msl"

_ATEN = (
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten.baddbmm.default,
)

_NEW_DIMENSIONS = (
    torch.ops.prims.iota.default,
    torch.ops.aten.arange.default,
    torch.ops.aten.stack.default,
    view_ops.join,
)


def keep_products() -> None:
    """Keeps matrix products in the graphs of this backend, for which Helion's core calls a pass of its Metal backend.

    That pass forgets the initial value of a sum, and refuses 16-bit operands and most layouts.
    """
    helions_own = mpp_graph_transform.rewrite_mpp_graphs

    @functools.wraps(helions_own)
    def rewrite_mpp_graphs(device_ir: Any) -> None:
        if CompileEnvironment.current().codegen_name != CODEGEN_NAME:
            helions_own(device_ir)
        else:
            _name_dimensions(device_ir.graphs)

    mpp_graph_transform.rewrite_mpp_graphs = rewrite_mpp_graphs


def _name_dimensions(graphs: Iterable[GraphInfo]) -> None:
    """Makes dimensions of sizes that only ``hl.arange`` or ``torch.stack`` has known, so that they have an index."""
    env = CompileEnvironment.current()
    for graph in graphs:
        for node in graph.graph.nodes:
            value = node.meta.get("val")
            if node.op != "call_function" or node.target not in _NEW_DIMENSIONS or not isinstance(value, torch.Tensor):
                continue
            for size in value.size():
                if isinstance(size, int) and size > 1 and env.resolve_block_id(size) is None:
                    env.allocate_reduction_dimension(size)


def has_matmul(graphs: Iterable[GraphInfo]) -> bool:
    """Whether any of the graphs multiplies matrices."""
    return any(
        node.op == "call_function" and (node.target in _ATEN or node.target is matmul_ops.dot)
        for graph in graphs
        for node in graph.graph.nodes
    )


def needs_threadgroup(graphs: Iterable[GraphInfo]) -> bool:
    """Whether a kernel does what a thread that has elements of its own cannot do."""
    graphs = list(graphs)
    blocks = CompileEnvironment.current().block_sizes
    whole = [blocks[block_id].numel for block_id in whole_dimensions()]
    # Dimensions whose size only the call decides are reduced in loops of their own.
    if has_matmul(graphs) or (len(whole) > 1 and not any(getattr(size, "free_symbols", None) for size in whole)):
        return True
    together = {
        scan_ops._associative_scan,
        reduce_ops._reduce,
        view_ops.split,
        view_ops.join,
        torch.ops.aten.gather.default,
        *(getattr(atomic_ops, name) for name in atomic_ops.__all__),
    }
    return any(node.op == "call_function" and node.target in together for graph in graphs for node in graph.graph.nodes)


def works_together(fn: DeviceFunction) -> bool:
    """Whether the threads of a kernel's threadgroups work together on a tile, instead of each on its elements."""
    return fn in _TOGETHER or needs_threadgroup(fn.codegen.codegen_graphs)


def work_together(fn: DeviceFunction) -> None:
    """Let :func:`works_together` be true of a kernel whose code is not generated yet."""
    _TOGETHER.add(fn)


_TOGETHER: weakref.WeakSet[DeviceFunction] = weakref.WeakSet()


def lower_aten(ctx: LoweringContext, node: torch.fx.Node) -> object:
    """``torch.matmul`` and its kin, with a sum that is added where there is one."""
    *addends, left, right = node.args
    assert isinstance(left, torch.fx.Node)
    assert isinstance(right, torch.fx.Node)
    addend = addends[0] if addends else None
    return _product(
        left.meta["val"],
        right.meta["val"],
        ctx.env[left],
        ctx.env[right],
        ctx.env[addend] if isinstance(addend, torch.fx.Node) else None,
        addend.meta["val"].dtype if isinstance(addend, torch.fx.Node) else None,
        node.meta["val"].dtype,
    )


def lower_dot(state: CodegenState) -> object:
    """``hl.dot``."""
    left, right, addend, _ = state.proxy_args
    assert isinstance(left, torch.Tensor)
    assert isinstance(right, torch.Tensor)
    assert state.fx_node is not None
    has_addend = isinstance(addend, torch.Tensor)
    return _product(
        left,
        right,
        state.ast_arg(0),
        state.ast_arg(1),
        state.ast_arg(2) if has_addend else None,
        addend.dtype if isinstance(addend, torch.Tensor) else None,
        state.fx_node.meta["val"].dtype,
    )


def _product(
    left: torch.Tensor,
    right: torch.Tensor,
    left_text: Any,
    right_text: Any,
    addend_text: Any,
    addend_type: torch.dtype | None,
    result_type: torch.dtype,
) -> ast.AST:
    operand_type = _operand_type(left.dtype, right.dtype)
    env = CompileEnvironment.current()
    blocks = [env.resolve_block_id(size) for size in (left.size(-2), right.size(-1), left.size(-1))]
    for size, block in zip((left.size(-2), right.size(-1), left.size(-1)), blocks, strict=True):
        if block is None and not env.known_equal(size, 1):
            raise exc.BackendUnsupported(
                "metal", f"a matrix product with a dimension of {size}, which is no tile of the kernel"
            )
    marker = f"{MARKER}({{left}}, {{right}}, {blocks[0]}, {blocks[1]}, {blocks[2]}, {str(operand_type)!r})"
    if addend_text is not None:
        assert addend_type is not None
        wide = cast(Value("{addend}", addend_type), torch.float32)
        marker = f"({wide} + {marker})"
    text = cast(Value(marker, torch.float32), result_type)
    extra = {} if addend_text is None else {"addend": addend_text}
    return expr_from_string(text, left=left_text, right=right_text, **extra)


def _operand_type(left: torch.dtype, right: torch.dtype) -> torch.dtype:
    for dtype in (left, right):
        if dtype not in (*HALF_TYPES, torch.float32):
            metal_type(dtype)
            reason = f"a matrix product of {dtype}: Metal multiplies float16, bfloat16 and float32; convert the tiles"
            if not dtype.is_floating_point:
                reason += ", or stay exact with (x[:, :, None].to(torch.int32) * y[None, :, :]).sum(1)"
            raise exc.BackendUnsupported("metal", reason)
    return left if left == right else torch.float32
