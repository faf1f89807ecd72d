"""What functions of ``helion_msl.language``, ``math`` and the builtins mean in a kernel.

A function is looked up by identity, so that it does not matter under which name the source knows it. Its arguments are
bound as Python would bind them, so that no keyword is lost.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .. import language, language_math
from . import fold, ir, operators, values
from .types import BOOL, BY_NAME, FLOAT32, INT32, UINT32, VOID, ScalarType, ThreadgroupArrayType, promote
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parse_expressions import ExpressionParser
    from .values import TensorMethod, Value

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

_PYTHON_TYPES: dict[object, ScalarType] = {int: INT32, float: FLOAT32, bool: BOOL}


def scalar_type_of(value: Value) -> ScalarType | None:
    """Return the type that an object of the source names: ``ml.float16``, ``torch.float16``, ``float``."""
    if not isinstance(value, PythonObject):
        return None
    thing = value.value
    if isinstance(thing, language.DType):
        return BY_NAME[thing.name]
    if isinstance(thing, type):
        return _PYTHON_TYPES.get(thing)
    text = str(thing)
    return BY_NAME.get(text.removeprefix("torch.")) if text.startswith("torch.") else None


# ---- Functions of numbers --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Function:
    """A function of numbers in MSL.

    Attributes:
        msl: its qualified name.
        operands: ``"float32"``: operands become float32; ``"float"``: half stays half; ``"number"``: integers too stay
            what they are, narrow ones become int32; all operands have one type.
        result: None for the operands' type.
    """

    msl: str
    operands: Literal["float32", "float", "number"] = "float32"
    result: ScalarType | None = None


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
    "cospi",
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
    "sinpi",
    "sqrt",
    "tan",
    "tanh",
    "tanpi",
    "fmod",
]
_PRELUDE = ["erf", "erfc", "expm1", "log1p", "sigmoid"]

FUNCTIONS: dict[object, Function] = {
    **{getattr(language_math, name): Function(f"metal::precise::{name}") for name in _PRECISE},
    **{getattr(language_math, name): Function(f"helion_msl::{name}") for name in _PRELUDE},
    **{
        getattr(language_math, name): Function(f"metal::{name}", "float")
        for name in ["ceil", "floor", "rint", "trunc", "fma", "copysign"]
    },
    **{
        getattr(language_math, name): Function(f"metal::{name}", "float", BOOL)
        for name in ["isnan", "isinf", "isfinite", "signbit"]
    },
    language_math.fmod: Function("metal::fmod"),
    language_math.round_away: Function("metal::round", "float"),
    language_math.sign: Function("helion_msl::sign", "number"),
    language_math.maximum: Function("helion_msl::maximum", "number"),
    language_math.minimum: Function("helion_msl::minimum", "number"),
    language_math.fmax: Function("metal::fmax", "float"),
    language_math.fmin: Function("metal::fmin", "float"),
    # Python's math module, where it has the same meaning.
    **{
        getattr(math, name): Function(f"metal::precise::{name}")
        for name in [
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
            "log2",
            "log10",
            "pow",
            "sin",
            "sinh",
            "sqrt",
            "tan",
            "tanh",
        ]
    },
    **{getattr(math, name): Function(f"helion_msl::{name}") for name in ["erf", "erfc", "expm1", "log1p"]},
    **{getattr(math, name): Function(f"metal::{name}", "float", BOOL) for name in ["isnan", "isinf", "isfinite"]},
    math.fmod: Function("metal::fmod"),
    math.fabs: Function("metal::abs", "float"),
    math.copysign: Function("metal::copysign", "float"),
}
if hasattr(math, "exp2"):
    FUNCTIONS[math.exp2] = Function("metal::precise::exp2")


def apply(function: Function, numbers: list[ir.Expression]) -> ir.Expression:
    """Return a call of a function on numbers, converted to what it takes."""
    scalar = operators.scalar_type(numbers[0])
    for number in numbers[1:]:
        scalar = operators.common_type(
            fold.convert(numbers[0], scalar) if number is numbers[0] else ir.Cast(numbers[0], scalar), number
        )
    if len(numbers) == 1 and operators.is_weak(numbers[0]):
        scalar = operators.scalar_type(numbers[0])
    scalar = promote(scalar, scalar)
    if (
        function.operands == "float32"
        or (scalar.is_float and scalar.name == "bfloat16")
        or (function.operands == "float" and not scalar.is_float)
    ):
        scalar = FLOAT32
    arguments = tuple(fold.convert(number, scalar) for number in numbers)
    return ir.Call(function.msl, arguments, function.result or scalar)


# ---- Binding arguments -------------------------------------------------------------------------------------------------

_SIGNATURES: dict[object, inspect.Signature] = {}
# C functions whose signature Python does not tell; all their parameters are positional.
_MATH_ARITY = {math.atan2: 2, math.pow: 2, math.fmod: 2, math.copysign: 2}


def bind(parser: ExpressionParser, node: ast.Call, function: object) -> dict[str, ast.expr]:
    """Return the arguments of a call by parameter name; those that are not given are missing.

    Raises:
        TranslationError: they do not fit the parameters.
    """
    name = getattr(function, "__name__", repr(function))
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            raise parser.error(argument, "a starred argument has no fixed length", "write the arguments out")
    for keyword in node.keywords:
        if keyword.arg is None:
            raise parser.error(keyword.value, "`**` arguments have no fixed names", "write the arguments out")
    signature = _SIGNATURES.get(function)
    if signature is None:
        if getattr(function, "__module__", "") == "math":
            names = ("x", "y")[: _MATH_ARITY.get(function, 1)]  # type: ignore[call-overload]
            kind = inspect.Parameter.POSITIONAL_ONLY
            signature = inspect.Signature([inspect.Parameter(parameter, kind) for parameter in names])
        else:
            signature = inspect.signature(function)  # type: ignore[arg-type]
        _SIGNATURES[function] = signature
    try:
        bound = signature.bind(*node.args, **{keyword.arg or "": keyword.value for keyword in node.keywords})
    except TypeError as error:
        raise parser.error(node, f"{name}: {error}", f"its signature is {name}{_plain(signature)}") from None
    return dict(bound.arguments)


def _plain(signature: inspect.Signature) -> str:
    return "(" + ", ".join(signature.parameters) + ")"


# ---- Calls ---------------------------------------------------------------------------------------------------------------


def call_object(parser: ExpressionParser, node: ast.Call, function: object) -> Value:
    """Return the value of a call of a Python object."""
    target = scalar_type_of(PythonObject(function))
    if target is not None:
        return _cast(parser, node, target, is_python=isinstance(function, type))
    try:
        known = FUNCTIONS.get(function)
        handler = _HANDLERS.get(function)
    except TypeError:
        known = handler = None
    if handler is not None:
        return handler(parser, node, {})
    if known is not None:
        numbers = [parser.scalar(argument) for argument in bind(parser, node, function).values()]
        return parser.in_order(node, numbers, lambda *ordered: apply(known, list(ordered)))
    raise parser.error(node, *_unknown_call(function))


def _unknown_call(function: object) -> tuple[str, str]:
    name = getattr(function, "__name__", repr(function))
    module = getattr(function, "__module__", "") or ""
    if module == "math":
        return f"math.{name} is not supported in a kernel", "the functions of helion_msl.language are"
    if module.split(".")[0] in ("torch", "numpy"):
        return f"`{name}` of {module.split('.')[0]} works on whole tensors", "use ml or math functions on elements"
    if function is builtins.print:
        return "a kernel cannot print", "store the value into a tensor and print that"
    if getattr(builtins, name, None) is function:
        return f"the builtin `{name}` is not supported in a kernel", "write a loop over a range"
    if inspect.isfunction(function):
        return f"`{name}` is a Python function, and a kernel cannot call those yet", "write its body here"
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


# ---- Functions with rules of their own -----------------------------------------------------------------------------------


def _numbers(parser: ExpressionParser, node: ast.Call, function: object) -> dict[str, ir.Expression]:
    return {name: parser.scalar(argument) for name, argument in bind(parser, node, function).items()}


def _minmax(parser: ExpressionParser, node: ast.Call, name: Literal["min", "max"]) -> ir.Expression:
    if node.keywords:
        raise parser.error(node, f"{name} takes no keywords in a kernel", "compare with `if`")
    if len(node.args) < 2:
        raise parser.error(node, f"{name} needs two numbers or more", f"write {name}(a, b), or loop over the elements")
    numbers = [parser.scalar(argument) for argument in node.args]
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
    number = parser.scalar(node.args[0])
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
    quotient = parser.binary(node, ast.FloorDiv(), first_left, first_right)
    return TupleValue((quotient, parser.binary(node, ast.Mod(), left, right)))


def _pow(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    if len(node.args) != 2 or node.keywords:
        raise parser.error(node, "pow takes two numbers in a kernel", "take the remainder with %")
    return parser.binary(node, ast.Pow(), parser.scalar(node.args[0]), parser.scalar(node.args[1]))


def _length(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    if len(node.args) != 1 or node.keywords:
        raise parser.error(node, "len takes one tensor")
    value = parser.value(node.args[0])
    if isinstance(value, TupleValue):
        return fold.integer(len(value.items))
    if isinstance(value, ir.ThreadgroupArrayReference):
        return fold.integer(value.type.shape[0])
    if isinstance(value, ir.TensorReference) and value.type.rank:
        return parser.size_of(value, 0)
    raise parser.error(node, f"{values.describe(value)} has no length")


def _logarithm(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    if node.keywords or not 1 <= len(node.args) <= 2:
        raise parser.error(node, "math.log takes a number and at most a base")
    numbers = [apply(Function("metal::precise::log"), [parser.scalar(argument)]) for argument in node.args]
    return numbers[0] if len(numbers) == 1 else ir.Binary("/", numbers[0], numbers[1], FLOAT32)


def _where(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language_math.where)
    test = parser.truth_of(bound["condition"], parser.as_number(bound["condition"]))
    body, orelse = parser.scalar(bound["x"]), parser.scalar(bound["y"])
    scalar = parser.joined(body, orelse)
    if isinstance(test, ir.Constant):
        return fold.convert(body if test.value else orelse, scalar)
    arms = (test, fold.convert(body, scalar), fold.convert(orelse, scalar))
    return parser.in_order(
        node, arms, lambda test, body, orelse: ir.Call("metal::select", (orelse, body, test), scalar)
    )


def _clamp(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    numbers = _numbers(parser, node, language_math.clamp)
    above = apply(Function("helion_msl::maximum", "number"), [numbers["x"], numbers["low"]])
    return apply(Function("helion_msl::minimum", "number"), [above, numbers["high"]])


def _bitcast(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language.bitcast)
    number, target = parser.scalar(bound["x"]), scalar_type_of(parser.value(bound["dtype"]))
    if target is None:
        raise parser.error(bound["dtype"], "bitcast needs a type", "write ml.bitcast(x, ml.uint32)")
    source = operators.scalar_type(number)
    if source.bits != target.bits:
        raise parser.error(node, f"{source} has {source.bits} bits and {target} has {target.bits}", "convert it first")
    return ir.Call(f"as_type<{target.msl}>", (fold.convert(number, source),), target)


def _threadgroup_array(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language.threadgroup_array)
    dtype = scalar_type_of(parser.value(bound["dtype"]))
    if dtype is None:
        raise parser.error(bound["dtype"], "the type of a threadgroup array is a scalar type", "write ml.float32")
    parts = bound["shape"].elts if isinstance(bound["shape"], ast.Tuple) else [bound["shape"]]
    shape = tuple(parser.constant_integer(part, "the size of a threadgroup array") for part in parts)
    if not shape or min(shape) <= 0:
        raise parser.error(bound["shape"], "a threadgroup array needs sizes above 0")
    size = math.prod(shape) * max(dtype.bits // 8, 1)
    if size > 32768:
        raise parser.error(node, f"the array takes {size} bytes, a threadgroup has 32768", "use smaller blocks")
    array = ir.ThreadgroupArray("array", ThreadgroupArrayType(dtype, shape))
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
        return simdgroup_call(parser, node, name, list(_numbers(parser, node, function).values()), is_logical)

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

from .atomics import HANDLERS as _ATOMICS  # noqa: E402 - uses bind and apply of this module

_HANDLERS.update(_ATOMICS)
