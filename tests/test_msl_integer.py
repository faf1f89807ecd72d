"""<metal_integer>, exactly, against Python's integers."""

# ruff: noqa: ARG005  (a table's functions have one signature, whether they look at every argument or not)
from __future__ import annotations

import pytest
import torch

from helion_msl.errors import KernelError, MetalCompileError
from msl_evaluation import DTYPES, evaluate, integers, shuffled

SIGNED = {"char": 8, "short": 16, "int": 32, "long": 64}
UNSIGNED = {"uchar": 8, "ushort": 16, "uint": 32, "ulong": 64}
WIDTHS = SIGNED | UNSIGNED


class Integer:
    """The integers of one MSL type: their range, and how a result wraps into it."""

    def __init__(self, msl_type: str) -> None:
        self.width = WIDTHS[msl_type]
        self.is_signed = msl_type in SIGNED
        self.low = -(1 << (self.width - 1)) if self.is_signed else 0
        self.high = self.low + (1 << self.width) - 1

    def wrap(self, value: int) -> int:
        return (value - self.low) % (1 << self.width) + self.low

    def saturate(self, value: int) -> int:
        return min(max(value, self.low), self.high)

    def pattern(self, value: int) -> int:
        return value % (1 << self.width)

    def rotate(self, value: int, count: int) -> int:
        count %= self.width
        bits = self.pattern(value)
        return self.wrap((bits << count | bits >> (self.width - count)) if count else bits)

    def leading_zeros(self, value: int) -> int:
        return self.width - self.pattern(value).bit_length()

    def trailing_zeros(self, value: int) -> int:
        bits = self.pattern(value)
        return (bits & -bits).bit_length() - 1 if bits else self.width

    def reverse(self, value: int) -> int:
        return self.wrap(int(format(self.pattern(value), f"0{self.width}b")[::-1], 2))


# Expression of x, y, z -> reference in Python's integers. An unsigned result is compared as a pattern.
FUNCTIONS = {
    "abs(x)": lambda t, x, y, z: t.wrap(abs(x)),
    "addsat(x, y)": lambda t, x, y, z: t.saturate(x + y),
    "subsat(x, y)": lambda t, x, y, z: t.saturate(x - y),
    "hadd(x, y)": lambda t, x, y, z: (x + y) >> 1,
    "rhadd(x, y)": lambda t, x, y, z: (x + y + 1) >> 1,
    "mulhi(x, y)": lambda t, x, y, z: (x * y) >> t.width,
    "madhi(x, y, z)": lambda t, x, y, z: t.wrap(((x * y) >> t.width) + z),
    "madsat(x, y, z)": lambda t, x, y, z: t.saturate(x * y + z),
    "min(x, y)": lambda t, x, y, z: min(x, y),
    "max(x, y)": lambda t, x, y, z: max(x, y),
    "min3(x, y, z)": lambda t, x, y, z: min(x, y, z),
    "max3(x, y, z)": lambda t, x, y, z: max(x, y, z),
    "median3(x, y, z)": lambda t, x, y, z: sorted((x, y, z))[1],
    "clamp(x, min(y, z), max(y, z))": lambda t, x, y, z: sorted((x, y, z))[1],
    "popcount(x)": lambda t, x, y, z: t.pattern(x).bit_count(),
    "clz(x)": lambda t, x, y, z: t.leading_zeros(x),
    "ctz(x)": lambda t, x, y, z: t.trailing_zeros(x),
    "reverse_bits(x)": lambda t, x, y, z: t.reverse(x),
    "rotate(x, y)": lambda t, x, y, z: t.rotate(x, y),
}


@pytest.mark.parametrize("msl_type", WIDTHS)
def test_functions(msl_type):
    kind = Integer(msl_type)
    x = integers(msl_type)
    y, z = shuffled(x, 1), shuffled(x, 2)
    inputs = {"x": (msl_type, x), "y": (msl_type, y), "z": (msl_type, z)}
    results = evaluate({e: (msl_type, e) for e in FUNCTIONS}, inputs, per_kernel=25)
    for expression, function in FUNCTIONS.items():
        expected = [function(kind, *values) for values in zip(x.tolist(), y.tolist(), z.tolist(), strict=True)]
        got = results[expression].tolist()
        wrong = [i for i in range(len(got)) if got[i] != expected[i]]
        assert not wrong, (
            expression,
            int(x[wrong[0]]),
            int(y[wrong[0]]),
            int(z[wrong[0]]),
            got[wrong[0]],
            expected[wrong[0]],
        )


