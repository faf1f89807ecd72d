"""Atomics, geometry, matrices, packing, traits, limits and containers of the standard library."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from helion_msl import _C
from helion_msl.errors import KernelError, MetalCompileError
from msl_evaluation import DTYPES, PRELUDE, evaluate


def compiles(body: str, declarations: str = "") -> None:
    _C.compile(f"{PRELUDE}{declarations}\nkernel void k(device float *out) {{\n{body}\nout[0] = 0;\n}}\n", device="cpu")


# ---- atomics -------------------------------------------------------------------------------------------------------


def test_atomics_of_many_threads():
    """Every thread of 64 threadgroups on one word each: no update is lost."""
    source = f"""{PRELUDE}
    kernel void k(device atomic_int *i, device atomic_uint *u, device atomic_float *f, device atomic_ulong *l,
                  device atomic_uint *bits, uint t [[thread_position_in_grid]]) {{
      atomic_fetch_add_explicit(i, 2, memory_order_relaxed);
      atomic_fetch_sub_explicit(u, 1, memory_order_relaxed);
      atomic_fetch_add_explicit(f, 0.5, memory_order_relaxed);
      atomic_max_explicit(l, ulong(t) << 33, memory_order_relaxed);
      atomic_fetch_or_explicit(&bits[0], 1u << (t % 32), memory_order_relaxed);
      atomic_fetch_and_explicit(&bits[1], ~(1u << (t % 31)), memory_order_relaxed);
      atomic_fetch_xor_explicit(&bits[2], t, memory_order_relaxed);
      atomic_fetch_max_explicit(i + 1, int(t) - 5000, memory_order_relaxed);
      atomic_fetch_min_explicit(i + 2, int(t) - 5000, memory_order_relaxed);
    }}"""
    i = torch.tensor([0, -9999, 9999], dtype=torch.int32)
    u = torch.tensor([100000], dtype=torch.int32)
    f, wide = torch.zeros(1), torch.zeros(1, dtype=torch.int64)
    bits = torch.tensor([0, -1, 0], dtype=torch.int32)
    _C.launch(source, [i, u.view(torch.uint32), f, wide.view(torch.uint64), bits.view(torch.uint32)], (64,), (64,))
    assert i.tolist() == [8192, 4095 - 5000, -5000]
    assert u.tolist() == [100000 - 4096]
    assert f.tolist() == [2048.0]
    assert wide.tolist() == [4095 << 33]
    assert bits.tolist() == [-1, -(2**31), 0]


def test_compare_exchange_builds_other_operations():
    source = f"""{PRELUDE}
    kernel void k(device atomic<float> *largest, device atomic_uint *product, device const float *x,
                  uint t [[thread_position_in_grid]]) {{
      float seen = atomic_load_explicit(largest, memory_order_relaxed);
      while (seen < x[t] && !atomic_compare_exchange_weak_explicit(largest, &seen, x[t], memory_order_relaxed,
                                                                   memory_order_relaxed)) {{}}
      uint old = atomic_load_explicit(product, memory_order_relaxed);
      while (!atomic_compare_exchange_weak_explicit(product, &old, old * 3u, memory_order_relaxed,
                                                    memory_order_relaxed)) {{}}
    }}"""
    x = torch.from_numpy(np.random.default_rng(0).normal(size=2048).astype(np.float32))
    largest, product = torch.full((1,), -100.0), torch.ones(1, dtype=torch.int32)
    _C.launch(source, [largest, product.view(torch.uint32), x], (32,), (64,))
    assert float(largest) == float(x.max())
    assert int(product) % 2**32 == pow(3, 2048, 2**32)


def test_atomics_in_threadgroup_memory_and_of_bools():
    source = f"""{PRELUDE}
    kernel void k(device int *out, device bool *flags, uint t [[thread_index_in_threadgroup]],
                  uint g [[threadgroup_position_in_grid]]) {{
      threadgroup atomic_int count; threadgroup atomic_bool seen;
      if (t == 0) {{
        atomic_store_explicit(&count, 0, memory_order_relaxed);
        atomic_store_explicit(&seen, false, memory_order_relaxed);
      }}
      threadgroup_barrier(mem_flags::mem_threadgroup);
      atomic_fetch_add_explicit(&count, int(t % 2), memory_order_relaxed);
      if (t == g * 7) atomic_exchange_explicit(&seen, true, memory_order_relaxed);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (t == 0) {{
        out[g] = atomic_load_explicit(&count, memory_order_relaxed);
        flags[g] = atomic_load_explicit(&seen, memory_order_relaxed);
      }}
    }}"""
    out, flags = torch.zeros(16, dtype=torch.int32), torch.zeros(16, dtype=torch.bool)
    _C.launch(source, [out, flags], (16,), (50,))
    assert out.tolist() == [25] * 16
    assert flags.tolist() == [g * 7 < 50 for g in range(16)]


def test_atomic_operations_return_the_old_value():
    source = f"""{PRELUDE}
    kernel void k(device atomic_int *x, device atomic_float *y, device int *old, device float *oldf) {{
      old[0] = atomic_fetch_add_explicit(x, 5, memory_order_relaxed);
      old[1] = atomic_fetch_sub_explicit(x, 2, memory_order_relaxed);
      old[2] = atomic_fetch_max_explicit(x, 100, memory_order_relaxed);
      old[3] = atomic_fetch_min_explicit(x, 7, memory_order_relaxed);
      old[4] = atomic_fetch_xor_explicit(x, 1, memory_order_relaxed);
      old[5] = atomic_exchange_explicit(x, -1, memory_order_relaxed);
      old[6] = atomic_load_explicit(x, memory_order_relaxed);
      int expected = 3;
      old[7] = atomic_compare_exchange_weak_explicit(x, &expected, 9, memory_order_relaxed, memory_order_relaxed);
      old[8] = expected;
      oldf[0] = atomic_fetch_add_explicit(y, 1.5f, memory_order_relaxed);
      oldf[1] = atomic_fetch_sub_explicit(y, 0.25f, memory_order_relaxed);
      oldf[2] = atomic_exchange_explicit(y, 8, memory_order_relaxed);
    }}"""
    x, y = torch.tensor([10], dtype=torch.int32), torch.tensor([1.0])
    old, oldf = torch.zeros(9, dtype=torch.int32), torch.zeros(3)
    _C.launch(source, [x, y, old, oldf], (1,), (1,))
    assert old.tolist() == [10, 15, 13, 100, 7, 6, -1, 0, -1]
    assert oldf.tolist() == [1.0, 2.5, 2.25]
    assert x.tolist() == [-1]
    assert y.tolist() == [8.0]


@pytest.mark.parametrize(
    "statement",
    ["atomic<half> a;", "device atomic_float *a = 0; atomic_fetch_and_explicit(a, 1, memory_order_relaxed);",
     "device atomic_float *a = 0; atomic_fetch_max_explicit(a, 1, memory_order_relaxed);"],
)  # fmt: skip
def test_atomics_that_metal_does_not_have(statement):
    with pytest.raises(MetalCompileError):
        compiles(statement)


# ---- geometry ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [2, 3, 4])
def test_geometric_functions(lanes):
    generator = np.random.default_rng(lanes)
    a, b = (torch.from_numpy(generator.uniform(-2, 2, (100, lanes)).astype(np.float32)) for _ in range(2))
    v = f"float{lanes}"
    outputs = {
        "dot": ("float", "dot(a, b)"),
        "length": ("float", "length(a)"),
        "length_squared": ("float", "length_squared(a)"),
        "distance": ("float", "distance(a, b)"),
        "distance_squared": ("float", "distance_squared(a, b)"),
        "normalize": (v, "normalize(a)"),
        "faceforward": (v, "faceforward(a, b, a)"),
        "reflect": (v, "reflect(a, normalize(b))"),
        "refract": (v, "refract(normalize(a), normalize(b), 0.7f)"),
        "precise": ("float", "precise::length(a) + fast::distance(a, b)"),
    }
    results = evaluate(outputs, {"a": (v, a), "b": (v, b)})
    x, y = a.double(), b.double()
    dot = (x * y).sum(1, keepdim=True)
    unit_x, unit_y = x / x.norm(dim=1, keepdim=True), y / y.norm(dim=1, keepdim=True)
    cosine = (unit_x * unit_y).sum(1, keepdim=True)
    k = 1 - 0.49 * (1 - cosine**2)
    expected = {
        "dot": dot[:, 0],
        "length": x.norm(dim=1),
        "length_squared": (x * x).sum(1),
        "distance": (x - y).norm(dim=1),
        "distance_squared": ((x - y) ** 2).sum(1),
        "normalize": unit_x,
        "faceforward": torch.where(dot < 0, x, -x),
        "reflect": x - 2 * (unit_y * x).sum(1, keepdim=True) * unit_y,
        "refract": torch.where(k < 0, 0.0, 0.7 * unit_x - (0.7 * cosine + k.clamp(min=0).sqrt()) * unit_y),
        "precise": x.norm(dim=1) + (x - y).norm(dim=1),
    }
    for name, result in results.items():
        torch.testing.assert_close(result.double(), expected[name], rtol=2e-6, atol=2e-6, msg=name)


def test_cross_product():
    a, b = torch.rand(30, 3), torch.rand(30, 3)
    result = evaluate({"c": ("float3", "cross(a, b)")}, {"a": ("float3", a), "b": ("float3", b)})["c"]
    torch.testing.assert_close(result, torch.linalg.cross(a, b), rtol=1e-5, atol=1e-6)


# ---- matrices ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "rows"), [(2, 2), (3, 3), (4, 4), (2, 3), (4, 2), (3, 4)])
def test_matrices(columns, rows):
    """A matrix is an array of columns: in torch's terms the transpose of what lies in memory."""
    m, t, square = f"float{columns}x{rows}", f"float{rows}x{columns}", f"float{columns}x{columns}"
    flat = columns * rows
    source = f"""{PRELUDE}
    kernel void k(device const float *a, device const float *b, device const float *v, device float *out) {{
      {m} x, y; float{columns} p; float{rows} q;
      for (int i = 0; i < {flat}; ++i) {{ x[i / {rows}][i % {rows}] = a[i]; y.columns[i / {rows}][i % {rows}] = b[i]; }}
      for (int i = 0; i < {columns}; ++i) p[i] = v[i];
      for (int i = 0; i < {rows}; ++i) q[i] = v[i];
      {m} sum = x + y * 2.0f - 0.5f * x; sum += -y; sum *= 2.0f;
      {t} transposed = transpose(x);
      {square} product = transposed * y;
      float{rows} xp = x * p; float{columns} qx = q * x;
      for (int i = 0; i < {flat}; ++i) out[i] = sum[i / {rows}][i % {rows}];
      for (int i = 0; i < {flat}; ++i) out[16 + i] = transposed[i / {columns}][i % {columns}];
      for (int i = 0; i < {columns * columns}; ++i) out[32 + i] = product[i / {columns}][i % {columns}];
      for (int i = 0; i < {rows}; ++i) out[48 + i] = xp[i];
      for (int i = 0; i < {columns}; ++i) out[52 + i] = qx[i];
      out[56] = (x == x) && (x != y);
    }}"""
    generator = torch.Generator().manual_seed(columns * 10 + rows)
    a, b = (torch.randn(columns, rows, generator=generator) for _ in range(2))
    v, out = torch.randn(4, generator=generator), torch.zeros(64)
    _C.launch(source, [a, b, v, out], (1,), (1,))
    x, y = a.T, b.T
    torch.testing.assert_close(out[:flat].view(columns, rows).T, 2 * (x + 2 * y - 0.5 * x - y))
    torch.testing.assert_close(out[16 : 16 + flat].view(rows, columns).T, x.T)
    torch.testing.assert_close(out[32 : 32 + columns**2].view(columns, columns).T, x.T @ y)
    torch.testing.assert_close(out[48 : 48 + rows], x @ v[:columns])
    torch.testing.assert_close(out[52 : 52 + columns], v[:rows] @ x)
    assert out[56] == 1


