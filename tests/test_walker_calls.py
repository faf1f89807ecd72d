"""Functions that a kernel calls mean in it what they mean to CPython."""

from __future__ import annotations

import textwrap

import pytest
import torch

from helion_msl import TranslationError, metal_jit
from helion_msl import language as ml
from helion_msl.walker import SCALAR_TYPES, TensorType, translate
from walker_comparison import FLOATS, INTS, check

SCALE = 3


def scaled(value, factor=2.0, *, offset=0):
    """Multiply, and add."""
    return value * factor + offset * SCALE


def clipped(value, low, high):
    if value < low:
        return low
    return high if value > high else value


def uses_keywords(x, out):
    i = ml.tid[0]
    out[i, 0] = scaled(x[i])
    out[i, 1] = scaled(x[i], 4)
    out[i, 2] = scaled(offset=i, value=x[i], factor=0.5)
    out[i, 3] = clipped(x[i], -1, 2.5) + clipped(i, 2, 5)


def test_keywords_defaults_and_types() -> None:
    check(uses_keywords, FLOATS[:14], torch.zeros(14, 4), block_dims=14)


def sum_and_product(a, b):
    return a + b, a * b


def ordered(pair):
    first, second = pair
    return (first, second) if first < second else (second, first)


def nested(a, b):
    return (a, ordered((b, a))), a - b


def uses_tuples(x, out):
    i = ml.tid[0]
    total, product = sum_and_product(x[i], x[(i + 1) % 15])
    out[i, 0] = total
    out[i, 1] = product
    pair = ordered(sum_and_product(x[i] % 10, i))
    out[i, 2] = pair[0] * 1000 + pair[1]
    (a, (b, c)), d = nested(i, 7)
    out[i, 3] = a + b * 10 + c * 100 + d * 1000
    out[i, 4] = sum_and_product(i, 2)[1]
    pair = (pair[1], pair[0])
    for k in range(3):
        pair = (pair[0] + k, pair[1] - pair[0])
    out[i, 5] = pair[0] - pair[1]


def test_tuples_are_passed_returned_and_assigned() -> None:
    check(uses_tuples, INTS[:15], torch.zeros(15, 6, dtype=torch.int32), block_dims=15)


def tuple_comparisons(x, out):
    i = ml.tid[0]
    a, b = (x[i], i), (x[(i + 3) % 15], 7)
    out[i, 0] = a < b
    out[i, 1] = a <= b
    out[i, 2] = a > b
    out[i, 3] = a >= b
    out[i, 4] = a == b
    out[i, 5] = a != (x[i], i)
    out[i, 6] = (i, 3) < (i, 3, 1)
    out[i, 7] = (i, 3) == (i, 3, 1)
    out[i, 8] = (x[i], i) in ((1, 8), (x[i], i))
    out[i, 9] = sum_and_product(i, 2) == (5, 6) or (1, 2) < (1, 3)


def test_tuples_are_compared_item_by_item() -> None:
    check(tuple_comparisons, INTS[:15], torch.zeros(15, 10, dtype=torch.bool), block_dims=15)


def row_sum(m, row):
    total = 0.0
    for column in range(m.size(1)):
        total += m[row, column]
    return total


def add_to(x, index, value):
    if index >= x.size(0):
        return
    x[index] += value


def uses_tensors(m, transposed, out):
    i = ml.tid[0]
    add_to(out, i, row_sum(m, i))
    add_to(out, i, row_sum(transposed, i) * 100)


def test_tensors_are_passed_with_their_strides() -> None:
    m = torch.arange(12.0).reshape(3, 4)
    check(uses_tensors, m, torch.arange(15.0).reshape(5, 3).t(), torch.ones(2), block_dims=3)
    check(uses_tensors, m[:, ::2], torch.arange(15.0).reshape(5, 3).t(), torch.ones(2), block_dims=3)


def fold_halves(values, span):
    while span > 0:
        if ml.tid[0] < span:
            values[ml.tid[0]] += values[ml.tid[0] + span]
        ml.barrier()
        span //= 2


def block_sum(value):
    values = ml.threadgroup_array(32, ml.float32)
    values[ml.tid[0]] = value
    ml.barrier()
    fold_halves(values, 16)
    return values[0]


