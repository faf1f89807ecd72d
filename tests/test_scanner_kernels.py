"""Kernels in every form in which MSL sources declare them: each is compiled, described and run."""

from __future__ import annotations

import pytest
import torch

import helion_msl
from helion_msl import UnknownKernelError

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"

# Each writes 7 to x[0]. The name is the kernel's.
FORMS = {
    "keyword": ("f", "kernel void f(device float *x [[buffer(0)]]) { x[0] = 7; }"),
    "attribute": ("f", "[[kernel]] void f(device float *x) { x[0] = 7; }"),
    "static": ("f", "static kernel void f(device float *x) { x[0] = 7; }"),
    "extern_c": ("f", 'extern "C" kernel void f(device float *x) { x[0] = 7; }'),
    "extern_c_block": ("f", 'extern "C" {\nkernel void f(device float *x) { x[0] = 7; }\n}'),
    "host_name": ("g", '[[host_name("g")]] kernel void f(device float *x) { x[0] = 7; }'),
    "host_name_behind": ("g", 'kernel [[host_name("g")]] void f(device float *x) { x[0] = 7; }'),
    "host_name_in_pieces": ("g_float", '[[host_name("g_" "float")]] kernel void f(device float *x) { x[0] = 7; }'),
    "forward_declaration": (
        "f",
        "kernel void f(device float *x [[buffer(0)]]);\nkernel void f(device float *x [[buffer(0)]]) { x[0] = 7; }",
    ),
    "no_arguments_but_positions": (
        "f",
        "kernel void f(device float *x, uint3 t [[thread_position_in_threadgroup]]) { if (t.x == 0) x[0] = 7; }",
    ),
    "namespace": (
        "f",
        "namespace a::b { constant int slot = 0; kernel void f(device float *x [[buffer(slot)]]) { x[0] = 7; } }",
    ),
    "anonymous_namespace": ("f", "namespace { kernel void f(device float *x) { x[0] = 7; } }"),
    "index_expression": (
        "f",
        "enum { base = 2 };\nkernel void f(device float *x [[buffer(base * 2 - 4)]]) { x[0] = 7; }",
    ),
    "template_by_decltype": (
        "g",
        "template <typename T, int n> [[kernel]] void f(device T *x) { x[0] = n; }\n"
        'template [[host_name("g")]] [[kernel]] decltype(f<float, 7>) f<float, 7>;',
    ),
    "template_by_signature": (
        "g",
        "template <typename T, int n> kernel void f(device T *x [[buffer(0)]], uint i [[thread_position_in_grid]])"
        " { if (i == 0) x[i] = n; }\n"
        'template [[host_name("g")]] [[kernel]] void f<float, 7>(device float *x [[buffer(0)]],\n'
        "    uint i [[thread_position_in_grid]]);",
    ),
    "template_with_deduced_arguments": (
        "g",
        "template <typename T> kernel void f(device T *x) { x[0] = 7; }\n"
        'template [[host_name("g")]] kernel void f(device float *x);',
    ),
    "template_in_namespace": (
        "g",
        "namespace n { template <typename T> kernel void f(device T *x) { x[0] = 7; } }\n"
        'template [[host_name("g")]] kernel decltype(n::f<float>) n::f<float>;',
    ),
    "template_instantiated_in_its_namespace": (
        "g",
        "namespace n { using real = float; template <typename T> kernel void f(device T *x) { x[0] = 7; }\n"
        'template [[host_name("g")]] kernel decltype(f<real>) f<real>; }',
    ),
    "template_named_from_the_global_namespace": (
        "g",
        "namespace n { template <typename T, ::metal::enable_if_t<::metal::is_same_v<T, float>, bool> = true>\n"
        "kernel void f(device T *x) { x[0] = 7; } }\n"
        'template [[host_name("g")]] kernel void ::n::f<float>(device float *x);',
    ),
    "template_by_typedef": (
        "g",
        "template <typename T> kernel void f(device T *x) { x[0] = 7; }\n"
        "typedef decltype(f<float>) f_t;\n"
        'template [[host_name("g")]] kernel f_t f<float>;',
    ),
    "explicit_specialization": (
        "g",
        "template <typename T> kernel void f(device T *x) { x[0] = 1; }\n"
        'template <> [[host_name("g")]] kernel void f<float>(device float *x) { x[0] = 7; }',
    ),
    "template_pack_and_unnamed_parameter": (
        "g",
        "template <typename... Ts> struct count { static constexpr constant int value = sizeof...(Ts); };\n"
        "template <int n, typename = void, typename... Ts> kernel void f(device float *x) {\n"
        "  threadgroup float t[n]; t[0] = count<Ts...>::value + n; x[0] = t[0]; }\n"
        'template [[host_name("g")]] kernel decltype(f<5, int, float, half>) f<5, int, float, half>;',
    ),
    "nested_template_arguments": (
        "g",
        "template <typename T> struct box { T value; };\n"
        "template <typename T> kernel void f(device T *x) { x[0].value.value = 7; }\n"
        'template [[host_name("g")]] kernel decltype(f<box<box<float>>>) f<box<box<float>>>;',
    ),
    "macro": (
        "f_float",
        "#define KERNEL(type) kernel void f_##type(device type *x) { x[0] = SEVEN; }\n#define SEVEN 7\nKERNEL(float)",
    ),
    "macro_that_instantiates": (
        "g_float",
        "template <typename T> kernel void f(device T *x) { x[0] = 7; }\n"
        "#define INSTANTIATE(name, func, ...) \\\n"
        "  template [[host_name(name)]] [[kernel]] decltype(func<__VA_ARGS__>) func<__VA_ARGS__>;\n"
        '#define ALL(type) INSTANTIATE("g_" #type, f, type)\n'
        "ALL(float)",
    ),
    "conditional": (
        "f",
        "#if defined(__METAL__) && __METAL_VERSION__ >= 300\nkernel void f(device float *x) { x[0] = 7; }\n"
        "#else\nthis is not code\n#endif",
    ),
    "torch_header": (
        "f",
        "#include <c10/metal/utils.h>\nkernel void f(device float *x) { x[0] = c10::metal::max(3.0f, 7.0f); }",
    ),
    "carriage_returns": ("f", "kernel void f(device float *x)\r\n{\r\n  x[0] = 7; // comment\r\n}\r\n"),
    "not_ascii": ("f", 'kernel void f(device float *x) { /* größer ≥ 7 — 日本語 */ x[0] = 7; } // "é'),
    "raw_string": (
        "f",
        'constant char s[] = R"x(kernel void g() { } )" )x";\nkernel void f(device float *x) { x[0] = 7; }',
    ),
    "line_splice": ("f", "kernel void f(device float *x) { // comment \\\n x[0] = 1; goes on\n x[0] = 7; }"),
}


