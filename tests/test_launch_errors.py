"""Every launch that is refused, with a message that names what is wrong, and nothing changed."""

from __future__ import annotations

import re
import sys

import pytest
import torch

import helion_msl
from helion_msl import ArgumentError, LaunchError, MetalCompileError, UnknownKernelError

SCALE = """
#include <metal_stdlib>
using namespace metal;
kernel void scale(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                  constant float &alpha [[buffer(2)]], constant int &n [[buffer(3)]],
                  uint i [[thread_position_in_grid]]) {
  if (int(i) < n) out[i] = alpha * x[i];
}
"""


def declared(text, device):
    """A type as messages print it: Metal's reflection does not tell a reference from a pointer."""
    return text if device == "cpu" else text.replace("&", "*")


def arguments(device, **changes):
    x = torch.ones(4, device=device)
    return list({"x": x, "out": torch.full((4,), -7.0, device=device), "alpha": 2.0, "n": 4, **changes}.values())


def refuse(error, phrase, args, grid=1, block_dims=4, source=SCALE, **options):
    """Launches, expects a refusal, and that every tensor, reference and argument is as it was."""
    tensors = [(arg, arg.clone()) for arg in args if isinstance(arg, torch.Tensor) and arg.layout == torch.strided]
    with pytest.raises(error, match=phrase) as caught:
        helion_msl.launch(source, args, grid, block_dims, **options)
    for tensor, before in tensors:
        if tensor.device.type != "meta":
            torch.testing.assert_close(tensor, before, rtol=0, atol=0)
    return str(caught.value)


def test_too_few_and_too_many_arguments(device):
    for args in ([], arguments(device)[:3], [*arguments(device), 1], [1] * 40):
        message = refuse(ArgumentError, rf"kernel 'scale' takes 4 arguments: .*; got {len(args)}$", args)
        table = "x (const float*, buffer 0), out (float*, buffer 1), alpha (const float&, buffer 2)"
        assert declared(table, device) in message


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [
        (torch.float64, "Metal has no float64; pass x.float()"),
        (torch.complex128, "Metal has no complex128; pass x.to(torch.complex64)"),
        (torch.float16, "kernel declares float32 there; convert the tensor with x.to(torch.float32)"),
        (torch.bfloat16, "kernel declares float32"),
        (torch.int32, "kernel declares float32"),
        (torch.int64, "kernel declares float32"),
        (torch.bool, "kernel declares float32"),
        (torch.complex64, "needs a parameter of float2"),
        (torch.float8_e4m3fn, "Metal has no float8_e4m3fn; declare the parameter as uchar, pass x.view(torch.uint8)"),
        (torch.float8_e5m2, "Metal has no float8_e5m2"),
    ],
)
def test_dtype_that_does_not_fit(device, dtype, remedy):
    if device == "mps" and dtype in (torch.float64, torch.complex128, torch.float8_e4m3fn, torch.float8_e5m2):
        pytest.skip(f"mps has no {dtype} tensors")
    x = torch.ones(4, device=device).to(dtype)
    message = refuse(ArgumentError, re.escape(remedy), arguments(device, x=x))
    assert "argument 0 ('x', const float* at buffer 0)" in message
    assert f"a {str(dtype).removeprefix('torch.')} tensor was given" in message


@pytest.mark.parametrize(
    ("value", "kind"),
    [("4", "str"), (None, "NoneType"), ([1.0], "list"), (1j, "complex"), (object(), "object"), ({}, "dict")],
)
def test_kind_that_no_kernel_takes(device, value, kind):
    message = refuse(ArgumentError, f"argument 2 is a {kind};", arguments(device, alpha=value))
    assert "tensors, bool, int, float, bytes" in message


