"""What functions of ``helion_msl.language``, ``math`` and the builtins mean in a kernel.

A function is looked up by identity, so that it does not matter under which name the source knows it. Its arguments are
bound as Python would bind them, so that no keyword is lost.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import math
from typing import TYPE_CHECKING, Any, Literal, cast

from .. import language, language_math
from . import (
    atomics,
    fold,
    hints,
    integers,
    ir,
    matmul,
    operators,
    sequences,
    simdgroup_matrix,
    threads,
    values,
    vectors,
)
from .binding import bind, scalar_type_of
from .calls import call_function
from .captured import is_translated
from .functions import FUNCTIONS, Function, apply
from .types import BOOL, FLOAT32, INT32, ScalarType, TensorType, TupleType, VectorType
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parse_expressions import ExpressionParser
    from .threads import Handler
    from .values import TensorMethod, Value


def call_object(parser: ExpressionParser, node: ast.Call, function: object) -> Value:
    """Return the value of a call of a Python object."""
    vector = vectors.vector_type_of(PythonObject(function))
    if vector is not None:
        return vectors.construct(parser, node, vector)
    target = scalar_type_of(PythonObject(function))
    if target is not None:
        return _cast(parser, node, target, is_python=isinstance(function, type))
    try:
        known = FUNCTIONS.get(function)
        handler = _HANDLERS.get(function)
    except TypeError:
        known = handler = None
    folded = _folded_math(parser, node, function)
    if folded is not None:
        return folded
    if handler is not None:
        return handler(parser, node, {})
    if known is not None:
        numbers = [parser.number(argument) for argument in bind(parser, node, function).values()]
        if any(map(vectors.is_vector, numbers)):
            return vectors.function_of_vectors(parser, node, known, numbers)
        return parser.in_order(node, numbers, lambda *ordered: apply(known, list(ordered)))
    if is_translated(function):
        return call_function(parser, node, cast("Callable[..., object]", function))
    raise parser.error(node, *_unknown_call(function))


def _unknown_call(function: object) -> tuple[str, str]:
    name = getattr(function, "__name__", repr(function))
    module = getattr(function, "__module__", "") or ""
    if module == "math":
        return f"math.{name} is not supported in a kernel", "call it on the host, or write ml functions"
    if module.split(".")[0] in ("torch", "numpy"):
        return f"`{name}` of {module.split('.')[0]} works on whole tensors", "use ml or math functions on elements"
    if function is builtins.print:
        return "print returns nothing", "write it as a statement of its own"
    if getattr(builtins, name, None) is function:
        return f"the builtin `{name}` is not supported in a kernel", hints.of_builtin(name)
    if hasattr(function, "fn") and hasattr(function, "launch"):
        return f"`{name}` is a kernel", "take @metal_jit off a function that kernels call"
    if inspect.ismethod(function):
        return f"`{name}` is a method", "write a function, and pass the numbers that it needs"
    return f"`{name}` cannot be called in a kernel", ""


def _cast(parser: ExpressionParser, node: ast.Call, target: ScalarType, is_python: bool) -> Value:
    if node.keywords or len(node.args) != 1:
        raise parser.error(node, f"a conversion to {target} takes one value, without a keyword")
    value = parser.value(node.args[0])
    if isinstance(value, PythonObject) and isinstance(value.value, str):
        if is_python and target is FLOAT32:
            try:
                return ir.Constant(float(value.value), FLOAT32)
            except ValueError:
                raise parser.error(node, f"{value.value!r} is no number") from None
        raise parser.error(node, "a kernel has no strings", "pass a number")
    number = parser.as_scalar(node.args[0], value)
    if target is BOOL:
        return fold.convert(fold.truth(number), BOOL) if not is_python else fold.truth(number)
    scalar = operators.scalar_type(number)
    if is_python and target is INT32 and not scalar.is_float:
        return operators.positive(number)
    if is_python and isinstance(number, ir.Constant) and number.is_weak:
        try:
            constant = fold.weak_constant(int(number.value) if target is INT32 else float(number.value))
        except (ValueError, OverflowError) as error:
            raise parser.error(node, str(error)) from None
        if constant is not None:
            return constant
    return fold.convert(number, target)


def _cast_call(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language.cast)
    named = parser.value(bound["dtype"])
    call = ast.copy_location(ast.Call(node.func, [bound["x"]], []), node)
    vector, scalar = vectors.vector_type_of(named), scalar_type_of(named)
    if vector is not None:
        return vectors.construct(parser, call, vector)
    if scalar is None:
        raise parser.error(bound["dtype"], f"{values.describe(named)} is no type", "write ml.cast(x, ml.float16)")
    return _cast(parser, call, scalar, is_python=False)


def _folded_math(parser: ExpressionParser, node: ast.Call, function: Any) -> Value | None:
    """Return a function of Python's math of constants, as Python computes it; None for anything else."""
    if getattr(function, "__module__", "") != "math" or node.keywords:
        return None
    if any(isinstance(part, ast.Call) for argument in node.args for part in ast.walk(argument)):
        # Parsed here and again for the call: calls in calls would be parsed 2, 4, 8, ... times.
        return None
    found = [parser.value(argument) for argument in node.args if not isinstance(argument, ast.Starred)]
    numbers = [value.value for value in found if isinstance(value, ir.Constant)]
    if len(numbers) != len(node.args) or not numbers:
        return None
    try:
        result = function(*numbers)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise parser.error(node, f"this cannot be computed: {error}", "choose other constants") from None
    return fold.weak_constant(result) if isinstance(result, bool | int | float) else None


