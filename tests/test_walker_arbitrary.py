"""Any Python function, however little sense it makes, is translated or refused with a TranslationError: never a crash.

The functions are made of every class of node that Python's grammar has for statements and expressions, with names that
mean something in a kernel, so that the refusals of later steps are met and not only those of the first one.
"""

from __future__ import annotations

import ast
import inspect
import math
import warnings
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helion_msl import DivergenceWarning, TranslationError
from helion_msl import language as ml
from helion_msl.walker import SCALAR_TYPES, TensorType, translate


def doubled(value, factor=2):
    return value * factor


def pair(a, b):
    return a, b


def written(array, value):
    array[0] = value


class Settings:
    SIZE = 4


NAMESPACE: dict[str, object] = {
    "ml": ml,
    "math": math,
    "torch": torch,
    "doubled": doubled,
    "pair": pair,
    "written": written,
    "Settings": Settings,
    "NUMBERS": (1, 2.5, True),
    "NESTED": ((1, 2), (3, 4)),
    "TEXT": "fast",
    "LIST": [1, 2],
    "NOTHING": None,
    "HUGE": 2**80,
}
TYPES: dict[str, Any] = {
    "x": TensorType(SCALAR_TYPES["float32"], 1),
    "m": TensorType(SCALAR_TYPES["float16"], 2, strides=(None, 1)),
    "k": TensorType(SCALAR_TYPES["int64"], 1),
    "s": TensorType(SCALAR_TYPES["uint8"], 0),
    "n": SCALAR_TYPES["int32"],
    "f": SCALAR_TYPES["float32"],
    "b": SCALAR_TYPES["bool"],
}
LOCAL_NAMES = ["i", "j", "t", "v", "w"]
READ_NAMES = [*LOCAL_NAMES, *TYPES, *NAMESPACE, "C", "unknown", "abs", "max", "range", "len", "print", "int", "zip"]
ATTRIBUTES = sorted({*ml.__dict__, "size", "shape", "stride", "x", "xy", "dtype", "exp", "pi", "SIZE", "T"} - {"T"})
ATTRIBUTES = [name for name in ATTRIBUTES if not name.startswith("_")]


def names(choices: list[str], context: type[ast.expr_context]) -> st.SearchStrategy[ast.expr]:
    return st.sampled_from(choices).map(lambda name: ast.Name(name, context()))


CONSTANTS = st.one_of(
    st.sampled_from([0, 1, 2, -1, 8, 2**31, 2**64, 0.5, 1e39, True, False, None, "text", b"b", 1j, ..., math.inf]),
    st.integers(-5, 40),
).map(ast.Constant)
LANGUAGE = st.builds(
    lambda name: ast.Attribute(ast.Name("ml", ast.Load()), name, ast.Load()), st.sampled_from(ATTRIBUTES)
)
# Functions with as many parameters as they have, so that what they say to strange arguments is met.
ARITIES = {
    name: len(inspect.signature(function).parameters)
    for name, function in sorted(vars(ml).items())
    if callable(function) and not name.startswith("_") and not isinstance(function, type)
}
NUMBERS = st.one_of(
    names(["n", "i", "w", "j", "f", "b", "v", "t", "s", "C"], ast.Load),
    st.sampled_from(["x[i]", "k[n]", "m[i, 0]", "v.x", "t[0]", "ml.tid[1]", "x.size(0)", "ml.pi"]).map(
        lambda text: ast.parse(text, mode="eval").body
    ),
    st.integers(0, 5).map(ast.Constant),
)
LEAVES = st.one_of(NUMBERS, NUMBERS, NUMBERS, names(["x", "k", "m"], ast.Load), names(READ_NAMES, ast.Load), CONSTANTS)


def operators(base: type[ast.AST]) -> st.SearchStrategy[Any]:
    return st.sampled_from(base.__subclasses__()).map(lambda kind: kind())


def arguments(count: int = 0) -> ast.arguments:
    return ast.arguments([], [ast.arg(f"p{number}") for number in range(count)], None, [], [], None, [])


