"""The language that Helion 1.5's own Metal backend emits.

It is Python's grammar around C++ expressions: ``metal.precise.exp(x)`` for ``metal::precise::exp(x)``,
``static_cast < float > x`` (a comparison chain, to Python) for a cast, ``tl.load(x + offset, mask, other=0)`` for a
masked access, ``helion_red.*`` for reductions. ``/`` and ``%`` are C++'s. Integers below 32 bits wrap at their own
width, as torch's do, and a half meeting a literal float becomes a float, as in C++.
"""

# ruff: noqa: N802 - the visitors are named after the classes of the ast module

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from . import fold, ir, operators, values
from .dialect import ROOTS, THREADGROUP_ARRAY_PREFIX
from .functions import Function, apply
from .parse_statements import StatementParser
from .types import (
    BOOL,
    BY_MSL_NAME,
    BY_NAME,
    FLOAT32,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT32,
    PointerType,
    ScalarType,
    ThreadgroupArrayType,
)
from .values import DottedName, PythonObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from .values import Value

_POSITIONS: dict[str, ir.PositionKind] = {
    "tgid": "threadgroup_position_in_grid",
    "tid": "thread_position_in_threadgroup",
}

_PRECISE = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cos",
    "cosh",
    "exp",
    "exp2",
    "exp10",
    "log",
    "log2",
    "log10",
    "pow",
    "rsqrt",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
]
_FUNCTIONS: dict[str, Function] = {
    **{f"metal.precise.{name}": Function(f"metal::precise::{name}") for name in _PRECISE},
    **{f"metal.{name}": Function(f"metal::precise::{name}") for name in _PRECISE},
    **{f"metal.{name}": Function(f"metal::{name}", "float") for name in ["floor", "ceil", "rint", "trunc", "round"]},
    **{
        f"metal.{name}": Function(f"metal::{name}", "float", BOOL) for name in ["isnan", "isinf", "isfinite", "signbit"]
    },
    **{f"c10.metal.{name}": Function(f"helion_msl::{name}") for name in ["erf", "erfc", "expm1", "log1p", "sigmoid"]},
    "metal.abs": Function("metal::abs", "number"),
    "metal.sign": Function("helion_msl::sign", "number"),
    "metal.max": Function("metal::max", "number"),
    "metal.min": Function("metal::min", "number"),
    "c10.metal.max": Function("helion_msl::maximum", "number"),
    "c10.metal.min": Function("helion_msl::minimum", "number"),
}
_OPERATORS: dict[str, ast.operator] = {
    "c10.metal.floor_divide": ast.FloorDiv(),
    "c10.metal.safe_mod": ast.Mod(),
    "c10.metal.fmod": ast.Mod(),
    "metal.fmod": ast.Mod(),
    "metal.pow": ast.Pow(),
    "c10.metal.pow": ast.Pow(),
}
_KINDS = {"seg": "segment", "simd": "simd", "tg": "threadgroup"}
_REDUCTIONS = {"prod": "product", "sum": "sum", "max": "max", "min": "min", "argmax": "argmax", "argmin": "argmin"}


