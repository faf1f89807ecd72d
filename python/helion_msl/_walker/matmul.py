"""Products of matrices by a whole threadgroup: what :mod:`helion_msl.language_matmul` means in a kernel.

The intermediate representation has a node of its own for them, :class:`Matmul`, which says what is multiplied and not
with which instructions: ``matmul_simdgroup`` is the lowering that the printer uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .. import language_matmul
from . import ir
from .binding import bind
from .types import BFLOAT16, FLOAT16, FLOAT32, VOID

if TYPE_CHECKING:
    import ast

    from .parse_expressions import ExpressionParser
    from .threads import Handler
    from .types import ScalarType
    from .values import Value

# Metal Shading Language Specification, section 2.3.2 "SIMD-group Matrix Data Types": the only shape there is.
BLOCK = 8
ELEMENT_TYPES: tuple[ScalarType, ...] = (FLOAT16, BFLOAT16, FLOAT32)


@dataclass(frozen=True, slots=True)
class AccumulatorType:
    """A float32 matrix spread over the threads of a threadgroup.

    Attributes:
        rows: a multiple of 8.
        columns: a multiple of 8.
        simdgroups: simdgroups of the threadgroup, all of them full.
    """

    rows: int
    columns: int
    simdgroups: int

    def __str__(self) -> str:
        return f"accumulator of {self.rows} by {self.columns}"


Step = Literal["zero", "add", "store"]


@dataclass(slots=True, eq=False)
class Matmul(ir.Call):
    """A step of a matrix product, which all threads of the threadgroup take together.

    ``zero()`` is a new accumulator, ``add(accumulator, left, right)`` adds the product of two threadgroup arrays, and
    ``store(accumulator, destination)`` writes the sum to one. ``function`` is the step.

    Attributes:
        accumulator: type of the accumulator.
    """

    accumulator: AccumulatorType | None = None


def zero(accumulator: AccumulatorType) -> Matmul:
    """Return a new accumulator."""
    return Matmul("zero", (), accumulator, False, accumulator)  # type: ignore[arg-type]


def step(kind: Step, accumulator: ir.Expression, *arrays: ir.ThreadgroupArrayReference) -> Matmul:
    """Return a step on an accumulator, for its effect."""
    assert isinstance(accumulator.type, AccumulatorType)
    return Matmul(kind, (accumulator, *arrays), VOID, True, accumulator.type)


# ---- The language --------------------------------------------------------------------------------------------------


def _accumulator(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language_matmul.matmul_accumulator)
    numbers = {name: parser.constant_integer(value, f"`{name}`") for name, value in bound.items()}
    for name in ("rows", "columns"):
        if numbers[name] <= 0 or numbers[name] % BLOCK:
            raise parser.error(bound[name], f"`{name}` of an accumulator is a multiple of {BLOCK}", "pad the arrays")
    if not 1 <= numbers["simdgroups"] <= 32:
        raise parser.error(bound["simdgroups"], "a threadgroup has 1 to 32 simdgroups")
    if parser.block_dims is not None:
        x, y, z = parser.block_dims
        if x * y * z != 32 * numbers["simdgroups"]:
            raise parser.error(
                bound["simdgroups"], f"a threadgroup of {x * y * z} threads is not {numbers['simdgroups']} simdgroups"
            )
    return zero(AccumulatorType(**numbers))


def _operand(parser: ExpressionParser, node: ast.expr) -> ir.ThreadgroupArrayReference:
    value = parser.value(node)
    is_array = isinstance(value, ir.ThreadgroupArrayReference) and value.type.space == "threadgroup"
    if not is_array or not isinstance(value, ir.ThreadgroupArrayReference) or len(value.type.shape) != 2:
        raise parser.error(node, "this must be a threadgroup array of two dimensions")
    return value


def _read_accumulator(parser: ExpressionParser, node: ast.expr) -> tuple[ir.Expression, AccumulatorType]:
    value = parser.value(node)
    if not isinstance(value, ir.Read) or not isinstance(value.type, AccumulatorType):
        raise parser.error(node, "this must be an accumulator", "make one: ml.matmul_accumulator(rows, columns, n)")
    return value, value.type


def _add(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language_matmul.matmul_add)
    accumulator, kind = _read_accumulator(parser, bound["accumulator"])
    left, right = _operand(parser, bound["left"]), _operand(parser, bound["right"])
    if left.type.dtype is not right.type.dtype or left.type.dtype not in ELEMENT_TYPES:
        raise parser.error(
            node,
            f"the product of {left.type.dtype} and {right.type.dtype} arrays",
            "both have one type: float16, bfloat16 or float32",
        )
    inner = left.type.shape[1]
    if left.type.shape[0] != kind.rows or right.type.shape != (inner, kind.columns) or inner % BLOCK:
        raise parser.error(
            node,
            f"arrays of {left.type.shape} and {right.type.shape} do not make {kind.rows} by {kind.columns}",
            f"left is (rows, inner), right is (inner, columns), and inner is a multiple of {BLOCK}",
        )
    return step("add", accumulator, left, right)


def _store(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language_matmul.matmul_store)
    accumulator, kind = _read_accumulator(parser, bound["accumulator"])
    destination = _operand(parser, bound["destination"])
    if destination.type.dtype is not FLOAT32 or destination.type.shape != (kind.rows, kind.columns):
        raise parser.error(bound["destination"], f"the destination is a float32 array of ({kind.rows}, {kind.columns})")
    return step("store", accumulator, destination)


HANDLERS: dict[object, Handler] = {
    language_matmul.matmul_accumulator: _accumulator,
    language_matmul.matmul_add: _add,
    language_matmul.matmul_store: _store,
}
