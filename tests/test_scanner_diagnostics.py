"""What the host engine says of MSL that does not compile: the first line, the positions, the source around them."""

from __future__ import annotations

import re

import pytest

import helion_msl
from helion_msl import MetalCompileError

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"


def refusal(source, **options):
    with pytest.raises(MetalCompileError) as caught:
        helion_msl.compile(source, device="cpu", **options)
    message = str(caught.value)
    assert message.startswith("MSL does not compile: ")
    # Nothing of how it is done: no temporary files, no names of our own.
    assert "/tmp" not in message
    assert "helion_host" not in message
    return message


def test_one_error():
    message = refusal(HEADER + "kernel void f(device float *x) {\n  x[0] = oops;\n}\n")
    assert message.splitlines() == [
        "MSL does not compile: 1 error: <msl>:4:10: error: use of undeclared identifier 'oops'",
        "",
        "in the MSL text:",
        "     2 | using namespace metal;",
        "     3 | kernel void f(device float *x) {",
        ">    4 |   x[0] = oops;",
        "     5 | }",
    ]


def test_several_errors_are_counted_and_listed():
    message = refusal(HEADER + "kernel void f(device float *x) {\n  x[0] = oops;\n\n\n\n\n\n  x[1] = alas;\n}\n")
    assert message.startswith(
        "MSL does not compile: 2 errors: <msl>:4:10: error: use of undeclared identifier 'oops'\n"
    )
    assert "\n  <msl>:10:10: error: use of undeclared identifier 'alas'\n" in message
    assert "\n      ...\n" in message


def test_columns_survive_rewriting():
    line = "  threadgroup half t[4]; t[0] = 1.0h; threadgroup_barrier(mem_flags::mem_none); x[0] = oops;"
    message = refusal(HEADER + "kernel void f(device float *x) {\n" + line + "\n}\n")
    assert f"<msl>:4:{line.index('oops') + 1}: error: use of undeclared identifier 'oops'" in message


def test_line_directives_name_the_file_of_the_user():
    message = refusal('#line 12 "model.py"\nkernel void f(device float *x) {\n#line 40\n  x[0] = oops;\n}\n')
    assert "model.py:40:10: error: use of undeclared identifier 'oops'" in message
    assert "\n     3 | #line 40\n>    4 |   x[0] = oops;\n" in message


def test_line_directives_together_with_macros():
    source = '#define ONE 1\n#line 7 "model.py"\nkernel void f(device float *x) {\n  x[0] = ONE + oops;\n}\n'
    assert "model.py:8: error: use of undeclared identifier 'oops'" in refusal(source)


def test_error_in_a_template_says_where_it_is_used():
    source = HEADER + (
        "template <typename T> T twice(T x) {\n  return x.twice();\n}\n"
        "kernel void f(device float *x) {\n  x[0] = twice(x[0]);\n}\n"
    )
    message = refusal(source)
    assert "<msl>:4:" in message
    assert "<msl>:7:" in message
    assert "requested here" in message


def test_error_behind_a_macro():
    message = refusal("#define SET(x) x[0] = oops\nkernel void f(device float *x) {\n  SET(x);\n}\n")
    assert "<msl>:3: error: use of undeclared identifier 'oops'" in message
    assert ">    3 |   SET(x);" in message


def test_error_of_the_preprocessor():
    message = refusal("#if 1\n#error write this kernel first\n#endif\nkernel void f(device float *x) { x[0] = 1; }\n")
    assert "<msl>:2:2: error: write this kernel first" in message


def test_missing_header():
    message = refusal("#include <no_such_header.h>\nkernel void f(device float *x) { x[0] = 1; }\n")
    assert "<msl>:1:10: error: 'no_such_header.h' file not found" in message


