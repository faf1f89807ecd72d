"""Forms that programs written for Metal have and C++ compilers stumble over."""

from __future__ import annotations

import re

import pytest
import torch

from helion_msl import _C, KernelError, MetalCompileError

PRELUDE = "#include <metal_stdlib>\nusing namespace metal;\n"


def run(source: str, *arguments: object, name: str | None = None, threads: int = 1) -> None:
    _C.launch(PRELUDE + source, list(arguments), (1,), (threads,), name=name)


def test_a_function_as_a_template_argument():
    source = """
    float twice(float x) { return 2 * x; }
    template <int n, float (*change)(float), void (*)(int) = nullptr>
    kernel void k(device float *x, uint i [[thread_position_in_grid]]) {
      threadgroup float t[n];
      t[i] = change(x[i]) + n;
      x[i] = t[i];
    }
    template [[host_name("twice_plus_4")]] kernel decltype(k<4, twice>) k<4, twice>;"""
    x = torch.arange(4.0)
    run(source, x, threads=4)
    assert x.tolist() == [4.0, 6.0, 8.0, 10.0]


def test_defaulted_members_for_every_address_space():
    source = """
    struct box {
      int value;
      box() thread = default;
      box(int n) thread : value(n) {}
      box(const thread box &) thread = default;
      box(const device box &) thread = default;
      box(const threadgroup box &) thread = default;
      thread box &operator=(const thread box &) thread = default;
      thread box &operator=(const device box &) thread = default;
      device box &operator=(const thread box &) device = default;
    };
    kernel void k(device box *boxes) { box b = boxes[0]; boxes[1] = b; }"""
    boxes = torch.tensor([7, 0], dtype=torch.int32)
    run(source, boxes)
    assert boxes.tolist() == [7, 7]


def test_initializer_list():
    source = """
    template <class T> struct pair {
      T items[2];
      pair(initializer_list<T> list) {
        thread T *from = list.begin();
        for (size_t i = 0; i < list.size(); ++i) items[i] = from[i];
      }
    };
    kernel void k(device int *x) { pair<int> p = {x[0], 5}; x[0] = p.items[0] * p.items[1]; }"""
    x = torch.tensor([8], dtype=torch.int32)
    run(source, x)
    assert x.item() == 40


def test_vectors_in_volatile_memory():
    source = """
    struct block { float4 v; packed_float3 p; };
    kernel void k(volatile device block &b [[buffer(0)]]) {
      const float4 v = b.v;
      b.v = v.wzyx;
      b.p = packed_float3(v.xyz);
      b.v.x = b.v.x + 1;
    }"""
    b = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 9.0])
    run(source, b)
    assert b.tolist() == [5.0, 3.0, 2.0, 1.0, 1.0, 2.0, 3.0, 9.0]


def test_a_library_function_for_another_type_of_argument():
    source = """
    template <typename T, typename E = typename enable_if<is_integral<T>::value>::type> T sign(T x) {
      return x < 0 ? T(-10) : T(10);
    }
    kernel void k(device int *x, device float *y) { x[0] = sign(x[0]); y[0] = sign(y[0]) + sign(half(-2)); }"""
    x, y = torch.tensor([-3], dtype=torch.int32), torch.tensor([5.0])
    run(source, x, y)
    assert (x.item(), y.item()) == (-10, 0.0)


TEXTURES = """
constexpr sampler linear_sampler(coord::normalized, address::clamp_to_edge, filter::linear);
struct material { texture2d<float> colour; float scale; };
struct arguments { array<texture2d<half, access::write>, 2> targets; };
float4 look_up(texture2d<float> image, float2 at) {
  return image.sample(linear_sampler, at, level(0)) * image.get_width() + image.read(uint2(at));
}
float shadow(depth2d<float> image, sampler s, float2 at) { return image.sample_compare(s, at, 0.5f); }
kernel void shade(texture2d<float> image [[texture(0)]], device float *x) { x[0] = look_up(image, 0).x; }
kernel void lines(texture_buffer<float, access::read> image [[texture(0)]], device float *x) { x[0] = image.read(0).x; }
kernel void scale(device float *x, constant float &by) { x[0] *= by; }
kernel void hidden(device float *x, constant material &m) { x[0] = look_up(m.colour, 0).x; }
"""


def test_kernels_beside_those_that_use_textures():
    x = torch.tensor([3.0])
    run(TEXTURES, x, 2.0, name="scale")
    assert x.item() == 6.0


