"""Vector types: layout, constructors, swizzles, operators, packed vectors, as_type, select, relational functions."""

from __future__ import annotations

import operator

import numpy as np
import pytest
import torch

from helion_msl import _C
from helion_msl.errors import MetalCompileError
from msl_evaluation import DTYPES, PRELUDE, assert_same_bits, evaluate, floats, integers, shuffled

SCALARS = [name for name in DTYPES if name != "bool"]


def rows(n: int, lanes: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-9, 9, (n, lanes)).astype(np.float32))


def compiles(body: str) -> None:
    """Compiles a kernel with this body; the facts in it are static assertions."""
    _C.compile(f"{PRELUDE}kernel void k(device float *out) {{\n{body}\nout[0] = 0;\n}}\n", device="cpu")


@pytest.mark.parametrize("scalar", DTYPES)
def test_sizes_and_alignments(scalar):
    """MSL specification, tables of vector and packed vector types: three components take the room of four."""
    size = DTYPES[scalar].itemsize
    facts = []
    for lanes in (2, 3, 4):
        stored = 4 if lanes == 3 else lanes
        facts += [
            f"static_assert(sizeof({scalar}{lanes}) == {stored * size});",
            f"static_assert(alignof({scalar}{lanes}) == {stored * size});",
            f"static_assert(sizeof(packed_{scalar}{lanes}) == {lanes * size});",
            f"static_assert(alignof(packed_{scalar}{lanes}) == {size});",
            f"static_assert(is_same_v<{scalar}{lanes}, vec<{scalar}, {lanes}>>);",
            f"static_assert(is_same_v<packed_{scalar}{lanes}, packed_vec<{scalar}, {lanes}>>);",
        ]
    compiles("\n".join(facts))


def test_constructors():
    x = rows(40, 4)
    outputs = {
        "float4(s)": "float4(v.x)",
        "four": "float4(v.x, v.y, v.z, v.w)",
        "2+2": "float4(v.xy, v.zw)",
        "1+2+1": "float4(v.x, v.yz, v.w)",
        "2+1+1": "float4(v.xy, v.z, v.w)",
        "1+1+2": "float4(v.x, v.y, v.zw)",
        "3+1": "float4(v.xyz, v.w)",
        "1+3": "float4(v.x, v.yzw)",
        "braces": "b",
        "copy": "float4(v)",
        "packed": "float4(packed_float4(v))",
        "zero": "float4()",
        "through int": "float4(int4(v))",
    }
    results = evaluate(
        {name: ("float4", e) for name, e in outputs.items()},
        {"v": ("float4", x)},
        body="float4 b = {v.x, v.y, v.z, v.w};",
    )
    expected = {
        "float4(s)": x[:, :1].expand(-1, 4),
        "zero": torch.zeros_like(x),
        "through int": x.int().float(),
    }
    for name, result in results.items():
        assert_same_bits(result.contiguous(), expected.get(name, x).contiguous(), name)


def test_scalars_spread_implicitly_and_element_types_convert_explicitly():
    compiles("""
      float3 a = 1; half2 b = 0.5; uint4 c = 7u; a = 2; c += 1;
      static_assert(is_convertible_v<float, float3>);
      static_assert(!is_convertible_v<int4, float4>);
      static_assert(!is_convertible_v<float4, half4>);
      static_assert(is_convertible_v<packed_float3, float3> && is_convertible_v<float3, packed_float3>);
      static_assert(!is_convertible_v<packed_float3, int3>);
      constexpr float3 d = float3(1, 2, 3) * 2;
      static_assert(d.x == 2 && d[1] == 4 && d.z == 6);
    """)


@pytest.mark.parametrize(
    "swizzle", ["xy", "yx", "ww", "wzyx", "xxyy", "zyx", "xyz", "rg", "bgra", "aaa", "zw", "wxyz", "grb"]
)
def test_reading_a_swizzle(swizzle):
    x = rows(17, 4)
    order = ["xyzw".index(c) if c in "xyzw" else "rgba".index(c) for c in swizzle]
    msl_type = f"float{len(swizzle)}"
    result = evaluate(
        {"s": (msl_type, f"v.{swizzle}"), "twice": (msl_type, f"(v + v).{swizzle}")}, {"v": ("float4", x)}
    )
    assert_same_bits(result["s"].contiguous(), x[:, order].contiguous())
    assert_same_bits(result["twice"].contiguous(), (2 * x)[:, order].contiguous())


