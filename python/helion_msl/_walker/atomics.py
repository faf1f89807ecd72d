"""Atomic operations on elements of tensors and threadgroup arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import language
from . import fold, ir
from .binding import bind
from .types import FLOAT32, INT32, UINT32, VOID, PointerType

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable

    from .parse_expressions import ExpressionParser
    from .values import Value

_MSL_TYPES = {INT32: "metal::atomic_int", UINT32: "metal::atomic_uint", FLOAT32: "metal::atomic_float"}
_ORDER = "metal::memory_order_relaxed"

# Operation: the MSL function and whether Metal has it for float (addition and exchange, in device memory only).
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
}


def _atomic(name: str) -> Callable[[ExpressionParser, ast.Call, dict[str, ast.expr]], Value]:
    function = getattr(language, name)
    msl, has_float = _OPERATIONS[name]

    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        bound = bind(parser, node, function)
        base = parser.value(bound["array"])
        if not isinstance(base, ir.TensorReference | ir.ThreadgroupArrayReference):
            raise parser.error(bound["array"], "an atomic changes an element of a tensor or a threadgroup array")
        dtype = base.type.dtype
        is_shared = isinstance(base, ir.ThreadgroupArrayReference)
        if dtype not in _MSL_TYPES or (dtype is FLOAT32 and (is_shared or not has_float)):
            place = "threadgroup memory" if is_shared else "device memory"
            raise parser.error(node, f"Metal has no {name} on {dtype} in {place}", "use int32 or uint32")
        parts = getattr(bound["index"], "elts", [bound["index"]])
        element = parser.element_at(bound["index"], base, list(parts))
        if isinstance(base, ir.TensorReference):
            base.argument.is_written = True
        pointer = ir.AddressOf(element, _MSL_TYPES[dtype], PointerType(dtype, "threadgroup" if is_shared else "device"))
        operands: list[ir.Expression] = []
        if "value" in bound:
            number = parser.scalar(bound["value"])
            if getattr(number.type, "is_float", False) and not dtype.is_float:
                raise parser.error(
                    bound["value"], f"a {number.type} is combined with elements of {dtype}", "convert it"
                )
            operands.append(fold.convert(number, dtype))
        result = VOID if name == "atomic_store" else dtype
        return ir.Call(f"metal::{msl}", (pointer, *operands, ir.Symbol(_ORDER)), result, has_effect=True)

    return handle


HANDLERS = {getattr(language, name): _atomic(name) for name in _OPERATIONS}
