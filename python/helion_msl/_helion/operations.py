"""Helion's own operations for this backend, registered under the name ``"helion_msl"``.

Operations that Helion lowers in the same way for all backends (``"common"``) need no entry. Importing the module registers;
Helion may import it again, which is why nothing else happens here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from helion import exc
from helion._compiler.ast_extension import expr_from_string
from helion.language import _decorators
from helion.language._gelu_tanh_approx import _gelu_erf, _gelu_tanh_approx
from helion.language._tracing_ops import _mask_to
from helion.language.memory_ops import load, store

from helion_msl._helion.expressions import Value, cast, constant

if TYPE_CHECKING:
    import ast

    from helion._compiler.inductor_lowering import CodegenState

_NAME = "helion_msl"


def _helions_own(operation: Any) -> Any:
    """What Helion registered for its Metal backend; without `CodegenDict`'s look-up, which may repeat registrations."""
    return dict.__getitem__(operation._codegen, "metal")


for _operation in (load, store):
    # Helion's pointer arithmetic and masks; `tidy` turns its text into subscripts.
    _decorators.codegen(_operation, _NAME)(_helions_own(_operation))


@_decorators.codegen(_mask_to, _NAME)
def _(state: CodegenState) -> ast.AST:
    """A tile whose elements beyond the tensor's edge are `other`."""
    tensor, other = state.proxy_arg(0), state.proxy_arg(1)
    assert isinstance(tensor, torch.Tensor)
    assert isinstance(other, (bool, int, float))
    masks: dict[str, None] = {}
    for size in tensor.size():
        mask = _mask_of(state, size)
        if mask is not None:
            masks[mask] = None
    if not masks:
        return state.ast_arg(0)
    outside = constant(other, tensor.dtype)
    text = f"{{value}} if {' and '.join(masks)} else {cast(outside, tensor.dtype)}"
    return expr_from_string(text, value=state.ast_arg(0))


def _mask_of(state: CodegenState, size: int | torch.SymInt) -> str | None:
    from helion._compiler.compile_environment import CompileEnvironment

    block_id = CompileEnvironment.current().resolve_block_id(size)
    return None if block_id is None else state.codegen.mask_var(block_id)


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


