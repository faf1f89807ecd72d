"""Mistakes users make: each is refused on its line, with a remedy. `# error` marks the line."""

from __future__ import annotations

import math
import re

import numpy
import pytest

from helion_msl import TranslationError
from helion_msl import language as ml
from helion_msl.walker import SCALAR_TYPES, TensorType, translate

ARGUMENTS = {
    "x": TensorType(SCALAR_TYPES["float32"], 1),
    "m": TensorType(SCALAR_TYPES["float32"], 2),
    "k": TensorType(SCALAR_TYPES["int32"], 1),
    "out": TensorType(SCALAR_TYPES["float32"], 1),
    "n": SCALAR_TYPES["int32"],
}
PREFIX = "def kernel(x, m, k, out, n):\n    i = ml.tid[0]\n"

# Body of the kernel, a phrase of the cause, a phrase of the remedy.
MISTAKES = [
    ("out[i] = y[i]  # error", "`y` is not defined", ""),
    ("out[i] = tid[0]  # error", "`tid` is not defined", "write ml.tid"),
    ("out[i] = ml.simd_suum(x[i])  # error", "no `simd_suum`", "did you mean `simd_sum`"),
    ("out[i] = ml.float64(x[i])  # error", "no `float64`", "use ml.float32"),
    ("v = [1, 2, 3]  # error", "list", "ml.threadgroup_array"),
    ("v = {1: 2}  # error", "dict", "index a tensor"),
    ("v = {1, 2}  # error", "set", "compare with each value"),
    ("v = [j for j in range(3)]  # error", "list", "`for` loop"),
    ("v = sum(j for j in range(3))  # error", "`sum` takes a tuple", "loop over a range"),
    ("f = lambda a: a + 1  # error", "lambda", "where it is used"),
    ("try:  # error\n    out[i] = 1\nexcept ValueError:\n    pass", "exceptions", "`if`"),
    ("raise ValueError('no')  # error", "exceptions", "error code"),
    ("with open('f') as f:  # error\n    pass", "context managers", "statements of the block"),
    ("def inner():  # error\n    pass", "define functions", "outside"),
    ("class Inner:  # error\n    pass", "classes", "separate variables"),
    ("import math  # error", "import", "top of the file"),
    ("global counter  # error\ncounter = 1", "global variable", "store into a tensor"),
    ("del i  # error", "deleted", "leave the statement out"),
    ("match n:  # error\n    case 1:\n        pass", "`match`", "if / elif / else"),
    ("out[i] = f'{n}'  # error", "no strings", "host"),
    ("out[i] = 'text'  # error", "'text'", "no strings"),
    ("yield i  # error", "generator", "output tensor"),
    ("return x[i]  # error", "returns nothing", "store the result"),
    ("v = print(x[i])  # error", "print returns nothing", "statement of its own"),
    ("out[i] = x[i, 0]  # error", "`x` has 1 dimension, the subscript has 2", "write x[i]"),
    ("out[i] = m[i]  # error", "`m` has 2 dimensions, the subscript has 1", "write m[i, j]"),
    ("out[i] = x[1:3]  # error", "slice", "loop over the indices"),
    ("out[i] = x[None]  # error", "None adds a dimension", "leave it out"),
    ("out[i] = x[0.5]  # error", "index must be an integer", "int(x)"),
    ("out[i] = x + 1  # error", "one number is needed", "read an element, as in x[i]"),
    ("if x:  # error\n    pass", "no truth value", "compare an element"),
    ("x = 3  # error", "`x` is a tensor, and cannot become a number", "another name"),
    ("y = x  # error", "cannot hold a tensor", "read elements"),
    ("t = 1, ml.sin  # error", "cannot be a variable", "where it is used"),
    ("t = 1, 2\nt = 3  # error", "`t` is a tuple of 2 on line 3", "two names"),
    ("t = 1, 2\nt = 1, 2, 3  # error", "becomes a tuple of 3", "two names"),
    ("t = (1,) * 20\nout[i] = t[n]  # error", "one of 20 items at an index known only at run time", "local_array"),
    ("t = 1, 2\nout[i] = t[2]  # error", "2 items", ""),
    ("out[i] = (1, 2) < 3  # error", "compared with", "compare its items"),
    ("for a, b in ((1, 2), 3):  # error\n    pass", "2 targets for 1 value", ""),
    ("for v in PAIR[0]:  # error\n    pass", "runs over a range or a tuple", "range(n)"),
    ("a, b = 1, 2, 3  # error", "2 targets for 3 values", ""),
    ("a, b = x[i]  # error", "cannot be unpacked", "tuple on the right"),
    ("a, b, *c = 1,  # error", "2 targets and more for 1 values", "fewer"),
    ("v = 1, *x  # error", "is no tuple", "loop over a range"),
    ("out[i] = helper(*x)  # error", "is no tuple", "loop over a range"),
    ("out[i] = sorted((1, 2))  # error", "`sorted` is not supported", "loop over a range"),
    ("out[i] = isinstance(x, int)  # error", "`isinstance` is not supported", "every type is known"),
    ("out[i] = math.gcd(n, 4)  # error", "math.gcd is not supported", "on the host"),
    ("out[i] = math.sqrt(-1)  # error", "cannot be computed", "other constants"),
    ("for a, b in zip((1, 2), (3,), strict=True):  # error\n    pass", "different lengths: 2, 1", "fill them up"),
    ("for v in ml.static_range(n):  # error\n    pass", "known at translation", "ml.constexpr"),
    ("for v in ml.static_range(5000):  # error\n    pass", "5000 turns would be written out", "range"),
    ("out[i] = ml.syncthreads()  # error", "has no `syncthreads`", "write ml.barrier()"),
    ("out[i] = ml.program_id(0)  # error", "has no `program_id`", "ml.tgid[0]"),
    ("s = ml.shared_array(4, ml.float32)  # error", "has no `shared_array`", "ml.threadgroup_array"),
    ("v = ml.max(x[i], 0)  # error", "has no `max`", "Python's own `max`"),
    ("v = x[i].to(ml.float16)  # error", "no attribute `to`", "ml.float16(x)"),
    ("out[i] = NUMPY  # error", "a numpy.int64 outside the kernel", "int(N)"),
    ("v = ...  # error", "`...` is no number", "write every index out"),
    ("out[i] = b'ab'  # error", "no bytes", "uint8"),
    ("out[i] = ml.cast(x[i], 3)  # error", "is no type", "ml.float16"),
    ("x.foo = 3  # error", "set attributes", "variable, an element"),
    ("out[i] = x.sum()  # error", "no `sum` in a kernel", "call torch on the host"),
    ("out[i] = x.size(1)  # error", "no dimension 1", ""),
    ("out[i] = x.size(n)  # error", "known at translation", "ml.constexpr"),
    ("if n > 0:\n    v = 1\nout[i] = v  # error", "not assigned on every path", "line 4"),
    ("out[i] = v  # error\nv = 1", "used before it is assigned", "assign it first"),
    (
        "for j in range(n):\n    last = j\nout[i] = last  # error",
        "not assigned on every path",
        "before the branch or loop",
    ),
    ("for j in range(n):\n    pass\nout[i] = j  # error", "not assigned on every path", "before the branch or loop"),
    ("while n > i:\n    v = i\n    break\nout[0] = v  # error", "not assigned on every path", "assign it before"),
    ("for j in range(0, 10, 0):  # error\n    pass", "step of a range is 0", "not 0"),
    ("for j in range(x[i]):  # error\n    pass", "must be an integer", "int(x)"),
    ("for v in x:  # error\n    pass", "runs over a range", "range(n)"),
    ("for a, b in range(3):  # error\n    pass", "one variable", "for i in range"),
    ("for j in range(1, 2, 3, 4):  # error\n    pass", "1 to 3 arguments", ""),
    ("out[i] = 1 // 0  # error", "cannot be computed", ""),
    ("out[i] = n % 0  # error", "divides by zero", ""),
    ("out[i] = x[i] & 1  # error", "`&` needs integers", "ml.int32(x)"),
    ("out[i] = x[i] << 2  # error", "`<<` needs integers", ""),
    ("out[i] = n << -1  # error", "negative", ""),
    ("out[i] = n << 40  # error", "leaves nothing", "ml.int64(x)"),
    ("out[i] = x @ x  # error", "one number is needed", "read an element"),
    ("out[i] = 2 ** n  # error", "exponent's sign", "abs(n)"),
    ("out[i] = ~(n > 0)  # error", "rarely what is meant", "not x"),
    ("out[i] = ~x[i]  # error", "needs an integer", ""),
    ("k[i] = x[i]  # error", "float32 is stored into elements of int32", "int(value)"),
    ("k[i] += 0.5  # error", "float32 is stored into elements of int32", "convert"),
    ("v: int = 0.5  # error", "annotated int32", "ml.int32(value)"),
    ("v: str = 1  # error", "no type of a variable", "write int, float"),
    ("out[i] = 1e300  # error", "beyond the range of float32", "float('inf')"),
    ("out[i] = 2 ** 70  # error", "does not fit 64 bits", ""),
    ("out[i] = 1j  # error", "no complex", ""),
    ("out[i] = ml.tid[3]  # error", "three dimensions", "0, 1 or 2"),
    ("out[i] = ml.tid[n]  # error", "known at translation", "literal"),
    ("out[i] = ml.tid  # error", "a number is needed", ""),
    ("out[i] = ml.fma(1.0, 2.0)  # error", "missing a required argument", "signature is fma"),
    ("out[i] = ml.exp(x[i], scale=2.0)  # error", "unexpected keyword", "signature is exp"),
    ("out[i] = max(x[i], key=1)  # error", "takes no keywords", "if"),
    ("out[i] = max(x[i])  # error", "two numbers or more", "max(a, b)"),
    ("out[i] = round(x[i], 2)  # error", "one number", "ml.rint"),
    ("out[i] = helper(x[i], 1)  # error", "too many positional", "signature is helper"),
    ("out[i] = BOX.method(x[i])  # error", "is a method", "write a function"),
    ("s = ml.threadgroup_array(n, ml.float32)  # error", "known at translation", "ml.constexpr"),
    ("s = ml.threadgroup_array(9000, ml.float32)  # error", "36000 bytes", "smaller"),
    ("s = ml.threadgroup_array(8, float64)  # error", "scalar type", "ml.float32"),
    ("s = ml.threadgroup_array(8, ml.float32)\nout[i] = s[9]  # error", "outside of the 8 elements", ""),
    ("ml.barrier('everything')  # error", "unknown kind of memory", "'device'"),
    ("v = ml.barrier()  # error", "returns nothing", "statement of its own"),
    ("ml.atomic_add(out, i, 'a')  # error", "a number is needed", "no strings"),
    ("ml.atomic_and(out, i, 1)  # error", "no atomic_and on float32", "int32"),
    ("ml.atomic_add(k, i, 0.5)  # error", "combined with elements of int32", "convert"),
    ("out[i] = ml.bitcast(x[i], ml.int16)  # error", "32 bits", "convert"),
    ("out[i] = NUMBERS[0]  # error", "list outside the kernel", "tuple"),
    ("out[i] = PAIR[2]  # error", "2 items", ""),
    ("out[i] = x[i] if x is n else 0  # error", "`is` compares objects", "=="),
    ("out[i] = x[i] in x  # error", "needs a tuple", "x in (1, 2)"),
    ("n()  # error", "cannot be called", ""),
    ("v = ml.float4(1, 2)  # error", "has 4 components, not 2", "one to repeat"),
    ("v = ml.float4(1)\nif v > 0:  # error\n    pass", "no truth value", "ml.any(v)"),
    ("v = ml.float4(1)\nw = v  # error\nw.x = 2", "one vector", "copy it"),
    ("v = ml.float2(1)\nout[i] = v  # error", "number is needed", ""),
    ("m = ml.simdgroup_matrix(ml.int8)  # error", "are floats", "ml.float32"),
    ("assert x  # error", "no truth value", "compare an element"),
    ("out[i] = abs  # error", "a number is needed", "call it"),
]


