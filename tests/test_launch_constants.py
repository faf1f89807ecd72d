"""Python numbers and bytes as constants: the bits that a kernel sees are those that CPython, NumPy or torch compute."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from fractions import Fraction

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import helion_msl

METAL_NAMES = {
    torch.bool: "bool",
    torch.int8: "char",
    torch.uint8: "uchar",
    torch.int16: "short",
    torch.uint16: "ushort",
    torch.int32: "int",
    torch.uint32: "uint",
    torch.int64: "long",
    torch.uint64: "ulong",
    torch.float16: "half",
    torch.bfloat16: "bfloat",
    torch.float32: "float",
}
INTEGERS = [dtype for dtype in METAL_NAMES if not dtype.is_floating_point and dtype != torch.bool]
FLOATS = [dtype for dtype in METAL_NAMES if dtype.is_floating_point]


def store_source(dtype):
    metal = METAL_NAMES[dtype]
    return (
        "#include <metal_stdlib>\nusing namespace metal;\n"
        f"kernel void store(device {metal} *out [[buffer(0)]], constant {metal} &value [[buffer(1)]]) {{\n"
        "  out[1] = value;\n}\n"
    )


SOURCES = {dtype: store_source(dtype) for dtype in METAL_NAMES}


def stored(dtype, value, device):
    """What a kernel reads for a constant of ``dtype`` that is given as ``value``."""
    out = torch.zeros(3, dtype=torch.uint8, device=device).repeat_interleave(dtype.itemsize).view(dtype)
    helion_msl.launch(SOURCES[dtype], [out, value], 1, 1)
    out = out.cpu()
    neighbours = out[[0, 2]].view(torch.uint8) if dtype != torch.bool else out[[0, 2]]
    assert not neighbours.any()
    return out[1]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(INTEGERS))
def test_integers_arrive_unchanged_or_are_refused(device, data, dtype):
    limits = torch.iinfo(dtype)
    edges = [limits.min, limits.max, limits.min - 1, limits.max + 1, 0, -1]
    value = data.draw(st.sampled_from(edges) | st.integers(-(1 << 66), 1 << 66))
    if limits.min <= value <= limits.max:
        assert stored(dtype, value, device).item() == value
    else:
        with pytest.raises(helion_msl.ArgumentError, match=f"out of range, which is {limits.min} to {limits.max}"):
            stored(dtype, value, device)


def nearest(value: Fraction, dtype: torch.dtype) -> float:
    """The nearest finite number of ``dtype``, ties to the even significand, in exact arithmetic."""
    start = torch.tensor(float(value), dtype=dtype)
    around = [start, *(torch.nextafter(start, torch.tensor(to, dtype=dtype)) for to in (math.inf, -math.inf))]
    integer_type = torch.int32 if dtype == torch.float32 else torch.int16
    finite = [x for x in around if torch.isfinite(x)]
    return min(finite, key=lambda x: (abs(Fraction(x.item()) - value), x.view(integer_type).item() & 1)).item()


@settings(max_examples=150, deadline=None)
@given(value=st.floats(width=64), dtype=st.sampled_from(FLOATS))
@example(1 + 2**-11 + 2**-30, torch.float16)  # through float32 it would be rounded twice
@example(1 + 2**-8 + 2**-40, torch.bfloat16)
@example(2.0**-25, torch.float16)
@example(2.0**-25 + 2.0**-60, torch.float16)
@example(65519.99, torch.float16)
@example(5e-324, torch.bfloat16)
def test_floats_round_to_nearest_even(device, value, dtype):
    got = stored(dtype, value, device).item()
    limit = torch.finfo(dtype).max
    if math.isnan(value):
        assert math.isnan(got)
    elif abs(value) <= limit:
        assert got == nearest(Fraction(value), dtype)
        assert math.copysign(1, got) == math.copysign(1, value)
    elif dtype == torch.float32:
        assert got == torch.tensor(value, dtype=torch.float64).to(torch.float32).item()
    elif abs(value) >= 2 * limit:
        assert got == math.copysign(math.inf, value)


@settings(max_examples=60, deadline=None)
@given(value=st.floats(-65504, 65504, width=64))
def test_half_is_what_cpython_packs(device, value):
    bits = struct.unpack("<H", struct.pack("<e", value))[0]
    assert stored(torch.float16, value, device).view(torch.uint16).item() == bits


@settings(max_examples=100, deadline=None)
@given(value=st.integers(-(1 << 64), 1 << 64), dtype=st.sampled_from(FLOATS))
@example((1 << 60) + (1 << 36) + 1, torch.float32)  # double would round it down to a tie first
@example((1 << 63) + (1 << 55) + 1, torch.bfloat16)
@example(-(1 << 53) - 1, torch.float32)
@example(65519, torch.float16)
@example(65520, torch.float16)
def test_integers_become_the_nearest_float(device, value, dtype):
    limits = torch.finfo(dtype)
    # Half a unit in the last place above the largest number is where rounding reaches infinity.
    overflow = Fraction(limits.max) * (1 + Fraction(limits.eps) / (4 - 2 * Fraction(limits.eps)))
    if abs(value) >= overflow:
        with pytest.raises(helion_msl.ArgumentError, match="too large for the declared type"):
            stored(dtype, value, device)
    else:
        assert stored(dtype, value, device).item() == nearest(Fraction(value), dtype)


@pytest.mark.parametrize("dtype", METAL_NAMES, ids=METAL_NAMES.get)
def test_booleans_become_any_type(device, dtype):
    assert stored(dtype, True, device).item() == 1
    assert stored(dtype, False, device).item() == 0


def test_boolean_parameter_takes_zero_and_one_only(device):
    assert stored(torch.bool, 1, device).item() is True
    assert stored(torch.bool, 0, device).item() is False
    for value in (2, -1, 1 << 70):
        with pytest.raises(helion_msl.ArgumentError, match="out of range, which is 0 to 1"):
            stored(torch.bool, value, device)
    with pytest.raises(helion_msl.ArgumentError, match="a Python float was given for an integer"):
        stored(torch.bool, 1.0, device)


def test_numbers_of_other_libraries(device):
    numpy = pytest.importorskip("numpy")
    assert stored(torch.int32, numpy.int64(-5), device).item() == -5
    assert stored(torch.uint8, numpy.uint8(200), device).item() == 200
    assert stored(torch.float32, numpy.float32(0.1), device).item() == numpy.float32(0.1).item()
    assert stored(torch.float32, numpy.float64(0.1), device).item() == numpy.float32(0.1).item()
    assert stored(torch.bool, numpy.bool_(True), device).item() is True
    assert stored(torch.int32, numpy.bool_(True), device).item() == 1
    assert stored(torch.float32, Decimal("0.5"), device).item() == 0.5
    assert stored(torch.float32, Fraction(1, 4), device).item() == 0.25
    with pytest.raises(helion_msl.ArgumentError, match="given for an integer"):
        stored(torch.int32, numpy.float32(1), device)
    for value in (numpy.str_("1"), numpy.complex64(1), numpy.datetime64("2020-01-01")):
        with pytest.raises(helion_msl.ArgumentError, match="argument 1 is a"):
            stored(torch.float32, value, device)


def test_subclasses_of_numbers(device):
    import enum

    class Level(enum.IntEnum):
        high = 3

    class Real(float):
        pass

    assert stored(torch.int32, Level.high, device).item() == 3
    assert stored(torch.float32, Real(1.5), device).item() == 1.5


def test_error_of_an_index_method_is_not_hidden(device):
    class Broken:
        def __index__(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stored(torch.int32, Broken(), device)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=1, max_size=1024))
def test_bytes_are_a_table(device, values):
    source = """
    kernel void sum(constant int *table [[buffer(0)]], constant uint &n [[buffer(1)]], device uint *out [[buffer(2)]]) {
      uint total = 0;
      for (uint i = 0; i < n; ++i) total += uint(table[i]);
      out[0] = total;
    }
    """
    out = torch.zeros(1, dtype=torch.uint32, device=device)
    helion_msl.launch(source, [struct.pack(f"<{len(values)}i", *values), len(values), out], 1, 1)
    assert out.item() == sum(values) % (1 << 32)


def test_bytes_are_a_struct(device):
    source = """
    struct Range { int begin; float scale; };
    kernel void f(constant Range &range [[buffer(0)]], device float *out [[buffer(1)]]) {
      out[0] = float(range.begin) * range.scale;
    }
    """
    out = torch.zeros(1, device=device)
    helion_msl.launch(source, [struct.pack("<if", 3, 0.5), out], 1, 1)
    assert out.item() == 1.5
    whole = torch.tensor(list(struct.pack("<if", 4, 0.25)), dtype=torch.uint8, device=device)
    helion_msl.launch(source, [whole, out], 1, 1)
    assert out.item() == 1
    for value, phrase in [
        (b"1234", "4 bytes were given, (but the declared type has 8|which is not a multiple of the 8 bytes)"),
        (3, "cannot become a const str"),
    ]:
        with pytest.raises(helion_msl.ArgumentError, match=phrase):
            helion_msl.launch(source, [value, out], 1, 1)
    if device == "cpu":  # Metal's reflection does not tell a reference, which reads one element, from a pointer
        with pytest.raises(helion_msl.ArgumentError, match="reads 8 bytes there, but the tensor holds 4"):
            helion_msl.launch(source, [whole[:4], out], 1, 1)


@pytest.mark.parametrize("dtype", METAL_NAMES, ids=METAL_NAMES.get)
def test_tensors_of_every_type_of_metal(device, dtype):
    source = (
        "#include <metal_stdlib>\nusing namespace metal;\n"
        f"kernel void copy(device const {METAL_NAMES[dtype]} *x [[buffer(0)]], "
        f"device {METAL_NAMES[dtype]} *out [[buffer(1)]], uint i [[thread_position_in_grid]]) {{ out[i] = x[i]; }}"
    )
    x = torch.tensor([0, 1, 1, 0, 1], device=device).to(dtype)
    out = torch.zeros(5, dtype=torch.uint8, device=device).repeat_interleave(dtype.itemsize).view(dtype)
    helion_msl.launch(source, [x, out], 5, 1)
    assert out.tolist() == x.tolist()


def test_integers_of_one_size_are_interchangeable(device):
    pairs = [(torch.int32, torch.uint32), (torch.int64, torch.uint64), (torch.int16, torch.uint16)]
    pairs += [(a, b) for a in (torch.int8, torch.uint8, torch.bool) for b in (torch.int8, torch.uint8, torch.bool)]
    for declared, given_dtype in [*pairs, *(pair[::-1] for pair in pairs)]:
        out = torch.zeros(2 * given_dtype.itemsize, dtype=torch.uint8, device=device).view(given_dtype)
        helion_msl.launch(SOURCES[declared], [out, 1], 1, 1)
        assert out.tolist() == [0, 1]
