"""What differs between versions of torch: how tensors are exported, streams of threads, who raises failures."""

from __future__ import annotations

import threading

import pytest
import torch

import helion_msl
from metal_double import control

double = control.find()
pytestmark = pytest.mark.skipif(double is None, reason="needs the Metal double: make wall-run")

ADD = """
#include <metal_stdlib>
using namespace metal;
template <typename T>
kernel void add(device T *x [[buffer(0)]], constant T &value [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  x[i] = T(x[i] + value);
}
template [[host_name("add_float32")]] kernel void add<float>(device float *, constant float &, uint);
template [[host_name("add_float16")]] kernel void add<half>(device half *, constant half &, uint);
template [[host_name("add_int64")]] kernel void add<long>(device long *, constant long &, uint);
template [[host_name("add_uint8")]] kernel void add<uchar>(device uchar *, constant uchar &, uint);
"""


def add(x, value):
    helion_msl.launch(ADD, (x, value), x.numel(), 1, name=f"add_{str(x.dtype).removeprefix('torch.')}")


@pytest.fixture(autouse=True)
def torch_as_before(asynchronous):
    version = double.torch_version
    yield
    double.set_current_stream(0)
    helion_msl.synchronize("mps")
    double.set_torch_version(version)


@pytest.fixture
def torch_2_15():
    double.set_torch_version("2.15")


def in_threads(*bodies):
    """Runs each body on a thread of its own, all at once, and raises the first exception of any."""
    failures = []

    def run(body):
        try:
            body()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("version", ["2.10", "2.13", "2.14", "2.15"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.uint8], ids=str)
def test_an_offset_is_found_however_torch_exports_it(version, dtype):
    double.set_torch_version(version)
    storage = torch.arange(100, dtype=dtype).to("mps")
    add(storage[30:50][3:10], 7)
    add(storage[:2], 3)
    helion_msl.synchronize("mps")
    expected = torch.arange(100, dtype=dtype)
    expected[33:40] += 7
    expected[:2] += 3
    torch.testing.assert_close(storage.to("cpu"), expected)


def test_a_launch_goes_to_its_threads_stream(torch_2_15):
    x = torch.zeros(4, device="mps")
    double.set_current_stream(3)
    add(x, 1.0)
    double.set_current_stream(0)
    double.torch_synchronize()
    assert x.tolist() == [0.0] * 4  # another stream was waited for
    double.set_current_stream(3)
    double.torch_synchronize()
    assert x.tolist() == [1.0] * 4


def test_before_there_are_streams_all_threads_share_one():
    double.set_torch_version("2.14")
    x = torch.zeros(4, device="mps")

    def launch():
        double.set_current_stream(5)
        add(x, 1.0)

    in_threads(launch)
    double.torch_synchronize()
    assert x.tolist() == [1.0] * 4


def test_synchronize_waits_for_the_launches_of_all_threads(torch_2_15):
    tensors = [torch.zeros(16, device="mps") for _ in range(8)]

    def work(stream, x):
        double.set_current_stream(stream)
        for _ in range(10):
            add(x, 1.0)
            double.torch_add(x, 0.5)

    in_threads(*(lambda s=s, x=x: work(s, x) for s, x in enumerate(tensors)))
    helion_msl.synchronize("mps")
    for x in tensors:
        assert x.tolist() == [15.0] * 16


def test_synchronize_waits_for_what_torch_alone_has_encoded_on_this_threads_stream(torch_2_15):
    x = torch.zeros(4, device="mps")
    double.set_current_stream(29)
    double.torch_add(x, 2.0)
    helion_msl.synchronize("mps")
    assert x.tolist() == [2.0] * 4


def test_a_launch_stands_between_the_operations_of_its_own_stream(torch_2_15):
    first, second = torch.zeros(4, device="mps"), torch.zeros(4, device="mps")
    for _ in range(3):
        for stream, x in ((1, first), (2, second)):
            double.set_current_stream(stream)
            double.torch_add(x, float(stream))
            helion_msl.launch("kernel void f(device float *x [[buffer(0)]]) { x[0] *= 10; }", (x,), 1, 1)
    helion_msl.synchronize("mps")
    assert (first[0], second[0]) == (1110.0, 2220.0)


def test_commit_hands_over_the_launches_of_all_streams(torch_2_15):
    x = torch.zeros(4, device="mps")
    for stream in (1, 2, 7):
        double.set_current_stream(stream)
        add(x, 1.0)
    helion_msl.synchronize("mps")
    with double.gpu_held():
        for stream in (1, 2, 7):
            double.set_current_stream(stream)
            add(x, 1.0)
        with double.counting("command_buffers_committed") as counts:
            double.set_current_stream(0)
            helion_msl.commit("mps")
    assert counts["command_buffers_committed"] >= 3  # and of streams that other tests have used