@pytest.mark.parametrize(
    ("name", "value", "phrase"),
    [
        (
            "n",
            4.0,
            "argument 3 ('n', const int& at buffer 3): a Python float was given for an integer; pass int(value)",
        ),
        ("n", 1 << 31, "2147483648 is out of range, which is -2147483648 to 2147483647"),
        ("n", -(1 << 31) - 1, "-2147483649 is out of range, which is -2147483648 to 2147483647"),
        ("n", 1 << 64, "an integer above 2^64-1 is out of range"),
        ("n", -(1 << 70), "an integer below -2^63 is out of range"),
        ("alpha", 1 << 128, "is too large for the declared type"),
        pytest.param("alpha", 10**400, "is too large for the declared type", id="alpha-10**400"),
        (
            "out",
            3,
            "argument 1 ('out', float* at buffer 1): the kernel writes there, so it needs a tensor, not a Python",
        ),
        ("out", 3.5, "the kernel writes there, so it needs a tensor, not a Python float"),
        ("out", True, "the kernel writes there, so it needs a tensor, not a Python bool"),
        ("out", b"1234", "the kernel writes there, so it needs a tensor, not bytes"),
        ("alpha", b"", "1 to 4096 bytes"),
        ("x", bytes(4100), "1 to 4096 bytes, pass a tensor for more"),
        ("x", b"123456", "6 bytes were given, which is not a multiple of the 4 bytes of one element"),
    ],
)
def test_constant_that_does_not_fit(device, name, value, phrase):
    refuse(ArgumentError, re.escape(declared(phrase, device)), arguments(device, **{name: value}))


def test_reference_needs_one_element(device):
    if device == "mps":
        pytest.skip("Metal's reflection does not tell a reference from a pointer")
    refuse(ArgumentError, "8 bytes were given, but the declared type has 4", arguments(device, alpha=b"12345678"))
    empty = torch.empty(0, device=device)
    refuse(ArgumentError, "reads 4 bytes there, but the tensor holds 0", arguments(device, alpha=empty))


def test_vector_parameter_refuses_a_number(device):
    source = """
    #include <metal_stdlib>
    using namespace metal;
    kernel void f(device float *out [[buffer(0)]], constant float2 &v [[buffer(1)]]) { out[0] = v.x + v.y; }
    """
    out = torch.zeros(1, device=device)
    phrase = re.escape(declared("a Python float cannot become a const float2&", device))
    refuse(ArgumentError, phrase, [out, 1.0], source=source)
    helion_msl.launch(source, [out, torch.tensor([1.0, 2.0], device=device)], 1, 1)
    assert out.item() == 3
    helion_msl.launch(source, [out, torch.tensor([3 + 4j], device=device)], 1, 1)
    assert out.item() == 7


def test_misaligned_vector_is_refused(device):
    source = """
    #include <metal_stdlib>
    using namespace metal;
    kernel void f(device float4 *x [[buffer(0)]]) { x[0] = 1.0f; }
    """
    storage = torch.zeros(9, device=device)
    refuse(ArgumentError, "not aligned to 16 bytes", [storage[1:5]], source=source)
    helion_msl.launch(source, [storage[4:8]], 1, 1)
    assert storage.tolist() == [0] * 4 + [1] * 4 + [0]
    helion_msl.launch(source.replace("float4 *", "packed_float4 *"), [storage[5:]], 1, 1)
    assert storage.tolist() == [0] * 4 + [1] * 5


def test_args_must_be_a_sequence(device):
    for args, kind in [
        (torch.ones(4, device=device), "Tensor"),
        ("abcd", "str"),
        (b"abcd", "bytes"),
        (4, "int"),
        (None, "NoneType"),
        ({"x": 1}, "dict"),
    ]:
        with pytest.raises(
            ArgumentError, match=f"args must be a list or a tuple of the kernel's arguments, not {kind}"
        ):
            helion_msl.launch(SCALE, args, 1, 1)