def test_writing_a_swizzle():
    x = rows(17, 4)
    body = """
      float4 a = v; a.xy = a.yx;
      float4 b = v; b.wx += 1.0;
      float4 c = v; c.zyx = float3(1, 2, 3);
      float4 d = v; d.wzyx = v;
      float4 e = v; e.rg *= e.ba;
      float4 f = v; f.xz = 7;
      float4 g = v; g.r = 5; g.a = g.x + 1;
      packed_float3 h = v.xyz; h.zx = h.xz;
    """
    outputs = {name: ("float4", name) for name in "abcdefg"} | {"h": ("packed_float3", "h")}
    results = evaluate(outputs, {"v": ("float4", x)}, body=body)
    expected = {name: x.clone() for name in "abcdefg"}
    expected["a"][:, [0, 1]] = x[:, [1, 0]]
    expected["b"][:, [3, 0]] += 1.0
    expected["c"][:, :3] = torch.tensor([3.0, 2.0, 1.0])
    expected["d"] = x.flip(1)
    expected["e"][:, :2] *= x[:, 2:]
    expected["f"][:, [0, 2]] = 7
    expected["g"][:, 0] = 5
    expected["g"][:, 3] = 6
    expected["h"] = x[:, [2, 1, 0]]
    for name, result in results.items():
        assert_same_bits(result.contiguous(), expected[name].contiguous(), name)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("float2 v = 0; out[0] = v.xyz.x;", "the vector has fewer components"),
        ("float4 v = 0; v.xx = float2(1);", "a component that is named twice cannot be assigned to"),
        ("float5 v;", "float5"),
        ("float4 v = int4(1);", "no viable conversion"),
        ("float4 v = float4(1) + half4(1);", "invalid operands"),
        ("int4 v = int4(1) * 1.5;", "invalid operands"),
        ("float4 v = float4(1, 2);", "no matching constructor"),
    ],
)
def test_mistakes_are_refused(statement, reason):
    with pytest.raises(MetalCompileError, match=reason):
        _C.compile(f"{PRELUDE}kernel void k(device float *out) {{ {statement} }}", device="cpu")


ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul}
BITWISE = {"&": operator.and_, "|": operator.or_, "^": operator.xor}
COMPARISONS = {"==": torch.eq, "!=": torch.ne, "<": torch.lt, "<=": torch.le, ">": torch.gt, ">=": torch.ge}


@pytest.mark.parametrize("lanes", [2, 3, 4])
def test_integer_operators(lanes):
    x = torch.stack([shuffled(integers("int"), k) for k in range(lanes)], 1)
    y = torch.stack([shuffled(integers("int"), k + 9) for k in range(lanes)], 1)
    vector, boolean = f"int{lanes}", f"bool{lanes}"
    # Arithmetic on numbers of 16 bits, whose products fit: what overflows is undefined in Metal.
    small = {op: (function, "a", "b", x >> 16, y >> 16) for op, function in ARITHMETIC.items()}
    functions = small | {op: (function, "x", "y", x, y) for op, function in BITWISE.items()}
    outputs = {op: (vector, f"{left} {op} {right}") for op, (_, left, right, *_) in functions.items()}
    outputs |= {f"s{op}": (vector, f"{left} {op} {right}.x") for op, (_, left, right, *_) in functions.items()}
    outputs |= {f"{op}s": (vector, f"{right}.x {op} {left}") for op, (_, left, right, *_) in functions.items()}
    outputs |= {op: (boolean, f"x {op} y") for op in COMPARISONS}
    outputs |= {"~": (vector, "~x"), "neg": (vector, "-a"), "not": (boolean, "!x")}
    outputs |= {"and": (boolean, "(x > 0) && (y > 0)"), "or": (boolean, "(x > 0) || (y > 0)")}
    outputs |= {"++": (vector, "i"), "after": (vector, "j"), "--": (vector, "d")}
    body = f"{vector} a = x >> 16, b = y >> 16, i = a, j = i++, d = a; --d;"
    results = evaluate(outputs, {"x": (vector, x), "y": (vector, y)}, body=body)
    expected = {op: function(v, w) for op, (function, _, _, v, w) in functions.items()}
    expected |= {f"s{op}": function(v, w[:, :1]) for op, (function, _, _, v, w) in functions.items()}
    expected |= {f"{op}s": function(w[:, :1], v) for op, (function, _, _, v, w) in functions.items()}
    expected |= {op: function(x, y) for op, function in COMPARISONS.items()}
    expected |= {"~": ~x, "neg": -(x >> 16), "not": x == 0, "and": (x > 0) & (y > 0), "or": (x > 0) | (y > 0)}
    expected |= {"++": (x >> 16) + 1, "after": x >> 16, "--": (x >> 16) - 1}
    for name, result in results.items():
        assert torch.equal(result, expected[name]), name


