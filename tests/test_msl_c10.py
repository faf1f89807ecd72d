"""torch's own Metal headers, c10/metal/*.h, unmodified: their functions and kernels against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from helion_msl import _C

HEADERS = Path(torch.__file__).parent / "include" / "c10" / "metal"
pytestmark = pytest.mark.skipif(not HEADERS.is_dir(), reason="this torch ships no c10/metal headers")


@pytest.mark.parametrize(
    "header",
    ["atomic", "common", "error", "expm1f", "igamma", "indexing", "random", "reduction_utils", "special_math", "utils"],
)
def test_header_compiles(header):
    if not (HEADERS / f"{header}.h").exists():
        pytest.skip(f"this torch has no c10/metal/{header}.h")
    first = "#include <metal_stdlib>\n" if header in ("atomic", "error") else ""
    source = (
        f"{first}#include <c10/metal/{header}.h>\nkernel void k(device float *out [[buffer(0)]]) {{ out[0] = 1; }}\n"
    )
    out = torch.zeros(1)
    _C.launch(source, [out], (1,), (1,))
    assert out.tolist() == [1.0]


def apply(function: str, *arguments: torch.Tensor, header: str = "special_math") -> torch.Tensor:
    names = [f"a{i}" for i in range(len(arguments))]
    parameters = "".join(f"device const float *{name} [[buffer({i})]], " for i, name in enumerate(names))
    source = f"""#include <metal_stdlib>
    #include <c10/metal/special_math.h>
    #include <c10/metal/{header}.h>
    kernel void k({parameters}device float *out [[buffer({len(names)})]], uint i [[thread_position_in_grid]]) {{
      out[i] = {function}({", ".join(f"{name}[i]" for name in names)});
    }}"""
    out = torch.zeros_like(arguments[0])
    _C.launch(source, [*arguments, out], (out.numel(),), (1,))
    return out


SPECIAL = {
    "erf": (torch.special.erf, (-4, 4)),
    "erfc": (torch.special.erfc, (-4, 4)),
    "erfinv": (torch.special.erfinv, (-0.99, 0.99)),
    "log_gamma": (torch.special.gammaln, (0.1, 30)),
    "digamma": (torch.special.digamma, (0.1, 30)),
    "sinc": (torch.special.sinc, (-5, 5)),
    "i0": (torch.special.i0, (-8, 8)),
    "i0e": (torch.special.i0e, (-8, 8)),
    "i1": (torch.special.i1, (-8, 8)),
    "i1e": (torch.special.i1e, (-8, 8)),
    "entr": (torch.special.entr, (0.01, 5)),
    "bessel_j0_forward": (torch.special.bessel_j0, (0.1, 20)),
    "bessel_j1_forward": (torch.special.bessel_j1, (0.1, 20)),
    "modified_bessel_i0_forward": (torch.special.modified_bessel_i0, (0, 8)),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_function(name):
    if f" {name}(" not in (HEADERS / "special_math.h").read_text():
        pytest.skip(f"c10/metal/special_math.h of this torch has no {name}")
    reference, (low, high) = SPECIAL[name]
    x = torch.linspace(low, high, 300)
    result = apply(f"c10::metal::{name}", x)
    torch.testing.assert_close(result, reference(x.double()).float(), rtol=3e-5, atol=1e-5)


def test_igamma():
    a, x = torch.linspace(0.2, 10, 100), torch.linspace(0.1, 12, 100)
    for name, reference in {"igamma": torch.special.gammainc, "igammac": torch.special.gammaincc}.items():
        result = apply(f"c10::metal::{name}", a, x, header="igamma")
        torch.testing.assert_close(result, reference(a.double(), x.double()).float(), rtol=1e-4, atol=1e-5)


def test_expm1_and_log1p():
    x = torch.linspace(-0.9, 3, 400)
    # c10 reduces the argument of expm1f with one constant of 24 bits: 1e-6 per ln 2 of distance from zero.
    expm1 = apply("c10::metal::expm1f", x, header="expm1f")
    torch.testing.assert_close(expm1, torch.expm1(x.double()).float(), rtol=1e-5, atol=1e-7)
    log1p = apply("c10::metal::log1p", x, header="utils")
    torch.testing.assert_close(log1p, torch.log1p(x.double()).float(), rtol=1e-6, atol=1e-7)


def test_utilities():
    x = torch.tensor([-7.0, -3.5, 7.0, 3.5, -1.0, float("nan")])
    y = torch.tensor([2.0, 2.0, -2.0, 2.0, 3.0, 1.0])
    for name, reference in {
        "floor_divide": torch.floor_divide,
        "remainder": torch.remainder,
        "fmod": torch.fmod,
        "max": torch.maximum,
        "min": torch.minimum,
    }.items():
        result = apply(f"c10::metal::{name}", x, y, header="utils")
        torch.testing.assert_close(result, reference(x, y), equal_nan=True)


REDUCTIONS = {
    "threadgroup_sum": torch.sum,
    "threadgroup_prod": torch.prod,
    "threadgroup_max": torch.max,
    "threadgroup_min": torch.min,
}


@pytest.mark.parametrize("msl_type", ["float", "int", "long", "half", "bfloat"])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_threadgroup_reductions(name, msl_type):
    dtype = {
        "float": torch.float32,
        "int": torch.int32,
        "long": torch.int64,
        "half": torch.float16,
        "bfloat": torch.bfloat16,
    }[msl_type]
    shared = "float" if msl_type in ("half", "bfloat") and name in ("threadgroup_sum", "threadgroup_prod") else msl_type
    source = f"""#include <c10/metal/reduction_utils.h>
    kernel void k(device const {msl_type} *x [[buffer(0)]], device {msl_type} *out [[buffer(1)]],
                  uint i [[thread_position_in_threadgroup]], uint n [[threads_per_threadgroup]]) {{
      threadgroup {shared} shared[32];
      const {shared} total = c10::metal::{name}(shared, x[i], i, n);
      if (i == 0) out[0] = {msl_type}(total);
    }}"""
    # The second step of c10's reductions of longs reads 32 lanes whether they are there or not: 1024 threads.
    x = torch.ones(1024, dtype=dtype)
    x[[3, 40, 77, 1000]] = 2
    if name in ("threadgroup_max", "threadgroup_min"):
        x = torch.from_numpy(np.random.default_rng(3).permutation(1024) // 8 - 60).to(dtype)
    elif name == "threadgroup_prod" and msl_type == "long":
        # c10 fills the shuffles of its product of longs with zeros instead of ones.
        x = torch.zeros(1024, dtype=dtype)
    elif name == "threadgroup_sum" and msl_type in ("half", "bfloat"):
        x[4:] = 0
    out = torch.zeros(1, dtype=dtype)
    _C.launch(source, [x, out], (1,), (1024,))
    assert out.item() == REDUCTIONS[name](x).item()


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_threadgroup_argmax(name):
    source = f"""#include <c10/metal/reduction_utils.h>
    kernel void k(device const float *x [[buffer(0)]], device int *out [[buffer(1)]],
                  uint i [[thread_position_in_threadgroup]], uint n [[threads_per_threadgroup]]) {{
      threadgroup float values[32]; threadgroup int indices[32];
      const int best = c10::metal::threadgroup_{name}(values, indices, x[i], int(i), i, n);
      if (i == 0) out[0] = best;
    }}"""
    x = torch.from_numpy(np.random.default_rng(3).permutation(96).astype(np.float32))
    out = torch.zeros(1, dtype=torch.int32)
    # 1024 threads: the second step reads as many partial results as there are simdgroups, in one simdgroup.
    x = torch.cat([x] + [x[:1]] * 928)
    _C.launch(source, [x, out], (1,), (1024,))
    assert out.item() == getattr(torch, name)(x[:96]).item()


def test_random_numbers_are_philox():
    """Against the rounds of Random123's Philox4x32 written in Python."""
    source = """#include <c10/metal/random.h>
    kernel void k(device uint4 *out [[buffer(0)]], device float *uniform [[buffer(1)]],
                  device float *normal [[buffer(2)]], constant long &seed [[buffer(3)]],
                  uint i [[thread_position_in_grid]]) {
      out[i] = c10::metal::philox4::rand(seed, i);
      uniform[i] = c10::metal::rand(seed, i);
      normal[i] = c10::metal::randn(seed, i);
    }"""
    n, seed = 2000, 0x123456789ABC
    out, uniform, normal = torch.zeros(n, 4, dtype=torch.uint32), torch.zeros(n), torch.zeros(n)
    _C.launch(source, [out, uniform, normal, seed], (n,), (1,))
    for i in (0, 1, 77, 1999):
        assert out.tolist()[i] == philox(seed, i)
    assert bool(((uniform >= 0) & (uniform < 1)).all())
    assert abs(float(uniform.mean()) - 0.5) < 0.03
    assert abs(float(normal.mean())) < 0.1
    assert abs(float(normal.std()) - 1) < 0.1


