"""Atomic operations on elements of tensors and threadgroup arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import language
from . import fold, ir
from .binding import bind
from .types import FLOAT32, INT32, UINT32, VOID, PointerType

if TYPE_CHECKING:
    import ast

    from .parse_expressions import ExpressionParser
    from .threads import Handler
    from .types import AddressSpace, ScalarType
    from .values import Value

_MSL_TYPES = {INT32: "metal::atomic_int", UINT32: "metal::atomic_uint", FLOAT32: "metal::atomic_float"}
_ORDER = "metal::memory_order_relaxed"

# Operation: the MSL function, and whether Metal has it for float in device memory.
_OPERATIONS: dict[str, tuple[str, bool]] = {
    "atomic_add": ("atomic_fetch_add_explicit", True),
    "atomic_sub": ("atomic_fetch_sub_explicit", True),
    "atomic_min": ("atomic_fetch_min_explicit", False),
    "atomic_max": ("atomic_fetch_max_explicit", False),
    "atomic_and": ("atomic_fetch_and_explicit", False),
    "atomic_or": ("atomic_fetch_or_explicit", False),
    "atomic_xor": ("atomic_fetch_xor_explicit", False),
    "atomic_exchange": ("atomic_exchange_explicit", True),
    "atomic_load": ("atomic_load_explicit", True),
    "atomic_store": ("atomic_store_explicit", True),
    "atomic_compare_exchange": ("", False),
}
_HELPED_ON_FLOATS = frozenset({"atomic_add", "atomic_sub", "atomic_min", "atomic_max"})
_MOVES = frozenset({"atomic_exchange", "atomic_load", "atomic_store"})  # which do not look at the value


def _array(parser: ExpressionParser, node: ast.expr) -> ir.TensorReference | ir.ThreadgroupArrayReference:
    base = parser.value(node)
    if isinstance(base, ir.ThreadgroupArrayReference) and base.type.space == "thread":
        raise parser.error(node, "no other thread sees a local array", "read and write it as it is: a[i] += value")
    if isinstance(base, ir.TensorReference | ir.ThreadgroupArrayReference):
        return base
    raise parser.error(
        node, "an atomic changes an element of a tensor or a threadgroup array", "pass the array and the index"
    )


def _operand(parser: ExpressionParser, node: ast.expr, dtype: ScalarType) -> ir.Expression:
    number = parser.scalar(node)
    if getattr(number.type, "is_float", False) and not dtype.is_float:
        raise parser.error(node, f"a {number.type} is combined with elements of {dtype}", "convert it: int(x)")
    return fold.convert(number, dtype)


def _atomic(name: str) -> Handler:
    function = getattr(language, name)
    msl, has_float = _OPERATIONS[name]

    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        bound = bind(parser, node, function)
        base = _array(parser, bound["array"])
        dtype = base.type.dtype
        is_shared = isinstance(base, ir.ThreadgroupArrayReference)
        is_native = dtype is not FLOAT32 or (has_float and not is_shared)
        if dtype not in _MSL_TYPES or not (is_native or name in _HELPED_ON_FLOATS or name in _MOVES):
            place = "threadgroup memory" if is_shared else "device memory"
            raise parser.error(node, f"Metal has no {name} on {dtype} in {place}", "use int32 or uint32")
        element = parser.element_at(bound["index"], base, list(getattr(bound["index"], "elts", [bound["index"]])))
        if isinstance(base, ir.TensorReference):
            base.argument.is_written = True
        operands = [_operand(parser, bound[key], dtype) for key in ("expected", "value") if key in bound]
        space: AddressSpace = "threadgroup" if is_shared else "device"
        pointer = ir.AddressOf(element, _MSL_TYPES[dtype if is_native else UINT32], PointerType(dtype, space))
        result = VOID if name == "atomic_store" else dtype
        if name == "atomic_compare_exchange" or (name in _HELPED_ON_FLOATS and not is_native):
            return ir.Call(f"helion_msl::{name}", (pointer, *operands), result, has_effect=True)
        if is_native:
            return ir.Call(f"metal::{msl}", (pointer, *operands, ir.Symbol(_ORDER)), result, has_effect=True)
        bits = [ir.Call("as_type<uint>", (operand,), UINT32) for operand in operands]
        moved = ir.Call(f"metal::{msl}", (pointer, *bits, ir.Symbol(_ORDER)), UINT32 if result is dtype else VOID, True)
        return moved if result is VOID else ir.Call("as_type<float>", (moved,), FLOAT32)

    return handle


HANDLERS = {getattr(language, name): _atomic(name) for name in _OPERATIONS}
