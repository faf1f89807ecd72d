"""Helion's operations on whole tiles: positions, scans, reductions with a function, stacks and atomics."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import torch
from helion import exc
from helion._compiler import aten_lowering
from helion._compiler.ast_extension import create, expr_from_string
from helion._compiler.compile_environment import CompileEnvironment
from helion.language import _decorators, atomic_ops, reduce_ops, scan_ops, view_ops

from helion_msl._helion.combine import combine_texts
from helion_msl._helion.markers import AT_MARKER, FOLD_MARKER, SCAN_MARKER
from helion_msl._helion.matmul import CODEGEN_NAME
from helion_msl._helion.values import Value, cast, literal_text, metal_type

if TYPE_CHECKING:
    from helion._compiler.aten_lowering import LoweringContext
    from helion._compiler.inductor_lowering import CodegenState

_NAME = CODEGEN_NAME


# ---- positions -----------------------------------------------------------------------------------------------------


def _block(size: int | torch.SymInt, what: str) -> int:
    block = CompileEnvironment.current().resolve_block_id(size)
    if block is None:
        raise exc.BackendUnsupported(
            "metal",
            f"{what} of {size} elements, a size that is no tile and no whole dimension of a tensor in this kernel: "
            "give a tensor of that size to the kernel and index it with `:`, or loop with hl.tile",
        )
    return int(block)


def _position(cg: Any, block: int) -> str:
    """The element's place along a dimension, counted from the tile's begin."""
    index: str = cg.index_var(block)
    if CompileEnvironment.current().block_sizes[block].reduction:
        return index
    return f"({index} - {cg.offset_var(block)})"


def _iota(ctx: LoweringContext, node: torch.fx.Node) -> object:
    """``hl.arange``, ``torch.arange``."""
    size = node.meta["val"].size(0)
    start, step = node.kwargs.get("start", 0), node.kwargs.get("step", 1)
    if node.target is not torch.ops.prims.iota.default:
        start, step = 0, 1
    dtype = node.meta["val"].dtype
    place = "0" if CompileEnvironment.current().known_equal(size, 1) else _position(ctx.cg, _block(size, "hl.arange"))
    text = cast(Value("({start} + {step} * " + place + ")", torch.int64), dtype)
    return expr_from_string(text, start=ctx.to_ast(start), step=ctx.to_ast(step))


for _lowering in (aten_lowering.iota_lowering, aten_lowering.arange_default_lowering):
    _lowering.register_codegen(_NAME)(_iota)


@aten_lowering.stack_lowering.register_codegen(_NAME)
def _(ctx: LoweringContext, node: torch.fx.Node) -> object:
    """``torch.stack``: the element's place along the new dimension says which tile it is from."""
    tiles = node.args[0]
    assert isinstance(tiles, (list, tuple))
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    assert isinstance(dim, int)
    value = node.meta["val"]
    if len(tiles) == 1:
        return ctx.env[tiles[0]]
    place = _position(ctx.cg, _block(value.size(dim), "torch.stack"))
    names = [f"_tile_{number}" for number in range(len(tiles))]
    text = f"{{{names[-1]}}}"
    for number in range(len(tiles) - 2, -1, -1):
        text = f"({{{names[number]}}} if {place} == {number} else {text})"
    return expr_from_string(text, **{name: ctx.env[tile] for name, tile in zip(names, tiles, strict=True)})


@_decorators.codegen(view_ops.join, _NAME)
def _(state: CodegenState) -> object:
    """``hl.join``: two tiles become one with a last dimension of two."""
    assert state.fx_node is not None
    value = state.fx_node.meta["val"]
    place = _position(state.codegen, _block(value.size(-1), "hl.join"))
    return expr_from_string(
        f"({{first}} if {place} == 0 else {{second}})", first=state.ast_arg(0), second=state.ast_arg(1)
    )


@_decorators.codegen(view_ops.split, _NAME)
def _(state: CodegenState) -> object:
    """``hl.split``: the elements at both places of the last dimension."""
    tensor = state.proxy_arg(0)
    assert isinstance(tensor, torch.Tensor)
    block = _block(tensor.size(-1), "hl.split")
    return [
        state.codegen.lift(expr_from_string(f"{AT_MARKER}({{value}}, {block}, {place})", value=state.ast_arg(0)))
        for place in (0, 1)
    ]


@aten_lowering.gather_lowering.register_codegen(_NAME)
def _(ctx: LoweringContext, node: torch.fx.Node) -> object:
    """``torch.gather``: elements of a tile at places that another one holds."""
    source, dim, index = node.args[:3]
    assert isinstance(source, torch.fx.Node)
    assert isinstance(dim, int)
    value = source.meta["val"]
    if CompileEnvironment.current().known_equal(value.size(dim), 1):
        return ctx.env[source]
    block = _block(value.size(dim), "torch.gather")
    return expr_from_string(f"{AT_MARKER}({{value}}, {block}, {{index}})", value=ctx.env[source], index=ctx.env[index])


