"""Vectors of two to four numbers: constructors, components, operators, functions, loads and stores.

An operator or function of vectors is the one of numbers, lifted: it is built on stand-ins for the components, so that
types and meaning are those of the scalar, and then printed on whole vectors where MSL has it for them, component by
component where a helper of the prelude is in it.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from .. import language_vectors
from . import fold, ir, operators, sequences, values
from .binding import bind
from .functions import Function, apply
from .types import BOOL, BY_NAME, FLOAT32, ScalarType, TensorType, VectorType
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Sequence

    from .parse_expressions import ExpressionParser
    from .threads import Handler
    from .values import Value

    Build = Callable[..., ir.Expression]

# Metal Shading Language Specification, "Packed Vector Data Types": those with the alignment of their component.
_PACKED = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "float32"})


def vector_type_of(value: Value) -> VectorType | None:
    """Return the type that an object of the source names: ``ml.float4``."""
    if isinstance(value, PythonObject) and isinstance(value.value, language_vectors.VectorDType):
        return VectorType(BY_NAME[value.value.element.name], value.value.size)
    return None


def is_vector(value: Value) -> bool:
    """Whether a value is a vector."""
    return values.is_expression(value) and type(value.type) is VectorType


def component(vector: ir.Expression, place: int) -> ir.Expression:
    """Return one component."""
    assert isinstance(vector.type, VectorType)
    return ir.Swizzle(vector, "xyzw"[place], vector.type.element)


def convert(value: ir.Expression, target: VectorType) -> ir.Expression:
    """Return a vector of the same size with components of another type."""
    return value if value.type == target else ir.Cast(value, target)


# ---- Lifting -------------------------------------------------------------------------------------------------------


def lifted(parser: ExpressionParser, node: ast.AST, operands: Sequence[ir.Expression], build: Build) -> ir.Expression:
    """Return what ``build`` makes of numbers, made of vectors and numbers.

    Raises:
        TranslationError: the vectors differ in size.
    """
    sizes = {operand.type.size for operand in operands if isinstance(operand.type, VectorType)}
    if len(sizes) != 1:
        raise parser.error(node, f"vectors of {' and '.join(map(str, sorted(sizes)))} components", "take components")
    size = sizes.pop()
    stand_ins: dict[int, ir.Expression] = {}
    arguments: list[ir.Expression] = []
    before: list[ir.Expression] = []
    for operand in operands:
        if not isinstance(operand.type, VectorType):
            arguments.append(operand)
            continue
        variable = ir.Variable("component", operand.type.element)
        variable.is_non_negative = operand.type.element.kind in ("uint", "bool")
        stand_ins[id(variable)] = operand
        arguments.append(ir.Read(variable, variable.type))
    built = build(*arguments)
    uses = [
        id(part.variable) for part in ir.walk(built) if isinstance(part, ir.Read) and id(part.variable) in stand_ins
    ]
    is_whole = not any(_is_scalar_only(part) for part in ir.walk(built))
    for key, operand in stand_ins.items():
        if (not is_whole or uses.count(key) > 1) and not ir.is_simple(operand):
            temporary = ir.Variable("vector", operand.type, parser.source.line(node), is_temporary=True)
            before.append(ir.AssignExpression(temporary, operand, operand.type))
            stand_ins[key] = ir.Read(temporary, operand.type)
    before += [operand for key, operand in stand_ins.items() if key not in uses and ir.is_ordered(operand)]
    if not uses:  # the same for every component, as in v == 1e20 of integers
        kind = VectorType(operators.scalar_type(built), size)
        result: ir.Expression = ir.Call(kind.msl, (fold.convert(built, kind.element),), kind)
    elif is_whole:
        result = _on_vectors(built, stand_ins, size)
    else:
        parts = tuple(_on_component(built, stand_ins, place) for place in range(size))
        kind = VectorType(operators.scalar_type(built), size)
        result = ir.Call(kind.msl, parts, kind)
    for first in reversed(before):
        result = ir.Sequence(first, result, result.type)
    return result


def _is_scalar_only(node: ir.Expression) -> bool:
    """Whether MSL has an operation for numbers only."""
    if isinstance(node, ir.Conditional):
        return True
    return isinstance(node, ir.Call) and node.function.startswith("helion_msl::")


def _on_vectors(node: ir.Expression, stand_ins: dict[int, ir.Expression], size: int) -> ir.Expression:
    """Return an expression of numbers as one of vectors; operators repeat numbers by themselves, functions do not."""
    match node:
        case ir.Read() if id(node.variable) in stand_ins:
            return stand_ins[id(node.variable)]
        case ir.Binary():
            left, right = (_on_vectors(side, stand_ins, size) for side in (node.left, node.right))
            return ir.Binary(node.operator, left, right, _wide(node.type, size, left, right))
        case ir.Unary():
            operand = _on_vectors(node.operand, stand_ins, size)
            # On vectors of truth values MSL negates with `!`.
            return ir.Unary(node.operator, operand, _wide(node.type, size, operand))
        case ir.Cast():
            operand = _on_vectors(node.operand, stand_ins, size)
            return ir.Cast(operand, _wide(node.type, size, operand))
        case ir.Call():
            arguments = [_on_vectors(argument, stand_ins, size) for argument in node.arguments]
            if not any(isinstance(argument.type, VectorType) for argument in arguments):
                return node
            repeated = (_repeated(argument, size) for argument in arguments)
            return ir.Call(
                node.function, tuple(repeated), VectorType(operators.scalar_type(node), size), node.has_effect
            )
        case _:
            return node


def _wide(scalar: Any, size: int, *operands: ir.Expression) -> Any:
    return VectorType(scalar, size) if any(isinstance(operand.type, VectorType) for operand in operands) else scalar


def _repeated(node: ir.Expression, size: int) -> ir.Expression:
    if isinstance(node.type, VectorType) or not isinstance(node.type, ScalarType):
        return node
    kind = VectorType(node.type, size)
    return ir.Call(kind.msl, (node,), kind)


def _on_component(node: ir.Expression, stand_ins: dict[int, ir.Expression], place: int) -> ir.Expression:
    match node:
        case ir.Read() if id(node.variable) in stand_ins:
            return component(stand_ins[id(node.variable)], place)
        case ir.Binary():
            left, right = (_on_component(side, stand_ins, place) for side in (node.left, node.right))
            return ir.Binary(node.operator, left, right, node.type)
        case ir.Unary():
            return ir.Unary(node.operator, _on_component(node.operand, stand_ins, place), node.type)
        case ir.Cast():
            return ir.Cast(_on_component(node.operand, stand_ins, place), node.type)
        case ir.Conditional():
            parts = [_on_component(part, stand_ins, place) for part in (node.test, node.body, node.orelse)]
            return ir.Conditional(parts[0], parts[1], parts[2], node.type)
        case ir.Call():
            arguments = tuple(_on_component(argument, stand_ins, place) for argument in node.arguments)
            return ir.Call(node.function, arguments, node.type, node.has_effect)
        case _:
            return node


# ---- Constructors and components -----------------------------------------------------------------------------------


def construct(parser: ExpressionParser, node: ast.Call, kind: VectorType) -> ir.Expression:
    """Return ``ml.float4(...)``."""
    if node.keywords or not node.args:
        raise parser.error(node, f"{kind} is made of numbers and vectors, in order", f"write ml.{kind.msl}(0)")
    parts = [parser.number(argument) for argument in node.args]
    count = sum(part.type.size if isinstance(part.type, VectorType) else 1 for part in parts)
    if len(parts) == 1 and is_vector(parts[0]) and count == kind.size:
        # Where components are assigned, `w = ml.float4(v)` is a vector of its own.
        is_copy = (
            isinstance(parts[0], ir.Read | ir.FunctionCall | ir.Conditional) and parser.variables.survey.changed_inside
        )
        return _made((parts[0],), kind) if is_copy else convert(parts[0], kind)
    is_repeated = len(parts) == 1 and count == 1
    if count != kind.size and not is_repeated:
        raise parser.error(node, f"{kind} has {kind.size} components, not {count}", "give as many, or one to repeat")
    return parser.in_order(node, [_component_of(part, kind) for part in parts], lambda *ordered: _made(ordered, kind))


def _made(parts: tuple[ir.Expression, ...], kind: VectorType) -> ir.Expression:
    return ir.Call(kind.msl, parts, kind)


def _component_of(part: ir.Expression, kind: VectorType) -> ir.Expression:
    if isinstance(part.type, VectorType):
        return convert(part, VectorType(kind.element, part.type.size))
    if kind.element is BOOL:
        return fold.truth(part)
    return fold.convert(part, kind.element)


def places_of(parser: ExpressionParser, node: ast.Attribute, kind: VectorType) -> str:
    """Return the components that an attribute names, as letters of xyzw."""
    for letters in language_vectors.LETTERS:
        if len(node.attr) <= 4 and all(letter in letters[: kind.size] for letter in node.attr):
            return "".join("xyzw"[letters.index(letter)] for letter in node.attr)
    letters = language_vectors.LETTERS[0][: kind.size]
    raise parser.error(node, f"a {kind} has no component `{node.attr}`", f"its components are {', '.join(letters)}")


def swizzle(vector: ir.Expression, places: str) -> ir.Expression:
    """Return components as a number, or as a vector."""
    assert isinstance(vector.type, VectorType)
    kind = vector.type.element if len(places) == 1 else VectorType(vector.type.element, len(places))
    return ir.Swizzle(vector, places, kind)


def indexed(parser: ExpressionParser, node: ast.Subscript, vector: ir.Expression) -> ir.Expression:
    """Return ``v[i]``."""
    assert isinstance(vector.type, VectorType)
    index = parser.integer(node.slice, "the index of a component")
    if not isinstance(index, ir.Constant):
        return ir.Component(vector, index, vector.type.element)
    return component(vector, place_of(parser, node, vector.type, int(index.value)))


def place_of(parser: ExpressionParser, node: ast.Subscript, kind: VectorType, index: int) -> int:
    """Return a constant index as the number of a component."""
    if not -kind.size <= index < kind.size:
        raise parser.error(node.slice, f"a {kind} has {kind.size} components, not component {index}")
    return index % kind.size


# ---- Functions -----------------------------------------------------------------------------------------------------


def _vectors(parser: ExpressionParser, node: ast.Call, function: object) -> list[ir.Expression]:
    """Return the arguments of a geometric function, as vectors of float32."""
    found = []
    for argument in bind(parser, node, function).values():
        number = parser.number(argument)
        if not isinstance(number.type, VectorType) or number.type.element is BOOL:
            raise parser.error(
                argument, f"{values.describe(number)} is no vector of numbers", "write ml.float3(x, y, z)"
            )
        found.append(convert(number, VectorType(FLOAT32, number.type.size)))
    if len({part.type for part in found}) != 1:
        raise parser.error(node, "vectors of different sizes", "take components, as in v.xyz")
    return found


def _geometric(name: str) -> Handler:
    function = getattr(language_vectors, name)
    is_number = name not in ("normalize", "cross")

    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        found = _vectors(parser, node, function)
        kind = found[0].type
        if name == "cross" and isinstance(kind, VectorType) and kind.size != 3:
            raise parser.error(node, "the cross product is one of vectors of three", "write v.xyz")
        return ir.Call(f"metal::{name}", tuple(found), FLOAT32 if is_number else kind)

    return handle


def _quantifier(function: object, msl: str) -> Handler:
    def handle(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
        if len(node.args) != 1 or node.keywords:
            raise parser.error(node, f"{getattr(function, '__name__', '')} takes one vector")
        vector = parser.value(node.args[0])
        if isinstance(vector, TupleValue):
            return sequences.quantified(parser, node, vector.items, msl == "all")
        if not values.is_expression(vector) or not isinstance(vector.type, VectorType):
            raise parser.error(
                node.args[0], f"{values.describe(vector)} is no vector", "combine conditions with `and` and `or`"
            )
        if vector.type.element is not BOOL:
            zero = fold.convert(fold.integer(0), vector.type.element)
            vector = ir.Binary("!=", vector, zero, VectorType(BOOL, vector.type.size))
        return ir.Call(f"metal::{msl}", (vector,), BOOL)

    return handle


def chosen(
    parser: ExpressionParser, node: ast.AST, test: ir.Expression, body: ir.Expression, orelse: ir.Expression
) -> ir.Expression:
    """Return the components of ``body`` where the test holds, else those of ``orelse``."""
    scalars = [part.type.element if isinstance(part.type, VectorType) else part for part in (body, orelse)]
    reads = [ir.Read(ir.Variable("", each), each) if isinstance(each, ScalarType) else each for each in scalars]
    element = parser.joined(reads[0], reads[1])

    def build(first: ir.Expression, second: ir.Expression, condition: ir.Expression) -> ir.Expression:
        arms = (fold.convert(second, element), fold.convert(first, element), fold.truth(condition))
        return ir.Call("metal::select", arms, element)

    return lifted(parser, node, (body, orelse, test), build)


def _select(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language_vectors.select)
    x, y, condition = (parser.number(bound[name]) for name in ("x", "y", "condition"))
    if any(is_vector(part) for part in (x, y, condition)):
        return chosen(parser, node, condition, y, x)
    scalar = parser.joined(x, y)
    return ir.Call("metal::select", (fold.convert(x, scalar), fold.convert(y, scalar), fold.truth(condition)), scalar)


def function_of_vectors(
    parser: ExpressionParser, node: ast.Call, known: Function, numbers: Sequence[ir.Expression]
) -> ir.Expression:
    """Return a function of numbers of vectors."""
    return lifted(parser, node, numbers, lambda *parts: apply(known, list(parts)))


# ---- Memory --------------------------------------------------------------------------------------------------------


def _element(parser: ExpressionParser, array: ast.expr, index: ast.expr) -> ir.Element:
    base = parser.value(array)
    if not isinstance(base, ir.MEMORY):
        raise parser.error(array, "a vector is loaded from a tensor or a threadgroup array, and stored to one")
    kind = base.type
    if isinstance(kind, TensorType) and (not kind.rank or (kind.strides is not None and kind.strides[-1] != 1)):
        name = base.argument.name if isinstance(base, ir.TensorReference) else ""
        raise parser.error(
            array, f"the last dimension of `{name}` is not contiguous", "pass x.contiguous(), or read single elements"
        )
    return parser.element_at(index, base, list(getattr(index, "elts", [index])))


def _next(element: ir.Element, offset: int) -> ir.Element:
    *outer, last = element.indices
    assert isinstance(last.type, ScalarType)
    moved = fold.add(last, ir.Constant(offset, last.type, False))
    return ir.Element(element.base, (*outer, moved))


def _load(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language_vectors.load_vector)
    size = parser.constant_integer(bound["size"], "the size of a vector")
    if size not in (2, 3, 4):
        raise parser.error(bound["size"], f"a vector has 2, 3 or 4 components, not {size}")
    element = _element(parser, bound["array"], bound["index"])
    kind = VectorType(element.base.type.dtype, size)
    if kind.element.name in _PACKED:
        return ir.Load(element, kind)
    loads = tuple(ir.Load(_next(element, offset), kind.element) for offset in range(size))
    return ir.Call(kind.msl, loads, kind)


def _store(parser: ExpressionParser, node: ast.Call, _: object) -> Value:
    bound = bind(parser, node, language_vectors.store_vector)
    element = _element(parser, bound["array"], bound["index"])
    value = parser.number(bound["value"])
    dtype = element.base.type.dtype
    if not isinstance(value.type, VectorType):
        raise parser.error(bound["value"], f"{values.describe(value)} is no vector", "store a number with x[i] = value")
    if value.type.element.is_float and not dtype.is_float:
        raise parser.error(
            node,
            f"a {value.type} is stored into elements of {dtype}",
            f"convert it: ml.{dtype.msl}{value.type.size}(v)",
        )
    if isinstance(element.base, ir.TensorReference):
        element.base.argument.is_written = True
    if any(map(ir.is_ordered, (*element.indices, value))):
        return _store_in_order(parser, node, element, value)
    return _stored(parser, node, element, value)


def _store_in_order(
    parser: ExpressionParser, node: ast.Call, element: ir.Element, value: ir.Expression
) -> ir.Expression:
    """Return a store whose index is evaluated first: C++ evaluates the right side of an assignment before the left."""
    before: list[ir.Expression] = []
    reads: list[ir.Expression] = []
    for part in (*element.indices, value):
        temporary = ir.Variable("operand", part.type, parser.source.line(node), is_temporary=True)
        before.append(ir.AssignExpression(temporary, part, part.type))
        reads.append(ir.Read(temporary, part.type))
    result = _stored(parser, node, ir.Element(element.base, tuple(reads[:-1])), reads[-1])
    for first in reversed(before):
        result = ir.Sequence(first, result, result.type)
    return result


def _stored(parser: ExpressionParser, node: ast.Call, element: ir.Element, value: ir.Expression) -> ir.Expression:
    dtype = element.base.type.dtype
    assert isinstance(value.type, VectorType)
    if dtype.name in _PACKED:
        return ir.VectorStore(element, convert(value, VectorType(dtype, value.type.size)))
    before, again = parser.kept(node, value, "vector")
    stores = [
        ir.VectorStore(_next(element, place), fold.convert(component(before if not place else again, place), dtype))
        for place in range(value.type.size)
    ]
    result: ir.Expression = stores[-1]
    for store in reversed(stores[:-1]):
        result = ir.Sequence(store, result, result.type)
    return result


HANDLERS: dict[Any, Handler] = {
    **{
        getattr(language_vectors, name): _geometric(name)
        for name in ("dot", "length", "length_squared", "distance", "normalize", "cross")
    },
    language_vectors.any: _quantifier(language_vectors.any, "any"),
    language_vectors.all: _quantifier(language_vectors.all, "all"),
    builtins.any: _quantifier(builtins.any, "any"),
    builtins.all: _quantifier(builtins.all, "all"),
    language_vectors.select: _select,
    language_vectors.load_vector: _load,
    language_vectors.store_vector: _store,
}
