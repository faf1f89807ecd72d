"""Precompiled headers of the host engine: made once, used by later compiles, and never needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from helion_msl import _C
from test_host_cache import Machine

# Compiles the sources one after the other; prints the results, or the first line of the error.
PROGRAM = """
import json, sys, numpy, helion_msl
for source in json.load(sys.stdin):
    out = numpy.zeros(1, dtype=numpy.int32)
    try:
        helion_msl.compile(source, device="cpu")([out], 1, 1)
        print(out[0])
    except helion_msl.MetalCompileError as error:
        print(repr(str(error)))
"""


def source_of(number: int, more: str = "") -> str:
    return f"kernel void f(device int *out [[buffer(0)]]) {{ out[0] = metal::abs(-{number}); {more} }}"


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def run(machine, sources):
    """Compile in a new process; return what it printed and the calls of clang."""
    machine.log.write_text("")
    environment = os.environ | {"HELION_MSL_CACHE_DIR": str(machine.cache), "HELION_MSL_CLANG": str(machine.clang)}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(sources),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    calls = [line.split() for line in machine.log.read_text().splitlines()]
    return result.stdout.splitlines(), calls


def made(calls):
    return sum("c++-header" in call for call in calls)


def used(calls):
    return sum("-include-pch" in call for call in calls)


def test_made_beside_the_second_compile_and_used_from_then_on(machine):
    assert made(run(machine, [source_of(1)])[1]) == 0
    said, calls = run(machine, [source_of(number) for number in (2, 3, 4, 5)])
    assert said == ["2", "3", "4", "5"]
    assert (made(calls), used(calls)) == (1, 2)
    said, calls = run(machine, [source_of(6)])
    assert (said, made(calls), used(calls)) == (["6"], 0, 1)


@pytest.fixture
def prepared(machine):
    run(machine, [source_of(1), source_of(2)])
    (machine.headers,) = machine.cache.glob("headers/*/data")
    return machine


MANY_PARTS = """
#include <metal_stdlib>
using namespace metal;
kernel void f(device atomic_int *out [[buffer(0)]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup int shared[4];
  shared[0] = (NUMBER << 33) / 2 % 1000;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const float a = exp(log(1.0f)) + fast::cos(0.0f) + float(simd_sum(1)) + float(half(1)) + float(bfloat(1));
  const uint bits = popcount(7u) + uint(all(bool2(true))) + uint(dot(float3(1), float3(1)));
  simdgroup_float8x8 matrix = make_filled_simdgroup_matrix<float, 8, 8>(1.0f);
  (void)matrix;
  float2x2 small(1.0f);
  atomic_fetch_add_explicit(out, shared[0] + int(a) + int(bits) + int(determinant(small)), memory_order_relaxed);
}
"""


def test_every_part_of_the_library_is_there(prepared):
    sources = [MANY_PARTS.replace("NUMBER", str(number)) for number in (1, 2, 3)]
    plain = [line for source in sources for line in run(prepared, [source])[0]]
    _, calls = run(prepared, [source.replace("1000", "100") for source in sources])
    assert used(calls) >= 2
    # Had the compiler failed with them, it would have been called once more.
    assert sum("-c" in call for call in calls) == 3
    assert all(line.isdigit() for line in plain)


def test_damaged_headers_are_not_used(prepared):
    content = bytearray(prepared.headers.read_bytes())
    content[len(content) // 2] ^= 1
    prepared.headers.write_bytes(content)
    said, calls = run(prepared, [source_of(3), source_of(4), source_of(5)])
    assert said == ["3", "4", "5"]
    assert (made(calls), used(calls)) == (1, 1)


def test_headers_that_the_compiler_refuses(prepared, monkeypatch):
    key = prepared.headers.with_name("key").read_bytes().split(b"\n", 1)[1]
    monkeypatch.setenv("HELION_MSL_CACHE_DIR", str(prepared.cache))
    _C.disk_cache_remove("headers", key)
    _C.disk_cache_store("headers", key, b"no headers at all")
    said, calls = run(prepared, [source_of(3)])
    assert said == ["3"]
    assert used(calls) == 1  # in vain
    assert not list(prepared.cache.glob("headers/*/data"))


def test_sources_with_swizzles_read_the_text(prepared):
    said, calls = run(prepared, [source_of(3, "out[0] = int3(out[0], 8, 9).zyx.x;")])
    assert (said, used(calls)) == (["9"], 0)


@pytest.mark.parametrize(
    "mistake",
    ["out[0] = nothing;", "out[0] = metal::abs();", "float4 v = 1; out[0] = v.zz;", 'out[0] = "text";', "}"],
)
def test_diagnostics_are_the_same(machine, prepared, mistake):
    with_headers, _ = run(prepared, [source_of(3, mistake)])
    environment, prepared.cache = prepared.cache, prepared.directory / "another"
    without, calls = run(prepared, [source_of(3, mistake)])
    prepared.cache = environment
    assert used(calls) == 0
    assert with_headers == without
    assert "error" in without[0]


def test_a_source_may_define_what_the_library_has_elsewhere(prepared):
    # Names of parts of the library that the source does not ask for.
    source = """
    struct level { int filter; };
    int clamped(int x) { return x; }
    #define BLOCK 4
    kernel void f(device int *out [[buffer(0)]]) { level value{3}; out[0] = clamped(value.filter) * BLOCK; }
    """
    assert run(prepared, [source])[0] == ["12"]
