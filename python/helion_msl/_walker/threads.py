"""Threads working together: positions, threadgroup memory, barriers and simdgroup operations."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from .. import language
from . import fold, ir, operators
from .binding import bind, bind_numbers, scalar_type_of
from .types import BOOL, FLOAT32, MAXIMUM_THREADGROUP_MEMORY, UINT32, VOID, ThreadgroupArrayType, promote
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parse_expressions import ExpressionParser
    from .values import Value

    Handler = Callable[[ExpressionParser, ast.Call, dict[str, ast.expr]], Value]

THREAD_VALUES: dict[str, ir.PositionKind] = {
    "simd_lane": "thread_index_in_simdgroup",
    "simd_group": "simdgroup_index_in_threadgroup",
    "simdgroups_per_threadgroup": "simdgroups_per_threadgroup",
    "thread_index": "thread_index_in_threadgroup",
}

POSITIONS: dict[int, ir.PositionKind] = {
    id(language.tgid): "threadgroup_position_in_grid",
    id(language.tid): "thread_position_in_threadgroup",
    id(language.gid): "thread_position_in_grid",
    id(language.threads_per_threadgroup): "threads_per_threadgroup",
    id(language.threadgroups_per_grid): "threadgroups_per_grid",
}


def _shape(parser: ExpressionParser, node: ast.expr) -> tuple[int, ...]:
    what = "the size of a threadgroup array"
    if isinstance(node, ast.Tuple):
        return tuple(parser.constant_integer(part, what) for part in node.elts)
    value = parser.value(node)
    if not isinstance(value, TupleValue):
        return (parser.constant_integer(node, what),)
    return tuple(parser.known_integer(node, item, what) for item in value.items)


def _threadgroup_array(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language.threadgroup_array)
    dtype = scalar_type_of(parser.value(bound["dtype"]))
    if dtype is None:
        raise parser.error(bound["dtype"], "the type of a threadgroup array is a scalar type", "write ml.float32")
    shape = _shape(parser, bound["shape"])
    if not shape or min(shape) <= 0:
        raise parser.error(bound["shape"], "a threadgroup array needs sizes above 0")
    kind = ThreadgroupArrayType(dtype, shape)
    if kind.size_in_bytes > MAXIMUM_THREADGROUP_MEMORY:
        raise parser.error(
            node,
            f"the array takes {kind.size_in_bytes} bytes, a threadgroup has {MAXIMUM_THREADGROUP_MEMORY}",
            "use smaller blocks",
        )
    array = parser.array_of(id(node), kind)
    return ir.ThreadgroupArrayReference(array, array.type)


_MEMORY_FLAGS = {
    "threadgroup": "metal::mem_flags::mem_threadgroup",
    "device": "metal::mem_flags::mem_device",
    "all": "metal::mem_flags::mem_device | metal::mem_flags::mem_threadgroup",
    "none": "metal::mem_flags::mem_none",
}


def _barrier(function: object, msl: str) -> Handler:
    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        bound = bind(parser, node, function)
        memory: object = "threadgroup"
        if "memory" in bound:
            value = parser.value(bound["memory"])
            memory = value.value if isinstance(value, PythonObject) else None
        if memory not in _MEMORY_FLAGS:
            raise parser.error(
                bound["memory"], "unknown kind of memory", "write 'threadgroup', 'device', 'all' or 'none'"
            )
        return ir.Call(f"{msl}({_MEMORY_FLAGS[str(memory)]})", (), VOID, has_effect=True)

    return handle


def simdgroup_call(
    parser: ExpressionParser, node: ast.AST, msl: str, numbers: list[ir.Expression], is_logical: bool = False
) -> ir.Expression:
    """Return an operation on the values of a simdgroup; the first number is the value, others are lanes."""
    value = numbers[0]
    scalar = operators.scalar_type(value)
    if is_logical and scalar.is_float:
        raise parser.error(node, f"this needs an integer, not a {scalar}")
    scalar = promote(scalar, scalar)
    if scalar.name == "bfloat16":
        scalar = FLOAT32
    # Metal has no 64-bit simdgroup operations, and metal::simd_max ignores NaN.
    helper = scalar.bits == 64 or msl in ("simd_max", "simd_min")
    lanes = [fold.convert(lane, UINT32) for lane in numbers[1:]]
    name = f"helion_msl::{msl}" if helper else f"metal::{msl}"
    if helper and scalar.bits == 64 and msl not in _HELPED:
        raise parser.error(node, f"Metal has no {msl} of 64-bit integers", "convert to 32 bits, or use simd_sum")
    return ir.Call(name, (fold.convert(value, scalar), *lanes), scalar, has_effect=True)


_HELPED = frozenset(
    [
        "simd_sum",
        "simd_product",
        "simd_max",
        "simd_min",
        "simd_shuffle",
        "simd_shuffle_up",
        "simd_shuffle_down",
        "simd_shuffle_xor",
        "simd_broadcast",
    ]
)


def _simd(name: str, is_logical: bool = False) -> Handler:
    function = getattr(language, name)

    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        return simdgroup_call(parser, node, name, list(bind_numbers(parser, node, function).values()), is_logical)

    return handle


def _vote(name: str) -> Handler:
    function = getattr(language, name)

    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        condition = bind(parser, node, function)["condition"]
        test = parser.truth_of(condition, parser.as_number(condition))
        if name == "simd_ballot":
            return ir.Call("helion_msl::simd_ballot", (test,), UINT32, has_effect=True)
        return ir.Call(f"metal::{name}", (test,), BOOL, has_effect=True)

    return handle


HANDLERS: dict[object, Handler] = {
    language.threadgroup_array: _threadgroup_array,
    language.barrier: _barrier(language.barrier, "metal::threadgroup_barrier"),
    language.simdgroup_barrier: _barrier(language.simdgroup_barrier, "metal::simdgroup_barrier"),
    **{
        getattr(language, name): _simd(name)
        for name in [
            "simd_sum",
            "simd_product",
            "simd_max",
            "simd_min",
            "simd_prefix_inclusive_sum",
            "simd_prefix_exclusive_sum",
            "simd_broadcast",
            "simd_broadcast_first",
            "simd_shuffle",
            "simd_shuffle_up",
            "simd_shuffle_down",
            "simd_shuffle_xor",
        ]
    },
    **{getattr(language, name): _simd(name, is_logical=True) for name in ("simd_and", "simd_or", "simd_xor")},
    **{getattr(language, name): _vote(name) for name in ("simd_all", "simd_any", "simd_ballot")},
}