def call_tensor_method(parser: ExpressionParser, node: ast.Call, method: TensorMethod) -> Value:
    """Return the value of ``x.size(0)`` and its kin."""
    tensor, name = method.tensor, method.name
    if node.keywords and not (len(node.keywords) == 1 and node.keywords[0].arg == "dim" and not node.args):
        raise parser.error(node, f"{name} takes a dimension only")
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    if name in ("numel", "dim", "item") and given:
        raise parser.error(node, f"{name} takes no arguments")
    if name == "dim":
        return fold.integer(tensor.type.rank)
    if name == "item":
        if tensor.type.rank:
            raise parser.error(node, "item() needs a tensor with one element", "read an element: x[i]")
        return parser.as_scalar(node, tensor)
    sizes = [parser.size_of(tensor, dimension) for dimension in range(tensor.type.rank)] if name == "numel" else []
    if name == "numel":
        total: ir.Expression = ir.Constant(1, parser.index_type, False)
        for size in sizes:
            total = fold.multiply(total, fold.convert(size, parser.index_type))
        return total
    measure = parser.size_of if name == "size" else parser.stride_of
    if not given:
        return TupleValue(tuple(measure(tensor, dimension) for dimension in range(tensor.type.rank)))
    if len(given) > 1:
        raise parser.error(node, f"{name} takes one dimension")
    dimension = parser.constant_integer(given[0], "a dimension")
    if not -tensor.type.rank <= dimension < tensor.type.rank:
        raise parser.error(
            given[0], f"`{tensor.argument.name}` has {tensor.type.rank} dimensions, no dimension {dimension}"
        )
    return measure(tensor, dimension % tensor.type.rank)


# ---- Functions with rules of their own -----------------------------------------------------------------------------


def _minmax(parser: ExpressionParser, node: ast.Call, name: Literal["min", "max"]) -> ir.Expression:
    if node.keywords:
        raise parser.error(node, f"{name} takes no keywords in a kernel", "compare with `if`")
    found = sequences.as_tuple(parser, parser.value(node.args[0])) if len(node.args) == 1 else None
    if found is not None:
        numbers = [parser.as_scalar(node.args[0], item) for item in found.items]
    else:
        numbers = [parser.scalar(argument) for argument in node.args] if len(node.args) > 1 else []
    if not numbers:
        raise parser.error(node, f"{name} needs two numbers or more", f"write {name}(a, b), or loop over the elements")
    if all(isinstance(number, ir.Constant) and number.is_weak for number in numbers):
        constants = [number.value for number in numbers if isinstance(number, ir.Constant)]
        return fold.weak_constant(max(constants) if name == "max" else min(constants)) or numbers[0]
    return parser.in_order(node, numbers, lambda *ordered: _extreme(name, ordered))


