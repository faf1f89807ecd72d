"""What graphs refuse, and the life of a recording."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
import torch

import helion_msl
from helion_msl import ArgumentError, LaunchError, record

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
# out[i] = x[i] * factor
SCALE = (
    HEADER
    + "kernel void scale(device const float *x, device float *out, constant float &factor,"
    + "uint i [[thread_position_in_grid]]) { out[i] = x[i] * factor; }"
)


@pytest.fixture
def scale(device):
    kernel = helion_msl.compile(SCALE, device=device)
    return lambda x, out, factor: kernel([x, out, factor], x.numel(), 1)


def numbers(device, *values):
    return torch.tensor(values, dtype=torch.float32, device=device)


def values_of(tensor):
    helion_msl.synchronize()
    return tensor.tolist()


# ---- Refusals


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda device: torch.zeros(4, dtype=torch.float16, device=device), id="dtype"),
        pytest.param(lambda device: torch.zeros(4, dtype=torch.int32, device=device), id="dtype of the same size"),
        pytest.param(lambda device: torch.zeros(5, device=device), id="larger"),
        pytest.param(lambda device: torch.zeros(3, device=device), id="smaller"),
        pytest.param(lambda device: torch.zeros(4, 1, device=device), id="rank"),
        pytest.param(lambda device: torch.zeros(8, device=device)[::2], id="strides"),
        pytest.param(lambda _: torch.zeros(4, device="meta"), id="no memory"),
        pytest.param(lambda device: torch.zeros(4, device=device).to_sparse(), id="sparse"),
        pytest.param(lambda _: 1.0, id="number"),
        pytest.param(lambda _: b"16 bytes of data", id="bytes"),
        pytest.param(lambda _: None, id="none"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_and_nothing_runs(device, scale, other) -> None:
    x, out, count = torch.ones(4, device=device), torch.zeros(4, device=device), torch.zeros(4, device=device)
    with record(out=out, x=x) as graph:
        scale(x, count, 1.0)
        scale(x, out, 1.0)
    count.zero_()
    out.zero_()
    where = r"parameter 'x' of the graph \(argument 0 of launch 0, kernel 'scale'\)"
    with pytest.raises(ArgumentError, match=where):
        graph(x=other(device))
    assert values_of(count) == values_of(out) == [0.0] * 4
    graph(x=torch.full((4,), 2.0, device=device))
    assert values_of(out) == [2.0] * 4


def test_an_address_that_is_not_aligned_is_refused(device) -> None:
    kernel = helion_msl.compile(
        HEADER + "kernel void sum(device const float2 *x, device float *out) { out[0] = x[0].x + x[1].y; }",
        device=device,
    )
    x, out, base = numbers(device, 1, 2, 3, 4), numbers(device, 0), torch.arange(8.0, device=device)
    with record(x=x) as graph:
        kernel([x, out], 1, 1)
    graph(base[2:6])
    assert values_of(out) == [7.0]
    with pytest.raises(ArgumentError, match=r"'x' .*argument 0 of launch 0, kernel 'sum'.* 8 bytes"):
        graph(base[1:5])


def test_names_and_numbers_of_values(device, scale) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    with record(x=x, out=out) as graph:
        scale(x, out, 1.0)
    assert graph.parameters == ("x", "out")
    assert graph["x"] is x
    assert "2 launch" not in repr(graph)
    assert "x, out" in repr(graph)
    with pytest.raises(ArgumentError, match="no parameter 'y'; its parameters are x, out"):
        graph(y=x)
    with pytest.raises(ArgumentError, match="twice the parameter 'x'"):
        graph(x, x=x)
    with pytest.raises(ArgumentError, match=r"at most 2 values \(x, out\), but 3 were given"):
        graph(x, out, x)
    with pytest.raises(ArgumentError, match="no parameter 'z'"):
        graph["z"]
    graph(**{"".join(["o", "ut"]): x})  # a name that is not interned


def test_a_graph_without_launches(device) -> None:
    with record() as graph:
        torch.ones(3, device=device).add_(1)
    graph()
    assert len(graph) == 0
    assert graph.parameters == ()
    with pytest.raises(ArgumentError, match="at most 0"):
        graph(1)


def test_one_device() -> None:
    if not torch.backends.mps.is_available():
        pytest.skip("needs a second device: mps")
    x, y = torch.ones(2), torch.ones(2, device="mps")
    with record() as graph:
        helion_msl.launch(SCALE, (y, y, 2.0), 2, 1)
        with pytest.raises(ArgumentError, match=r"on one device.*mps.*'scale' is on cpu"):
            helion_msl.launch(SCALE, (x, x, 2.0), 2, 1)
    assert len(graph) == 1


# ---- Recording


def test_recordings_do_not_nest(device, scale) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    inner = record()
    with record(x=x) as graph:
        with pytest.raises(LaunchError, match="do not nest"):
            inner.__enter__()
        scale(x, out, 1.0)
    with inner:  # which was refused, and so is as it was
        scale(x, out, 2.0)
    assert len(graph) == len(inner) == 1


def test_a_graph_is_recorded_once_and_called_afterwards(device, scale) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    graph = record(x=x)
    with pytest.raises(LaunchError, match="nothing has been recorded"):
        graph()
    with graph:
        scale(x, out, 1.0)
        with pytest.raises(LaunchError, match="is being recorded"):
            graph()
    with pytest.raises(LaunchError, match="recorded once"):
        graph.__enter__()
    with pytest.raises(LaunchError, match="not being recorded"):
        graph.__exit__(None, None, None)
    with record(), pytest.raises(LaunchError, match="while another one is recorded"):
        graph()


def test_a_recording_that_an_exception_ends_is_of_no_use(device, scale) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    alive = weakref.ref(out)
    graph = record(x=x)

    def work(out: torch.Tensor) -> None:
        with graph:
            scale(x, out, 1.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work(out)
    with pytest.raises(LaunchError, match="left by an exception"):
        graph()
    del out
    gc.collect()
    assert alive() is None
    with record(x=x) as graph:  # the thread is free to record again
        scale(x, numbers(device, 0, 0), 1.0)


def test_a_launch_that_is_refused_is_not_recorded(device, scale) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    with record(x=x, out=out) as graph:
        with pytest.raises(ArgumentError):
            scale(x, out, "text")
        scale(x, out, 1.0)
    assert len(graph) == 1


def test_only_the_launches_of_the_thread_are_recorded(device, scale) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    errors = []

    def others() -> None:
        for _ in range(20):
            scale(x, numbers(device, 0, 0), 1.0)
        try:
            graph.__exit__(None, None, None)
        except LaunchError as error:
            errors.append(str(error))
        with record(x=x) as own:
            scale(x, numbers(device, 0, 0), 1.0)
        errors.append(len(own))

    with record(x=x) as graph:
        thread = threading.Thread(target=others)
        thread.start()
        scale(x, out, 1.0)
        thread.join()
    assert len(graph) == 1
    assert errors == ["a recording is ended by the thread that began it", 1]