REFUSALS = {
    "unbalanced": (
        "kernel void f(device float *x) {\n  if (x[0] > 1) {\n}\n",
        "<msl>:1:32: error: this { is never closed",
    ),
    "mismatched": ("kernel void f(device float *x) {\n  x[0) = 1;\n}\n", r"<msl>:2:4: error: this \[ is not closed"),
    "closed_twice": ("kernel void f(device float *x) {}\n}\n", "<msl>:2:1: error: this } closes nothing"),
    "open_comment": ("kernel void f(device float *x) {}\n/* and\n", r"<msl>:2:1: error: this comment has no \*/"),
    "open_string": (
        'constant char s[] = "abc;\nkernel void f() {}\n',
        '<msl>:1:21: error: this string has no closing "',
    ),
    "no_kernel": ("float f() { return 1; }\n", "the source has no kernel"),
    "empty": ("", "the source has no kernel"),
    "never_instantiated": (
        "template <typename T>\nkernel void f(device T *x) {}\n",
        "<msl>:2:13: error: .*'f' is never instantiated",
    ),
    "same_name": (
        "kernel void f() {}\nnamespace n { kernel void f() {} }\n",
        "<msl>:2:15: error: there are two kernels named 'f'",
    ),
    "not_void": (
        "kernel float f(device float *x) { return 1; }\n",
        "<msl>:1:14: error: the kernel 'f' must return void",
    ),
    "double": (
        "kernel void f(device float *x) {\n  double y = 1; // double\n}\n",
        "<msl>:2:3: error: Metal has no double",
    ),
    "same_index": (
        "kernel void f(device float *x [[buffer(1)]],\n  device float *y [[buffer(1)]]) {}\n",
        "<msl>:1:13: error: two parameters of a kernel have the same buffer index",
    ),
    "index_too_large": (
        "kernel void f(device float *x [[buffer(31)]]) {}\n",
        "<msl>:1:13: error: .*n goes from 0 to 30",
    ),
    "value_without_attribute": (
        "kernel void f(device float *x, float y) {}\n",
        "<msl>:1:13: error: a parameter passed by value needs an attribute",
    ),
    "signed_position": (
        "kernel void f(device float *x, int i [[thread_position_in_grid]]) {}\n",
        "<msl>:1:13: error: a position or a size is passed as uint or ushort",
    ),
    "vector_for_a_count": (
        "kernel void f(uint2 i [[thread_index_in_simdgroup]]) {}\n",
        "<msl>:1:13: error: .* an index or a count as uint or ushort",
    ),
    "misspelled_attribute": (
        "kernel void f(device float *x, uint i [[thread_position_in_gird]]) {}\n",
        "<msl>:1:41: error: parameter 'i': kernels have no attribute 'thread_position_in_gird'",
    ),
    "texture": (
        "kernel void f(device float *x,\n  texture2d<float> t [[texture(0)]]) {}\n",
        "<msl>:2:24: error: parameter 't': textures are not supported; pass the data in a buffer",
    ),
    "threadgroup_parameter": (
        "kernel void f(device float *x,\n  device float *t [[threadgroup(0)]]) {}\n",
        "<msl>:2:3: error: parameter 't' has a threadgroup index, but is no threadgroup memory",
    ),
    "threadgroup_initializer": (
        "kernel void f(device float *x) {\n  threadgroup float t[1] = {0};\n}\n",
        "<msl>:2:21: error: the threadgroup variable 't' has an initializer",
    ),
    "threadgroup_in_a_function": (
        "void g() {\n  threadgroup float t[1];\n}\nkernel void f() { g(); }\n",
        "<msl>:2:3: error: the threadgroup variable 't' is declared outside of a kernel",
    ),
    "threadgroup_at_program_scope": (
        "threadgroup float t[1];\nkernel void f() {}\n",
        "<msl>:1:1: error: the threadgroup variable 't' is declared outside of a kernel",
    ),
    "address_space_overloads_that_differ": (
        "float g(device float *p) { return 1; }\n\nfloat g(threadgroup float *p) { return 2; }\nkernel void f() {}\n",
        "<msl>:3:7: error: 'g' and its overload at line 1 differ in address spaces only, and their bodies are",
    ),
    "constant_without_value": (
        "constant int n [[function_constant(0)]];\nkernel void f(device float *x) { x[0] = n; }\n",
        "<msl>:1:14: error: the function constant 'n' is used but has no value; pass one in constants",
    ),
    "condition_without_value": (
        "constant bool b [[function_constant(0)]];\n"
        "kernel void f(device float *x [[buffer(0), function_constant(b)]]) {}\n",
        "the function constant 'b' is used but has no value; pass one in constants",
    ),
    "not_a_function_constant": (
        "constant int n = 1;\nkernel void f(device float *x) { x[0] = is_function_constant_defined(n); }\n",
        "<msl>:2:41: error: 'n' is not a function constant",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal(case):
    source, message = REFUSALS[case]
    text = refusal("#include <metal_stdlib>\nusing namespace metal;\n#line 1\n" + source)
    assert re.search(message, text), text