def test_launches_are_counted_for_each_stream(torch_2_15):
    x = torch.zeros(1, device="mps")
    helion_msl.synchronize("mps")
    with double.counting("command_buffers_committed") as counts:
        for _ in range(63):
            for stream in (11, 12):
                double.set_current_stream(stream)
                add(x, 1.0)
    assert counts == {"command_buffers_committed": 0}
    with double.counting("command_buffers_committed") as counts:
        add(x, 1.0)  # the 64th on 12
    assert counts == {"command_buffers_committed": 1}


def test_streams_that_torch_uses_in_turn_keep_what_they_have(torch_2_15):
    """More streams than there are threads: what the engine remembers must not be one thread's last stream."""
    tensors = [torch.zeros(1, device="mps") for _ in range(33)]
    for _ in range(3):
        for stream, x in enumerate(tensors):
            double.set_current_stream(stream)
            add(x, float(stream))
    helion_msl.synchronize("mps")
    assert [x.item() for x in tensors] == [3.0 * stream for stream in range(33)]


def test_a_failure_on_one_stream_leaves_the_others_alone(torch_2_15):
    failing, fine = torch.zeros(4, device="mps"), torch.zeros(4, device="mps")
    double.set_current_stream(1)
    add(failing, 1.0)
    double.stage_command_buffer_error(3, "page fault")
    with pytest.raises(RuntimeError, match="MPS command buffer execution failed: page fault"):
        double.torch_synchronize()
    double.set_current_stream(2)
    with pytest.raises(helion_msl.KernelError, match=r"1 launch of add_float32 failed on the GPU: .*page fault"):
        add(fine, 1.0)
    add(fine, 1.0)
    helion_msl.synchronize("mps")
    assert (failing[0], fine[0]) == (0.0, 1.0)


def test_a_kernel_that_streams_launch_in_turn_is_named_once(torch_2_15):
    tensors = {stream: torch.zeros(4, device="mps") for stream in (1, 2)}
    for _ in range(3):
        for stream, x in tensors.items():
            double.set_current_stream(stream)
            add(x, 1.0)
    double.stage_command_buffer_error(3, "page fault")
    with pytest.raises(helion_msl.KernelError, match=r"^3 launches of add_float32 failed on the GPU"):
        helion_msl.synchronize("mps")
    assert sorted(x[0].item() for x in tensors.values()) == [0.0, 3.0]


def test_a_failure_that_torch_raises_too_is_raised_once_with_the_kernels(torch_2_15):
    x = torch.zeros(4, device="mps")
    add(x, 1.0)
    double.stage_command_buffer_error(8, "Insufficient Memory")
    with pytest.raises(helion_msl.KernelError, match=r"1 launch of add_float32.*Insufficient Memory.*empty_cache"):
        helion_msl.synchronize("mps")
    helion_msl.synchronize("mps")


def test_a_failure_that_a_launch_has_raised_is_not_raised_by_synchronize_again(torch_2_15):
    x = torch.zeros(4, device="mps")
    add(x, 1.0)
    double.stage_command_buffer_error(3, "page fault")
    double.torch_commit()
    double.wait_for_gpu()
    with pytest.raises(helion_msl.KernelError, match="page fault"):
        add(x, 1.0)
    helion_msl.synchronize("mps")


def test_what_torch_raises_on_one_stream_is_not_lost_to_what_is_known_of_another(torch_2_15):
    x = torch.zeros(4, device="mps")
    for stream in (0, 31):
        double.set_current_stream(stream)
        add(x, 1.0)
    helion_msl.synchronize("mps")
    add(x, 1.0)
    double.stage_command_buffer_error(3, "page fault")
    double.torch_commit()
    double.wait_for_gpu()
    with pytest.raises(helion_msl.KernelError, match="page fault"):
        add(x, 1.0)
    double.set_current_stream(0)
    add(x, 1.0)  # so that torch has something to wait for on the first stream, which is waited for first
    double.stage("torch_error", "index 7 is out of bounds")
    with pytest.raises(helion_msl.KernelError, match="index 7"):
        helion_msl.synchronize("mps")
    helion_msl.synchronize("mps")


def test_what_torch_raises_of_its_own_becomes_pythons():
    x = torch.zeros(4, device="mps")
    add(x, 1.0)
    double.stage("torch_error", "index 7 is out of bounds for dimension 0 with size 3")
    with pytest.raises(helion_msl.KernelError) as caught:
        helion_msl.synchronize("mps")
    assert str(caught.value) == "index 7 is out of bounds for dimension 0 with size 3"  # without torch's backtrace
    helion_msl.synchronize("mps")
    assert x.tolist() == [1.0] * 4
