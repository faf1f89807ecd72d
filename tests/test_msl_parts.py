"""The parts of the library that a source does not use stay out: <metal_stdlib> asks for a part by its words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import helion_msl
from helion_msl import _C

HEADERS = Path(helion_msl.__file__).parent / "host" / "include" / "helion_host"


def parts() -> dict[str, set[str]]:
    """Header -> the words that bring it."""
    text = "".join((HEADERS / name).read_text() for name in ("stdlib.h", "on_demand.h")).replace("\\\n", " ")
    found = re.findall(r"^#if ([^\n]*)\n#include \"([^\"]+)\"\n#endif", text, re.MULTILINE)
    return {header: set(re.findall(r"HELION_MSL_USES_(\w+)", condition)) for condition, header in found}


def declared_functions(header: str) -> set[str]:
    """Names of the functions that a header declares in namespace metal, by the forms in which it declares them."""
    text = (HEADERS / header).read_text()
    names = set(
        re.findall(r"^HELION_MSL_(?:FLOATING|INTEGER|COMMON|RELATION|ATOMIC\w*)_?\d?\((\w+)", text, re.MULTILINE)
    )
    names |= set(re.findall(r"^HELION_MSL_(?:SIMD|QUAD)_REDUCTION\((\w+)", text, re.MULTILINE))
    names |= set(re.findall(r"^HELION_MSL_ATOMIC_ORDER\(\w+, (\w+)", text, re.MULTILINE))
    library = "".join(re.findall(r"^namespace metal \{$.*?^\}  // namespace metal$", text, re.MULTILINE | re.DOTALL))
    names |= set(re.findall(r"^HELION_MSL_FUNC [^(=]*?(\w+)\(", library, re.MULTILINE))
    names |= set(re.findall(r"^(?:struct|class) (\w+) \{", library, re.MULTILINE))
    return {name for name in names if name != "name" and not name.startswith(("HELION", "operator"))}


def test_there_are_parts():
    assert len(parts()) >= 12


# What translated kernels call by the name of its namespace, which brings it whole, and what the scanner asks for.
NOT_FOR_USERS = {"messages.h", "lockstep.h"}


@pytest.mark.parametrize("header", sorted(set(parts()) - NOT_FOR_USERS))
def test_every_function_of_a_part_brings_it(header):
    if header in ("internals.h", "../simd/simd.h", "pack.h", "unavailable.h", "logging.h", "integer_operators.h"):
        pytest.skip("declares its names by macros; the tests of its functions compile each in few")
    declared = declared_functions(header)
    assert declared, "no declarations found"
    assert declared <= parts()[header], declared - parts()[header]


# One use of each part, alone in its kernel.
USES = {
    "common.h": "out[0] = saturate(out[0]);",
    "math.h": "out[0] = fast::sin(out[0]);",
    "geometric.h": "out[0] = precise::length(float2(out[0]));",
    "relational.h": "out[0] = select(out[0], 1.0f, true);",
    "integer.h": "out[0] = popcount(7u);",
    "integer_operators.h": "int n = 3; out[0] = 7 / n;",
    "limits.h": "out[0] = numeric_limits<float>::max();",
    "atomic.h": "atomic_fetch_add_explicit((device atomic_float *)out, 1.0f, memory_order_relaxed);",
    "simdgroup.h": "out[0] = simd_sum(out[0]);",
    "quadgroup.h": "out[0] = quad_sum(out[0]);",
    "simdgroup_matrix.h": "simdgroup_float8x8 m(1.0f); out[0] = m.thread_elements()[0];",
    "matrix.h": "float2x2 m(1.0f); out[0] = (m * float2(1))[0];",
    "pack.h": "out[0] = unpack_unorm4x8_to_float(5).x;",
    "utility.h": "array<float, 2> a; a[0] = 1; out[0] = a[0];",
    "internals.h": "out[0] = __metal_sin(out[0], __METAL_MAYBE_FAST_MATH__);",
    "messages.h": 'if (out[0] < 0) helion_host::print("%g", out[0]);',
    "logging.h": 'os_log log("", ""); log.log("x");',
    "../simd/simd.h": "simd_float4 v = simd_float4(1); out[0] = v.x;",
    "lockstep.h": "out[0] = 1; threadgroup_barrier(mem_flags::mem_none); out[1] = out[0] + 1;",
}


@pytest.mark.parametrize("header", sorted(set(parts()) - {"unavailable.h"}))
@pytest.mark.parametrize("directive", ["", "#define UNUSED\n"])
def test_a_part_alone(header, directive):
    """Also where a directive makes the engine preprocess the source, which takes its #include lines away."""
    own = {"logging.h": "#include <metal_logging>\n", "../simd/simd.h": "#include <simd/simd.h>\n"}.get(header, "")
    kernel = f"kernel void k(device float *out) {{ {USES[header]} }}"
    source = f"{directive}#include <metal_stdlib>\n{own}using namespace metal;\n{kernel}"
    out = torch.zeros(4)
    _C.launch(source, [out], (1,), (1,))
    assert bool(out.isfinite().all())