def test_narrow_integers_wrap_and_shifts_take_their_count_modulo_the_width():
    x = integers("char")
    count = shuffled(x, 4)
    v, c = torch.stack([x, x], 1), torch.stack([count, count], 1)
    outputs = {"sum": ("char2", "v + v"), "left": ("char2", "v << c"), "right": ("char2", "v >> c"),
               "type": ("bool", "is_same_v<decltype(v * v), char2>")}  # fmt: skip
    results = evaluate(outputs, {"v": ("char2", v), "c": ("char2", c)})
    assert torch.equal(results["sum"], v + v)
    assert torch.equal(results["left"], v << (c & 7))
    assert torch.equal(results["right"], v >> (c & 7))
    assert bool(results["type"].all())


def test_division_and_remainder_truncate():
    x, y = integers("int"), shuffled(integers("int"), 1)
    y[y == 0] = 3
    y[(y == -1)] = 7
    v, w = torch.stack([x, x], 1), torch.stack([y, y], 1)
    results = evaluate({"q": ("int2", "v / w"), "r": ("int2", "v % w")}, {"v": ("int2", v), "w": ("int2", w)})
    assert torch.equal(results["q"], torch.div(v, w, rounding_mode="trunc"))
    assert torch.equal(results["r"], torch.fmod(v, w))


def test_packed_vectors_lie_without_gaps():
    x, y = rows(33, 3), rows(33, 3, 1)
    outputs = {
        "sum": ("packed_float3", "x + y"),
        "scaled": ("packed_float3", "2 * x - 1"),
        "mixed": ("float3", "x * float3(y)"),
        "indexed": ("float", "x[0] + x[1] + x[2] * 0"),
        "assigned": ("packed_float3", "z"),
        "length": ("float", "dot(x, x)"),
        "less": ("bool3", "x < y"),
    }
    body = "packed_float3 z = x; z += y; z.y = z[0];"
    results = evaluate(outputs, {"x": ("packed_float3", x), "y": ("packed_float3", y)}, body=body)
    assert_same_bits(results["sum"], x + y)
    assert_same_bits(results["scaled"], 2 * x - 1)
    assert_same_bits(results["mixed"].contiguous(), x * y)
    assert_same_bits(results["indexed"], x[:, 0] + x[:, 1])
    assigned = x + y
    assigned[:, 1] = assigned[:, 0]
    assert_same_bits(results["assigned"], assigned)
    torch.testing.assert_close(results["length"], (x * x).sum(1))
    assert torch.equal(results["less"], x < y)


def test_indexing_by_a_variable():
    x = rows(20, 4)
    index = torch.arange(20, dtype=torch.int32) % 4
    body = "float4 w = v; w[i] = 100; float sum = 0; for (uint k = 0; k < 4; ++k) sum += v[k];"
    outputs = {"read": ("float", "v[i]"), "written": ("float4", "w"), "sum": ("float", "sum")}
    results = evaluate(outputs, {"v": ("float4", x), "i": ("int", index)}, body=body)
    at = torch.arange(20)
    assert_same_bits(results["read"], x[at, index.long()])
    written = x.clone()
    written[at, index.long()] = 100
    assert_same_bits(results["written"].contiguous(), written)
    torch.testing.assert_close(results["sum"], x.sum(1))


