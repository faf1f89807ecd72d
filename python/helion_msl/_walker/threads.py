"""Threads working together: positions, threadgroup memory, barriers and simdgroup operations."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from .. import language
from . import fold, ir, operators, vectors
from .binding import bind, scalar_type_of
from .types import (
    BOOL,
    FLOAT32,
    MAXIMUM_LOCAL_ARRAY,
    MAXIMUM_THREADGROUP_MEMORY,
    UINT32,
    VOID,
    ThreadgroupArrayType,
    VectorType,
    promote,
)
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parse_expressions import ExpressionParser
    from .types import AddressSpace
    from .values import Value

    Handler = Callable[[ExpressionParser, ast.Call, dict[str, ast.expr]], Value]

THREAD_VALUES: dict[str, ir.PositionKind] = {
    "simd_lane": "thread_index_in_simdgroup",
    "simd_group": "simdgroup_index_in_threadgroup",
    "simdgroups_per_threadgroup": "simdgroups_per_threadgroup",
    "thread_index": "thread_index_in_threadgroup",
    "quad_lane": "thread_index_in_quadgroup",
    "quad_group": "quadgroup_index_in_threadgroup",
}

POSITIONS: dict[int, ir.PositionKind] = {
    id(language.tgid): "threadgroup_position_in_grid",
    id(language.tid): "thread_position_in_threadgroup",
    id(language.gid): "thread_position_in_grid",
    id(language.threads_per_threadgroup): "threads_per_threadgroup",
    id(language.threadgroups_per_grid): "threadgroups_per_grid",
}


def _shape(parser: ExpressionParser, node: ast.expr) -> tuple[int, ...]:
    what = "the size of an array"
    if isinstance(node, ast.Tuple):
        return tuple(parser.constant_integer(part, what) for part in node.elts)
    value = parser.value(node)
    if not isinstance(value, TupleValue):
        return (parser.constant_integer(node, what),)
    return tuple(parser.known_integer(node, item, what) for item in value.items)


def _array(function: Callable[..., object], space: AddressSpace, owner: str, limit: int) -> Handler:
    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        bound = bind(parser, node, function)
        dtype = scalar_type_of(parser.value(bound["dtype"]))
        if dtype is None:
            raise parser.error(bound["dtype"], "the elements of an array have a scalar type", "write ml.float32")
        shape = _shape(parser, bound["shape"])
        if not shape or min(shape) <= 0:
            raise parser.error(bound["shape"], "an array needs sizes above 0", "write 8 or (8, 4)")
        kind = ThreadgroupArrayType(dtype, shape, space)
        if kind.size_in_bytes > limit:
            raise parser.error(
                node, f"the array takes {kind.size_in_bytes} bytes, a {owner} has {limit}", "use smaller blocks"
            )
        array = parser.array_of(id(node), kind)
        return ir.ThreadgroupArrayReference(array, array.type)

    return handle


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
    helper = scalar.bits == 64 or msl in ("simd_max", "simd_min", "quad_max", "quad_min")
    lanes = [fold.convert(lane, UINT32) for lane in numbers[1:]]
    name = f"helion_msl::{msl}" if helper else f"metal::{msl}"
    if helper and msl in _REDUCTIONS and scalar.msl not in ("float", "int", "uint"):
        name = f"helion_msl::simd_active_{msl.removeprefix('simd_')}"
    if helper and scalar.bits == 64 and msl not in _HELPED:
        raise parser.error(node, f"Metal has no {msl} of 64-bit integers", "convert to 32 bits: ml.int32(x)")
    return ir.Call(name, (fold.convert(value, scalar), *lanes), scalar, has_effect=True)


_REDUCTIONS = frozenset({"simd_sum", "simd_product", "simd_max", "simd_min"})
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
        first, *others = bind(parser, node, function).values()
        value, lanes = parser.number(first), [parser.scalar(other) for other in others]
        if isinstance(value.type, VectorType):
            return _of_vector(parser, node, name, value, lanes, is_logical)
        return simdgroup_call(parser, node, name, [value, *lanes], is_logical)

    return handle


def _of_vector(
    parser: ExpressionParser,
    node: ast.Call,
    name: str,
    vector: ir.Expression,
    lanes: list[ir.Expression],
    is_logical: bool,
) -> ir.Expression:
    """Return an operation on the vectors of a simdgroup: Metal's, or a helper's for each component."""
    assert isinstance(vector.type, VectorType)
    stand_in = ir.Read(ir.Variable("component", vector.type.element), vector.type.element)
    call = simdgroup_call(parser, node, name, [stand_in, *lanes], is_logical)
    assert isinstance(call, ir.Call)
    if not call.function.startswith("metal::"):
        return vectors.lifted(
            parser, node, (vector,), lambda part: simdgroup_call(parser, node, name, [part, *lanes], is_logical)
        )
    kind = VectorType(operators.scalar_type(call), vector.type.size)
    return ir.Call(call.function, (vectors.convert(vector, kind), *call.arguments[1:]), kind, has_effect=True)


def _vote(name: str) -> Handler:
    function = getattr(language, name)

    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        condition = bind(parser, node, function)["condition"]
        test = parser.truth_of(condition, parser.as_number(condition))
        if name.endswith("_ballot"):
            return ir.Call("helion_msl::simd_ballot", (test,), UINT32, has_effect=True)
        return ir.Call(f"metal::{name}", (test,), BOOL, has_effect=True)

    return handle


_QUAD = (
    "sum",
    "product",
    "max",
    "min",
    "prefix_inclusive_sum",
    "prefix_exclusive_sum",
    "broadcast",
    "broadcast_first",
    "shuffle",
    "shuffle_up",
    "shuffle_down",
    "shuffle_xor",
)

HANDLERS: dict[object, Handler] = {
    language.threadgroup_array: _array(
        language.threadgroup_array, "threadgroup", "threadgroup", MAXIMUM_THREADGROUP_MEMORY
    ),
    language.local_array: _array(language.local_array, "thread", "thread", MAXIMUM_LOCAL_ARRAY),
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
    **{getattr(language, f"quad_{name}"): _simd(f"quad_{name}") for name in _QUAD},
    **{getattr(language, f"quad_{name}"): _simd(f"quad_{name}", is_logical=True) for name in ("and", "or", "xor")},
    **{getattr(language, f"quad_{name}"): _vote(f"quad_{name}") for name in ("all", "any")},
}
