"""Division, remainder and shifts of integers where C++ leaves the result undefined."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helion_msl import _C, KernelError
from msl_evaluation import DTYPES, evaluate

WIDTHS = {"char": 8, "uchar": 8, "short": 16, "ushort": 16, "int": 32, "uint": 32, "long": 64, "ulong": 64}


def wrapped(value: int, msl_type: str) -> int:
    """``value`` modulo 2 to the power of the type's width, as the type's number."""
    width = WIDTHS[msl_type]
    value %= 1 << width
    return value - (1 << width) if not msl_type.startswith("u") and value >> (width - 1) else value


def truncated(a: int, b: int) -> tuple[int, int]:
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient, a - quotient * b


def limits(msl_type: str) -> tuple[int, int]:
    info = torch.iinfo(DTYPES[msl_type])
    return int(info.min), int(info.max)


def numbers(msl_type: str) -> st.SearchStrategy[int]:
    low, high = limits(msl_type)
    return st.one_of(st.sampled_from([low, -1 if low else high, 1, 0, high]), st.integers(low, high))


def tensor_of(values: list[int], msl_type: str) -> torch.Tensor:
    return torch.tensor(values, dtype=DTYPES[msl_type])


@settings(max_examples=4, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("msl_type", ["int", "uint", "long", "ulong"])
def test_shift_counts_are_taken_modulo_the_width(msl_type, data):
    a = data.draw(st.lists(numbers(msl_type), min_size=1, max_size=40))
    counts = data.draw(st.lists(st.integers(-200, 200), min_size=len(a), max_size=len(a)))
    width = WIDTHS[msl_type]
    inputs = {"a": (msl_type, tensor_of(a, msl_type)), "n": ("int", tensor_of(counts, "int"))}
    vector = f"{msl_type}2"
    outputs = {
        "left": (msl_type, "a << n"),
        "right": (msl_type, "a >> n"),
        "vector_left": (vector, f"{vector}(a) << {vector}(n)"),
        "vector_right": (vector, f"{vector}(a) >> {vector}(n)"),
        "compound": (msl_type, "assigned"),
    }
    found = evaluate(outputs, inputs, body=f"{msl_type} assigned = a; assigned <<= n; assigned >>= n;")
    left = [wrapped(x << (n % width), msl_type) for x, n in zip(a, counts, strict=True)]
    right = [x >> (n % width) for x, n in zip(a, counts, strict=True)]
    assert found["left"].tolist() == left
    assert found["right"].tolist() == right
    assert found["vector_left"][:, 1].tolist() == left
    assert found["vector_right"][:, 0].tolist() == right
    assert found["compound"].tolist() == [x >> (n % width) for x, n in zip(left, counts, strict=True)]


def test_a_narrow_integer_is_shifted_as_an_int():
    n = tensor_of([0, 7, 8, 31, 32, 40], "int")
    inputs = {"a": ("uchar", tensor_of([255] * 6, "uchar")), "n": ("int", n)}
    found = evaluate({"left": ("int", "a << n"), "right": ("int", "a >> n")}, inputs)
    assert found["left"].tolist() == [wrapped(255 << (k % 32), "int") for k in n.tolist()]
    assert found["right"].tolist() == [255 >> (k % 32) for k in n.tolist()]


@pytest.mark.parametrize("literal", ["32", "33u", "40", "0x21"])
def test_literal_counts_too(literal):
    inputs = {"a": ("uint", tensor_of([1, 3, 0x80000001], "uint"))}
    found = evaluate({"left": ("uint", f"a << {literal}"), "right": ("uint", f"a >> {literal}")}, inputs)
    count = int(literal.rstrip("u"), 0) % 32
    assert found["left"].tolist() == [wrapped(x << count, "uint") for x in [1, 3, 0x80000001]]
    assert found["right"].tolist() == [x >> count for x in [1, 3, 0x80000001]]


@settings(max_examples=4, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("msl_type", list(WIDTHS))
def test_quotient_and_remainder(msl_type, data):
    low, high = limits(msl_type)
    pairs = data.draw(st.lists(st.tuples(numbers(msl_type), numbers(msl_type).filter(bool)), min_size=1, max_size=40))
    pairs += [(low, -1 if low else high), (high, -1 if low else high), (low, 1)]
    a, b = [list(column) for column in zip(*pairs, strict=True)]
    inputs = {"a": (msl_type, tensor_of(a, msl_type)), "b": (msl_type, tensor_of(b, msl_type))}
    vector = f"{msl_type}3"
    outputs = {
        "quotient": (msl_type, "a / b"),
        "remainder": (msl_type, "a % b"),
        "vector_quotient": (vector, f"{vector}(a) / b"),
        "vector_remainder": (vector, f"{vector}(a) % {vector}(b)"),
        "compound": (msl_type, "assigned"),
    }
    found = evaluate(outputs, inputs, body=f"{msl_type} assigned = a; assigned /= b; assigned %= b;")
    results = [truncated(x, y) for x, y in pairs]
    quotients = [wrapped(q, msl_type) for q, _ in results]
    remainders = [r for _, r in results]
    assert found["quotient"].tolist() == quotients
    assert found["remainder"].tolist() == remainders
    assert found["vector_quotient"][:, 2].tolist() == quotients
    assert found["vector_remainder"][:, 1].tolist() == remainders
    assert found["compound"].tolist() == [truncated(q, y)[1] for q, y in zip(quotients, b, strict=True)]


@pytest.mark.parametrize("expression", ["x[i] / y[i]", "x[i] % y[i]", "(int2(x[i]) / int2(y[i])).x"])
def test_division_by_zero_is_an_error_of_the_launch(expression):
    source = f"""#include <metal_stdlib>
    using namespace metal;
    kernel void k(device int *x, device const int *y, uint i [[thread_position_in_grid]]) {{ x[i] = {expression}; }}"""
    with pytest.raises(KernelError, match="divided by zero"):
        _C.launch(source, [torch.ones(4, dtype=torch.int32), torch.zeros(4, dtype=torch.int32)], (1,), (4,))


@settings(max_examples=4, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("msl_type", ["ushort", "uint", "ulong"])
def test_unsigned_integers_wrap_around(msl_type, data):
    # The overflow of signed ones is undefined in Metal. So is that of `a * b` for two scalars of type ushort, which
    # C++ multiplies as int; vectors of them stay vectors of ushort.
    a = data.draw(st.lists(numbers(msl_type), min_size=1, max_size=40))
    b = data.draw(st.lists(numbers(msl_type), min_size=len(a), max_size=len(a)))
    inputs = {"a": (msl_type, tensor_of(a, msl_type)), "b": (msl_type, tensor_of(b, msl_type))}
    vector = f"{msl_type}2"
    outputs = {
        "sum": (msl_type, f"{msl_type}(a + b)"),
        "vector_sum": (vector, f"{vector}(a) + {vector}(b)"),
        "vector_product": (vector, f"{vector}(a) * {vector}(b)"),
        "assigned": (vector, "product"),
        "grows": ("bool", f"({vector}(a) + 1 > {vector}(a)).x"),
    }
    if msl_type != "ushort":
        outputs["product"] = (msl_type, "a * b")
    found = evaluate(outputs, inputs, body=f"{vector} product = {vector}(a); product *= b;")
    sums = [wrapped(x + y, msl_type) for x, y in zip(a, b, strict=True)]
    products = [wrapped(x * y, msl_type) for x, y in zip(a, b, strict=True)]
    assert found["sum"].tolist() == sums
    assert found["vector_sum"][:, 1].tolist() == sums
    assert found["vector_product"][:, 0].tolist() == products
    assert found["assigned"][:, 1].tolist() == products
    assert found["grows"].tolist() == [x != limits(msl_type)[1] for x in a]
    if "product" in found:
        assert found["product"].tolist() == products


# Everything that `/`, `%`, `<<` and `>>` may stand between, and what they may be part of.
CONTEXTS = """#include <metal_stdlib>
using namespace metal;
struct money {
  int cents;
  money operator/(int n) const { return {cents / n}; }
  thread money &operator%=(int n) { cents %= n; return *this; }
};
money operator<<(money m, int n) { return {m.cents << n}; }
template <int n> struct half_of { static constexpr int value = n / 2; };
template <class T, int n> struct row { T cells[n]; };
enum colour { red = 6 };
struct bits { uint low : 5; uint high : 27; };
constant int table_size = 12;
template <typename T> T mean(T a, T b, T n) { return (a + b) / n; }
kernel void k(device int *out, device const int *in) {
  const int n = in[0];                       // 3
  constexpr int rows = table_size / 5 % 4;   // 2
  row<row<int, rows>, half_of<(8 >> rows)>::value> nested;
  nested.cells[0].cells[1] = 40 / n / 2 * n; // 18: left to right
  out[0] = nested.cells[0].cells[1];
  out[1] = (money{100} / n).cents;           // 33
  money m = {100}; m %= n + 4;               // 2
  out[2] = (m << n).cents;                   // 16
  out[3] = red / n;                          // 2
  bits b; b.low = 24; b.high = 2;
  out[4] = b.low / n + (1 << b.high);        // 12
  float2 v = float2(7, 9) / n;
  v.yx /= float2(3, n);
  out[5] = int(v.x * 100) + int(v.y * 100);  // 77 + 100
  out[6] = mean(1.0f, 2.0f, float(n)) > 0.9h ? mean(n, 9, 5) : -1; // 2
  half h = 9; h /= n;
  out[7] = int(h) + int(mean(bfloat(2), bfloat(6), bfloat(n)) * bfloat(100)); // 3 + 266
  out[8] = n < 4 && 16 >> n > 1;             // 1
  int c = 5; c += 17 % n << 2 / n;           // 5 + (2 << 0)
  out[9] = c;
  auto ratio = [=](int x) { return x / n; };
  out[10] = ratio(10);                       // 3
  device const int *p = &in[0];
  out[11] = 12 / *p + 12 / -n + 7 % ~n;      // 4 - 4 + 3
  out[12] = ulong(1) << 40 >> 38 + n - n;    // 4
}"""


def test_every_place_of_an_operator():
    out = torch.zeros(13, dtype=torch.int32)
    _C.launch(CONTEXTS, [out, torch.tensor([3], dtype=torch.int32)], (1,), (1,))
    bfloat_mean = int(float((torch.tensor(8.0) / 3).bfloat16() * 100))
    assert out.tolist() == [18, 33, 16, 2, 12, 177, 2, 3 + bfloat_mean, 1, 7, 3, 3, 4]