@pytest.mark.parametrize("form", FORMS)
def test_form(device, form):
    name, source = FORMS[form]
    x = torch.zeros(1, device=device)
    kernel = helion_msl.compile(HEADER + source, device=device)
    assert kernel.name == name
    kernel([x], 1, 1)
    helion_msl.synchronize(device)
    assert x.item() == 7


def test_byte_order_mark(device):
    x = torch.zeros(1, device=device)
    helion_msl.launch("\ufeff" + HEADER + FORMS["keyword"][1], [x], 1, 1)
    assert x.item() == 7


def test_template_without_instantiation_is_no_kernel(device):
    source = HEADER + (
        "template <typename T> kernel void unused(device T *x) { x[0] = 1; }\n"
        "kernel void used(device float *x) { x[0] = 7; }\n"
    )
    assert helion_msl.compile(source, device=device).name == "used"


def test_several_kernels(device):
    source = HEADER + "".join(f"kernel void f{i}(device float *x) {{ x[0] = {i}; }}\n" for i in range(3))
    x = torch.zeros(1, device=device)
    for i in range(3):
        helion_msl.launch(source, [x], 1, 1, name=f"f{i}")
        assert x.item() == i
    with pytest.raises(UnknownKernelError, match=r"f0\W+f1\W+f2"):
        helion_msl.compile(source, device=device)
    with pytest.raises(UnknownKernelError, match=r"no kernel.* '?f3'?; it has\W+f0\W+f1\W+f2"):
        helion_msl.compile(source, name="f3", device=device)


def test_many_instantiations_are_found_one_by_one(device):
    source = HEADER + "template <int n> kernel void f(device float *x) { x[0] = n; }\n"
    source += "".join(f'template [[host_name("f{n}")]] kernel decltype(f<{n}>) f<{n}>;\n' for n in range(40))
    x = torch.zeros(1, device=device)
    for n in (0, 39, 17):
        helion_msl.launch(source, [x], 1, 1, name=f"f{n}")
        assert x.item() == n


def test_kernels_that_the_cpu_cannot_run_do_not_stop_others():
    source = HEADER + (
        "kernel void f(device float *x) { x[0] = 7; }\n"
        "kernel void g(texture2d<float> t [[texture(0)]], device float *x) { x[0] = t.get_width(); }\n"
        "kernel void h(device float *x, sampler s [[sampler(0)]]) { x[0] = 1; }\n"
    )
    x = torch.zeros(1)
    helion_msl.launch(source, [x], 1, 1, name="f")
    assert x.item() == 7
    with pytest.raises(helion_msl.MetalCompileError, match="'s': samplers are not supported"):
        helion_msl.compile(source, name="h", device="cpu")