@pytest.mark.parametrize("size", [2, 3, 4])
def test_determinant_and_constructors(size):
    source = f"""{PRELUDE}
    kernel void k(device const float *a, device float *out) {{
      float{size}x{size} m({", ".join(f"a[{i}]" for i in range(size * size))});
      float{size}x{size} d(2.0f), c({", ".join(f"m[{i}]" for i in range(size))});
      half{size}x{size} h(m);
      out[0] = determinant(m); out[1] = determinant(d); out[2] = c == m; out[3] = h[1][0];
    }}"""
    a, out = torch.randn(size, size, generator=torch.Generator().manual_seed(size)), torch.zeros(4)
    _C.launch(source, [a, out], (1,), (1,))
    torch.testing.assert_close(out, torch.tensor([torch.linalg.det(a), 2.0**size, 1.0, float(a[1, 0].half())]))


# ---- packing -------------------------------------------------------------------------------------------------------


def test_packing_and_unpacking():
    x = torch.tensor(
        [[0.0, 1.0, -1.0, 0.5], [0.25, -0.75, 2.0, -3.0], [0.1, 0.2, 0.3, 0.4], [0.999, 0.001, -0.001, 0.6]]
    )
    outputs = {
        "unorm4x8": ("uint", "pack_float_to_unorm4x8(v)"),
        "snorm4x8": ("uint", "pack_float_to_snorm4x8(v)"),
        "unorm2x16": ("uint", "pack_float_to_unorm2x16(v.xy)"),
        "snorm2x16": ("uint", "pack_float_to_snorm2x16(v.xy)"),
        "unorm10a2": ("uint", "pack_float_to_unorm10a2(v)"),
        "unorm565": ("ushort", "pack_float_to_unorm565(v.xyz)"),
        "half": ("uint", "pack_half_to_unorm4x8(half4(v))"),
    }
    results = evaluate(outputs, {"v": ("float4", x)})

    def unorm(value: float, width: int) -> int:
        return int(np.rint(np.float32(min(max(value, 0.0), 1.0)) * np.float32(2**width - 1)))

    def snorm(value: float, width: int) -> int:
        return int(np.rint(np.float32(min(max(value, -1.0), 1.0)) * np.float32(2 ** (width - 1) - 1))) % 2**width

    for i, (a, b, c, d) in enumerate(x.tolist()):
        expected = {
            "unorm4x8": sum(unorm(value, 8) << 8 * k for k, value in enumerate((a, b, c, d))),
            "snorm4x8": sum(snorm(value, 8) << 8 * k for k, value in enumerate((a, b, c, d))),
            "unorm2x16": unorm(a, 16) | unorm(b, 16) << 16,
            "snorm2x16": snorm(a, 16) | snorm(b, 16) << 16,
            "unorm10a2": unorm(a, 10) | unorm(b, 10) << 10 | unorm(c, 10) << 20 | unorm(d, 2) << 30,
            "unorm565": unorm(a, 5) << 11 | unorm(b, 6) << 5 | unorm(c, 5),
            "half": sum(unorm(float(np.float16(value)), 8) << 8 * k for k, value in enumerate((a, b, c, d))),
        }
        assert {name: results[name].tolist()[i] for name in expected} == expected
    words = torch.from_numpy(np.random.default_rng(1).integers(0, 2**32, 50, dtype=np.uint32))
    back = evaluate(
        {
            "unorm4x8": ("float4", "unpack_unorm4x8_to_float(w)"),
            "snorm2x16": ("float2", "unpack_snorm2x16_to_float(w)"),
            "round trip": ("bool", "pack_float_to_unorm10a2(unpack_unorm10a2_to_float(w)) == w"),
            "srgb": ("bool", "pack_float_to_srgb_unorm4x8(unpack_srgb_unorm4x8_to_float(w)) == w"),
        },
        {"w": ("uint", words)},
    )
    pattern = words.numpy()
    np.testing.assert_allclose(back["unorm4x8"].numpy(), pattern.view(np.uint8).reshape(-1, 4) / 255, rtol=1e-6)
    np.testing.assert_allclose(
        back["snorm2x16"].numpy(), np.maximum(pattern.view(np.int16).reshape(-1, 2) / 32767, -1), rtol=1e-6
    )
    assert bool(back["round trip"].all())
    assert bool(back["srgb"].all())


