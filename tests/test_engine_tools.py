"""What can be asked of an engine besides running kernels, on whichever engine there is."""

from __future__ import annotations

import os
import platform
import threading

import pytest
import torch

import helion_msl

VERSION = "kernel void version(device int *out [[buffer(0)]]) { out[0] = __METAL_VERSION__; }"
COUNT = """
kernel void count(device int *out [[buffer(0)]], constant int &turns [[buffer(1)]]) {
  int sum = 0;
  for (int i = 0; i < turns; ++i) sum = sum * 7 + out[0] + i;
  out[0] = sum;
}
"""


@pytest.fixture
def out(device):
    return torch.zeros(1, dtype=torch.int32, device=device)


@pytest.fixture
def commit_every(device):
    before = helion_msl.get_commit_every(device)
    yield
    helion_msl.set_commit_every(before, device)


def test_device_info_tells_what_there_is(device):
    info = helion_msl.device_info(device)
    assert info.max_threads_per_threadgroup >= 1024
    assert info.max_threadgroup_memory >= 32768
    assert info.has_unified_memory
    assert info.compiler
    assert info.system
    assert info.name in repr(info)
    if device == "cpu":
        assert info.architecture == platform.machine()
        assert info.system == f"{platform.system()} {platform.release()}"
        assert info.threads >= 1
        assert info.family == ""
        assert info.max_buffer_length is None
        assert info.recommended_working_set == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert info.compiler in helion_msl.engine_description(device)
    else:
        assert info.threads is None
        assert info.max_buffer_length >= 2**28
        assert info.name in helion_msl.engine_description(device)


def test_device_info_of_the_default_device(device):
    assert helion_msl.device_info().compiler == helion_msl.device_info(torch.device(device)).compiler


def test_language_version_is_what_kernels_see(device, out):
    if device == "mps" and "(double)" in helion_msl.device_info(device).name:
        pytest.skip("the Metal double compiles with the host engine, whatever version it plays")
    helion_msl.launch(VERSION, [out], 1, 1)
    major, minor = divmod(out.item() // 10, 10)
    assert helion_msl.device_info(device).language_version == f"{major}.{minor}"


def test_device_info_is_read_only(device):
    with pytest.raises(AttributeError):
        helion_msl.device_info(device).name = "another"


@pytest.mark.parametrize("function", ["device_info", "gpu_time", "get_commit_every"])
def test_unknown_device(function):
    with pytest.raises(helion_msl.ArgumentError, match='device must be "cpu" or "mps", not "cuda"'):
        getattr(helion_msl, function)("cuda")


def test_gpu_time_of_a_launch(device, out):
    with helion_msl.gpu_time(device) as time:
        # A million dependent multiplications: long enough on any processor to be seen by its clock.
        helion_msl.launch(COUNT, [out, 1_000_000], 1, 1)
    assert time.seconds > 0


def test_gpu_time_without_a_launch_is_nothing(device):
    with helion_msl.gpu_time(device) as time:
        assert time.seconds is None
    assert time.seconds == 0
    assert time.device == device


def test_gpu_time_counts_several_launches(device, out):
    with helion_msl.gpu_time(device) as time:
        for _ in range(10):
            helion_msl.launch(COUNT, [out, 100_000], 1, 1)
    assert time.seconds > 0


def test_launches_behind_the_block_do_not_count(device, out):
    with helion_msl.gpu_time(device) as time:
        pass
    helion_msl.launch(COUNT, [out, 1000], 1, 1)
    helion_msl.synchronize(device)
    assert time.seconds == 0


def test_one_gpu_time_at_a_time(device):
    with (
        helion_msl.gpu_time(device),
        pytest.raises(helion_msl.LaunchError, match="another region is being measured"),
        helion_msl.gpu_time(device),
    ):
        pass
    with helion_msl.gpu_time(device) as time:  # the refusal has changed nothing
        pass
    assert time.seconds == 0


def test_one_gpu_time_in_all_threads(device):
    refusals = []

    def measure():
        try:
            helion_msl.gpu_time(device).__enter__()
        except helion_msl.LaunchError as error:
            refusals.append(error)

    with helion_msl.gpu_time(device):
        thread = threading.Thread(target=measure)
        thread.start()
        thread.join()
    assert len(refusals) == 1


def test_gpu_time_after_an_exception(device, out):
    time = helion_msl.gpu_time(device)
    with pytest.raises(helion_msl.ArgumentError), time:
        helion_msl.launch(COUNT, [out], 1, 1)
    assert time.seconds is None
    with time:
        pass
    assert time.seconds == 0


def test_gpu_time_that_is_dropped_inside_of_its_block(device):
    def measured():
        with helion_msl.gpu_time(device):
            yield

    generator = measured()
    next(generator)
    del generator
    helion_msl.gpu_time(device).__enter__()  # and the object is dropped at once
    with helion_msl.gpu_time(device):
        pass


def test_gpu_time_entered_twice_or_never(device):
    time = helion_msl.gpu_time(device)
    with pytest.raises(helion_msl.LaunchError, match="has not been entered"):
        time.__exit__(None, None, None)
    with time, pytest.raises(helion_msl.LaunchError, match="is being measured already"):
        time.__enter__()


def test_commit_every_is_kept(device, out, commit_every):
    for launches in (1, 3, 0, 2**32 - 1):
        helion_msl.set_commit_every(launches, device)
        assert helion_msl.get_commit_every(device) == launches
        helion_msl.launch(COUNT, [out, 1], 1, 1)
    helion_msl.synchronize(device)


@pytest.mark.parametrize("launches", [-1, 2**32, 1.5, "64", None, True])
def test_commit_every_refuses_what_is_no_count(device, launches, commit_every):
    before = helion_msl.get_commit_every(device)
    with pytest.raises(helion_msl.ArgumentError, match="takes a number of launches from 0 to 4294967295, not"):
        helion_msl.set_commit_every(launches, device)
    assert helion_msl.get_commit_every(device) == before


def test_commit_runs_what_was_launched(device, out):
    helion_msl.launch("kernel void seven(device int *x [[buffer(0)]]) { x[0] = 7; }", [out], 1, 1)
    helion_msl.commit(device)
    helion_msl.synchronize(device)
    assert out.item() == 7


def test_labels_change_no_result(device, out):
    helion_msl.set_labels(True, device)
    try:
        helion_msl.launch("kernel void eight(device int *x [[buffer(0)]]) { x[0] = 8; }", [out], 1, 1)
        helion_msl.synchronize(device)
    finally:
        helion_msl.set_labels(False, device)
    assert out.item() == 8


def test_the_cpu_has_nothing_to_capture(tmp_path):
    path = tmp_path / "a.gputrace"
    with (
        pytest.raises(helion_msl.EngineUnavailableError, match="there is no GPU to capture"),
        helion_msl.capture(path, "cpu"),
    ):
        pass
    assert not path.exists()
    with pytest.raises(helion_msl.LaunchError, match="no capture is running"):
        helion_msl.capture(path, "cpu").__exit__(None, None, None)


def test_capture_takes_paths(tmp_path):
    name = "tr\u00e4ce.gputrace"
    for path in (tmp_path / name, str(tmp_path / name), os.fsencode(tmp_path / name)):
        assert helion_msl.capture(path, "cpu").path == str(tmp_path / name)
    with pytest.raises(TypeError, match=r"expected str, bytes or os\.PathLike object, not int"):
        helion_msl.capture(1, "cpu")