def test_argument_table():
    source = HEADER + (
        "struct params { int a; float b; };\nenum kind : ushort { one };\n"
        "kernel void f(device half *h [[buffer(3)]], constant params &p [[buffer(1)]], device const packed_float3 *q,\n"
        "  const device vec<int, 2> *__restrict v [[buffer(7)]], device atomic_uint *n, constant kind &k,\n"
        "  constant float (&table)[5], device bfloat4 &b, uint i [[thread_position_in_grid]]) {}\n"
    )
    kernel = helion_msl.compile(source, device="cpu")
    described = [
        (a.index, a.name, a.dtype, a.lanes, a.element_size, a.is_reference, a.is_writable) for a in kernel.arguments
    ]
    # Parameters without [[buffer(n)]] take the free indices from 0 on, in their order.
    assert described == [
        (0, "q", "float32", 3, 12, False, False),
        (1, "p", "opaque", 1, 8, True, False),
        (2, "n", "uint32", 1, 4, False, True),
        (3, "h", "float16", 1, 2, False, True),
        (4, "k", "uint16", 1, 2, True, False),
        (5, "table", "float32", 1, 4, False, False),
        (6, "b", "bfloat16", 4, 8, True, True),
        (7, "v", "int32", 2, 8, False, False),
    ]


def test_limits_may_use_template_parameters():
    source = HEADER + (
        "template <int rows, int columns> [[kernel, max_total_threads_per_threadgroup(rows * columns)]]\n"
        "void f(device float *x) { x[0] = 1; }\n"
        'template [[host_name("g")]] [[kernel]] decltype(f<8, 16>) f<8, 16>;\n'
    )
    assert helion_msl.compile(source, device="cpu").max_total_threads_per_threadgroup == 128


def test_required_threads():
    source = HEADER + "[[required_threads_per_threadgroup(8, 4, 1)]] kernel void f(device float *x) { x[0] = 1; }\n"
    assert helion_msl.compile(source, device="cpu").required_threads_per_threadgroup == (8, 4, 1)


THREADGROUP_VARIABLES = """
struct pair { float a; int b; };
kernel void f(device float *x, uint t [[thread_index_in_threadgroup]]) {
  threadgroup float a[4][5], b;
  alignas(16) threadgroup float c[8];
  threadgroup atomic_int d;
  threadgroup array<float, 4> e;
  threadgroup pair g;
  threadgroup half3 h;
  threadgroup float *p = &a[0][0];
  threadgroup auto &r = c;
  threadgroup float(*rows)[5] = a;
  const threadgroup float *q = p;
  if (t == 0) {
    threadgroup uchar inner[3];
    inner[0] = 2;
    a[0][0] = 1; b = 2; c[1] = 3; e[1] = 4; g.a = 5; h.y = 6.0h;
    atomic_store_explicit(&d, 7, memory_order_relaxed);
    x[0] = *p; x[1] = b; x[2] = r[1]; x[3] = e[1]; x[4] = g.a; x[5] = h.y;
    x[6] = atomic_load_explicit(&d, memory_order_relaxed); x[7] = rows[0][0] + q[0] + inner[0];
  }
}
"""


def test_threadgroup_variables(device):
    x = torch.zeros(8, device=device)
    kernel = helion_msl.compile(HEADER + THREADGROUP_VARIABLES, device=device)
    kernel([x], 1, 32)
    helion_msl.synchronize(device)
    assert x.tolist() == [1, 2, 3, 4, 5, 6, 7, 4]


def test_threadgroup_memory_is_counted():
    kernel = helion_msl.compile(HEADER + THREADGROUP_VARIABLES, device="cpu")
    # a, b, c, d, e, g, h, inner; pointers and references take none.
    assert kernel.static_threadgroup_memory == 4 * 20 + 4 + 4 * 8 + 4 + 4 * 4 + 8 + 8 + 3


def test_threadgroup_memory_of_a_template_is_its_own():
    source = (
        HEADER + "template <int n> kernel void f(device float *x) { threadgroup float t[n]; t[0] = n; x[0] = t[0]; }\n"
    )
    source += "".join(f'template [[host_name("f{n}")]] kernel decltype(f<{n}>) f<{n}>;\n' for n in (4, 64))
    assert helion_msl.compile(source, name="f4", device="cpu").static_threadgroup_memory == 16
    assert helion_msl.compile(source, name="f64", device="cpu").static_threadgroup_memory == 256