@pytest.mark.parametrize("name", ["shade", "lines"])
def test_a_kernel_that_takes_a_texture_is_refused(name):
    with pytest.raises(MetalCompileError, match="'image': textures are not supported; pass the data in a buffer"):
        run(TEXTURES, torch.zeros(1), torch.zeros(1), name=name)


def test_a_texture_inside_a_buffer_is_an_error_of_the_launch():
    with pytest.raises(KernelError, match="textures are not available on the host engine"):
        run(TEXTURES, torch.zeros(1), torch.zeros(2, dtype=torch.int64), name="hidden")


def test_no_diagnostic_is_about_the_library_itself():
    with pytest.raises(MetalCompileError) as caught:
        run("kernel void k(device float *x) { int e; x[0] = frexp(x[0], &e); float4 v = float4(x, 1); x[0] = v / k; }")
    message = str(caught.value)
    assert "3 errors" in message
    assert "no matching function for call to 'frexp'" in message
    assert not re.search(r"<\w+\.h>|helion_host", message)


def test_function_constants_that_are_not_a_number():
    """Each value has a library of its own, and is found again."""
    source = PRELUDE + "constant float c [[function_constant(0)]];\nkernel void k(device float *x) { x[0] = c; }"
    for value in [float("nan"), 1.0, float("nan"), 2.0, float("inf"), 1.0, float("nan")]:
        x = torch.zeros(1)
        _C.compile(source, device="cpu", constants={"c": value})([x], (1,), (1,))
        torch.testing.assert_close(x, torch.tensor([value]), equal_nan=True)


def test_a_macro_in_an_unroll_hint():
    source = """
    #define LEAST(a, b) ((a) < (b) ? (a) : (b))
    #define FOUR 4
    template <int n> int total(device const int *x) {
      int sum = 0;
      #pragma unroll (LEAST(n, 4))
      for (int i = 0; i < n; ++i) sum += x[i];
      #pragma unroll(FOUR)
      for (int i = 0; i < n; ++i) sum += x[i];
      #pragma clang loop unroll_count(n)
      for (int i = 0; i < n; ++i) sum += x[i];
      return sum;
    }
    kernel void k(device int *x) { x[0] = total<4>(x); }"""
    x = torch.tensor([1, 2, 3, 4], dtype=torch.int32)
    run(source, x)
    assert x[0].item() == 30


RECURSION = {
    "itself": "int f(int n, device int *x) { return n < 2 ? x[n] : f(n - 1, x) + f(n - 2, x); }",
    "through_another": "int g(int n);\nint f(int n, device int *x) { return n ? g(n - 1) * 3 + n : x[0]; }\n"
    "int g(int n) { device int *none = nullptr; return n == 1 ? 1 : f(n - 1, none) + 1; }",
    "a_method": "struct tree { int f(int n, device int *x) { return n < 2 ? x[n] : f(n - 1, x) * f(n - 2, x); } };\n"
    "int f(int n, device int *x) { return tree().f(n, x); }",
}


@pytest.mark.parametrize("source", RECURSION.values(), ids=RECURSION)
def test_recursion_is_refused(source):
    """It would exhaust the stack, which ends the process."""
    with pytest.raises(MetalCompileError, match=r"'[fg]' calls itself, and Metal has no recursion"):
        run(source + "\nkernel void k(device int *x) { x[0] = f(x[0], x); }", torch.zeros(4, dtype=torch.int32))


def test_overloads_and_templates_that_call_each_other_are_no_recursion():
    source = """
    template <int n> int sum(device const int *x) { return x[n] + sum<n - 1>(x); }
    template <> int sum<0>(device const int *x) { return x[0]; }
    int add(int a) { return a + 1; }
    float add(float a) { return add(int(a)); }
    __attribute__((noinline)) int apart(int a) { return a * 2; }
    kernel void add(device int *x) { x[0] = sum<3>(x) + int(add(0.5f)) + apart(x[1]); }"""
    x = torch.tensor([1, 2, 3, 4], dtype=torch.int32)
    run(source, x)
    assert x[0].item() == 10 + 1 + 4


def test_an_array_without_a_constant_length_is_refused():
    source = """kernel void k(device int *x) {
      int n = x[0]; int a[n]; for (int i = 0; i < n; ++i) a[i] = x[i]; x[0] = a[x[1]];
    }"""
    with pytest.raises(MetalCompileError, match="an array's length is not known"):
        run(source, torch.ones(4, dtype=torch.int32))
