"""Which arithmetic of a kernel's integers needs no wrapping around.

That is most of what indices go through: the position in a tensor times two cannot leave `int`. Two questions are
answered about the nodes of Helion's graphs: between which bounds their values are, and whether they only become
subscripts. An index that leaves its type's range is far outside of every tensor, so that the latter need no wrapping
either.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from helion._compiler.compile_environment import CompileEnvironment
from helion._compiler.host_function import HostFunction
from helion._compiler.variable_origin import BlockSizeOrigin, GridOrigin
from helion.language import _tracing_ops, atomic_ops, memory_ops, tile_ops, view_ops
from torch.utils._pytree import tree_leaves
from torch.utils._sympy.value_ranges import ValueRanges as SymbolRange
from torch.utils._sympy.value_ranges import bound_sympy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import sympy
    from helion._compiler.device_ir import GraphInfo

aten, prims = torch.ops.aten, torch.ops.prims
Bounds: TypeAlias = "tuple[int, int]"

# Helion's own index of an element beyond the end of a tensor fits its type, and is beyond by up to a block. A dimension
# of a size that is not known is taken to leave that much.
_SLACK = 1 << 16
_ARITHMETIC = (aten.add, aten.sub, aten.mul, aten.neg, aten.bitwise_left_shift, aten.__lshift__)
_CONVERSIONS = (prims.convert_element_type, aten._to_copy)
_VIEWS = (
    *(aten.view, aten.reshape, aten.expand, aten.permute, aten.unsqueeze, aten.squeeze, aten.clone, aten.alias),
    *(view_ops.subscript, _tracing_ops._new_var),
)
_ATOMICS = tuple(getattr(atomic_ops, name) for name in atomic_ops.__all__)


class ValueRanges:
    """Answers for the graphs of one code generation.

    Args:
        graphs: all of them.
    """

    def __init__(self, graphs: Sequence[GraphInfo]) -> None:
        self._graphs: Mapping[int, GraphInfo] = {graph.graph_id: graph for graph in graphs}
        self._outer = {inner: outer for graph in graphs for inner, outer in self._unchanged(graph)}
        self._found: dict[torch.fx.Node, Bounds | None] = {}
        self._are_subscripts: dict[torch.fx.Node, bool] = {}

    def stays_in_range(self, node: torch.fx.Node, codegen: Any) -> bool:
        """Whether an operation's exact result is a value of its type, or is nothing but a subscript.

        Args:
            node: the operation.
            codegen: what generates the kernel, inside the loops that the operation is in.
        """
        value = node.meta["val"]
        if _packet(node) not in _ARITHMETIC or not (isinstance(value, torch.Tensor) and _is_integer(value.dtype)):
            return False
        exact = self._exact(node, codegen)
        if exact is not None and _is_within(exact, _limits(value.dtype)):
            return True
        return value.dtype.itemsize >= 4 and self._is_subscript(node)

    # ---- bounds ----------------------------------------------------------------------------------------------------

    def _bounds(self, value: Any, codegen: Any) -> Bounds | None:
        """The bounds of an operand's values; None where it is no integer."""
        if isinstance(value, bool | int):
            return int(value), int(value)
        if not isinstance(value, torch.fx.Node):
            return None
        if value not in self._found:
            self._found[value] = self._of_node(value, codegen)
        return self._found[value]

    def _of_node(self, node: torch.fx.Node, codegen: Any) -> Bounds | None:
        value = node.meta.get("val")
        if isinstance(value, torch.SymInt):
            return _of_expression(value.node.expr, codegen)
        if not isinstance(value, torch.Tensor) or not (_is_integer(value.dtype) or value.dtype == torch.bool):
            return None
        if node in self._outer:
            return self._bounds(self._outer[node], codegen)
        limits = _limits(value.dtype)
        position = _POSITIONS.get(_packet(node))
        exact = position(node, codegen) if position is not None else self._exact(node, codegen)
        return exact if exact is not None and _is_within(exact, limits) else limits

    def _exact(self, node: torch.fx.Node, codegen: Any) -> Bounds | None:
        """The bounds of what an operation yields without a limit; None where they are not known."""
        packet = _packet(node)
        if packet in _VIEWS or packet in _CONVERSIONS or (packet is memory_ops.load and _is_position(node.args[0])):
            return self._bounds(node.args[0], codegen)
        rule = _RULES.get(packet)
        operands = [self._bounds(argument, codegen) for argument in node.args]
        if rule is None or node.kwargs.get("alpha", 1) != 1 or None in operands:
            return None
        return rule(*operands)

    # ---- subscripts ------------------------------------------------------------------------------------------------

    def _is_subscript(self, node: torch.fx.Node) -> bool:
        """Whether a node's values go nowhere but, by further arithmetic, into subscripts."""
        if node not in self._are_subscripts:
            self._are_subscripts[node] = all(self._subscripts(user, node) for user in node.users)
        return self._are_subscripts[node]

    def _subscripts(self, user: torch.fx.Node, node: torch.fx.Node) -> bool:
        packet = _packet(user)
        if packet in _ARITHMETIC or packet in _VIEWS or packet in _CONVERSIONS:
            value = user.meta["val"]
            is_wide = isinstance(value, torch.Tensor) and _is_integer(value.dtype) and value.dtype.itemsize >= 4
            return is_wide and self._is_subscript(user)
        if packet is memory_ops.load or packet is memory_ops.store or packet in _ATOMICS:
            others = [argument for place, argument in enumerate(user.args) if place != 1]
            return node not in others and node not in user.kwargs.values()
        if packet in _CONTROL_FLOW:
            _, deciding = _CONTROL_FLOW[packet](*user.args)
            inside = [inner for inner, outer in self._passed(user) if outer is node]
            return node not in tree_leaves(deciding) and all(self._is_subscript(inner) for inner in inside)
        return packet is aten.sym_size

    # ---- graphs inside graphs ----------------------------------------------------------------------------------------

    def _unchanged(self, graph: GraphInfo) -> Iterator[tuple[torch.fx.Node, torch.fx.Node]]:
        """What stands in the graphs of loops and branches for nodes of `graph`, and always has their values."""
        for node in graph.graph.nodes:
            if _packet(node) in _CONTROL_FLOW:
                for inner, outer in self._passed(node):
                    # What a loop assigns again is, from the second time on, something else.
                    if not any(_packet(user) is _tracing_ops._phi for user in outer.users):
                        yield inner, outer

    def _passed(self, node: torch.fx.Node) -> Iterator[tuple[torch.fx.Node, torch.fx.Node]]:
        """The nodes inside the graphs of a loop or a branch, and which node of its own graph is passed for each."""
        graphs, _ = _CONTROL_FLOW[_packet(node)](*node.args)
        for graph, arguments in graphs:
            places = self._graphs[graph].graph.find_nodes(op="placeholder")
            for place, argument in zip(places, arguments, strict=True):
                if isinstance(argument, torch.fx.Node):
                    yield place, argument