def philox(seed: int, index: int) -> list[int]:
    """c10 splits 64-bit numbers into (high, low), for the counter's upper half and for the key."""
    word = 0xFFFFFFFF
    counter, key = [0, 0, index >> 32, index & word], [seed >> 32, seed & word]
    # c10 counts ten rounds and does nine.
    for number in range(9):
        if number:
            key = [(key[0] + 0x9E3779B9) & word, (key[1] + 0xBB67AE85) & word]
        # mulhilo gives (high, low), which c10 names x and y.
        product0, product1 = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [
            (product1 >> 32) ^ counter[1] ^ key[0],
            product1 & word,
            (product0 >> 32) ^ counter[3] ^ key[1],
            product0 & word,
        ]
    return counter


def test_kernels_of_indexing():
    """Instantiations by torch's own registration macros, dense and strided."""
    source = """#include <metal_stdlib>
    #include <c10/metal/indexing.h>
    #include <c10/metal/special_math.h>
    struct twice_functor {
      template <typename T> inline T operator()(const T x) { return static_cast<T>(x + x); }
    };
    struct add_functor {
      template <typename T> inline T operator()(const T a, const T b) { return static_cast<T>(a + b); }
    };
    REGISTER_UNARY_OP(twice, float, float);
    REGISTER_UNARY_OP(twice, half, half);
    REGISTER_BINARY_OP(add, float, float);
    REGISTER_BINARY_OP(add, int, int);
    """
    text = (HEADERS / "indexing.h").read_text()
    if '"_dense_scalar_" #DTYPEO "_" #DTYPEI' not in text:
        pytest.skip("c10/metal/indexing.h of this torch names its kernels differently")
    x = torch.arange(10, dtype=torch.float32)
    out = torch.zeros(10)
    _C.launch(source, [out, x], (10,), (1,), name="twice_dense_scalar_float_float")
    assert torch.equal(out, 2 * x)
    halves, half_out = x.half(), torch.zeros(10, dtype=torch.float16)
    _C.launch(source, [half_out, halves], (10,), (1,), name="twice_dense_scalar_half_half")
    assert torch.equal(half_out, 2 * halves)