@pytest.mark.parametrize("name", ["grid", "block_dims"])
@pytest.mark.parametrize(
    ("value", "phrase"),
    [
        (0, "at least 1"),
        (-1, "at least 1"),
        ((4, 0), "at least 1"),
        ((4, 1, -3), "at least 1"),
        (-(1 << 70), "at least 1"),
        (1 << 32, "at most 4294967295"),
        ((1, 1, 1 << 64), "at most 4294967295"),
        ((), "one to three ints"),
        ((1, 1, 1, 1), "one to three ints"),
        (1.0, "one to three ints"),
        ((1, 1.5), "one to three ints"),
        (True, "one to three ints"),
        ((1, True), "one to three ints"),
        ("11", "one to three ints"),
        (b"11", "one to three ints"),
        (None, "one to three ints"),
        ({1: 1}, "one to three ints"),
    ],
)
def test_size_that_is_none(device, name, value, phrase):
    sizes = {"grid": 1, "block_dims": 4, name: value}
    message = refuse(LaunchError, f"{name} must be .*{phrase}", arguments(device), **sizes)
    assert message.endswith(f"not {value!r}")


def test_positions_must_fit_32_bits(device):
    args = arguments(device)
    message = refuse(LaunchError, "4294967296 threads along x", args, grid=1 << 30, block_dims=4)
    assert "grid (1073741824, 1, 1) times block_dims (4, 1, 1)" in message
    refuse(LaunchError, "threads along y", args, grid=(1, (1 << 32) - 1), block_dims=(1, 2))
    refuse(LaunchError, "threads along z", args, grid=(1, 1, 1 << 31), block_dims=(1, 1, 2))
    refuse(LaunchError, "more than 2^64 threadgroups".replace("^", r"\^"), args, grid=[(1 << 32) - 1] * 3, block_dims=1)


@pytest.mark.parametrize("threads", [(1025,), (32, 33), (11, 11, 11), (1 << 31, 1, 1), ((1 << 32) - 1,) * 3])
def test_threadgroup_above_the_limit(device, threads):
    total = 1
    for size in threads:
        total *= size
    said = str(total) if total < 1 << 32 else "more than 4294967295"
    message = refuse(LaunchError, f"{said} threads in a threadgroup", arguments(device), block_dims=threads)
    assert "kernel 'scale' allows at most 1024" in message


def test_limits_that_the_kernel_declares(device):
    source = "[[max_total_threads_per_threadgroup(64)]] kernel void f(device int *out [[buffer(0)]]) { out[0] = 1; }"
    out = torch.zeros(1, dtype=torch.int32, device=device)
    refuse(LaunchError, "65 threads in a threadgroup, but kernel 'f' allows at most 64", [out], 1, 65, source)
    helion_msl.launch(source, [out], 1, 64)
    assert out.item() == 1


def test_source_and_name_must_be_text(device):
    for source in (b"kernel void f() {}", None, 3):
        with pytest.raises(ArgumentError, match="msl must be a str, not"):
            helion_msl.launch(source, [], 1, 1)
        with pytest.raises(ArgumentError, match="msl must be a str, not"):
            helion_msl.compile(source)
    with pytest.raises(ArgumentError, match="name must be a str, not int"):
        helion_msl.launch(SCALE, arguments(device), 1, 1, name=3)
    with pytest.raises(UnicodeEncodeError):
        helion_msl.launch("\ud800", [], 1, 1)


def test_source_that_does_not_compile(device):
    source = SCALE.replace("alpha * x[i]", "alpha * undeclared[i]")
    message = refuse(MetalCompileError, "undeclared", arguments(device), source=source)
    assert "out[i] = alpha * undeclared[i]" in message


def test_unknown_kernel_lists_those_there_are(device):
    refuse(UnknownKernelError, "scale", arguments(device), name="scales")
    two = "kernel void one() {} kernel void two() {}"
    with pytest.raises(UnknownKernelError, match=r"one.*two|two.*one"):
        helion_msl.launch(two, [], 1, 1)
    with pytest.raises(MetalCompileError, match="no kernel"):
        helion_msl.launch("int helper() { return 1; }", [], 1, 1)


