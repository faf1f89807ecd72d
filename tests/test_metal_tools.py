"""The Metal engine's tools: captures, the GPU's time, labels, the commit policy, what the device tells."""

from __future__ import annotations

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

ADD = """
#include <metal_stdlib>
using namespace metal;
kernel void add(device float *x [[buffer(0)]], constant float &value [[buffer(1)]],
                uint i [[thread_position_in_grid]]) { x[i] += value; }
"""
DOUBLED = """
#include <metal_stdlib>
using namespace metal;
kernel void doubled(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] *= 2; }
"""


@pytest.fixture
def x():
    return torch.zeros(4, device="mps")


@pytest.fixture
def capturing(monkeypatch, tmp_path):
    """A process that Metal lets capture, and a path for a document."""
    monkeypatch.setenv("MTL_CAPTURE_ENABLED", "1")
    yield tmp_path / "work.gputrace"
    assert not double.is_capturing()


@pytest.fixture
def labels():
    helion_msl.set_labels(True, "mps")
    yield
    helion_msl.set_labels(False, "mps")


@pytest.fixture
def commit_every():
    before = helion_msl.get_commit_every("mps")
    yield
    helion_msl.set_commit_every(before, "mps")


def add(x, value=1.0):
    helion_msl.launch(ADD, (x, value), 4, 1)


def leave_with_an_exception(block, x):
    with block:
        add(x)
        helion_msl.commit("mps")
        raise ZeroDivisionError


def fail_inside(block, x, code=3, reason="page fault"):
    """The GPU fails a launch in the block."""
    with block:
        add(x)
        double.stage_command_buffer_error(code, reason)


def captured(path):
    """What the double writes into a document: the debug groups of each dispatch."""
    return (path / "dispatches").read_text().splitlines()


# ---- Captures


def test_a_capture_holds_the_launches_of_its_block_under_their_names(capturing, x):
    add(x)
    with helion_msl.capture(capturing):
        assert double.is_capturing()
        add(x)
        helion_msl.launch(DOUBLED, (x,), 4, 1)
        add(x)
    assert captured(capturing) == ["add", "doubled", "add"]
    add(x)
    helion_msl.synchronize("mps")
    assert captured(capturing) == ["add", "doubled", "add"]
    assert x.tolist() == [6.0] * 4


def test_a_capture_holds_what_was_committed_inside_of_its_block(capturing, x):
    with helion_msl.capture(capturing):
        add(x)
        double.torch_commit()
        add(x)
        helion_msl.commit("mps")
        add(x)
        helion_msl.synchronize("mps")
        add(x)
    assert captured(capturing) == ["add"] * 4


def test_a_capture_begins_after_what_torch_alone_has_encoded(capturing, x):
    double.torch_add(x, 3.0)
    with helion_msl.capture(capturing):
        assert x.tolist() == [3.0] * 4
        add(x)
    assert captured(capturing) == ["add"]


def test_labels_end_with_the_capture(capturing, x):
    with helion_msl.capture(capturing):
        add(x)
    with double.counting("encoder_messages") as counts:
        add(x)
    assert counts == {"encoder_messages": 4}


def test_no_capture_where_metal_supports_none(monkeypatch, tmp_path, x):
    monkeypatch.delenv("MTL_CAPTURE_ENABLED", raising=False)
    add(x)
    with (
        double.gpu_held(),  # a capture that is refused does not wait for the GPU
        pytest.raises(helion_msl.LaunchError, match="set MTL_CAPTURE_ENABLED=1"),
        helion_msl.capture(tmp_path / "work.gputrace"),
    ):
        pass
    assert x.tolist() == [0.0] * 4
    assert list(tmp_path.iterdir()) == []


def test_no_capture_where_something_is_already(capturing, x):
    capturing.mkdir()
    with pytest.raises(helion_msl.LaunchError, match=r"cannot capture into .*exists.*nothing may be there"):
        helion_msl.capture(capturing).__enter__()
    assert not double.is_capturing()
    add(x)
    with double.counting("encoder_messages") as counts:
        add(x)
    assert counts == {"encoder_messages": 4}  # without labels