class Box:
    def method(self, value):
        return value


def helper(value):
    return value


NAMESPACE = {
    "ml": ml,
    "math": math,
    "NUMPY": numpy.int64(3),
    "NUMBERS": [1, 2],
    "PAIR": (1, 2),
    "BOX": Box(),
    "float64": "float64",
}


@pytest.mark.parametrize(
    ("body", "cause", "remedy"), MISTAKES, ids=[mistake[0].split("  #")[0][:40] for mistake in MISTAKES]
)
def test_mistakes_are_refused_where_they_stand(body, cause, remedy) -> None:
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    text = PREFIX + indented
    with pytest.raises(TranslationError) as raised:
        translate(text, ARGUMENTS, namespace={**NAMESPACE, "helper": helper})
    error = raised.value
    expected_line = next(number for number, line in enumerate(text.splitlines(), 1) if "# error" in line)
    assert error.line == expected_line
    assert cause in error.cause
    assert remedy in error.remedy
    assert error.source_line == text.splitlines()[expected_line - 1]
    assert 1 <= error.column <= len(error.source_line)
    report = str(error)
    assert report.startswith(f"<string>:{error.line}:{error.column}: error: ")
    assert re.search(r"\n *\^", report)


def test_a_conflict_of_types_shows_both_places() -> None:
    text = PREFIX + "    s = ml.threadgroup_array(4, ml.float32)\n    s = 3\n"
    with pytest.raises(TranslationError, match="threadgroup array") as raised:
        translate(text, ARGUMENTS, namespace=NAMESPACE)
    assert raised.value.line == 4