# ---- limits and constants ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("msl_type", [name for name in DTYPES if name != "bool"])
def test_numeric_limits(msl_type):
    dtype = DTYPES[msl_type]
    names = ["max", "lowest", "min"]
    if dtype.is_floating_point:
        names += ["epsilon", "denorm_min", "infinity", "quiet_NaN", "round_error"]
    outputs = {name: (msl_type, f"numeric_limits<{msl_type}>::{name}()") for name in names}
    results = evaluate(outputs, {"x": ("float", torch.zeros(1))})
    if not dtype.is_floating_point:
        limits = torch.iinfo(dtype)
        assert {name: result.tolist()[0] for name, result in results.items()} == {
            "max": limits.max,
            "lowest": limits.min,
            "min": limits.min,
        }
        return
    limits = torch.finfo(dtype)
    got = {name: float(result[0]) for name, result in results.items()}
    assert math.isnan(got.pop("quiet_NaN"))
    assert got == {
        "max": limits.max,
        "lowest": limits.min,
        "min": limits.tiny,
        "epsilon": limits.eps,
        "denorm_min": limits.smallest_normal * limits.eps,
        "infinity": math.inf,
        "round_error": 0.5,
    }


def test_constants():
    values = {
        "M_PI_F": math.pi, "M_E_F": math.e, "M_SQRT2_F": math.sqrt(2), "M_LN2_F": math.log(2),
        "M_2_SQRTPI_F": 2 / math.sqrt(math.pi), "M_LOG2E_F": 1 / math.log(2), "M_1_PI_F": 1 / math.pi,
        "M_PI_2_F": math.pi / 2, "M_PI_4_F": math.pi / 4, "M_LN10_F": math.log(10), "M_SQRT1_2_F": math.sqrt(0.5),
        "M_LOG10E_F": math.log10(math.e), "M_2_PI_F": 2 / math.pi, "INFINITY": math.inf, "HUGE_VALF": math.inf,
        "MAXFLOAT": torch.finfo(torch.float32).max, "FLT_MAX": torch.finfo(torch.float32).max,
        "FLT_EPSILON": 2.0**-23, "FLT_MIN": 2.0**-126, "float(HALF_MAX)": 65504.0, "float(HALF_EPSILON)": 2.0**-10,
        "float(M_PI_H)": float(np.float16(math.pi)), "float(M_PI_BF)": 3.140625, "float(INT_MAX)": float(2**31),
        "float(UCHAR_MAX)": 255.0,
    }  # fmt: skip
    results = evaluate({name: ("float", name) for name in values}, {"x": ("float", torch.zeros(1))})
    for name, value in values.items():
        assert float(results[name][0]) == float(np.float32(value)), name
    assert bool(evaluate({"n": ("bool", "isnan(NAN)")}, {"x": ("float", torch.zeros(1))})["n"][0])


