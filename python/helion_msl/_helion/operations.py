"""Helion's own operations for this backend, registered under the name ``"helion_msl"``.

Operations that Helion lowers in the same way for all backends (``"common"``) need no entry. Importing the module
registers; Helion may import it again, which is why nothing else happens here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from helion import exc
from helion._compiler import aten_lowering
from helion._compiler.ast_extension import expr_from_string
from helion._compiler.compile_environment import CompileEnvironment
from helion.language import _decorators, matmul_ops
from helion.language._gelu_tanh_approx import _gelu_erf, _gelu_tanh_approx
from helion.language._tracing_ops import _mask_to
from helion.language.memory_ops import load, store
from helion.language.tile_ops import tile_index

from helion_msl._helion import matmul
from helion_msl._helion.expressions import tile_masks
from helion_msl._helion.values import Value, cast, constant, metal_type

if TYPE_CHECKING:
    import ast
    from collections.abc import Sequence

    from helion._compiler.aten_lowering import LoweringContext
    from helion._compiler.inductor_lowering import CodegenState

_NAME = matmul.CODEGEN_NAME


def _helions_own(operation: Any) -> Any:
    """What Helion registered for its Metal backend; without `CodegenDict`'s look-up, which may repeat registrations."""
    return dict.__getitem__(operation._codegen, "metal")


# Helion's pointer arithmetic and masks; `tidy` turns its text into subscripts.
_decorators.codegen(store, _NAME)(_helions_own(store))


@_decorators.codegen(load, _NAME)
def _(state: CodegenState) -> object:
    """An element of a tensor, or of ``tile.index`` where that gets further dimensions: ``tile.index[:, None]``."""
    source = state.fx_node.args[0] if state.fx_node is not None else None
    if isinstance(source, torch.fx.Node) and source.target is tile_index:
        # The thread's own position, whatever its dimensions are.
        return state.ast_arg(0)
    return _helions_own(load)(state)


@_decorators.codegen(_mask_to, _NAME)
def _(state: CodegenState) -> ast.AST:
    """A tile whose elements beyond the tensor's edge are `other`."""
    tensor, other = state.proxy_arg(0), state.proxy_arg(1)
    assert isinstance(tensor, torch.Tensor)
    assert isinstance(other, (bool, int, float))
    masks = tile_masks(state.codegen, tensor)
    if not masks:
        return state.ast_arg(0)
    outside = constant(other, tensor.dtype)
    text = f"{{value}} if {' and '.join(masks)} else {cast(outside, tensor.dtype)}"
    return expr_from_string(text, value=state.ast_arg(0))


@_decorators.codegen(_gelu_erf, _NAME)
def _(state: CodegenState) -> ast.AST:
    x, dtype = _float_operand(state)
    # 0.5 * x * (1 + erf(x / sqrt(2)))
    return _rounded(f"0.5 * {x} * (1.0 + ml.erf({x} * 0.7071067811865476))", dtype)


@_decorators.codegen(_gelu_tanh_approx, _NAME)
def _(state: CodegenState) -> ast.AST:
    x, dtype = _float_operand(state)
    # 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
    inner = f"0.7978845608028654 * ({x} + 0.044715 * ({x} * {x} * {x}))"
    return _rounded(f"0.5 * {x} * (1.0 + ml.tanh({inner}))", dtype)


def _float_operand(state: CodegenState) -> tuple[Value, torch.dtype]:
    tensor = state.proxy_arg(0)
    assert isinstance(tensor, torch.Tensor)
    if not tensor.dtype.is_floating_point:
        raise exc.BackendUnsupported("metal", f"gelu of {tensor.dtype}: convert to a floating-point type first")
    operand = Value(state.codegen.lift(state.ast_arg(0), dce=True).id, tensor.dtype)
    wide = cast(operand, torch.float32)
    if wide is operand:
        return operand, tensor.dtype
    return Value(state.codegen.lift(expr_from_string(wide), dce=True).id, torch.float32), tensor.dtype


def _rounded(text: str, dtype: torch.dtype) -> ast.AST:
    value = Value(f"({text})", torch.float32)
    return expr_from_string(cast(value, dtype))


# ---- shapes: a tile is one element for each thread, whatever its dimensions are called ---------------------------


def _same_element(ctx: LoweringContext, node: torch.fx.Node) -> object:
    """A view that only adds, drops, reorders or repeats dimensions: each thread keeps its element."""
    env = CompileEnvironment.current()

    def blocks(shape: Sequence[int | torch.SymInt]) -> list[object]:
        return [env.resolve_block_id(size) for size in shape if not env.known_equal(size, 1)]

    source = node.args[0]
    assert isinstance(source, torch.fx.Node)
    before, after = blocks(source.meta["val"].size()), blocks(node.meta["val"].size())
    may_grow = node.target is torch.ops.aten.expand.default
    may_move = node.target is torch.ops.aten.permute.default
    is_same = before == after or (may_move and sorted(map(str, before)) == sorted(map(str, after)))
    if None in before or None in after or not (is_same or (may_grow and set(before) <= set(after))):
        raise exc.BackendUnsupported(
            "metal",
            f"{node.target} from {tuple(source.meta['val'].size())} to {tuple(node.meta['val'].size())}: elements "
            "would move between threads; reshape the tensor outside the kernel",
        )
    return ctx.env[source]


for _lowering in (
    aten_lowering.squeeze_lowering,
    aten_lowering.view_lowering,
    aten_lowering.reshape_lowering,
    aten_lowering.permute_lowering,
    aten_lowering.expand_lowering,
):
    _lowering.register_codegen(_NAME)(_same_element)


@aten_lowering.view_dtype_lowering.register_codegen(_NAME)
def _(ctx: LoweringContext, node: torch.fx.Node) -> object:
    source = node.args[0]
    assert isinstance(source, torch.fx.Node)
    before, after = source.meta["val"].dtype, node.meta["val"].dtype
    if before.itemsize != after.itemsize:
        raise exc.BackendUnsupported("metal", f"a view of {before} as {after}: their sizes differ")
    return expr_from_string(f"ml.bitcast({{x}}, {metal_type(after)})", x=ctx.env[source])


# ---- matrix products -----------------------------------------------------------------------------------------------

for _lowering in (
    aten_lowering.mm_lowering,
    aten_lowering.addmm_lowering,
    aten_lowering.bmm_lowering,
    aten_lowering.baddbmm_lowering,
):
    _lowering.register_codegen(_NAME)(matmul.lower_aten)
_decorators.codegen(matmul_ops.dot, _NAME)(matmul.lower_dot)


# ---- what is refused, with the way out ---------------------------------------------------------------------------


def _refusal(reason: str) -> Any:
    def refuse(*_: object) -> object:
        raise exc.BackendUnsupported("metal", reason)

    return refuse


_OUTSIDE = "compute it with torch outside the kernel"
for _lowering, _reason in (
    (aten_lowering.constant_pad_nd_lowering, f"padding a tile: {_OUTSIDE}"),
    (aten_lowering.sort_lowering, f"sorting a tile: {_OUTSIDE}"),
    (aten_lowering.topk_lowering, f"torch.topk of a tile: {_OUTSIDE}"),
):
    _lowering.register_codegen(_NAME)(_refusal(_reason))