@pytest.mark.parametrize("msl_type", WIDTHS)
def test_absdiff_is_unsigned(msl_type):
    x = integers(msl_type)
    y = shuffled(x, 3)
    unsigned = msl_type if msl_type in UNSIGNED else "u" + msl_type
    outputs = {"d": (unsigned, "absdiff(x, y)"), "type": ("bool", f"is_same_v<decltype(absdiff(x, y)), {unsigned}>")}
    results = evaluate(outputs, {"x": (msl_type, x), "y": (msl_type, y)})
    assert results["d"].tolist() == [abs(a - b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    assert bool(results["type"].all())


@pytest.mark.parametrize("msl_type", WIDTHS)
def test_bit_fields(msl_type):
    kind = Integer(msl_type)
    fields = [(offset, bits) for offset in range(kind.width) for bits in range(kind.width - offset + 1)][
        :: kind.width // 4
    ]
    x = integers(msl_type)
    x = x.repeat(-(-len(fields) // len(x)))[: len(fields)]
    y = shuffled(x, 5)
    offset = torch.tensor([f[0] for f in fields], dtype=torch.int32)
    bits = torch.tensor([f[1] for f in fields], dtype=torch.int32)
    inputs = {"x": (msl_type, x), "y": (msl_type, y), "o": ("int", offset), "b": ("int", bits)}
    outputs = {"extract": (msl_type, "extract_bits(x, o, b)"), "insert": (msl_type, "insert_bits(x, y, o, b)")}
    results = evaluate(outputs, inputs)
    columns = [tensor.tolist() for tensor in (x, y, results["extract"], results["insert"])]
    for (o, b), base, inserted, extract, insert in zip(fields, *columns, strict=True):
        mask = (1 << b) - 1
        field = kind.pattern(base) >> o & mask
        if kind.is_signed and b > 0 and field >> (b - 1):
            field -= 1 << b
        assert extract == field, (base, o, b)
        merged = kind.pattern(base) & ~(mask << o) | (kind.pattern(inserted) & mask) << o
        assert insert == kind.wrap(merged), (base, inserted, o, b)


@pytest.mark.parametrize("msl_type", ["int", "uint"])
def test_mul24_and_mad24(msl_type):
    kind = Integer(msl_type)
    limit = 1 << 23 if kind.is_signed else 1 << 24
    x = integers(msl_type) % limit if kind.is_signed else torch.from_numpy(integers("uint").numpy() % limit)
    y, z = shuffled(x, 1), shuffled(x, 2)
    inputs = {"x": (msl_type, x), "y": (msl_type, y), "z": (msl_type, z)}
    results = evaluate({"mul": (msl_type, "mul24(x, y)"), "mad": (msl_type, "mad24(x, y, z)")}, inputs)
    for a, b, c, mul, mad in zip(*(t.tolist() for t in (x, y, z, results["mul"], results["mad"])), strict=True):
        assert mul == kind.wrap(a * b)
        assert mad == kind.wrap(a * b + c)


def test_vectors():
    x = torch.stack([integers("int"), shuffled(integers("int"), 1), shuffled(integers("int"), 2)], 1)
    outputs = {
        "clz": ("int3", "clz(x)"),
        "max": ("int3", "max(x, 0)"),
        "addsat": ("int3", "addsat(x, x)"),
        "extract": ("int3", "extract_bits(x, 4, 8)"),
        "absdiff": ("uint3", "absdiff(x, int3(0))"),
    }
    results = evaluate(outputs, {"x": ("int3", x)})
    kind = Integer("int")
    rows = x.tolist()
    assert results["clz"].tolist() == [[kind.leading_zeros(v) for v in row] for row in rows]
    assert results["max"].tolist() == [[max(v, 0) for v in row] for row in rows]
    assert results["addsat"].tolist() == [[kind.saturate(2 * v) for v in row] for row in rows]
    assert results["extract"].tolist() == [[((v >> 4 & 255) ^ 128) - 128 for v in row] for row in rows]
    assert results["absdiff"].tolist() == [[abs(v) for v in row] for row in rows]


@pytest.mark.parametrize(
    ("types", "result"),
    [(("int", "int"), "int"), (("short", "int"), "int"), (("ushort", "int"), "int"), (("int", "long"), "long"),
     (("uint", "long"), "long"), (("uchar", "uchar"), "uchar"), (("uint", "ulong"), "ulong")],
)  # fmt: skip
def test_type_of_min_keeps_every_value(types, result):
    a, b = types
    x, y = integers(a, random=50), integers(b, random=50)
    n = min(len(x), len(y))
    x, y = x[:n].contiguous(), y[:n].contiguous()
    outputs = {"min": (result, "min(x, y)"), "type": ("bool", f"is_same_v<decltype(min(x, y)), {result}>")}
    results = evaluate(outputs, {"x": (a, x), "y": (b, y)})
    assert bool(results["type"].all())
    assert results["min"].tolist() == [min(p, q) for p, q in zip(x.tolist(), y.tolist(), strict=True)]


@pytest.mark.parametrize("call", ["min(uint(x), 3)", "max(x, 3u)", "clamp(ulong(x), 0, 1)"])
def test_signed_and_unsigned_together_are_refused_as_in_metal(call):
    with pytest.raises(MetalCompileError, match="ambiguous in Metal: cast one"):
        evaluate({"r": ("uint", call)}, {"x": ("int", torch.zeros(1, dtype=torch.int32))})


@pytest.mark.parametrize("msl_type", ["int", "uint", "long", "char"])
@pytest.mark.parametrize("expression", ["x / y", "x % y", "({t}2(x) / {t}2(y)).x"])
def test_division_by_zero_is_an_error_of_the_launch(msl_type, expression):
    """On x86 it would be a signal that ends the process."""
    x = torch.ones(4, dtype=DTYPES[msl_type])
    y = torch.tensor([1, 2, 0, 3]).to(DTYPES[msl_type])
    outputs = {"r": (msl_type, expression.format(t=msl_type))}
    with pytest.raises(KernelError, match="divided by zero"):
        evaluate(outputs, {"x": (msl_type, x), "y": (msl_type, y)})
    y[2] = 1
    assert evaluate(outputs, {"x": (msl_type, x), "y": (msl_type, y)})["r"].shape == (4,)


def test_floats_out_of_range_become_the_nearest_integer():
    x = torch.tensor([3e9, -3e9, float("inf"), float("-inf"), float("nan"), 2.9, -2.9])
    outputs = {"int": ("int", "int(x)"), "uint": ("uint", "uint(x)"), "uchar": ("uchar", "uchar4(float4(x)).z")}
    results = evaluate(outputs, {"x": ("float", x)})
    assert results["int"].tolist() == [2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 0, 2, -2]
    assert results["uint"].tolist() == [3000000000, 0, 2**32 - 1, 0, 0, 2, 0]
    assert results["uchar"].tolist() == [255, 0, 255, 0, 0, 2, 0]
