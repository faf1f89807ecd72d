"""Vectors mean in a kernel what they mean to the plain-Python classes of the language."""

from __future__ import annotations

import pytest
import torch

from helion_msl import TranslationError
from helion_msl import language as ml
from helion_msl.walker import SCALAR_TYPES, TensorType, translate
from walker_comparison import FLOATS, INTS, check


def constructors(x, out):
    i = ml.tid[0]
    a = ml.float4(x[i], 1, i, 2.5)
    b = ml.float4(a.xy, ml.float2(3))
    c = ml.float3(x[i])
    d = ml.int4(a)
    e = ml.half2(b.wz)
    f = ml.float4(c, 7)
    g = ml.bool2(i, 0)
    ml.store_vector(out, (i, 0), a)
    ml.store_vector(out, (i, 4), b)
    ml.store_vector(out, (i, 8), c.zyx)
    ml.store_vector(out, (i, 11), ml.float4(d))
    ml.store_vector(out, (i, 15), ml.float2(e))
    ml.store_vector(out, (i, 17), f.wxyz)
    out[i, 21] = g.x
    out[i, 22] = g.y


def test_constructors_convert_and_join() -> None:
    check(constructors, FLOATS[[0, 1, 4, 6, 7, 8]], torch.zeros(6, 23), block_dims=6)


def components(x, out):
    i = ml.tid[0]
    v = ml.float4(x[i], x[i + 1], x[i + 2], i)
    v.x = v.y + 1
    v.zw = v.xy
    v.rg = 3
    v[3] = 9
    v.y += 0.5
    v.xz = v.zx
    w = v.wzyx
    for k in range(4):
        out[i, k] = w[k] * v[-1 - 1]
    out[i, 4] = v.rgba.b


def test_components_are_read_and_written() -> None:
    check(components, torch.arange(8.0), torch.zeros(5, 5), block_dims=5)


def arithmetic(x, y, out):
    i = ml.tid[0] * 4
    a, b = ml.load_vector(x, i, 4), ml.load_vector(y, i, 4)
    results = (
        a + b,
        a - 2,
        3 * a * b,
        -a,
        a / b,
        a // b,
        a % b,
        (a + 1) // (b * 3),
        abs(a),
        ml.maximum(a, b),
        ml.clamp(a, -2, 3),
        ml.where(a > b, a, b - 1),
        ml.select(a, b, a == b),
        a if i > 4 else b,
    )
    for k, v in enumerate(results):
        ml.store_vector(out, (k, i), ml.float4(v))


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32, torch.int8, torch.int64])
def test_operators_work_component_by_component(dtype) -> None:
    x = torch.tensor([-7, 5, -3, 100, 0, 9, -9, 2], dtype=dtype)
    y = torch.tensor([2, -3, 4, 7, -1, 9, 4, -2], dtype=dtype)
    check(arithmetic, x, y, torch.zeros(14, 8), block_dims=2, rtol=1e-6)


def integers(x, out):
    v = ml.load_vector(x, 0, 4)
    ml.store_vector(out, 0, v & 12)
    ml.store_vector(out, 4, v | 1)
    ml.store_vector(out, 8, v ^ v.wzyx)
    ml.store_vector(out, 12, v << 2)
    ml.store_vector(out, 16, v >> ml.int4(0, 1, 2, 3))
    ml.store_vector(out, 20, ~v)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_operators_of_integers(dtype) -> None:
    check(integers, torch.tensor([1, 7, 100, 45], dtype=dtype), torch.zeros(24, dtype=torch.int32))


def comparisons(x, out):
    i = ml.tid[0]
    a = ml.int3(x[i], x[i + 1], x[i + 2])
    out[i, 0] = ml.any(a > 2)
    out[i, 1] = ml.all(a > 2)
    out[i, 2] = any(a == a.zyx)
    out[i, 3] = all(a != 0) or ml.any((a < 0) & ~(a == -1))
    t = a <= ml.uint3(5, 6, 7)
    out[i, 4] = t.x + t.y + t.z == 2
    out[i, 5] = ml.all(a)


def test_comparisons_give_truth_values() -> None:
    check(comparisons, INTS, torch.zeros(14, 6, dtype=torch.bool), block_dims=14)


def geometry(x, out):
    i = ml.tid[0]
    a, b = ml.float3(x[i], x[i + 1], 2), ml.float3(0.5, x[i], -1)
    out[i, 0] = ml.dot(a, b)
    out[i, 1] = ml.length(a)
    out[i, 2] = ml.distance(a, b)
    out[i, 3] = ml.length_squared(a.xy)
    ml.store_vector(out, (i, 4), ml.normalize(a))
    ml.store_vector(out, (i, 7), ml.cross(a, b))
    ml.store_vector(out, (i, 10), ml.exp(a * 0.25))
    ml.store_vector(out, (i, 13), ml.sqrt(abs(b)) + ml.erf(a))
    ml.store_vector(out, (i, 16), ml.fma(a, b, 1.0))


def test_geometry_and_mathematics() -> None:
    check(geometry, torch.arange(6.0) / 3, torch.zeros(5, 19), block_dims=5, rtol=1e-5, atol=1e-6)