def uses_threadgroup_memory(x, out):
    first = block_sum(x[ml.tid[0]])
    second = block_sum(x[ml.tid[0]] * 2)
    out[ml.tid[0]] = first - second * 10


def test_functions_share_threadgroup_memory_and_barriers() -> None:
    check(uses_threadgroup_memory, torch.arange(32.0), torch.zeros(32), block_dims=32)


def applied(function, value, times: ml.constexpr):
    for _ in range(times):
        value = function(value)
    return value


def halved(value):
    return value / 2


def chosen(value, scale=None):
    if scale is None:
        scale = 1.5
    return value * scale


def uses_functions_as_arguments(x, out):
    i = ml.tid[0]
    out[i] = applied(halved, x[i], 3) + applied(ml.sqrt, x[i], 1) + chosen(x[i]) + chosen(x[i], i)


def test_functions_and_none_are_constants() -> None:
    check(uses_functions_as_arguments, torch.arange(8.0), torch.zeros(8), block_dims=8, rtol=1e-6)


def make(offset):
    def shifted(value):
        return value + offset

    def kernel(x, out):
        i = ml.tid[0]
        out[i] = shifted(x[i])

    return kernel


def test_closures_keep_their_own_constants() -> None:
    for offset in (1, -7, 2.5):
        check(make(offset), torch.arange(8.0), torch.zeros(8), block_dims=8)


def test_a_changed_number_of_a_called_function_compiles_anew(monkeypatch) -> None:
    kernel = metal_jit(uses_keywords)
    x, out = torch.ones(1), torch.zeros(1, 4)
    kernel[1, 1](x, out)
    before = out.clone()
    monkeypatch.setitem(uses_keywords.__globals__, "scaled", lambda_free_replacement)
    kernel[1, 1](x, out)
    assert before[0, 0] == 2.0
    assert out[0, 0] == 43.0


def lambda_free_replacement(value, factor=1, offset=0):
    return value + 42 * factor * (1 + offset)


def order_of_effects(x, out):
    out[0] = x[0] + bumped(x) * 10 + x[0] * 100 + bumped(x) * 1000
    out[1] = scaled(x[0], bumped(x), offset=x[0])


def bumped(x):
    x[0] += 1
    return x[0]


def test_effects_happen_in_pythons_order() -> None:
    check(order_of_effects, torch.tensor([3]), torch.zeros(2, dtype=torch.int64))


def early_exit(x):
    for k in range(10):
        if x[k] > 4:
            return k
    return -1


def uses_early_exit(x, out):
    out[0] = early_exit(x) // 2
    out[1] = early_exit(x) if x[0] > 0 else 99


@pytest.mark.parametrize("first", [0, 5])
def test_functions_return_from_loops(first) -> None:
    check(uses_early_exit, torch.arange(first, first + 10), torch.zeros(2, dtype=torch.int64))


# ---- The text ------------------------------------------------------------------------------------------------------

FLOAT = SCALAR_TYPES["float32"]


def test_one_function_for_each_combination_of_types() -> None:
    def kernel(x, k, out):
        out[0] = clipped(x[0], 0.0, 1.0) + clipped(x[1], 0.0, 1.0)
        k[0] = clipped(k[0], 0, 1)

    types = {"x": TensorType(FLOAT, 1), "k": TensorType(SCALAR_TYPES["int32"], 1), "out": TensorType(FLOAT, 1)}
    msl = translate(kernel, types, line_directives=False).msl
    assert msl.count("static inline float clipped(float value, float low, float high) {") == 1
    assert msl.count("static inline int clipped_1(int value, int low, int high) {") == 1
    assert "out[0] = clipped(x[0], 0.0f, 1.0f) + clipped(x[1], 0.0f, 1.0f);" in msl
    assert "k[0] = clipped_1(k[0], 0, 1);" in msl


