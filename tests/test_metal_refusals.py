"""Whatever Metal refuses never reaches it: the launch that would do it is refused before, or cannot come to be.

``test_metal_double.py`` shows that the double reports each of these; here a user tries it. A broken rule that nobody
asked for fails any test that runs on the double.
"""

from __future__ import annotations

import gc

import pytest
import torch

import helion_msl
from helion_msl import ArgumentError, LaunchError, MetalCompileError
from metal_double import control

double = control.find()
pytestmark = pytest.mark.skipif(double is None, reason="needs the Metal double: make wall-run")

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
SCALE = (
    HEADER
    + """
struct Parameters { float values[1100]; };
kernel void scale(device float4 *x [[buffer(0)]], constant float &factor [[buffer(1)]],
                  uint i [[thread_position_in_grid]]) { x[i] *= factor; }
kernel void fill(device float *x [[buffer(0)]], constant Parameters &parameters [[buffer(1)]]) {
  x[0] = parameters.values[1099];
}
[[max_total_threads_per_threadgroup(64)]] kernel void small(device float *x [[buffer(0)]]) { x[0] = 1; }
"""
)


def tensor(size=64):
    return torch.ones(size, device="mps")


def kernel(name):
    return helion_msl.compile(SCALE, name=name, device="mps")


REFUSED = {
    "missing argument": ("scale", lambda: (tensor(),), 1, 1, ArgumentError),
    "one argument too many": ("scale", lambda: (tensor(), 1.0, 1.0), 1, 1, ArgumentError),
    "no buffer at all": ("scale", lambda: (None, 1.0), 1, 1, ArgumentError),
    "object that is no buffer": ("scale", lambda: (object(), 1.0), 1, 1, ArgumentError),
    "bytes above 4096": ("fill", lambda: (tensor(), bytes(4400)), 1, 1, ArgumentError),
    "no bytes": ("fill", lambda: (tensor(), b""), 1, 1, ArgumentError),
    "bytes for a written argument": ("scale", lambda: (bytes(64), 1.0), 1, 1, ArgumentError),
    "number for a written argument": ("scale", lambda: (2.0, 1.0), 1, 1, ArgumentError),
    "too few bytes": ("fill", lambda: (tensor(), bytes(400)), 1, 1, ArgumentError),
    "too few bytes in a tensor": ("fill", lambda: (tensor(), tensor(100)), 1, 1, ArgumentError),
    "misaligned offset": ("scale", lambda: (tensor()[1:], 1.0), 1, 1, ArgumentError),
    "oversized threadgroup": ("scale", lambda: (tensor(), 1.0), 1, 1025, LaunchError),
    "oversized threadgroup in three dimensions": ("scale", lambda: (tensor(), 1.0), 1, (16, 16, 5), LaunchError),
    "threadgroup above the pipeline's limit": ("small", lambda: (tensor(),), 1, 65, LaunchError),
    "empty grid": ("scale", lambda: (tensor(), 1.0), (1, 0), 1, LaunchError),
    "empty threadgroup": ("scale", lambda: (tensor(), 1.0), 1, (1, 1, 0), LaunchError),
}


@pytest.mark.parametrize("attempt", REFUSED)
def test_a_launch_that_metal_would_refuse_is_refused_before(attempt):
    name, make_arguments, grid, block_dims, error = REFUSED[attempt]
    refused = kernel(name)
    arguments = make_arguments()
    with double.counting("encoder_messages", "dispatch_syncs", "dispatches") as counts, pytest.raises(error):
        refused(arguments, grid, block_dims)
    assert counts == {"encoder_messages": 0, "dispatch_syncs": 0, "dispatches": 0}
    x = tensor()
    kernel("scale")((x, 2.0), 1, 16)
    helion_msl.synchronize("mps")
    assert x.tolist() == [2.0] * 64


def test_the_last_index_is_30():
    parameters = ", ".join(f"device float *x{i} [[buffer({i})]]" for i in range(31))
    body = " ".join(f"x{i}[0] = {i};" for i in range(31))
    tensors = [tensor(1) for _ in range(31)]
    helion_msl.launch(HEADER + f"kernel void k({parameters}) {{ {body} }}", tensors, 1, 1)
    helion_msl.synchronize("mps")
    assert [x.item() for x in tensors] == list(range(31))


def test_an_index_above_30_does_not_compile():
    with pytest.raises(MetalCompileError):
        helion_msl.launch(HEADER + "kernel void k(device float *x [[buffer(31)]]) { x[0] = 1; }", (tensor(),), 1, 1)


def test_indices_need_neither_begin_at_0_nor_follow_each_other():
    x = tensor()
    source = HEADER + "kernel void k(constant float &n [[buffer(30)]], device float *x [[buffer(7)]]) { x[1] = n; }"
    helion_msl.launch(source, (x, 5.0), 1, 1)
    helion_msl.synchronize("mps")
    assert x[:3].tolist() == [1.0, 5.0, 1.0]