def test_no_capture_where_metal_refuses_to_start_one(capturing):
    double.stage("capture_error", "GPU tools are not installed")
    with pytest.raises(helion_msl.LaunchError, match="GPU tools are not installed"):
        helion_msl.capture(capturing).__enter__()
    assert not capturing.exists()
    with helion_msl.capture(capturing):
        pass
    assert captured(capturing) == []


@pytest.mark.parametrize("path", ["a\0b.gputrace", b"a\0b.gputrace"])
def test_a_path_with_a_zero_byte_is_refused(path):
    with pytest.raises(helion_msl.ArgumentError, match="zero byte"):
        helion_msl.capture(path, "mps")


def test_a_path_that_is_no_text_is_refused(capturing):
    with pytest.raises(helion_msl.LaunchError, match="cannot capture into"):
        helion_msl.capture(b"\xff\xfe.gputrace").__enter__()


def test_one_capture_at_a_time(capturing, tmp_path, x):
    with helion_msl.capture(capturing):
        with (
            pytest.raises(helion_msl.LaunchError, match="a capture is running already"),
            helion_msl.capture(tmp_path / "second.gputrace"),
        ):
            pass
        add(x)
    assert captured(capturing) == ["add"]


def test_a_capture_that_an_exception_leaves_is_complete(capturing, x):
    with pytest.raises(ZeroDivisionError):
        leave_with_an_exception(helion_msl.capture(capturing), x)
    assert captured(capturing) == ["add"]


def test_a_capture_is_complete_though_a_kernel_failed(capturing, x):
    with pytest.raises(helion_msl.KernelError, match=r"1 launch of add failed .*page fault"):
        fail_inside(helion_msl.capture(capturing), x)
    assert captured(capturing) == ["add"]
    helion_msl.synchronize("mps")


def test_a_failure_from_before_is_raised_and_nothing_is_captured(capturing, x):
    add(x)
    double.stage_command_buffer_error(3, "page fault")
    with pytest.raises(helion_msl.KernelError, match="page fault"):
        helion_msl.capture(capturing).__enter__()
    assert not double.is_capturing()
    with helion_msl.capture(capturing):
        add(x)
    assert captured(capturing) == ["add"]


def test_a_capture_that_other_code_has_ended(capturing, x):
    mine = helion_msl.capture(capturing)
    mine.__enter__()
    add(x)
    helion_msl.synchronize("mps")
    double.stop_capture()
    with pytest.raises(helion_msl.LaunchError, match="ended by other code"):
        mine.__exit__()
    assert captured(capturing) == ["add"]


def test_a_failure_goes_before_a_capture_that_other_code_has_ended(capturing, x):
    mine = helion_msl.capture(capturing)
    mine.__enter__()
    add(x)
    double.stage_command_buffer_error(3, "page fault")
    double.stop_capture()
    with pytest.raises(helion_msl.KernelError, match="page fault"):
        mine.__exit__()


def test_a_capture_ends_once(capturing):
    running = helion_msl.capture(capturing)
    with running:
        pass
    with pytest.raises(helion_msl.LaunchError, match="no capture is running"):
        running.__exit__()


def test_a_capture_of_other_code_goes_on(capturing, tmp_path, x):
    mine = helion_msl.capture(tmp_path / "mine.gputrace")
    double.start_capture(capturing)
    with pytest.raises(helion_msl.LaunchError, match="a capture is running already"):
        mine.__enter__()
    with pytest.raises(helion_msl.LaunchError, match="no capture is running"):
        mine.__exit__()
    assert double.is_capturing()
    add(x)
    helion_msl.synchronize("mps")
    double.stop_capture()
    assert captured(capturing) == [""]  # labels were not asked for


# ---- The GPU's time


def test_the_time_of_a_block_is_that_of_its_own_command_buffers(x):
    with double.gpu_held():
        add(x)
        with pytest.raises(ZeroDivisionError), helion_msl.gpu_time("mps"):
            raise ZeroDivisionError
    with helion_msl.gpu_time("mps") as time:
        double.torch_add(x, 1.0)
    assert time.seconds == 0  # no launch of this package
    with helion_msl.gpu_time("mps") as time:
        add(x)
        helion_msl.commit("mps")
        add(x)
    assert time.seconds > 0