# ---- traits and containers -----------------------------------------------------------------------------------------


def test_traits():
    compiles("""
      static_assert(is_same_v<remove_cv_t<const volatile int>, int> && is_same_v<remove_reference_t<half &>, half>);
      static_assert(is_floating_point_v<half> && is_floating_point<float>::value && !is_floating_point_v<int>);
      static_assert(is_integral_v<uchar> && is_integral_v<const long> && !is_integral_v<bfloat>);
      static_assert(is_signed_v<char> && is_unsigned_v<uchar> && is_signed_v<half>);
      static_assert(is_scalar_v<float> && !is_scalar_v<float2> && is_vector_v<half3> && !is_vector_v<half>);
      static_assert(is_same_v<make_unsigned_t<short>, ushort> && is_same_v<make_signed_t<ulong>, long>);
      static_assert(is_same_v<conditional_t<true, int, float>, int> && is_same_v<enable_if_t<true, half>, half>);
      static_assert(is_same_v<decay_t<const int &>, int> && is_pointer_v<device int *> && is_enum_v<mem_flags>);
      static_assert(is_convertible_v<int, float> && !is_convertible_v<float2, float>);
      static_assert(conjunction_v<true_type, true_type> && disjunction_v<false_type, true_type>);
      static_assert(integral_constant<int, 5>() == 5 && bool_constant<true>::value);
      static_assert(is_same_v<decltype(declval<float>() + 1), float>);
      static_assert(make_index_sequence<4>::size() == 4 && is_same_v<make_scalar_t<half4>, half>);
    """)


