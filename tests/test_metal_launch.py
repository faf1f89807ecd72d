"""Launches of the Metal engine: their order among torch's operations, what they keep alive, and what they cost."""

from __future__ import annotations

import gc
import threading

import pytest
import torch

import helion_msl
from metal_double import control

double = control.find()
pytestmark = [
    pytest.mark.skipif(double is None, reason="needs the Metal double: make wall-run"),
    pytest.mark.usefixtures("asynchronous"),
]

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
SCALE = (
    HEADER
    + """
kernel void scale(device float *x [[buffer(0)]], constant float &factor [[buffer(1)]],
                  uint i [[thread_position_in_grid]]) { x[i] *= factor; }
"""
)
COPY = (
    HEADER
    + """
kernel void copy(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                 uint i [[thread_position_in_grid]]) { out[i] = x[i]; }
"""
)


def ones(size=64):
    return torch.ones(size, device="mps")


def scale(x, factor):
    helion_msl.launch(SCALE, (x, factor), x.numel(), 1)


def test_a_launch_returns_before_it_has_run():
    x = ones()
    with double.gpu_held():
        scale(x, 2.0)
        helion_msl.commit("mps")
        assert x.tolist() == [1.0] * 64
    helion_msl.synchronize("mps")
    assert x.tolist() == [2.0] * 64


def test_launches_run_between_the_operations_of_torch_around_them():
    x, saved = ones(), ones()
    scale(x, 2.0)
    double.torch_add(x, 3.0)
    scale(x, 10.0)
    double.torch_copy(saved, x)
    scale(x, 0.0)
    double.torch_add(x, 1.0)
    assert x.tolist() == [1.0] * 64  # nothing has run
    helion_msl.synchronize("mps")
    assert saved.tolist() == [50.0] * 64
    assert x.tolist() == [1.0] * 64


def test_torch_waits_for_launches_when_it_synchronizes():
    x = ones()
    scale(x, 2.0)
    double.torch_synchronize()
    assert x.tolist() == [2.0] * 64


def test_launches_share_torchs_encoder():
    x = ones()
    before = double.living_objects().get("DoubleComputeCommandEncoder", 0)
    for _ in range(5):
        scale(x, 2.0)
        double.torch_add(x, 1.0)
    assert double.living_objects()["DoubleComputeCommandEncoder"] == before + 1
    helion_msl.synchronize("mps")
    assert x[0] == 63


@pytest.mark.parametrize("interruption", ["end_encoder", "torch_commit", "torch_synchronize"])
def test_others_may_end_the_encoder_or_commit_the_buffer_between_launches(interruption):
    x = ones()
    for _ in range(4):
        scale(x, 2.0)
        getattr(double, interruption)()
    helion_msl.synchronize("mps")
    assert x.tolist() == [16.0] * 64


def test_a_tensor_may_be_freed_right_after_the_launch():
    out = torch.zeros(4096, device="mps")
    with double.gpu_held():
        x = torch.full((4096,), 7.0, device="mps")
        helion_msl.launch(COPY, (x, out), 4096, 1)
        helion_msl.commit("mps")
        del x
        gc.collect()
        # Memory that was freed would be used again by these.
        others = [torch.full((4096,), -1.0) for _ in range(8)]
    helion_msl.synchronize("mps")
    assert out.tolist() == [7.0] * 4096
    del others


def test_memory_that_torchs_allocator_hands_out_again_is_used_in_order():
    """torch gives the buffer of a freed tensor to the next one of its size, also while the GPU has yet to read it."""
    first, second = torch.zeros(64, device="mps"), torch.zeros(64, device="mps")
    nines = torch.full((64,), 9.0)
    with double.gpu_held():
        x = torch.full((64,), 7.0, device="mps")
        storage = x.untyped_storage()
        helion_msl.launch(COPY, (x, first), 64, 1)
        helion_msl.commit("mps")
        del x
        recycled = torch.empty(0, device="mps").set_(storage, 0, (64,))
        double.torch_copy(recycled, nines)
        helion_msl.launch(COPY, (recycled, second), 64, 1)
        scale(recycled, -1.0)
        del recycled
    helion_msl.synchronize("mps")
    assert first.tolist() == [7.0] * 64
    assert second.tolist() == [9.0] * 64


def test_a_kernel_may_be_dropped_right_after_the_launch():
    x = ones()
    with double.gpu_held():
        helion_msl.compile(SCALE + "// dropped", device="mps")((x, 3.0), 64, 1)
        helion_msl.commit("mps")
        helion_msl.clear_cache()
        gc.collect()
    helion_msl.synchronize("mps")
    assert x.tolist() == [3.0] * 64