def test_the_text_of_a_function() -> None:
    def kernel(x, out):
        i = ml.tid[0]
        out[i] = row_sum(x, i)

    msl = translate(kernel, {"x": TensorType(FLOAT, 2), "out": TensorType(FLOAT, 1)}, line_directives=False).msl
    text = msl[msl.index("static inline") : msl.index("kernel void")]
    assert "#line" in text
    lines = [line for line in text.splitlines() if not line.startswith("#line")]
    assert "\n".join(lines).rstrip() == textwrap.dedent("""\
        static inline float row_sum(device const float* m, int row, int m_size_1) {
          float total = 0.0f;
          long m_offset = row * m_size_1;
          for (int column = 0; column < m_size_1; ++column) {
            total += m[m_offset + column];
          }
          return total;
        }""")


# ---- Errors --------------------------------------------------------------------------------------------------------


def ping(n):
    return pong(n - 1)


def pong(n):
    return ping(n)


def countdown(n):
    return countdown(n - 1) if n > 0 else 0


@pytest.mark.parametrize(
    ("function", "steps"),
    [
        (countdown, ["`countdown` calls `countdown` here"]),
        (ping, ["`ping` calls `pong` on line", "`pong` calls `ping` here"]),
    ],
)
def test_recursion_is_refused_with_all_its_places(function, steps) -> None:
    def kernel(out):
        out[0] = function(3)

    with pytest.raises(TranslationError, match="calls itself") as raised:
        translate(kernel, {"out": TensorType(FLOAT, 1)})
    for step in steps:
        assert step in raised.value.cause
    place = f"{__file__}:{kernel.__code__.co_firstlineno + 1}"
    assert raised.value.callers[-1] == place
    assert f"called from {place}" in str(raised.value)


def no_end(x):  # noqa: RET503
    if x > 0:
        return 1


def two_kinds(x):
    if x > 0:
        return 1, 2
    return 3


def nothing_first(x):
    if x > 0:
        return None
    return 3


def returns_text(x):
    return "text"


def any_number(*values):
    return values[0]


def wrong_inside(x):
    return x + unknown_name  # noqa: F821


@pytest.mark.parametrize(
    ("function", "cause"),
    [
        (no_end, "returns a value on line"),
        (two_kinds, "returns a tuple of 2 on line"),
        (nothing_first, "returns nothing on line"),
        (returns_text, "cannot return the string 'text'"),
        (any_number, "any number of arguments"),
        (wrong_inside, "`unknown_name` is not defined"),
        (metal_jit(halved), "is a kernel"),
    ],
)
def test_mistakes_in_functions(function, cause) -> None:
    def kernel(x, out):
        out[0] = function(x[0])

    with pytest.raises(TranslationError) as raised:
        translate(kernel, {"x": TensorType(FLOAT, 1), "out": TensorType(FLOAT, 1)})
    assert cause in raised.value.cause


def test_arguments_must_fit_the_function() -> None:
    def kernel(out):
        out[0] = scaled(1, scale=2)

    with pytest.raises(TranslationError, match="unexpected keyword argument 'scale'"):
        translate(kernel, {"out": TensorType(FLOAT, 1)})


def test_constants_of_a_function_must_be_known() -> None:
    def kernel(x, n, out):
        out[0] = applied(halved, x[0], n)

    types = {"x": TensorType(FLOAT, 1), "n": SCALAR_TYPES["int32"], "out": TensorType(FLOAT, 1)}
    with pytest.raises(TranslationError, match="`times` is a constant of the function"):
        translate(kernel, types)


def test_threadgroup_memory_is_limited_together() -> None:
    def kernel(out):
        a = ml.threadgroup_array(5000, ml.float32)
        b = ml.threadgroup_array(5000, ml.float32)
        a[0] = b[0]
        out[0] = a[0]

    with pytest.raises(TranslationError, match="take 40000 bytes together"):
        translate(kernel, {"out": TensorType(FLOAT, 1)})


squared = lambda value: value * value  # noqa: E731


def calls_a_lambda(x):
    x[0] = 1 + squared(x[0])


def test_a_lambda_is_refused_where_it_is_called() -> None:
    with pytest.raises(TranslationError, match="a lambda cannot become part of a kernel") as raised:
        metal_jit(calls_a_lambda).msl(torch.ones(1))
    error = raised.value
    assert (error.filename, error.line) == (__file__, calls_a_lambda.__code__.co_firstlineno + 1)
    assert error.source_line[error.column - 1 :] == "squared(x[0])"
    assert "define the function with `def`" in error.remedy