@pytest.mark.parametrize("msl_type", ["float", "int", "half", "bfloat", "char", "uchar", "short", "long", "bool"])
def test_atomic_addition_of_every_type(msl_type):
    dtype = {
        "float": torch.float32, "int": torch.int32, "half": torch.float16, "bfloat": torch.bfloat16, "char": torch.int8,
        "uchar": torch.uint8, "short": torch.int16, "long": torch.int64, "bool": torch.bool,
    }[msl_type]  # fmt: skip
    source = f"""#include <metal_stdlib>
    #include <c10/metal/atomic.h>
    using namespace c10::metal;
    kernel void k(device AtomicType_t<{msl_type}> *data [[buffer(0)]], uint i [[thread_position_in_grid]]) {{
      AtomicType<{msl_type}>::atomic_add(data, i % 4, static_cast<{msl_type}>(1));
    }}"""
    data = torch.zeros(8, dtype=dtype)
    # The kernel sees words: c10 adds to narrower types by exchanging the word around them.
    words = {4: torch.uint32, 1: torch.uint32, 2: torch.uint32, 8: torch.uint32}[dtype.itemsize]
    seen = data if msl_type in ("float", "int") else data.view(words)
    _C.launch(source, [seen], (4,), (16,))
    assert data.tolist() == ([True] * 4 + [False] * 4 if msl_type == "bool" else [16] * 4 + [0] * 4)