def _loop(graph: int, begin: Any, end: Any, arguments: Any, step: Any = None) -> tuple[list[tuple[int, Any]], Any]:
    """A loop's graph and what is passed to it, and what decides how often it runs."""
    return [(graph, arguments)], [begin, end, step]


def _branch(test: Any, body: int, orelse: int, for_body: Any, for_orelse: Any) -> tuple[list[tuple[int, Any]], Any]:
    """The same of an ``if``."""
    return [(body, for_body), (orelse, for_orelse)], test


_CONTROL_FLOW: dict[Any, Callable[..., tuple[list[tuple[int, Any]], Any]]] = {
    _tracing_ops._for_loop: _loop,
    _tracing_ops._for_loop_step: _loop,
    _tracing_ops._if: _branch,
}


def _packet(node: torch.fx.Node) -> Any:
    return getattr(node.target, "overloadpacket", node.target)


def _is_position(value: Any) -> bool:
    """Whether it is a ``tile.index``, of which Helion "loads" where it gets further dimensions."""
    return isinstance(value, torch.fx.Node) and value.target is tile_ops.tile_index


def _is_integer(dtype: torch.dtype) -> bool:
    return not dtype.is_floating_point and not dtype.is_complex and dtype != torch.bool


def _limits(dtype: torch.dtype) -> Bounds:
    if dtype == torch.bool:
        return 0, 1
    limits = torch.iinfo(dtype)
    return limits.min, limits.max


def _is_within(bounds: Bounds, limits: Bounds) -> bool:
    return limits[0] <= bounds[0] and bounds[1] <= limits[1]


def _of_expression(expression: sympy.Expr, codegen: Any) -> Bounds | None:
    """The bounds of a size, of a place such as ``tile.begin``, or of what is computed from them."""
    env = CompileEnvironment.current()
    expression = env.specialize_expr(expression)
    known = {symbol: _of_symbol(symbol, codegen) for symbol in expression.free_symbols}
    ranges = {symbol: SymbolRange(*bounds) for symbol, bounds in known.items() if bounds is not None}
    try:
        found = bound_sympy(expression, {**env.shape_env.var_to_range, **ranges})
        return int(found.lower), int(found.upper)
    except (AttributeError, NotImplementedError, OverflowError, TypeError, ValueError):
        # Infinite, or of symbols that the shapes say nothing about.
        return None


def _of_symbol(symbol: sympy.Symbol, codegen: Any) -> Bounds | None:
    """The bounds of what a tile or a loop over a grid makes known; None for other symbols."""
    info = HostFunction.current().expr_to_origin.get(symbol)
    if info is None:
        return None
    if isinstance(info.origin, BlockSizeOrigin):
        size = codegen.device_function.resolved_block_size(info.origin.block_id)
        return (size, size) if isinstance(size, int) else None
    if isinstance(info.origin, GridOrigin):
        first, last = _of_block(info.origin.block_id, codegen)
        # Numbers of tiles count from 0, wherever the first one begins.
        first = min(first, 0)
        return first, last - first
    return None