def test_as_type():
    x = floats()
    pairs = torch.stack([x, shuffled(x, 1)], 1)
    outputs = {
        "uint": ("uint", "as_type<uint>(v.x)"),
        "float": ("float", "as_type<float>(as_type<int>(v.x))"),
        "uint2": ("uint2", "as_type<uint2>(v)"),
        "ulong": ("ulong", "as_type<ulong>(v)"),
        "half4": ("half4", "as_type<half4>(v)"),
        "uchar4": ("uchar4", "as_type<uchar4>(v.x)"),
        "ushort": ("ushort", "as_type<ushort>(as_type<half4>(v).y)"),
    }
    results = evaluate(outputs, {"v": ("float2", pairs)})
    assert torch.equal(results["uint"].view(torch.int32), x.view(torch.int32))
    assert torch.equal(results["float"].view(torch.int32), x.view(torch.int32))
    assert torch.equal(results["uint2"].view(torch.int32), pairs.view(torch.int32))
    assert torch.equal(results["ulong"].view(torch.int64)[:, None], pairs.view(torch.int64))
    assert torch.equal(results["half4"].view(torch.int16), pairs.view(torch.int16))
    assert torch.equal(results["uchar4"], x[:, None].view(torch.uint8))
    assert torch.equal(results["ushort"].view(torch.int16), pairs.view(torch.int16)[:, 1])


def test_as_type_of_another_size_is_refused():
    with pytest.raises(MetalCompileError, match="must have the same size"):
        evaluate({"r": ("uint", "as_type<uint>(half(x))")}, {"x": ("float", torch.zeros(1))})


@pytest.mark.parametrize("msl_type", ["float", "half", "bfloat"])
def test_relational_functions(msl_type):
    x = floats().to(DTYPES[msl_type])
    y = shuffled(x, 8)
    outputs = {
        "isnan": "isnan(x)",
        "isinf": "isinf(x)",
        "isfinite": "isfinite(x)",
        "isnormal": "isnormal(x)",
        "signbit": "signbit(x)",
        "isordered": "isordered(x, y)",
        "isunordered": "isunordered(x, y)",
    }
    if msl_type == "bfloat":
        # bfloat scalars are promoted to float, where a NaN keeps its sign.
        outputs.pop("signbit")
    results = evaluate({name: ("bool", e) for name, e in outputs.items()}, {"x": (msl_type, x), "y": (msl_type, y)})
    tiny = torch.finfo(x.dtype).tiny
    expected = {
        "isnan": x.isnan(),
        "isinf": x.isinf(),
        "isfinite": x.isfinite(),
        "isnormal": x.isfinite() & (x.abs() >= tiny),
        "signbit": x.signbit(),
        "isordered": ~(x.isnan() | y.isnan()),
        "isunordered": x.isnan() | y.isnan(),
    }
    for name, result in results.items():
        assert torch.equal(result, expected[name]), name


def test_relational_functions_of_vectors():
    x = torch.stack([floats(), shuffled(floats(), 1), shuffled(floats(), 2)], 1)
    outputs = {"isnan": ("bool3", "isnan(x)"), "any": ("bool", "any(isnan(x))"), "all": ("bool", "all(x > 0)"),
               "not": ("bool3", "not(isnan(x))")}  # fmt: skip
    results = evaluate(outputs, {"x": ("float3", x)})
    assert torch.equal(results["isnan"], x.isnan())
    assert torch.equal(results["any"], x.isnan().any(1))
    assert torch.equal(results["all"], (x > 0).all(1))
    assert torch.equal(results["not"], ~x.isnan())


@pytest.mark.parametrize("msl_type", SCALARS)
def test_select(msl_type):
    values = torch.arange(40).to(torch.int32).to(DTYPES[msl_type])
    other = values.to(torch.float64).add(40).to(DTYPES[msl_type])
    condition = torch.arange(40) % 3 == 0
    inputs = {"a": (msl_type, values), "b": (msl_type, other), "c": ("bool", condition)}
    vector = f"{msl_type}2"
    outputs = {
        "scalar": (msl_type, "select(a, b, c)"),
        "vector": (vector, f"select({vector}(a), {vector}(b), bool2(c, !c))"),
        "one condition": (vector, f"select({vector}(a), {vector}(b), c)"),
        "signs": (vector, f"select({vector}(a), {vector}(b), int2(c ? -1 : 0, 1))"),
    }
    results = evaluate(outputs, inputs)
    chosen = np.where(condition, other.double(), values.double())
    rest = np.where(condition, values.double(), other.double())
    assert results["scalar"].double().tolist() == chosen.tolist()
    assert results["vector"].double().tolist() == np.stack([chosen, rest], 1).tolist()
    assert results["one condition"].double().tolist() == np.stack([chosen, chosen], 1).tolist()
    assert results["signs"].double().tolist() == np.stack([chosen, values.double()], 1).tolist()