class HelionParser(StatementParser):
    """The parser of the dialect: the methods whose node means something else there."""

    binary_operators = operators.CPP

    # ---- Names and literals ----------------------------------------------------------------------------------------

    def unknown_name(self, node: ast.Name) -> Value:
        """Return what a name without a Python object stands for in the dialect."""
        name = node.id
        if name == "_simd_group":
            return self.position("simdgroup_index_in_threadgroup", None)
        if name in ROOTS or name in BY_MSL_NAME:
            return DottedName(name)
        declared = self.namespace.get(THREADGROUP_ARRAY_PREFIX + name)
        if isinstance(declared, tuple):
            _, msl, size = declared
            array = ir.ThreadgroupArray(name, ThreadgroupArrayType(BY_MSL_NAME[str(msl)], (int(size),)))
            self.threadgroup_arrays[name] = array
            return ir.ThreadgroupArrayReference(array, array.type)
        if name.startswith(("_metal_mpp_", "_coop_")):
            raise self.error(
                node,
                f"`{name}` stands where Helion's Metal backend does not emit it",
                "call helion_msl.register_helion_backend(), which needs no such markers",
            )
        return super().unknown_name(node)

    def visit_Constant(self, node: ast.Constant) -> Value:
        """Return a literal; a float is a float and takes no other type."""
        literal = super().visit_Constant(node)
        if isinstance(literal, ir.Constant) and literal.type is FLOAT32:
            return ir.Constant(literal.value, FLOAT32, is_weak=False)
        return literal

    # ---- Operators -------------------------------------------------------------------------------------------------

    def visit_BinOp(self, node: ast.BinOp) -> Value:
        """Return an operator; ``tensor + offset`` is an address."""
        if isinstance(node.op, ast.Add):
            left = self.value(node.left)
            if isinstance(left, ir.TensorReference | ir.ThreadgroupArrayReference | ir.Pointer):
                return self._pointer(node, left, self.integer(node.right, "an offset"))
            return self.binary(node, node.op, self.as_scalar(node.left, left), self.scalar(node.right))
        return super().visit_BinOp(node)

    def _pointer(
        self, node: ast.AST, left: ir.TensorReference | ir.ThreadgroupArrayReference | ir.Pointer, offset: ir.Expression
    ) -> ir.Expression:
        if isinstance(left, ir.Pointer):
            total = self.binary(node, ast.Add(), left.offset, offset)
            return ir.Pointer(left.base, total, left.type)
        space = PointerType(left.type.dtype, "device" if isinstance(left, ir.TensorReference) else "threadgroup")
        return ir.Pointer(left, offset, space)

    def binary(self, node: ast.AST, kind: ast.operator, left: ir.Expression, right: ir.Expression) -> ir.Expression:
        """Apply an operator to two numbers; narrow integers wrap at their own width."""
        result = super().binary(node, kind, left, right)
        narrow = _torch_integer(left, right)
        return fold.convert(result, narrow) if narrow is not None and not operators.is_weak(result) else result

    def unary(self, kind: ast.unaryop, operand: ir.Expression) -> ir.Expression:
        """Apply ``-``, ``+`` or ``~``; ``~`` of a truth value is its negation, as in torch."""
        if isinstance(kind, ast.Invert) and operand.type is BOOL:
            return fold.logical_not(operand)
        result = super().unary(kind, operand)
        narrow = _torch_integer(operand, operand)
        return fold.convert(result, narrow) if narrow is not None and not operators.is_weak(result) else result

    def visit_Compare(self, node: ast.Compare) -> Value:
        """Return a comparison, or the cast that ``static_cast < T > x`` is."""
        if not (isinstance(node.left, ast.Name) and node.left.id in ("static_cast", "as_type")):
            return super().visit_Compare(node)
        is_cast = len(node.ops) >= 2 and isinstance(node.ops[0], ast.Lt) and isinstance(node.ops[1], ast.Gt)
        if not is_cast:
            raise self.error(node, f"`{node.left.id}` needs a type", f"write {node.left.id} < float > x")
        target = self._type(node.comparators[0])
        operand = node.comparators[1]
        if len(node.ops) > 2:
            # static_cast < T > a == b compares the cast; after another static_cast the chain goes on inside.
            rest = ast.copy_location(ast.Compare(operand, node.ops[2:], node.comparators[2:]), node)
            if isinstance(operand, ast.Name) and operand.id in ("static_cast", "as_type"):
                operand = rest
            else:
                cast = ast.copy_location(ast.Compare(node.left, node.ops[:2], node.comparators[:2]), node)
                rest.left = cast
                return super().visit_Compare(rest)
        number = self.scalar(operand)
        if node.left.id == "static_cast":
            return self._converted(number, target)
        return ir.Call(f"as_type<{target.msl}>", (fold.convert(number, operators.scalar_type(number)),), target)

    @staticmethod
    def _converted(number: ir.Expression, target: ScalarType) -> ir.Expression:
        return fold.convert(fold.truth(number) if target is BOOL else number, target)

    def _type(self, node: ast.expr) -> ScalarType:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "decltype":
            return operators.scalar_type(self.scalar(node.args[0]))
        path = ast.unparse(node)
        found = BY_MSL_NAME.get(path) or BY_NAME.get(path.removeprefix("tl."))
        if found is None:
            raise self.error(node, f"`{path}` is no type of Metal's")
        return found

    # ---- Subscripts and calls --------------------------------------------------------------------------------------

    def visit_Subscript(self, node: ast.Subscript) -> Value:
        """Return a position or an element; subscripts that only add dimensions change nothing for one thread."""
        owner = self.value(node.value)
        if isinstance(owner, DottedName) and owner.path in _POSITIONS:
            return self.position(_POSITIONS[owner.path], self.axis(node))
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if parts and all(_adds_dimension(part) for part in parts):
            return self.as_scalar(node.value, owner)
        return super().visit_Subscript(node)

    def is_range(self, function: Value) -> bool:
        """Whether a value is ``range`` or ``tl.range``."""
        return function == DottedName("tl.range") or super().is_range(function)

    def visit_Call(self, node: ast.Call) -> Value:
        """Return a call of a C++ function, of ``tl`` or of a reduction."""
        function = self.value(node.func)
        if isinstance(function, PythonObject) and function.value in (int, float, bool) and len(node.args) == 1:
            target = {int: INT32, float: FLOAT32, bool: BOOL}[function.value]
            if not (isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)):
                return self._converted(self.scalar(node.args[0]), target)
            literal = super().visit_Call(node)
            return fold.convert(literal, FLOAT32) if values.is_expression(literal) else literal
        if not isinstance(function, DottedName):
            return super().visit_Call(node)
        path = function.path
        if path in BY_MSL_NAME:
            return self._converted(self.scalar(self._positional(node, 1)[0]), BY_MSL_NAME[path])
        root, _, name = path.partition(".")
        if root == "tl":
            return self._triton(node, name)
        if root == "helion_red":
            return self._reduction(node, name)
        return self._cpp_function(node, path)

    def _positional(self, node: ast.Call, count: int) -> list[ast.expr]:
        if node.keywords:
            raise self.error(node, f"`{ast.unparse(node.func)}` takes no keywords")
        if len(node.args) != count:
            raise self.error(node, f"`{ast.unparse(node.func)}` takes {count} arguments, not {len(node.args)}")
        return node.args

    def _cpp_function(self, node: ast.Call, path: str) -> ir.Expression:
        if node.keywords:
            raise self.error(node, f"`{path}` takes no keywords")
        numbers = [self.scalar(argument) for argument in node.args]
        if path in _OPERATORS and len(numbers) == 2:
            return self.binary(node, _OPERATORS[path], numbers[0], numbers[1])
        if path == "c10.metal.remainder" and len(numbers) == 2:
            return self._floor_remainder(node, numbers[0], numbers[1])
        if path == "metal.select" and len(numbers) == 3:
            scalar = self.joined(numbers[0], numbers[1])
            arms = tuple(fold.convert(number, scalar) for number in numbers[:2])
            return ir.Call("metal::select", (*arms, fold.truth(numbers[2])), scalar)
        known = _FUNCTIONS.get(path)
        if known is not None and numbers:
            result = apply(known, numbers)
            narrow = _torch_integer(*numbers) if known.operands == "number" else None
            return fold.convert(result, narrow) if narrow is not None else result
        if path.startswith("c10.metal.") and numbers:
            return self._special_function(path.rpartition(".")[2], numbers)
        raise self.error(node, f"`{path}` is no function that Helion's Metal backend is known to emit")

    def _floor_remainder(self, node: ast.AST, left: ir.Expression, right: ir.Expression) -> ir.Expression:
        try:
            result = operators.PYTHON[ast.Mod](left, right)
        except operators.OperatorError as error:
            raise self.located(node, error) from None
        narrow = _torch_integer(left, right)
        return fold.convert(result, narrow) if narrow is not None else result

    @staticmethod
    def _special_function(name: str, numbers: list[ir.Expression]) -> ir.Expression:
        """Return a function of PyTorch's own header; degrees and orders are 64-bit integers there."""
        kinds = [FLOAT32] * len(numbers)
        if "polynomial" in name:
            kinds[-1] = INT64
        elif name == "polygamma":
            kinds[0] = INT64
        arguments = tuple(fold.convert(number, kind) for number, kind in zip(numbers, kinds, strict=True))
        return ir.Call(f"c10::metal::{name}", arguments, FLOAT32)

    # ---- Memory ----------------------------------------------------------------------------------------------------

    def _triton(self, node: ast.Call, name: str) -> Value:
        handlers: dict[str, tuple[tuple[str, ...], Callable[..., Value]]] = {
            "load": (("pointer", "mask", "other"), self._load),
            "store": (("pointer", "value", "mask"), self._masked_store),
            "where": (("condition", "x", "y"), self._where),
            "cast": (("input", "dtype"), self._cast),
            "full": (("shape", "value", "dtype"), self._full),
        }
        if name not in handlers:
            raise self.error(node, f"`tl.{name}` is nothing that Helion's Metal backend emits")
        parameters, handler = handlers[name]
        bound = dict(zip(parameters, node.args, strict=False))
        for keyword in node.keywords:
            if keyword.arg not in parameters or keyword.arg in bound:
                raise self.error(keyword.value, f"tl.{name} takes no keyword `{keyword.arg}`")
            bound[keyword.arg] = keyword.value
        if len(node.args) > len(parameters) or not set(parameters[: 1 if name == "load" else 2]) <= set(bound):
            raise self.error(node, f"tl.{name} takes {', '.join(parameters)}")
        return handler(node, **bound)

    def _place(self, node: ast.expr) -> ir.Element:
        pointer = self.value(node)
        if isinstance(pointer, ir.TensorReference | ir.ThreadgroupArrayReference):
            return ir.Element(pointer, (fold.convert(fold.integer(0), self.index_type),))
        if not isinstance(pointer, ir.Pointer):
            raise self.error(node, f"{values.describe(pointer)} is no address", "write tensor + offset")
        return ir.Element(pointer.base, (pointer.offset,))

    def _mask(self, node: ast.expr | None) -> ir.Expression | None:
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            return None
        return self.condition(node)

    def _load(
        self, node: ast.Call, pointer: ast.expr, mask: ast.expr | None = None, other: ast.expr | None = None
    ) -> Value:
        element, test = self._place(pointer), self._mask(mask)
        dtype = element.base.type.dtype
        if test is None:
            return fold.load(element, None, None)
        if other is None:
            raise self.error(node, "a masked load needs a value for where the mask is false", "add other=0")
        return fold.load(element, test, self._converted(self.scalar(other), dtype))

    def _masked_store(self, node: ast.Call, pointer: ast.expr, value: ast.expr, mask: ast.expr | None = None) -> Value:
        element, number, test = self._place(pointer), self.scalar(value), self._mask(mask)
        if element.base.type.dtype is BOOL:
            number = fold.truth(number)
        if test is None or not fold.is_constant(test, False):
            self.store(node, element, number, test)
        return PythonObject(None)

    def _where(self, node: ast.Call, condition: ast.expr, x: ast.expr, y: ast.expr) -> Value:
        return self.visit_IfExp(ast.copy_location(ast.IfExp(condition, x, y), node))

    def _cast(self, node: ast.Call, input: ast.expr, dtype: ast.expr) -> Value:  # noqa: A002
        del node
        return self._converted(self.scalar(input), self._type(dtype))

    def _full(self, node: ast.Call, shape: ast.expr, value: ast.expr, dtype: ast.expr | None = None) -> Value:
        del node, shape
        number = self.scalar(value)
        return number if dtype is None else self._converted(number, self._type(dtype))

    # ---- Reductions ------------------------------------------------------------------------------------------------

    def _reduction(self, node: ast.Call, name: str) -> ir.Expression:
        prefix, _, kind = name.partition("_")
        if prefix not in _KINDS or kind not in _REDUCTIONS:
            raise self.error(node, f"`helion_red.{name}` is no reduction of Helion's")
        is_indexed = kind.startswith("arg")
        scratch_count = (2 if is_indexed else 1) if prefix == "tg" else 0
        value_count = 2 if is_indexed else 1
        extra_count = {"seg": 1, "simd": 0, "tg": 2}[prefix]
        arguments = self._positional(node, scratch_count + value_count + extra_count)
        scratch = [self._scratch(argument) for argument in arguments[:scratch_count]]
        numbers = [self.scalar(argument) for argument in arguments[scratch_count:]]
        value, rest = numbers[0], numbers[1:]
        value_type = scratch[0].type.dtype if scratch else _accumulator(operators.scalar_type(value))
        operands: list[ir.Expression] = [*scratch, fold.convert(value, value_type)]
        result = value_type
        if is_indexed:
            result = scratch[1].type.dtype if scratch else _accumulator(operators.scalar_type(rest[0]))
            operands.append(fold.convert(rest.pop(0), result))
        operands += [fold.convert(number, UINT32) for number in rest]
        return ir.Call(f"helion_msl::{_KINDS[prefix]}_{_REDUCTIONS[kind]}", tuple(operands), result, has_effect=True)

    def _scratch(self, node: ast.expr) -> ir.Pointer:
        value = self.value(node)
        if isinstance(value, ir.ThreadgroupArrayReference):
            return ir.Pointer(value, fold.integer(0), PointerType(value.type.dtype, "threadgroup"))
        if isinstance(value, ir.Pointer):
            return value
        raise self.error(node, f"{values.describe(value)} is no threadgroup memory")


def _adds_dimension(node: ast.expr) -> bool:
    if isinstance(node, ast.Slice):
        return node.lower is None and node.upper is None and node.step is None
    return isinstance(node, ast.Constant) and node.value is None


def _accumulator(scalar: ScalarType) -> ScalarType:
    """Return the type in which a reduction without scratch memory computes."""
    if scalar.is_float:
        return FLOAT32
    return INT32 if scalar.is_narrow else scalar


def _torch_integer(*numbers: ir.Expression) -> ScalarType | None:
    """Return torch's result type of an operator on narrow integers; None where another type is involved."""
    found: ScalarType | None = None
    for number in numbers:
        scalar = number.type
        if operators.is_weak(number):
            continue
        if not isinstance(scalar, ScalarType) or not scalar.is_narrow or scalar is BOOL:
            return None
        if found is None or found is scalar:
            found = scalar
        else:
            found = INT16 if INT8.bits in (found.bits, scalar.bits) else INT32
    return found