def test_4096_bytes_are_inline():
    source = (
        HEADER
        + """
    struct Block { float values[1024]; };
    kernel void k(device float *x [[buffer(0)]], constant Block &block [[buffer(1)]]) { x[0] = block.values[1023]; }
    """
    )
    x = tensor()
    values = torch.arange(1024.0)
    helion_msl.launch(source, (x, values.numpy().tobytes()), 1, 1)
    helion_msl.synchronize("mps")
    assert x[0] == 1023


def test_a_tensor_without_elements_has_a_buffer_all_the_same():
    x = tensor()
    source = (
        HEADER
        + """
    kernel void k(device float *x [[buffer(0)]], device float *empty [[buffer(1)]]) { if (!empty) x[0] = 1; x[1] = 4; }
    """
    )
    for empty in (torch.empty(0, device="mps"), x[64:], torch.empty((3, 0), device="mps")):
        helion_msl.launch(source, (x, empty), 1, 1)
    helion_msl.synchronize("mps")
    assert x[1] == 4


@pytest.mark.parametrize("size", [1, 4, 16, 20, 32752, 32767, 32768])
def test_threadgroup_memory_comes_in_multiples_of_16_bytes(size):
    """The engine rounds the size up: the double reports what is no multiple, and what is above the device's limit."""
    source = (
        HEADER
        + """
    kernel void k(device int *x [[buffer(0)]], threadgroup char *memory [[threadgroup(2)]]) {
      memory[0] = 5; x[0] = memory[0];
    }
    """
    )
    x = torch.zeros(1, dtype=torch.int32, device="mps")
    helion_msl.launch(source, (x, size), 1, 1)
    helion_msl.synchronize("mps")
    assert x.item() == 5


def test_more_threadgroup_memory_than_there_is_never_reaches_metal():
    source = HEADER + "kernel void k(device int *x [[buffer(0)]], threadgroup int *m [[threadgroup(0)]]) { m[0] = 1; }"
    x = torch.zeros(1, dtype=torch.int32, device="mps")
    for size in (32769, 2**32, 2**64, 0, -16):
        with double.counting("encoder_messages") as counts, pytest.raises((LaunchError, ArgumentError)):
            helion_msl.launch(source, (x, size), 1, 1)
        assert counts == {"encoder_messages": 0}


def test_all_threadgroup_memory_of_a_kernel_counts_in_multiples_of_16_bytes():
    source = (
        HEADER
        + """
    kernel void k(device int *x [[buffer(0)]], threadgroup char *first [[threadgroup(0)]],
                  threadgroup char *second [[threadgroup(1)]]) {
      threadgroup int own[4];
      own[0] = 1; first[0] = 2; second[0] = 3; x[0] = own[0] + first[0] + second[0];
    }
    """
    )
    x = torch.zeros(1, dtype=torch.int32, device="mps")
    helion_msl.launch(source, (x, 16, 32736), 1, 1)  # and 16 bytes of its own: all there is
    helion_msl.synchronize("mps")
    assert x.item() == 6
    with pytest.raises(LaunchError, match="a threadgroup may use 32768"):
        helion_msl.launch(source, (x, 17, 32735), 1, 1)  # no more, but 32 and 32736 are set aside


@pytest.mark.parametrize(
    "interruption",
    ["end_encoder", "torch_commit", "torch_synchronize", "torch_copy", "commit", "synchronize"],
)
def test_no_encoder_is_used_after_its_end_and_none_without_a_pipeline(asynchronous, interruption):
    """The encoder is asked for at each launch, and each launch sets its own pipeline and arguments."""
    x, other = tensor(), tensor()
    interrupt = {
        "torch_copy": lambda: double.torch_copy(other, x),
        "commit": lambda: helion_msl.commit("mps"),
        "synchronize": lambda: helion_msl.synchronize("mps"),
    }
    scale, small = kernel("scale"), kernel("small")
    for _ in range(3):
        scale((x, 2.0), 1, 16)
        double.torch_add(x, 0.0)  # leaves its own pipeline and arguments in the encoder
        interrupt.get(interruption, getattr(double, interruption, None))()
        small((other,), 1, 64)
    helion_msl.synchronize("mps")
    assert x.tolist() == [8.0] * 64


def test_nothing_is_used_after_its_release(asynchronous):
    """Kernels, tensors and texts go as soon as Python lets go of them; the command buffer keeps what it needs."""
    kept = tensor()
    with double.gpu_held():
        for round_number in range(5):
            source = SCALE + f"// {round_number}"
            once = helion_msl.compile(source, name="scale", device="mps")
            once((tensor(), 2.0), 1, 16)
            once((kept, 2.0), 1, 16)
            helion_msl.commit("mps")
            del once, source
            helion_msl.clear_cache()
            gc.collect()
    helion_msl.synchronize("mps")
    assert kept.tolist() == [32.0] * 64
