"""Inductor's operations as Metal Python with known types.

Inductor describes an element-wise PyTorch operation as calls on an operations handler (``ops.exp(ops.load(...))``).
The handler here answers with Metal Python text that carries its dtype, so that every result has exactly the type that
PyTorch gives it: half-precision values are computed in ``float`` and rounded once per PyTorch operation, as eager mode
does; integers wrap around at their own width; comparisons are ``bool``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import torch
from helion import exc
from helion._compiler.ast_extension import expr_from_string
from helion._compiler.compile_environment import CompileEnvironment
from torch._inductor.ops_handler import DefaultHandler
from torch._inductor.virtualized import V

from helion_msl._helion import wrapping
from helion_msl._helion.values import (
    HALF_TYPES,
    NARROW_INTEGERS,
    Value,
    as_value,
    cast,
    compute_type,
    constant,
    metal_type,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import sympy
    from helion._compiler.helper_function import CodegenInterface

# Functions of one floating-point number that have the same name in Inductor and in helion_msl.language.
_MATH_UNARY = frozenset(
    [
        *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "sin", "sinh", "tan", "tanh"),
        *("exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "sqrt", "rsqrt", "erf", "erfc", "sigmoid"),
    ]
)
# Those that leave an integer as it is.
_ROUNDINGS = {"ceil": "ceil", "trunc": "trunc", "round": "rint"}
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class MetalExpressions(DefaultHandler):
    """The operations handler: each method returns a variable that holds the operation's result.

    Args:
        codegen: where the assignments to those variables go.
        inputs: the value of each of the node's inputs by Inductor's buffer name.
        check_load: Helion's check that a load reads the element of its own position.
        stays_in_range: whether the result of integer arithmetic is known to need no wrapping around.

    Attributes:
        has_computed: whether the result may be another value than that of an input.
    """

    def __init__(
        self,
        codegen: CodegenInterface,
        inputs: dict[str, tuple[ast.AST, torch.dtype]],
        check_load: Callable[[str, sympy.Expr], None] | None = None,
        stays_in_range: bool = False,
    ) -> None:
        self.codegen = codegen
        self.inputs = inputs
        self.check_load = check_load
        self.stays_in_range = stays_in_range
        self.has_computed = False
        self._floor_divisions: dict[str, tuple[Value, Value]] = {}

    # ---- building blocks ------------------------------------------------------------------------------------------

    def assign(self, text: str, dtype: torch.dtype) -> Value:
        """A new variable that holds the value of `text`."""
        self.has_computed = True
        return Value(self.codegen.lift(expr_from_string(text)).id, dtype)

    def _wide(self, value: Any) -> Value:
        """The operand in its compute type."""
        operand = as_value(value)
        return cast(operand, compute_type(operand.dtype))

    def _common(self, left: Any, right: Any) -> tuple[Value, Value, torch.dtype]:
        """Both operands in the compute type of their common dtype."""
        a, b = as_value(left), as_value(right)
        if a.literal is not None and b.literal is None and b.dtype.is_floating_point:
            dtype = b.dtype
        elif b.literal is not None and a.literal is None and a.dtype.is_floating_point:
            dtype = a.dtype
        else:
            dtype = torch.promote_types(a.dtype, b.dtype)
        dtype = compute_type(dtype)
        return cast(a, dtype), cast(b, dtype), dtype

    def _arithmetic(self, operator: str, left: Any, right: Any) -> Value:
        a, b, dtype = self._common(left, right)
        return self.assign(wrapping.arithmetic(operator, a, b, dtype, stays_in_range=self.stays_in_range), dtype)

    def _as_float(self, value: Any) -> Value:
        operand = as_value(value)
        return cast(operand, torch.float32)

    def _default(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if name in _MATH_UNARY:
            return self.assign(f"ml.{name}({self._as_float(args[0])})", torch.float32)
        if name in _ROUNDINGS:
            operand = as_value(args[0])
            if not operand.dtype.is_floating_point:
                return operand
            return self.assign(f"ml.{_ROUNDINGS[name]}({self._as_float(operand)})", torch.float32)
        if name in _COMPARISONS:
            return self._comparison(_COMPARISONS[name], *args)
        if name.startswith("libdevice_"):
            return getattr(self, name.removeprefix("libdevice_"))(*args, **kwargs)
        node = V.current_node
        source = f" (from {node.target})" if node is not None else ""
        raise exc.BackendUnsupported(
            "metal",
            f"the operation {name}{source}: it has no Metal equivalent here; compute it with torch outside the kernel",
        )

    def _comparison(self, operator: str, left: Any, right: Any) -> Value:
        a, b = as_value(left), as_value(right)
        if a.dtype in HALF_TYPES and b.literal is not None:
            # PyTorch rounds the Python number to the tensor's dtype before it compares.
            b = constant(torch.tensor(b.literal, dtype=a.dtype).item(), torch.float32)
        a, b, _ = self._common(a, b)
        return self.assign(f"{a} {operator} {b}", torch.bool)

    # ---- where values come from -----------------------------------------------------------------------------------

    def load(self, name: str, index: sympy.Expr) -> Value:
        if self.check_load is not None:
            self.check_load(name, index)
        expression, dtype = self.inputs[name]
        if isinstance(expression, torch.SymInt):
            # Of a size Helion has no text yet.
            return self.index_expr(expression.node.expr, dtype)
        if isinstance(expression, ast.Constant) and isinstance(expression.value, (bool, int, float)):
            return constant(expression.value, dtype)
        return Value(self.codegen.lift(expression).id, dtype)

    def constant(self, value: float | bool, dtype: torch.dtype) -> Value:
        return constant(value, dtype)

    def index_expr(self, expr: sympy.Expr, dtype: torch.dtype) -> Value:
        text = self.codegen.device_function.user_sympy_expr(expr)
        return self.assign(f"{metal_type(dtype)}({text})", dtype)

    value_expr = index_expr

    def to_dtype(
        self,
        x: Any,
        dtype: torch.dtype,
        src_dtype: torch.dtype | None = None,
        use_compute_types: bool = True,
    ) -> Value:
        del src_dtype, use_compute_types
        operand = as_value(x)
        if operand.literal is not None:
            return constant(operand.literal, dtype)
        converted = cast(operand, dtype)
        if converted is operand:
            return converted
        return Value(self.codegen.lift(expr_from_string(converted)).id, dtype)

    def to_dtype_bitcast(self, x: Any, dtype: torch.dtype, src_dtype: torch.dtype) -> Value:
        operand = cast(as_value(x), src_dtype)
        if dtype.itemsize != src_dtype.itemsize:
            raise exc.BackendUnsupported("metal", f"a view of {src_dtype} as {dtype}: their sizes differ")
        return self.assign(f"ml.bitcast({operand}, {metal_type(dtype)})", dtype)

    def identity(self, x: Any) -> Value:
        return as_value(x)

    # ---- arithmetic -----------------------------------------------------------------------------------------------

    def add(self, a: Any, b: Any) -> Value:
        return self._arithmetic("+", a, b)

    def sub(self, a: Any, b: Any) -> Value:
        return self._arithmetic("-", a, b)

    def mul(self, a: Any, b: Any) -> Value:
        return self._arithmetic("*", a, b)

    def fma(self, a: Any, b: Any, c: Any) -> Value:
        x, y, z = (self._as_float(operand) for operand in (a, b, c))
        return self.assign(f"ml.fma({x}, {y}, {z})", torch.float32)

    def truediv(self, a: Any, b: Any) -> Value:
        x, y = self._as_float(a), self._as_float(b)
        return self.assign(f"{x} / {y}", torch.float32)

    def reciprocal(self, x: Any) -> Value:
        return self.assign(f"1.0 / {self._as_float(x)}", torch.float32)

    def square(self, x: Any) -> Value:
        return self.mul(x, x)

    def neg(self, x: Any) -> Value:
        operand = self._wide(x)
        return self.assign(wrapping.negation(operand, stays_in_range=self.stays_in_range), operand.dtype)

    def abs(self, x: Any) -> Value:
        operand = self._wide(x)
        if not operand.dtype.is_signed:
            return operand
        if operand.dtype.is_floating_point:
            return self.assign(f"abs({operand})", operand.dtype)
        return self.assign(wrapping.absolute(operand), operand.dtype)

    def sign(self, x: Any) -> Value:
        operand = self._wide(x)
        type_name = metal_type(operand.dtype)
        return self.assign(f"{type_name}({operand} > 0) - {type_name}({operand} < 0)", operand.dtype)

    def signbit(self, x: Any) -> Value:
        operand = self._wide(x)
        text = f"ml.signbit({operand})" if operand.dtype.is_floating_point else f"{operand} < 0"
        return self.assign(text, torch.bool)

    def copysign(self, a: Any, b: Any) -> Value:
        return self.assign(f"ml.copysign({self._as_float(a)}, {self._as_float(b)})", torch.float32)

    def atan2(self, a: Any, b: Any) -> Value:
        return self.assign(f"ml.atan2({self._as_float(a)}, {self._as_float(b)})", torch.float32)

    def hypot(self, a: Any, b: Any) -> Value:
        """The length of (a, b), scaled by the larger one so that the squares stay in range."""
        x, y = self._as_float(a), self._as_float(b)
        larger = self.assign(f"ml.maximum(abs({x}), abs({y}))", torch.float32)
        smaller = self.assign(f"ml.minimum(abs({x}), abs({y}))", torch.float32)
        ratio = self.assign(f"{smaller} / {larger}", torch.float32)
        length = self.assign(f"{larger} * ml.sqrt(1.0 + {ratio} * {ratio})", torch.float32)
        is_infinite = self.assign(f"ml.isinf({x}) or ml.isinf({y})", torch.bool)
        is_plain = f"{larger} > 0.0 and not {is_infinite}"
        return self.assign(f"{length} if {is_plain} else ml.inf if {is_infinite} else {larger}", torch.float32)

    def relu(self, x: Any) -> Value:
        operand = self._wide(x)
        return self.maximum(operand, constant(0, operand.dtype))

    def pow(self, a: Any, b: Any) -> Value:
        x, y = as_value(a), as_value(b)
        if not (x.dtype.is_floating_point or y.dtype.is_floating_point):
            raise exc.BackendUnsupported(
                "metal", "an integer power with a tensor exponent: convert the base with .to(torch.float32) first"
            )
        return self.assign(f"ml.pow({self._as_float(x)}, {self._as_float(y)})", torch.float32)

    # ---- division and remainder -----------------------------------------------------------------------------------

    def floordiv(self, a: Any, b: Any) -> Value:
        x, y, dtype = self._common(a, b)
        if dtype.is_floating_point:
            return self.assign(f"ml.floor({x} / {y})", dtype)
        return self._integer_result(f"{x} // {self._divisor(y)}", dtype)

    def div_rn(self, a: Any, b: Any) -> Value:
        """The quotient of a floating-point floor division, of which Inductor then takes the floor."""
        x, y = self._as_float(a), self._as_float(b)
        quotient = self.assign(f"{x} / {y}", torch.float32)
        self._floor_divisions[quotient] = (x, y)
        return quotient

    def floor(self, x: Any) -> Value:
        operand = as_value(x)
        if not operand.dtype.is_floating_point:
            return operand
        if operand in self._floor_divisions:
            return self._floor_quotient(operand, *self._floor_divisions[operand])
        return self.assign(f"ml.floor({self._as_float(operand)})", torch.float32)

    def _floor_quotient(self, quotient: Value, a: Value, b: Value) -> Value:
        """The floor of a / b as PyTorch computes it.

        The quotient may have been rounded up to an integer: 1 // 0.1 is 9, and floor(1 / 0.1) is 10. PyTorch divides
        what is left after the remainder instead, which is nearly an integer, and takes the nearest one.
        """
        rest = self.assign(f"ml.fmod({a}, {b})", torch.float32)
        exact = self.assign(f"({a} - {rest}) / {b}", torch.float32)
        lower = self.assign(
            f"{exact} - 1.0 if {rest} != 0.0 and ({b} < 0.0) != ({rest} < 0.0) else {exact}", torch.float32
        )
        floor = self.assign(f"ml.floor({lower})", torch.float32)
        nearest = self.assign(f"{floor} + 1.0 if {lower} - {floor} > 0.5 else {floor}", torch.float32)
        return self.assign(f"{quotient} if {b} == 0.0 else {nearest}", torch.float32)

    def truncdiv(self, a: Any, b: Any) -> Value:
        x, y, dtype = self._common(a, b)
        if dtype.is_floating_point:
            return self.assign(f"ml.trunc({x} / {y})", dtype)
        y = self._divisor(y)
        if not dtype.is_signed:
            return self._integer_result(f"{x} // {y}", dtype)
        # Python has no truncating integer division: floor it, then step back up where the quotient was negative and
        # inexact.
        quotient = self.assign(f"{x} // {y}", dtype)
        return self._integer_result(f"{quotient} + 1 if {quotient} < 0 and {x} % {y} != 0 else {quotient}", dtype)

    def mod(self, a: Any, b: Any) -> Value:
        """C's remainder, with the sign of the dividend."""
        x, y, dtype = self._common(a, b)
        if dtype.is_floating_point:
            return self.fmod(x, y)
        y = self._divisor(y)
        rest = self.assign(f"{x} % {y}", dtype)
        if not dtype.is_signed:
            return rest
        return self._integer_result(f"{rest} - {y} if {rest} != 0 and ({x} < 0) != ({y} < 0) else {rest}", dtype)

    def fmod(self, a: Any, b: Any) -> Value:
        x, y, dtype = self._common(a, b)
        if not dtype.is_floating_point:
            return self.mod(x, y)
        return self.assign(f"ml.fmod({x}, {y})", dtype)

    def remainder(self, a: Any, b: Any) -> Value:
        """Python's remainder, with the sign of the divisor."""
        x, y, dtype = self._common(a, b)
        if not dtype.is_floating_point:
            return self._integer_result(f"{x} % {self._divisor(y)}", dtype)
        rest = self.assign(f"ml.fmod({x}, {y})", dtype)
        return self.assign(f"{rest} + {y} if {rest} != 0.0 and ({rest} < 0.0) != ({y} < 0.0) else {rest}", dtype)

    def _divisor(self, value: Value) -> Value:
        """`value`, or 1 in threads beyond the tensor's edge: what they load is 0, and dividing by it is an error."""
        node = V.current_node
        if value.literal is not None or node is None:
            return value
        masks = tile_masks(self.codegen, node.meta["val"])
        return self.assign(f"{value} if {' and '.join(masks)} else 1", value.dtype) if masks else value

    def _integer_result(self, text: str, dtype: torch.dtype) -> Value:
        if dtype in NARROW_INTEGERS:
            text = f"{metal_type(dtype)}({text})"
        return self.assign(text, dtype)

    # ---- choosing -------------------------------------------------------------------------------------------------

    def maximum(self, a: Any, b: Any) -> Value:
        return self._extremum("maximum", a, b)

    def minimum(self, a: Any, b: Any) -> Value:
        return self._extremum("minimum", a, b)

    def _extremum(self, function: str, left: Any, right: Any) -> Value:
        a, b, dtype = self._common(left, right)
        if dtype == torch.bool:
            return self.assign(f"{a} {'or' if function == 'maximum' else 'and'} {b}", dtype)
        return self.assign(f"ml.{function}({a}, {b})", dtype)

    def where(self, condition: Any, a: Any, b: Any) -> Value:
        x, y = as_value(a), as_value(b)
        if x.dtype != y.dtype:
            if x.literal is not None and y.literal is None:
                x = constant(x.literal, y.dtype)
            elif y.literal is not None and x.literal is None:
                y = constant(y.literal, x.dtype)
            else:
                dtype = torch.promote_types(x.dtype, y.dtype)
                x, y = cast(x, dtype), cast(y, dtype)
        dtype = x.dtype
        return self.assign(f"{x} if {self._truth(condition)} else {y}", dtype)

    def _truth(self, value: Any) -> Value:
        return cast(as_value(value), torch.bool)

    # ---- logic and bits -------------------------------------------------------------------------------------------

    def isnan(self, x: Any) -> Value:
        operand = self._wide(x)
        if not operand.dtype.is_floating_point:
            return constant(False, torch.bool)
        return self.assign(f"ml.isnan({operand})", torch.bool)

    def isinf(self, x: Any) -> Value:
        operand = as_value(x)
        if not operand.dtype.is_floating_point:
            return constant(False, torch.bool)
        return self.assign(f"ml.isinf({self._as_float(operand)})", torch.bool)

    def logical_and(self, a: Any, b: Any) -> Value:
        return self.assign(f"{self._truth(a)} and {self._truth(b)}", torch.bool)

    def logical_or(self, a: Any, b: Any) -> Value:
        return self.assign(f"{self._truth(a)} or {self._truth(b)}", torch.bool)

    def logical_xor(self, a: Any, b: Any) -> Value:
        return self.assign(f"{self._truth(a)} != {self._truth(b)}", torch.bool)

    def logical_not(self, x: Any) -> Value:
        return self.assign(f"not {self._truth(x)}", torch.bool)

    def bitwise_and(self, a: Any, b: Any) -> Value:
        return self._bitwise("&", a, b)

    def bitwise_or(self, a: Any, b: Any) -> Value:
        return self._bitwise("|", a, b)

    def bitwise_xor(self, a: Any, b: Any) -> Value:
        return self._bitwise("^", a, b)

    def bitwise_not(self, x: Any) -> Value:
        operand = as_value(x)
        if operand.dtype == torch.bool:
            return self.logical_not(operand)
        return self._integer_result(f"~{operand}", operand.dtype)

    def bitwise_left_shift(self, a: Any, b: Any) -> Value:
        return self._shift("<<", a, b)

    def bitwise_right_shift(self, a: Any, b: Any) -> Value:
        return self._shift(">>", a, b)

    def _bitwise(self, operator: str, left: Any, right: Any) -> Value:
        a, b, dtype = self._common(left, right)
        if dtype == torch.bool:
            python = {"&": "and", "|": "or", "^": "!="}[operator]
            return self.assign(f"{a} {python} {b}", dtype)
        return self._integer_result(f"{a} {operator} {b}", dtype)

    def _shift(self, operator: str, left: Any, right: Any) -> Value:
        a, b, dtype = self._common(left, right)
        width = dtype.itemsize * 8
        if b.literal is not None and not 0 <= b.literal < width:
            # PyTorch fills with zeros, or with the sign to the right.
            if operator == "<<" or not dtype.is_signed:
                return constant(0, dtype)
            b = constant(width - 1, dtype)
        if operator == "<<":
            return self.assign(wrapping.left_shift(a, b, stays_in_range=self.stays_in_range), dtype)
        return self._integer_result(f"{a} >> {wrapping.shift_count(b)}", dtype)


def tile_masks(codegen: Any, tile: torch.Tensor) -> list[str]:
    """The variables that say whether a thread's element of `tile` lies inside its tensor."""
    env = CompileEnvironment.current()
    block_ids = [env.resolve_block_id(size) for size in tile.size()]
    masks = [codegen.mask_var(block_id) for block_id in block_ids if block_id is not None]
    return list(dict.fromkeys(mask for mask in masks if mask is not None))