def memory(x, h, b, out):
    shared = ml.threadgroup_array((4, 8), ml.float32)
    i = ml.tid[0]
    ml.store_vector(shared, (i, 4), ml.load_vector(x, 1 + i * 3, 3))
    ml.store_vector(shared, (i, 0), ml.load_vector(h, i, 2))
    ml.barrier()
    v = ml.load_vector(shared, (3 - i, 4), 3)
    ml.store_vector(out, (i, 0), v + ml.load_vector(b, i, 3))
    ml.store_vector(b, i * 2 + 8, ml.float2(i, 0.5))
    ml.store_vector(h, i * 2, ml.load_vector(shared, (i, 0), 2) * 2)


def test_loads_and_stores_need_no_alignment() -> None:
    x, h, b = torch.arange(20.0)[1:], torch.arange(8).half(), torch.arange(16).bfloat16()
    check(memory, x, h, b, torch.zeros(4, 3), block_dims=4)


def doubled(v, scale):
    return v * scale, ml.dot(v, v)


def shifted(v):
    w = ml.float4(v)
    w.x += 1
    return w


def functions(x, out):
    v = ml.load_vector(x, 0, 4)
    w, size = doubled(v, 2)
    total = ml.float4(0)
    for k in range(3):
        total += shifted(w) * k
    total = total if size > 3 else w
    ml.store_vector(out, 0, total)
    out[4] = size


def test_functions_take_and_return_vectors() -> None:
    check(functions, torch.arange(4.0), torch.zeros(5))


def bits(x, out):
    v = ml.load_vector(x, 0, 2)
    ml.store_vector(out, 0, ml.bitcast(v, ml.int2))


def test_bits_of_vectors() -> None:
    x, out = torch.tensor([1.0, -2.5]), torch.zeros(2, dtype=torch.int32)
    from helion_msl import metal_jit

    metal_jit(bits)[1, 1](x, out)
    assert out.equal(x.view(torch.int32))


def test_the_text() -> None:
    def kernel(x, out):
        v = ml.load_vector(x, ml.tid[0] * 4, 4) * 2
        v.xy = v.zw + ml.float2(1, 2)
        ml.store_vector(out, ml.tid[0] * 4, ml.where(v > 0, v, 0))

    kind = TensorType(SCALAR_TYPES["float32"], 1)
    msl = translate(kernel, {"x": kind, "out": kind}, line_directives=False).msl
    lines = [line.strip() for line in msl[msl.index(") {") :].splitlines()[1:-1]]
    assert lines == [
        "float4 v = float4(*(device const packed_float4*)&x[int(tid.x) * 4]) * 2.0f;",
        "v.xy = v.zw + float2(1.0f, 2.0f);",
        "*(device packed_float4*)&out[int(tid.x) * 4] = metal::select(float4(0.0f), v, v > 0.0f);",
    ]


@pytest.mark.parametrize(
    ("statements", "cause"),
    [
        ("v = ml.float4(1, 2, 3)", "has 4 components, not 3"),
        ("v = ml.float2(1).z", "has no component `z`"),
        ("v = ml.float2(1)[2]", "not component 2"),
        ("v = ml.float2(1) + ml.float3(1)", "vectors of 2 and 3 components"),
        ("v = ml.float2(1)\nif v:\n    pass", "no truth value"),
        ("v = ml.float2(1)\nout[0] = v", "is used where a number is needed"),
        ("v = ml.float2(1)\nw = v\nw.x = 1", "would be one vector"),
        ("v = ml.float2(1)\nv.xx = 1", "assigned twice"),
        ("v = ml.float2(1)\nv.xy = ml.float3(1)", "3 components are assigned to 2"),
        ("v = ml.int2(1)\nv.x = 0.5", "stored into components of int32"),
        ("v = ml.float2(1)\nv = 3", "`v` is float2 on line 2"),
        ("v = ml.float2(1)\nt = 1 < v < 2", "chain of comparisons"),
        ("v = ml.cross(ml.float2(1), ml.float2(2))", "vectors of three"),
        ("v = ml.dot(1, 2)", "no vector of numbers"),
        ("v = ml.load_vector(out, 0, 5)", "2, 3 or 4 components"),
        ("v = ml.load_vector(strided, 0, 4)", "is not contiguous"),
        ("ml.store_vector(out, 0, 1.0)", "is no vector"),
        ("v = ml.bitcast(ml.float2(1), ml.int4)", "64 bits"),
        ("changes(ml.float2(1))", "would change the vector of the caller"),
    ],
)
def test_mistakes(statements, cause) -> None:
    types = {
        "out": TensorType(SCALAR_TYPES["float32"], 1),
        "strided": TensorType(SCALAR_TYPES["float32"], 1, strides=(None,)),
    }
    body = "".join(f"    {line}\n" for line in statements.splitlines())
    with pytest.raises(TranslationError) as raised:
        translate(f"def kernel(out, strided):\n{body}", types, namespace={"ml": ml, "changes": changes})
    assert cause in raised.value.cause


def changes(v):
    v.x = 1


def test_a_vector_is_a_value_of_plain_python_too() -> None:
    v = ml.float3(1, 2, 3)
    v.xy = v.yx
    assert list(v) == [2.0, 1.0, 3.0]
    assert list(2 - v) == [0.0, 1.0, -1.0]
    assert list(ml.int2(2.7)) == [2, 2]
    with pytest.raises(TypeError, match="no one truth value"):
        bool(v > 0)
    with pytest.raises(AttributeError, match="no component `w`"):
        _ = v.w