@pytest.mark.parametrize(
    ("make", "phrase"),
    [
        (lambda: torch.ones(4, device="meta"), "meta"),
        (lambda: torch.ones(4).to_sparse(), "dense, strided tensors"),
        (lambda: torch.ones(2, 2).to_sparse_csr(), "dense, strided tensors"),
        (lambda: torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.quint8), "not supported by dlpack"),
        (lambda: torch.ones(4, dtype=torch.complex64).conj(), r"resolve_conj\(\)"),
        (lambda: torch.ones(4, dtype=torch.complex64).conj().imag, r"resolve_neg\(\)"),
        (lambda: torch.ones(1, dtype=torch.complex64).conj().imag[0], r"resolve_neg\(\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state", "ignore:.*quantize_per_tensor")
def test_tensor_that_has_no_plain_memory(device, make, phrase):
    with pytest.raises(ArgumentError, match=phrase) as caught:
        helion_msl.launch(SCALE, arguments(device, x=make()), 1, 4)
    assert str(caught.value).startswith("argument 0 (Tensor)")
    assert "Exception raised from" not in str(caught.value)


def test_fake_tensors_and_freed_storages_have_no_memory(device):
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        fake = torch.ones(4)
    freed = torch.ones(4)
    freed.untyped_storage().resize_(0)
    for tensor in (fake, freed):
        with pytest.raises(ArgumentError, match=r"argument 0 .* has no memory"):
            helion_msl.launch(SCALE, arguments(device, x=tensor), 1, 4)


def test_resolved_views_are_taken(device):
    out = torch.zeros(4, device=device)
    imaginary = torch.full((4,), 1 + 2j, device=device).conj().imag.resolve_neg()
    helion_msl.launch(SCALE, [imaginary.contiguous(), out, 1.0, 4], 1, 4)
    assert (out == -2).all()
    real = torch.full((4,), 3 + 2j, device=device).real
    helion_msl.launch(SCALE, [real, out, 1.0, 1], 1, 1)
    assert out[0].item() == 3


def test_options_of_compile_are_checked():
    with pytest.raises(ArgumentError, match='device must be "cpu" or "mps", not "cuda:0"'):
        helion_msl.compile(SCALE, device=torch.device("cuda:0"))
    with pytest.raises(ArgumentError, match='math_mode must be "safe" or "fast", not "quick"'):
        helion_msl.compile(SCALE, math_mode="quick")
    for value in (b"1", "1", None, torch.ones(1)):
        with pytest.raises(ArgumentError, match="function constant 'a' must be a bool, an int or a float"):
            helion_msl.compile(SCALE, constants={"a": value})
    with pytest.raises(ArgumentError, match="function constant 'a' does not fit 64 bits"):
        helion_msl.compile(SCALE, constants={"a": 1 << 64})
    with pytest.raises(ArgumentError, match="named by a str or by its index"):
        helion_msl.compile(SCALE, constants={1.5: 1})
    with pytest.raises(ArgumentError, match="constants must be a mapping"):
        helion_msl.compile(SCALE, constants=[("a", 1)])


def test_interrupt_while_reading_an_argument_is_not_swallowed(device):
    class Interrupts:
        def __dlpack_device__(self):
            raise KeyboardInterrupt

        def __dlpack__(self, **options):
            raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        helion_msl.launch(SCALE, arguments(device, x=Interrupts()), 1, 4)


@pytest.mark.skipif(sys.platform == "darwin" or torch.backends.mps.is_available(), reason="this machine has Metal")
def test_metal_is_refused_by_name_where_there_is_none():
    with pytest.raises(helion_msl.EngineUnavailableError, match="needs macOS 14 or later on Apple silicon"):
        helion_msl.compile(SCALE, device="mps")
    with pytest.raises(helion_msl.EngineUnavailableError, match="macOS"):
        helion_msl.synchronize("mps")