def _of_index(node: torch.fx.Node, codegen: Any) -> Bounds:
    """The bounds of ``tile.index``."""
    env = CompileEnvironment.current()
    block = env.resolve_block_id(node.meta["val"].size(0))
    return _of_block(block, codegen) if block is not None else _unknown_positions()


def _of_block(block: int, codegen: Any) -> Bounds:
    """The bounds of the positions in a tile, also in threads beyond the end."""
    block = CompileEnvironment.current().resolve_codegen_block_id(block, codegen)
    unknown = _unknown_positions()
    loops = codegen.active_device_loops.get(block)
    info = loops[-1].block_id_to_info.get(block) if loops else None
    size = codegen.device_function.resolved_block_size(block)
    if info is None or not isinstance(size, int):
        return unknown
    starts_at_zero = info.begin_expr is None and info.begin_var_name is None
    begin = (0, 0) if starts_at_zero else None if info.begin_expr is None else _of_expression(info.begin_expr, codegen)
    if begin is None:
        return unknown
    last = info.grid_end_expr if info.grid_end_expr is not None else info.end_expr
    end = None if last is None else _of_expression(last, codegen)
    return begin[0], min(unknown[1], end[1] + size) if end is not None else unknown[1]


def _unknown_positions() -> Bounds:
    most = _limits(CompileEnvironment.current().index_dtype)[1] - _SLACK
    return -most, most


def _of_iota(node: torch.fx.Node, codegen: Any) -> Bounds | None:
    """The bounds of ``hl.arange``."""
    size = node.meta["val"].size(0)
    block = CompileEnvironment.current().resolve_block_id(size)
    if block is not None:
        size = codegen.device_function.resolved_block_size(block)
    start, step = node.kwargs.get("start", 0), node.kwargs.get("step", 1)
    if not (isinstance(size, int) and isinstance(start, int) and isinstance(step, int)):
        return None
    last = start + step * size
    return min(start, last), max(start, last)


_POSITIONS: dict[Any, Callable[[torch.fx.Node, Any], Bounds | None]] = {
    tile_ops.tile_index: _of_index,
    prims.iota: _of_iota,
}


# ---- rules ---------------------------------------------------------------------------------------------------------


def _corners(function: Callable[[int, int], int]) -> Callable[[Bounds, Bounds], Bounds]:
    """The bounds of a function that has its extremes at the ends of its operands' bounds."""

    def rule(left: Bounds, right: Bounds) -> Bounds:
        values = [function(a, b) for a in left for b in right]
        return min(values), max(values)

    return rule


def _negated(operand: Bounds) -> Bounds:
    return -operand[1], -operand[0]


def _shifted(function: Callable[[int, int], int]) -> Callable[[Bounds, Bounds], Bounds | None]:
    def rule(left: Bounds, count: Bounds) -> Bounds | None:
        is_plain = count[0] >= 0 and count[1] < 64
        # A negative number shifted to the left is open in C++, whatever becomes of it.
        if not is_plain or (function is operator.lshift and left[0] < 0):
            return None
        return _corners(function)(left, count)

    return rule


def _masked(left: Bounds, right: Bounds) -> Bounds | None:
    highest = [operand[1] for operand in (left, right) if operand[0] >= 0]
    return (0, min(highest)) if highest else None


def _bits(left: Bounds, right: Bounds) -> Bounds | None:
    if left[0] < 0 or right[0] < 0:
        return None
    return 0, (1 << max(left[1], right[1]).bit_length()) - 1


def _remainder(left: Bounds, right: Bounds) -> Bounds | None:
    return (0, min(right[1] - 1, left[1]) if left[0] >= 0 else right[1] - 1) if right[0] > 0 else None


def _quotient(left: Bounds, right: Bounds) -> Bounds | None:
    return _corners(operator.floordiv)(left, right) if right[0] > 0 else None


def _either(test: Bounds, left: Bounds, right: Bounds) -> Bounds:
    del test
    return min(left[0], right[0]), max(left[1], right[1])


_RULES: dict[Any, Callable[..., Bounds | None]] = {
    aten.add: _corners(operator.add),
    aten.sub: _corners(operator.sub),
    aten.mul: _corners(operator.mul),
    aten.neg: _negated,
    aten.maximum: _corners(max),
    aten.minimum: _corners(min),
    aten.bitwise_left_shift: _shifted(operator.lshift),
    aten.__lshift__: _shifted(operator.lshift),
    aten.bitwise_right_shift: _shifted(operator.rshift),
    aten.__rshift__: _shifted(operator.rshift),
    aten.bitwise_and: _masked,
    aten.bitwise_or: _bits,
    aten.bitwise_xor: _bits,
    aten.remainder: _remainder,
    aten.floor_divide: _quotient,
    aten.where: _either,
}
