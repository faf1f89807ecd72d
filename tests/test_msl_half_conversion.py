"""The half conversions for x86 processors without F16C, compiled for such a processor and compared with torch."""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import helion_msl
from msl_evaluation import assert_same_bits, floats

pytestmark = [
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86 processors only"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="builds an ELF library"),
    pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="needs ziglang's clang"),
]

SOURCE = """
#include <metal_stdlib>
extern "C" void helion_host_fail(const char *) { __builtin_trap(); }
extern "C" void widen(const half *from, float *to, long n) { for (long i = 0; i < n; ++i) to[i] = from[i]; }
extern "C" void narrow(const float *from, half *to, long n) { for (long i = 0; i < n; ++i) to[i] = half(from[i]); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    directory = tmp_path_factory.mktemp("half")
    source, built, shared = directory / "half.cpp", directory / "half.o", directory / "half.so"
    source.write_text(SOURCE)
    include = Path(helion_msl.__file__).parent / "host" / "include"
    zig = [sys.executable, "-m", "ziglang"]
    options = ["-target", "x86_64-linux-gnu", "-march=x86-64", "-O2", "-std=c++20", "-fPIC", "-fdeclspec", "-w",
               "-nostdinc", "-nostdinc++", "-Xclang", "-cl-single-precision-constant", f"-I{include}"]  # fmt: skip
    subprocess.run([*zig, "clang", "-c", *options, str(source), "-o", str(built)], check=True)
    # Nothing may be left to a run-time library: -z defs refuses undefined symbols.
    subprocess.run([*zig, "ld.lld", "-shared", "-z", "defs", str(built), "-o", str(shared)], check=True)
    return ctypes.CDLL(str(shared))


def test_widening_every_half(library):
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.float16)
    result = torch.zeros(len(x))
    library.widen(ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(result.data_ptr()), ctypes.c_long(len(x)))
    assert_same_bits(result, x.float())


def test_narrowing_floats(library):
    halves = torch.arange(0, 0x7C00, dtype=torch.int32).to(torch.int16).view(torch.float16)
    # Every positive half, the middle to its neighbour, the floats around that, and numbers of every exponent.
    middle = (halves[:-1].double() + halves[1:].double()).div(2).float()
    limits = torch.tensor([65504.0, 65519.99, 65520.0, 65536.0, 1e-10, 2.0**-25, 2.0**-26])
    x = torch.cat([halves.float(), middle, middle.nextafter(middle * 2), middle.nextafter(middle * 0), limits])
    x = torch.cat([x, -x, floats(random=5000)])
    result = torch.zeros(len(x), dtype=torch.float16)
    library.narrow(ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(result.data_ptr()), ctypes.c_long(len(x)))
    assert_same_bits(result, x.half())