def test_a_failed_command_buffer_in_a_region_is_raised_and_the_region_closed(x):
    time = helion_msl.gpu_time("mps")
    with pytest.raises(helion_msl.KernelError, match=r"1 launch of add failed .*Insufficient Memory"):
        fail_inside(time, x, 8, "Insufficient Memory")
    assert time.seconds is None
    with time:
        add(x)
    assert time.seconds > 0


def test_a_failure_from_before_leaves_no_region_open(x):
    add(x)
    double.stage("torch_error", "index 7 is out of bounds")
    double.stage_command_buffer_error(3, "page fault")
    double.torch_commit()
    double.wait_for_gpu()
    with pytest.raises(helion_msl.KernelError), helion_msl.gpu_time("mps"):
        add(x)
    with pytest.raises(helion_msl.KernelError, match="index 7"):
        helion_msl.synchronize("mps")
    with helion_msl.gpu_time("mps") as time:
        add(x)
    assert time.seconds > 0


def test_a_region_that_an_exception_leaves_does_not_wait(x):
    time = helion_msl.gpu_time("mps")
    with double.gpu_held():
        with pytest.raises(ZeroDivisionError):
            leave_with_an_exception(time, x)
        with pytest.raises(helion_msl.LaunchError, match="has not been entered"):
            time.__exit__()
        assert time.seconds is None
    helion_msl.synchronize("mps")
    assert x.tolist() == [1.0] * 4


def test_regions_may_not_overlap_but_threads_share_one(x):
    second = helion_msl.gpu_time("mps")
    with helion_msl.gpu_time("mps") as first:
        with pytest.raises(helion_msl.LaunchError, match="another region is being measured"):
            second.__enter__()
        thread = threading.Thread(target=add, args=(x,))
        thread.start()
        thread.join()
    assert first.seconds > 0
    assert second.seconds is None


# ---- Labels


def test_a_label_is_a_debug_group_around_the_launch(labels, x):
    add(x)
    with double.counting("encoder_messages") as counts:
        add(x)
    assert counts == {"encoder_messages": 6}  # pushDebugGroup:, popDebugGroup and the launch's own four


@pytest.mark.parametrize("failure", ["launch_exception", "launch_object"])
def test_a_label_ends_where_its_launch_fails(labels, x, failure):
    """torch ends the encoder later, which Metal refuses inside of a debug group."""
    add(x)
    double.stage(failure, "the encoder is gone")
    with pytest.raises(helion_msl.LaunchError, match="launching a kernel: Metal raised "):
        add(x)
    double.end_encoder()
    add(x)
    helion_msl.synchronize("mps")
    assert x.tolist() == [2.0] * 4


# ---- The commit policy


@pytest.mark.parametrize(("launches", "commits"), [(0, 0), (1, 12), (5, 2), (12, 1), (13, 0)])
def test_a_commit_follows_every_so_many_launches(commit_every, x, launches, commits):
    helion_msl.set_commit_every(launches, "mps")
    with double.counting("command_buffers_committed") as counts:
        for _ in range(12):
            add(x)
    assert counts == {"command_buffers_committed": commits}
    helion_msl.synchronize("mps")
    assert x.tolist() == [12.0] * 4


def test_a_smaller_number_counts_from_the_next_launch(commit_every, x):
    for _ in range(10):
        add(x)
    helion_msl.set_commit_every(3, "mps")
    with double.counting("command_buffers_committed") as counts:
        add(x)
    assert counts == {"command_buffers_committed": 1}


# ---- The device


def test_the_device_tells_what_metal_tells():
    info = helion_msl.device_info("mps")
    assert (info.name, info.architecture, info.family) == ("Apple M3 (double)", "applegpu_g15d", "apple9")
    assert (info.compiler, info.language_version, info.is_paravirtual) == ("Metal", "3.2", False)
    assert (info.max_threads_per_threadgroup, info.max_threadgroup_memory) == (1024, 32768)
    assert info.max_buffer_length == info.recommended_working_set == 8 << 30