def test_the_caret_points_at_the_column() -> None:
    with pytest.raises(TranslationError) as raised:
        translate(PREFIX + "    out[i] = 1 + unknown * 2\n", ARGUMENTS, namespace=NAMESPACE)
    error = raised.value
    assert error.source_line[error.column - 1 :].startswith("unknown")


def test_columns_count_characters_not_bytes() -> None:
    with pytest.raises(TranslationError) as raised:
        translate(PREFIX + "    été = 1; out[i] = été + unknown\n", ARGUMENTS, namespace=NAMESPACE)
    error = raised.value
    assert error.source_line[error.column - 1 :] == "unknown"


def test_errors_in_a_file_name_the_file_and_its_line() -> None:
    def kernel(out):
        value = 1
        out[0] = value.missing

    with pytest.raises(TranslationError) as raised:
        translate(kernel, {"out": ARGUMENTS["out"]})
    error = raised.value
    assert error.filename == __file__
    assert error.line == kernel.__code__.co_firstlineno + 2
    assert error.source_line.strip() == "out[0] = value.missing"
    assert error.source_line[error.column - 1 :] == "value.missing"


def test_what_is_no_function_is_refused() -> None:
    for thing, phrase in ((lambda: None, "lambda"), (print, "no Python function")):
        with pytest.raises(TranslationError, match=phrase):
            translate(thing, {})


def test_variable_parameters_are_refused() -> None:
    with pytest.raises(TranslationError, match="fixed number of parameters"):
        translate("def kernel(*args):\n    pass\n", {})


def test_text_must_be_one_function() -> None:
    with pytest.raises(TranslationError, match="not Python"):
        translate("def kernel(:\n", {})
    with pytest.raises(TranslationError, match="0 functions"):
        translate("x = 1\n", {})


def test_arguments_must_match_the_parameters() -> None:
    with pytest.raises(TranslationError, match="`out` has no value"):
        translate("def kernel(out):\n    pass\n", {})
    with pytest.raises(TranslationError, match="no parameter `y`"):
        translate("def kernel():\n    pass\n", {"y": SCALAR_TYPES["int32"]})


def test_too_many_buffers_are_refused() -> None:
    names = [f"t{number}" for number in range(30)]
    types = {name: TensorType(SCALAR_TYPES["float32"], 1, strides=(None,)) for name in names}
    text = f"def kernel({', '.join(names)}):\n    t0[1] = t1[1]\n"
    with pytest.raises(TranslationError, match="32 buffers, sizes and strides included, and Metal has 31"):
        translate(text, types)