def test_array_and_utility():
    x = torch.arange(20, dtype=torch.int32)
    body = """
      array<int, 3> a = {x, x + 1, x + 2};
      int sum = 0; for (int v : a) sum += v;
      swap(a[0], a[2]);
      const array<int, 3> b = a;
      array_ref<int> view(a);
    """
    outputs = {"sum": ("int", "sum"), "first": ("int", "b[0] * 10 + int(b.size())"), "view": ("int", "view[2]")}
    results = evaluate(outputs, {"x": ("int", x)}, body=body)
    assert torch.equal(results["sum"], 3 * x + 3)
    assert torch.equal(results["first"], (x + 2) * 10 + 3)
    assert torch.equal(results["view"], x)


def test_other_headers_exist_and_say_what_is_missing():
    headers = ["metal_math", "metal_simdgroup", "metal_texture", "metal_graphics", "metal_logging", "simd/simd.h"]
    includes = "".join(f"#include <{header}>\n" for header in headers)
    compiles('simd_float4 v = simd_float4(1); os_log log("a", "b"); log.log_debug("%d", 1);', includes)
    source = "kernel void k(device float *out) { texture2d<float> image; out[0] = image.read(uint2(0)).x; }"
    with pytest.raises(KernelError, match="textures are not available on the host engine"):
        _C.launch(f"{PRELUDE}{includes}{source}", [torch.zeros(1)], 1, 1)