def _extreme(name: Literal["min", "max"], numbers: tuple[ir.Expression, ...]) -> ir.Expression:
    result = numbers[0]
    for number in numbers[1:]:
        scalar = operators.common_type(result, number)
        pair = (fold.convert(result, scalar), fold.convert(number, scalar))
        # metal::max ignores NaN and Python's max keeps the first of two that do not compare.
        helper = (
            f"metal::{name}"
            if not scalar.is_float
            else "helion_msl::larger"
            if name == "max"
            else "helion_msl::smaller"
        )
        result = ir.Call(helper, pair, scalar)
    return result


def _absolute(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    if len(node.args) != 1 or node.keywords:
        raise parser.error(node, "abs takes one number")
    number = parser.number(node.args[0])
    if vectors.is_vector(number):
        return vectors.function_of_vectors(parser, node, Function("metal::abs", "number"), [number])
    if isinstance(number, ir.Constant) and number.is_weak:
        return fold.weak_constant(abs(number.value)) or number
    if operators.scalar_type(number).kind in ("uint", "bool"):
        return operators.positive(number)
    return apply(Function("metal::abs", "number"), [number])


def _rounded(msl: str) -> Handler:
    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        if len(node.args) != 1 or node.keywords:
            raise parser.error(node, "rounding takes one number in a kernel", "scale it: ml.rint(x * 100) / 100")
        number = parser.scalar(node.args[0])
        if not operators.scalar_type(number).is_float:
            return operators.positive(number)
        return fold.convert(apply(Function(msl, "float"), [number]), INT32)

    return handle


def _divmod(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    if len(node.args) != 2 or node.keywords:
        raise parser.error(node, "divmod takes two numbers")
    left, right = (parser.scalar(argument) for argument in node.args)
    first_left, left = parser.kept(node, left)
    first_right, right = parser.kept(node, right)
    items = (
        parser.binary(node, ast.FloorDiv(), first_left, first_right),
        parser.binary(node, ast.Mod(), left, right),
    )
    if first_left is left and first_right is right:
        return TupleValue(items)
    # One value, because the quotient computes what the remainder uses, also where only the remainder is asked for.
    return ir.TupleExpression(items, TupleType(tuple(item.type for item in items)))


def _pow(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    if len(node.args) != 2 or node.keywords:
        raise parser.error(node, "pow takes two numbers in a kernel", "take the remainder with %")
    return parser.binary(node, ast.Pow(), parser.scalar(node.args[0]), parser.scalar(node.args[1]))


def _length(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    if len(node.args) != 1 or node.keywords:
        raise parser.error(node, "len takes one tensor")
    value = parser.value(node.args[0])
    if isinstance(value, TupleValue):
        return parser.after(value.items, fold.integer(len(value.items)))
    if isinstance(value, ir.ThreadgroupArrayReference):
        return fold.integer(value.type.shape[0])
    if isinstance(value, ir.TensorReference) and value.type.rank:
        return parser.size_of(value, 0)
    sequence = sequences.as_tuple(parser, value)
    if sequence is not None:
        return parser.after(sequence.items, fold.integer(len(sequence.items)))
    raise parser.error(node, f"{values.describe(value)} has no length", "take the length of a tensor or a tuple")


def _logarithm(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    if node.keywords or not 1 <= len(node.args) <= 2:
        raise parser.error(node, "math.log takes a number and at most a base")
    numbers = [apply(Function("metal::precise::log"), [parser.scalar(argument)]) for argument in node.args]
    return numbers[0] if len(numbers) == 1 else ir.Binary("/", numbers[0], numbers[1], FLOAT32)


def _where(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language_math.where)
    parts = [parser.number(bound[name]) for name in ("condition", "x", "y")]
    if any(map(vectors.is_vector, parts)):
        return vectors.chosen(parser, node, *parts)
    test = parser.truth_of(bound["condition"], parser.as_number(bound["condition"]))
    body, orelse = parser.scalar(bound["x"]), parser.scalar(bound["y"])
    scalar = parser.joined(body, orelse)
    if isinstance(test, ir.Constant) and not any(map(ir.is_ordered, (body, orelse))):
        return fold.convert(body if test.value else orelse, scalar)
    arms = (test, fold.convert(body, scalar), fold.convert(orelse, scalar))
    return parser.in_order(
        node, arms, lambda test, body, orelse: ir.Call("metal::select", (orelse, body, test), scalar)
    )


def _clamp(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language_math.clamp)
    numbers = {name: parser.number(argument) for name, argument in bound.items()}
    if any(map(vectors.is_vector, numbers.values())):
        parts = [numbers[name] for name in ("x", "low", "high")]
        return vectors.lifted(parser, node, parts, _clamped)
    return _clamped(numbers["x"], numbers["low"], numbers["high"])


def _clamped(x: ir.Expression, low: ir.Expression, high: ir.Expression) -> ir.Expression:
    above = apply(Function("helion_msl::maximum", "number"), [x, low])
    return apply(Function("helion_msl::minimum", "number"), [above, high])


def _flat(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    argument = bind(parser, node, language.flat)["tensor"]
    tensor = parser.value(argument)
    if not isinstance(tensor, ir.TensorReference):
        raise parser.error(argument, "ml.flat takes a tensor argument of the kernel")
    # The same buffer with one dimension of stride 1: what is added to the address is the subscript itself.
    row = TensorType(tensor.type.dtype, 1, (1,), is_large=tensor.type.is_large, is_flat=True)
    return ir.TensorReference(tensor.argument, row)


def _bitcast(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language.bitcast)
    number, named = parser.number(bound["x"]), parser.value(bound["dtype"])
    vector, target = vectors.vector_type_of(named), scalar_type_of(named)
    if vector is not None or isinstance(number.type, VectorType):
        return _vector_bitcast(parser, node, number, vector or target)
    if target is None:
        raise parser.error(bound["dtype"], "bitcast needs a type", "write ml.bitcast(x, ml.uint32)")
    source = operators.scalar_type(number)
    if source.bits != target.bits:
        raise parser.error(node, f"{source} has {source.bits} bits and {target} has {target.bits}", "convert it first")
    return ir.Call(f"as_type<{target.msl}>", (fold.convert(number, source),), target)


def _vector_bitcast(
    parser: ExpressionParser, node: ast.Call, number: ir.Expression, target: ScalarType | VectorType | None
) -> Value:
    if target is None:
        raise parser.error(node, "bitcast needs a type", "write ml.bitcast(v, ml.uint2)")
    bits = [_bits(kind) for kind in (number.type, target)]
    if bits[0] != bits[1]:
        raise parser.error(node, f"{number.type} has {bits[0]} bits and {target} has {bits[1]}", "convert it first")
    return ir.Call(f"as_type<{target.msl}>", (number,), target)


def _bits(kind: object) -> int:
    if isinstance(kind, VectorType):
        # Vectors of three take the room of four.
        return (4 if kind.size == 3 else kind.size) * kind.element.bits
    return kind.bits if isinstance(kind, ScalarType) else 0


_HANDLERS: dict[Any, Handler] = {
    abs: _absolute,
    min: lambda parser, node, _: _minmax(parser, node, "min"),
    max: lambda parser, node, _: _minmax(parser, node, "max"),
    round: _rounded("metal::rint"),
    math.floor: _rounded("metal::floor"),
    math.ceil: _rounded("metal::ceil"),
    math.trunc: _rounded("metal::trunc"),
    math.log: _logarithm,
    divmod: _divmod,
    pow: _pow,
    len: _length,
    language_math.where: _where,
    language_math.clamp: _clamp,
    language.bitcast: _bitcast,
    language.flat: _flat,
    language.cast: _cast_call,
    **integers.HANDLERS,
    **sequences.HANDLERS,
    **threads.HANDLERS,
    **atomics.HANDLERS,
    **matmul.HANDLERS,
    **vectors.HANDLERS,
    **simdgroup_matrix.HANDLERS,
}