def test_overloads_on_address_spaces(device):
    source = (
        HEADER
        + """
float read(device const float *p) { return *p; }
float read(threadgroup const float *p) { return *p; }
float read(thread const float *p) { return *p; }
float read(constant float *p) { return *p; }
template <typename T> struct element {};
template <typename T> struct element<device T *> { using type = T; };
template <typename T> struct element<threadgroup T *> { using type = T; };
struct value {
  float v;
  value(float x) thread : v(x) {}
  value(float x) threadgroup : v(x) {}
  value(float x) constant : v(x) {}
  float get() const thread { return v; }
  float get() const device { return v; }
  float get() const constant { return v; }
};
kernel void f(device float *x, constant float &c) {
  threadgroup float t[1];
  t[0] = 1;
  float y = 2;
  element<device float *>::type z = value(y).get();
  x[0] = read(t) + read(&y) + read(x + 1) + read(&c) + z;
}
"""
    )
    x = torch.tensor([0.0, 10.0], device=device)
    helion_msl.launch(source, [x, 100.0], 1, 1)
    assert x[0].item() == 1 + 2 + 10 + 100 + 2


def test_literals(device):
    source = (
        HEADER
        + """
static_assert(sizeof(1.0) == 4 && sizeof(1.0h) == 2 && sizeof(1.0f) == 4 && sizeof(.5H) == 2, "");
kernel void f(device float *x) {
  x[0] = 1.0h + 2.h + .5H + 1e-3h; x[1] = 1.5bf; x[2] = 0x1bf + 1'000; x[3] = 0x1p3h; x[4] = 0x1p-2f + 2.5F;
}
"""
    )
    x = torch.zeros(5, device=device)
    helion_msl.launch(source, [x], 1, 1)
    half = torch.tensor([1, 2, 0.5, 1e-3], dtype=torch.float16)
    assert x.tolist() == [sum(half).item(), 1.5, 0x1BF + 1000, 8.0, 2.75]


def test_returns_inside_lambdas_and_local_structs(device):
    source = (
        HEADER
        + """
kernel void f(device float *x, uint i [[thread_position_in_grid]]) {
  struct local { float get() const { return 2; } };
  auto larger = [](float a) { if (a > 1) return a; return 1.0f; };
  auto nothing = [&] { return; };
  auto typed = [&]() -> float { return x[i] + 1; };
  if (i == 1) return;
  nothing();
  x[i] = larger(x[i]) + local().get() + typed();
}
"""
    )
    x = torch.tensor([5.0, 5.0, 0.0], device=device)
    helion_msl.launch(source, [x], 1, 3)
    assert x.tolist() == [13, 5, 4]


def test_function_constants(device):
    source = (
        HEADER
        + """
constant int n [[function_constant(0)]];
constant bool doubled [[function_constant(1)]];
constant float scale [[function_constant(2)]];
constant int count = is_function_constant_defined(n) ? n : 4;
kernel void f(device float *x, device float *y [[buffer(3), function_constant(doubled)]]) {
  x[0] = count;
  if (is_function_constant_defined(scale)) x[0] *= scale;
  if (doubled) y[0] = 2 * x[0];
}
"""
    )
    x, y = torch.zeros(1, device=device), torch.zeros(1, device=device)

    def run(arguments, **constants):
        helion_msl.compile(source, device=device, constants=constants)(arguments, 1, 1)
        helion_msl.synchronize(device)
        return x.item(), y.item()

    assert run([x], doubled=False) == (4, 0)
    assert run([x, y], doubled=True, n=-3) == (-3, -6)
    assert run([x], doubled=False, n=2**31 - 1, scale=0.5) == (0.5 * 2**31, -6)
    by_index = helion_msl.compile(source, device=device, constants={0: 9, "1": False})
    by_index([x], 1, 1)
    helion_msl.synchronize(device)
    assert x.item() == 9


def test_kernels_without_the_constants_that_others_need(device):
    source = (
        HEADER
        + """
constant int n [[function_constant(0)]];
kernel void plain(device float *x) { x[0] = 7; }
kernel void special(device float *x) { x[0] = n; }
"""
    )
    x = torch.zeros(1, device=device)
    helion_msl.launch(source, [x], 1, 1, name="plain")
    assert x.item() == 7
    helion_msl.compile(source, name="special", device=device, constants={"n": 3})([x], 1, 1)
    helion_msl.synchronize(device)
    assert x.item() == 3
    with pytest.raises(helion_msl.MetalCompileError, match=r"\bn\b"):
        helion_msl.compile(source, name="special", device=device)
