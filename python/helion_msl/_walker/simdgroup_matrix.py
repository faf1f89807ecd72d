"""Matrices of a simdgroup: what :mod:`helion_msl.language_simdgroup_matrix` means in a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import language_simdgroup_matrix as language
from . import fold, ir, values
from .binding import bind, scalar_type_of
from .types import (
    BFLOAT16,
    BOOL,
    FLOAT16,
    FLOAT32,
    UINT64,
    VOID,
    PointerType,
    SimdgroupMatrixType,
    TensorType,
    ThreadgroupArrayType,
)

if TYPE_CHECKING:
    import ast

    from .parse_expressions import ExpressionParser
    from .threads import Handler
    from .types import AddressSpace, ScalarType
    from .values import Value

ELEMENT_TYPES: tuple[ScalarType, ...] = (FLOAT16, BFLOAT16, FLOAT32)


def _make(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language.simdgroup_matrix)
    dtype = scalar_type_of(parser.value(bound["dtype"]))
    if dtype not in ELEMENT_TYPES:
        raise parser.error(bound["dtype"], "the elements of a simdgroup matrix are floats", "write ml.float32")
    assert dtype is not None
    value = parser.scalar(bound["value"]) if "value" in bound else fold.integer(0)
    kind = SimdgroupMatrixType(dtype)
    return ir.Call(f"metal::make_filled_simdgroup_matrix<{dtype.msl}, 8, 8>", (fold.convert(value, dtype),), kind)


def _matrix(parser: ExpressionParser, node: ast.expr) -> tuple[ir.Expression, SimdgroupMatrixType]:
    value = parser.value(node)
    if not values.is_expression(value) or not isinstance(value.type, SimdgroupMatrixType):
        raise parser.error(node, f"{values.describe(value)} is no simdgroup matrix", "make one: ml.simdgroup_load(...)")
    return value, value.type


def _place(parser: ExpressionParser, bound: dict[str, ast.expr]) -> tuple[ir.Element, tuple[ir.Expression, ...]]:
    """Return the first element in memory; and its address, the stride, and whether the matrix is transposed."""
    base = parser.value(bound["array"])
    if not isinstance(base, ir.TensorReference | ir.ThreadgroupArrayReference):
        raise parser.error(bound["array"], "a matrix lies in a tensor or in a threadgroup array")
    kind = base.type
    if isinstance(kind, ThreadgroupArrayType) and kind.space == "thread":
        raise parser.error(
            bound["array"],
            "a simdgroup's matrix lies in memory that all of its threads see",
            "use ml.threadgroup_array",
        )
    if kind.dtype not in ELEMENT_TYPES:
        raise parser.error(bound["array"], f"a matrix of {kind.dtype}, which Metal does not have", "use floats")
    if isinstance(kind, TensorType) and (not kind.rank or (kind.strides is not None and kind.strides[-1] != 1)):
        raise parser.error(bound["array"], "the elements of a row do not follow one another", "pass x.contiguous()")
    element = parser.element_at(bound["index"], base, list(getattr(bound["index"], "elts", [bound["index"]])))
    stride = parser.integer(bound["stride"], "the stride of a matrix")
    flag = parser.scalar(bound["transpose"]) if "transpose" in bound else ir.Constant(False, BOOL)
    if not isinstance(flag, ir.Constant):
        raise parser.error(bound["transpose"], "`transpose` must be known at translation", "write True or False")
    space: AddressSpace = "device" if isinstance(base, ir.TensorReference) else "threadgroup"
    address = ir.AddressOf(element, "", PointerType(kind.dtype, space))
    return element, (address, fold.convert(stride, UINT64), fold.convert(flag, BOOL))


def _load(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    element, place = _place(parser, bind(parser, node, language.simdgroup_load))
    kind = SimdgroupMatrixType(element.base.type.dtype)
    # Its threads load together.
    return ir.Call("helion_msl::load_matrix", place, kind, has_effect=True)


def _store(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language.simdgroup_store)
    matrix, kind = _matrix(parser, bound["matrix"])
    element, (address, stride, transpose) = _place(parser, bound)
    if element.base.type.dtype is not kind.element:
        raise parser.error(
            node, f"a {kind} is stored into elements of {element.base.type.dtype}", "store it to an array of its type"
        )
    if isinstance(element.base, ir.TensorReference):
        element.base.argument.is_written = True
    arguments: tuple[ir.Expression, ...] = (matrix, address, stride)
    if fold.is_constant(transpose, True):
        arguments += (ir.Symbol("ulong2(0)"), transpose)
    return ir.Call("metal::simdgroup_store", arguments, VOID, has_effect=True)


def _multiply(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language.simdgroup_multiply)
    (left, left_kind), (right, right_kind) = (_matrix(parser, bound[name]) for name in ("left", "right"))
    if left_kind != right_kind:
        raise parser.error(
            node, f"a {left_kind} times a {right_kind}", "use ml.simdgroup_multiply_accumulate, whose types may differ"
        )
    return ir.Call("helion_msl::multiply_matrices", (left, right), left_kind, has_effect=True)


def _accumulate(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language.simdgroup_multiply_accumulate)
    (total, _kind), (left, _left), (right, _right) = (_matrix(parser, bound[name]) for name in bound)
    if not isinstance(total, ir.Read):
        raise parser.error(bound["total"], "the sum is a variable", "give the matrix a name first")
    arguments = (total, left, right, total)
    return ir.Call("metal::simdgroup_multiply_accumulate", arguments, VOID, has_effect=True)


HANDLERS: dict[object, Handler] = {
    language.simdgroup_matrix: _make,
    language.simdgroup_load: _load,
    language.simdgroup_store: _store,
    language.simdgroup_multiply: _multiply,
    language.simdgroup_multiply_accumulate: _accumulate,
}