# ---- scans and reductions with a function ----------------------------------------------------------------------------


@_decorators.codegen(scan_ops._associative_scan, _NAME)
def _(state: CodegenState) -> object:
    """``hl.associative_scan``, ``torch.cumsum``, ``torch.cumprod``."""
    graph, values, dim, is_reverse, is_tuple = state.proxy_args
    return _combined(state, SCAN_MARKER, graph, values, dim, bool(is_reverse), bool(is_tuple))


@_decorators.codegen(reduce_ops._reduce, _NAME)
def _(state: CodegenState) -> object:
    """``hl.reduce``."""
    graph, values, dim, keep_dims, is_tuple = state.proxy_args
    del keep_dims
    if dim is None:
        raise exc.BackendUnsupported("metal", "hl.reduce over all dimensions at once: reduce one after the other")
    return _combined(state, FOLD_MARKER, graph, values, dim, False, bool(is_tuple))


def _combined(
    state: CodegenState, marker: str, graph: Any, values: Any, dim: Any, is_reverse: bool, is_tuple: bool
) -> object:
    tensors = list(values) if is_tuple else [values]
    texts = combine_texts(state.get_graph(graph).graph)
    operands = list(state.ast_args[1]) if is_tuple else [state.ast_arg(1)]
    size = tensors[0].size(dim)
    if CompileEnvironment.current().known_equal(size, 1):
        return operands if is_tuple else operands[0]
    block = _block(size, "a scan or reduction")
    mask = state.codegen.mask_var(block)
    types = tuple(str(tensor.dtype) for tensor in tensors)
    for tensor in tensors:
        metal_type(tensor.dtype)
    names = [f"_operand_{number}" for number in range(len(operands))]
    results: list[ast.AST] = []
    for number in range(len(operands)):
        text = f"{marker}({texts!r}, {types!r}, [{', '.join('{' + name + '}' for name in names)}], {block}, "
        text += f"{is_reverse}, {number}, {mask})"
        text = f"{metal_type(tensors[number].dtype)}({text})"
        results.append(expr_from_string(text, **dict(zip(names, operands, strict=True))))
    return [state.codegen.lift(result) for result in results] if is_tuple else results[0]


# ---- atomics ---------------------------------------------------------------------------------------------------------

# Helion's name, and for which types Metal has it (specification, section 6.15.4 "Atomic Functions").
_INTEGERS = (torch.int32, torch.uint32)
_ATOMICS: dict[str, tuple[str, tuple[torch.dtype, ...]]] = {
    "atomic_add": ("atomic_add", (*_INTEGERS, torch.float32)),
    "atomic_xchg": ("atomic_exchange", (*_INTEGERS, torch.float32)),
    "atomic_and": ("atomic_and", _INTEGERS),
    "atomic_or": ("atomic_or", _INTEGERS),
    "atomic_xor": ("atomic_xor", _INTEGERS),
    "atomic_max": ("atomic_max", _INTEGERS),
    "atomic_min": ("atomic_min", _INTEGERS),
}


def _atomic(name: str) -> Any:
    def lower(state: CodegenState) -> ast.AST:
        target, index = state.proxy_arg(0), state.proxy_arg(1)
        assert isinstance(target, torch.Tensor)
        assert isinstance(index, (list, tuple))
        if name not in _ATOMICS:
            raise exc.BackendUnsupported("metal", f"hl.{name}: Metal has no such operation that never fails")
        if target.dtype not in _ATOMICS[name][1]:
            have = ", ".join(str(dtype).removeprefix("torch.") for dtype in _ATOMICS[name][1])
            raise exc.BackendUnsupported(
                "metal",
                f"hl.{name} on {target.dtype}: Metal has it for {have}; use such a tensor, and convert it afterwards",
            )
        value = state.proxy_arg(2)
        operand = state.ast_args[2]
        if isinstance(value, (bool, int, float)):
            operand = expr_from_string(literal_text(value))
        elif isinstance(value, torch.Tensor):
            lifted = state.codegen.lift(operand, dce=True)
            operand = expr_from_string(cast(Value(lifted.id, value.dtype), target.dtype))
        device_fn = state.device_function
        strategy = device_fn.get_atomic_indexing_strategy(device_fn.atomic_op_index)
        device_fn.atomic_op_index += 1
        call = strategy.codegen_atomic(
            _ATOMICS[name][0], state, target, [*index], operand, expr_from_string("'relaxed'")
        )
        if state.fx_node is not None and state.fx_node.users:
            old: ast.AST = state.codegen.lift(call, prefix="old")
            return old
        state.codegen.add_statement(create(ast.Expr, value=call))
        return expr_from_string("None")

    return lower


for _operation in atomic_ops.__all__:
    _decorators.codegen(getattr(atomic_ops, _operation), _NAME)(_atomic(_operation))