def test_views_reach_the_gpu_at_their_offset():
    storage = torch.arange(100.0, device="mps")
    helion_msl.launch(SCALE, (storage[30:40], -1.0), 10, 1)
    helion_msl.synchronize("mps")
    assert storage.tolist() == [-float(i) if 30 <= i < 40 else float(i) for i in range(100)]


def test_threads_may_launch_at_once():
    tensors = [ones() for _ in range(8)]

    def work(x):
        for _ in range(10):
            scale(x, 2.0)
            double.torch_add(x, 1.0)

    threads = [threading.Thread(target=work, args=(x,)) for x in tensors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    helion_msl.synchronize("mps")
    for x in tensors:
        assert x[0] == 2**10 + 2**10 - 1


def test_launches_of_many_threads_into_one_tensor_are_none_lost():
    x = torch.zeros(1, device="mps")
    source = HEADER + "kernel void k(device float *x [[buffer(0)]], constant float &n [[buffer(1)]]) { x[0] += n; }"

    def work(number):
        for _ in range(50):
            helion_msl.launch(source, (x, number), 1, 1)

    threads = [threading.Thread(target=work, args=(float(10**i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    helion_msl.synchronize("mps")
    assert x.item() == 50 * 1111


def test_a_commit_follows_every_64_launches():
    x = ones(1)
    with double.counting("command_buffers_committed") as counts:
        for _ in range(63):
            scale(x, 1.0)
    assert counts == {"command_buffers_committed": 0}
    with double.counting("command_buffers_committed") as counts:
        for _ in range(65):
            scale(x, 1.0)
    assert counts == {"command_buffers_committed": 2}


def test_commits_of_torch_start_the_count_again():
    x = ones(1)
    for _ in range(40):
        scale(x, 1.0)
    double.torch_commit()
    with double.counting("command_buffers_committed") as counts:
        for _ in range(40):
            scale(x, 1.0)
    assert counts == {"command_buffers_committed": 0}


def test_commit_hands_over_and_does_not_wait():
    x = ones()
    with double.gpu_held():
        scale(x, 2.0)
        with double.counting("command_buffers_committed") as counts:
            helion_msl.commit("mps")
        assert counts == {"command_buffers_committed": 1}
        assert x[0] == 1


def kernel_with(tensors, numbers):
    parameters = [f"device float *x{i} [[buffer({i})]]" for i in range(tensors)]
    parameters += [f"constant float &n{i} [[buffer({tensors + i})]]" for i in range(numbers)]
    body = " ".join(f"x{i}[0] = 1;" for i in range(tensors))
    source = HEADER + f"kernel void k({', '.join(parameters)}) {{ {body} }}"
    return helion_msl.compile(source, device="mps"), (*(ones(1) for _ in range(tensors)), *map(float, range(numbers)))


@pytest.mark.parametrize(("tensors", "numbers"), [(1, 0), (3, 0), (3, 2), (16, 15), (31, 0)])
def test_what_a_launch_costs(tensors, numbers):
    kernel, arguments = kernel_with(tensors, numbers)
    kernel(arguments, 1, 1)  # finds the command buffer and the encoder
    launches = 20
    with double.counting_launches() as counts:
        for _ in range(launches):
            kernel(arguments, 1, 1)
    # An NSString would be an allocation as well.
    assert counts == {
        "dispatches": launches,
        "encoder_messages": launches * (2 + tensors + numbers),
        "torch_calls": launches * 3,  # for the stream, its command buffer and its encoder
        "dispatch_syncs": launches,
        "engine_locks": 0,
        "engine_allocations": 0,
    }


def test_a_launch_by_its_source_costs_no_more():
    x = ones(1)
    scale(x, 2.0)
    arguments = (x, 2.0)
    with double.counting_launches() as counts:
        for _ in range(20):
            helion_msl.launch(SCALE, arguments, 1, 1)
    assert counts == {
        "dispatches": 20,
        "encoder_messages": 80,
        "torch_calls": 60,
        "dispatch_syncs": 20,
        "engine_locks": 0,
        "engine_allocations": 0,
    }


def test_allocations_and_locks_are_seen_where_there_are_some():
    text = SCALE + "// not compiled before"
    x = ones(1)
    with double.counting_launches() as counts:
        helion_msl.launch(text, (x, 2.0), 1, 1)
    assert counts["engine_allocations"] > 0
    assert counts["engine_locks"] > 0


def test_a_tensor_of_the_cpu_is_refused_with_its_device():
    with pytest.raises(helion_msl.ArgumentError, match="cpu"):
        helion_msl.launch(COPY, (ones(), torch.ones(64)), 64, 1)