def supported(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Expressions of the classes that a kernel may have, with expressions inside them."""
    some = st.lists(inner, min_size=1, max_size=3)
    keywords = st.lists(
        st.builds(ast.keyword, st.sampled_from(["strict", "sep", "memory", "dtype", "b", None]), inner), max_size=1
    )
    starred = st.one_of(inner, inner, inner, st.builds(lambda value: ast.Starred(value, ast.Load()), inner))
    slices = st.builds(ast.Slice, st.one_of(st.none(), inner), st.one_of(st.none(), inner), st.none())
    return st.one_of(
        st.builds(ast.BinOp, inner, operators(ast.operator), inner),
        st.builds(ast.UnaryOp, operators(ast.unaryop), inner),
        st.builds(lambda op, values: ast.BoolOp(op, [*values, values[0]]), operators(ast.boolop), some),
        st.builds(
            lambda left, pairs: ast.Compare(left, [kind for kind, _ in pairs], [right for _, right in pairs]),
            inner,
            st.lists(st.tuples(operators(ast.cmpop), inner), min_size=1, max_size=2),
        ),
        st.builds(ast.Call, st.one_of(LANGUAGE, LANGUAGE, inner), st.lists(starred, max_size=4), keywords),
        st.sampled_from(sorted(ARITIES)).flatmap(
            lambda name: st.builds(
                ast.Call,
                st.just(ast.Attribute(ast.Name("ml", ast.Load()), name, ast.Load())),
                st.lists(inner, min_size=max(ARITIES[name] - 1, 0), max_size=ARITIES[name]),
                st.just([]),
            )
        ),
        st.builds(lambda value, name: ast.Attribute(value, name, ast.Load()), inner, st.sampled_from(ATTRIBUTES)),
        st.builds(
            lambda value, index: ast.Subscript(value, index, ast.Load()),
            st.one_of(names(["x", "k", "m", "t", "NUMBERS"], ast.Load), inner),
            st.one_of(inner, slices, some.map(lambda parts: ast.Tuple(parts, ast.Load()))),
        ),
        st.builds(lambda parts: ast.Tuple(parts, ast.Load()), st.lists(starred, max_size=3)),
        st.builds(ast.IfExp, inner, inner, inner),
        st.builds(ast.NamedExpr, names(LOCAL_NAMES, ast.Store), inner),
    )


def refused(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Expressions of the other classes."""
    some = st.lists(inner, min_size=1, max_size=3)
    generators = st.builds(
        lambda target, iterable: [ast.comprehension(target, iterable, [], 0)],
        names(LOCAL_NAMES, ast.Store),
        inner,
    )
    formatted = st.builds(
        lambda value, conversion: ast.FormattedValue(value, conversion, None), inner, st.sampled_from([-1, 114, 115])
    )
    return st.one_of(
        st.builds(lambda parts: ast.List(parts, ast.Load()), some),
        st.builds(ast.Set, some),
        st.builds(lambda parts: ast.Dict(parts, parts), some),
        st.builds(lambda body: ast.Lambda(arguments(), body), inner),
        st.builds(ast.ListComp, inner, generators),
        st.builds(ast.SetComp, inner, generators),
        st.builds(ast.GeneratorExp, inner, generators),
        st.builds(lambda value, parts: ast.DictComp(value, value, parts), inner, generators),
        st.builds(lambda parts: ast.JoinedStr(parts), st.lists(formatted, max_size=2)),
        st.builds(ast.Yield, inner),
        st.builds(ast.YieldFrom, inner),
    )


EXPRESSIONS = st.recursive(LEAVES, supported, max_leaves=6)
ALL_EXPRESSIONS = st.recursive(LEAVES, lambda inner: st.one_of(supported(inner), refused(inner)), max_leaves=6)
TARGETS = st.one_of(
    names(LOCAL_NAMES, ast.Store),
    names([*LOCAL_NAMES, "x", "n", "s", "C", "doubled"], ast.Store),
    st.builds(
        lambda value, index: ast.Subscript(value, index, ast.Store()),
        names(["x", "k", "m", "v"], ast.Load),
        EXPRESSIONS,
    ),
    st.builds(
        lambda value, name: ast.Attribute(value, name, ast.Store()),
        names([*LOCAL_NAMES, "x"], ast.Load),
        st.sampled_from(["x", "xy", "size", "wz"]),
    ),
)
MANY_TARGETS = st.one_of(
    TARGETS,
    st.builds(lambda parts: ast.Tuple(parts, ast.Store()), st.lists(TARGETS, min_size=1, max_size=3)),
    st.builds(
        lambda first, rest: ast.Tuple([first, ast.Starred(rest, ast.Store())], ast.Store()),
        TARGETS,
        names(LOCAL_NAMES, ast.Store),
    ),
)
RANGES = st.lists(EXPRESSIONS, min_size=1, max_size=3).map(
    lambda bounds: ast.Call(ast.Name("range", ast.Load()), bounds, [])
)
SIMPLE_STATEMENTS = st.one_of(
    st.builds(lambda target, value: ast.Assign([target], value), MANY_TARGETS, EXPRESSIONS),
    st.builds(lambda target, value: ast.Assign([target], value), names(LOCAL_NAMES, ast.Store), EXPRESSIONS),
    st.builds(ast.AugAssign, TARGETS, operators(ast.operator), EXPRESSIONS),
    st.builds(
        lambda target, kind, value: ast.AnnAssign(target, kind, value, int(isinstance(target, ast.Name))),
        TARGETS,
        st.one_of(names(["int", "float", "v"], ast.Load), LANGUAGE, CONSTANTS),
        st.one_of(st.none(), EXPRESSIONS),
    ),
    st.builds(ast.Expr, EXPRESSIONS),
    st.builds(ast.Return, st.one_of(st.none(), EXPRESSIONS)),
    st.builds(ast.Assert, EXPRESSIONS, st.one_of(st.none(), EXPRESSIONS)),
    st.builds(lambda values: ast.Expr(ast.Call(ast.Name("print", ast.Load()), values, [])), st.lists(EXPRESSIONS)),
    st.just(ast.Pass()),
)


def blocks(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Branches and loops."""
    body = st.lists(inner, min_size=1, max_size=3)
    loop_body = st.lists(st.one_of(inner, st.sampled_from([ast.Break(), ast.Continue()])), min_size=1, max_size=3)
    orelse = st.one_of(st.just([]), body)
    return st.one_of(
        st.builds(ast.If, EXPRESSIONS, body, orelse),
        st.builds(ast.While, EXPRESSIONS, loop_body, orelse),
        st.builds(ast.For, MANY_TARGETS, st.one_of(RANGES, RANGES, EXPRESSIONS), loop_body, orelse),
    )


STATEMENTS = st.recursive(SIMPLE_STATEMENTS, blocks, max_leaves=4)
BODIES = st.lists(STATEMENTS, min_size=1, max_size=2)
REFUSED_STATEMENTS = st.one_of(
    st.builds(ast.Expr, ALL_EXPRESSIONS),
    st.builds(ast.Raise, EXPRESSIONS, st.none()),
    st.builds(lambda target: ast.Delete([target]), names(LOCAL_NAMES, ast.Del)),
    st.sampled_from([ast.Global(["unused"]), ast.Import([ast.alias("os")])]),
    st.just(ast.ImportFrom("os", [ast.alias("path")], 0)),
    st.builds(lambda value, body: ast.With([ast.withitem(value, None)], body), EXPRESSIONS, BODIES),
    st.builds(lambda body: ast.Try(body, [ast.ExceptHandler(None, None, body)], [], []), BODIES),
    st.builds(lambda body: ast.FunctionDef("inner", arguments(1), body, [], None), BODIES),
    st.builds(lambda body: ast.ClassDef("Inner", [], [], body, []), BODIES),
    st.builds(
        lambda value, body: ast.Match(value, [ast.match_case(ast.MatchAs(None, None), None, body)]), EXPRESSIONS, BODIES
    ),
)


def text_of(body: list[ast.stmt]) -> str | None:
    """Returns the function as text, None where Python itself refuses it."""
    start = "i = ml.tid[0]\nv = ml.float4(x[i])\nt = (1, f)\nw = n\nj = 0\n"
    definition = ast.FunctionDef("kernel", arguments(), ast.parse(start).body + body, [], None)
    definition.args.args = [ast.arg(name) for name in [*TYPES, "C"]]
    try:
        text = ast.unparse(ast.fix_missing_locations(ast.Module([definition], [])))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<kernel>", "exec")
    except (SyntaxError, ValueError):
        return None
    return text


def check(body: list[ast.stmt]) -> None:
    text = text_of(body)
    if text is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            translate(text, TYPES, constants={"C": 4}, namespace=NAMESPACE)
        except TranslationError as error:
            lines = text.splitlines()
            points_into_it = 1 <= error.line <= len(lines) and 1 <= error.column <= len(lines[error.line - 1]) + 1
            if not (error.cause and points_into_it):
                raise AssertionError(f"the error points nowhere: {error}") from error


COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(COMMON, max_examples=150)
@given(BODIES)
def test_functions_of_supported_constructs(body: list[ast.stmt]) -> None:
    check(body)


@settings(COMMON, max_examples=50)
@given(st.lists(st.one_of(STATEMENTS, REFUSED_STATEMENTS), min_size=1, max_size=3))
def test_functions_of_any_construct(body: list[ast.stmt]) -> None:
    check(body)
