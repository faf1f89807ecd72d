"""Graphs: launches that are recorded once and repeated with other tensors and numbers."""

from __future__ import annotations

import gc
import runpy
import threading
import weakref
from pathlib import Path

import numpy
import pytest
import torch

import helion_msl
from helion_msl import _C, ArgumentError, KernelError, metal_jit, record
from helion_msl import language as ml

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
POSITION = "uint i [[thread_position_in_grid]]"
# out[i] = x[i] * factor
SCALE = (
    HEADER
    + f"kernel void scale(device const float *x, device float *out, constant float &factor, {POSITION})"
    + "{ out[i] = x[i] * factor; }"
)
# out[i] += x[i]
ACCUMULATE = (
    HEADER + f"kernel void accumulate(device const float *x, device float *out, {POSITION}) {{ out[i] += x[i]; }}"
)


@pytest.fixture
def scale(device):
    kernel = helion_msl.compile(SCALE, device=device)
    return lambda x, out, factor: kernel([x, out, factor], x.numel(), 1)


@pytest.fixture
def accumulate(device):
    kernel = helion_msl.compile(ACCUMULATE, device=device)
    return lambda x, out: kernel([x, out], x.numel(), 1)


@metal_jit
def shift(x, out, n, C: ml.constexpr = 0):
    i = ml.tgid[0]
    out[i] = x[i] + n + C


def numbers(device, *values):
    return torch.tensor(values, dtype=torch.float32, device=device)


def values_of(tensor):
    helion_msl.synchronize()
    return tensor.tolist()


# ---- Every way to launch


def test_every_entry_point_is_recorded(device) -> None:
    kernel, bound = helion_msl.compile(SCALE, device=device), shift[2, 1]
    x, a, b, c, d, out = (numbers(device, 1, 2) for _ in range(6))
    with record(x=x, out=out) as graph:
        kernel([x, a, 2.0], 2, 1)
        helion_msl.launch(SCALE, (a, b, 3.0), 2, 1)
        shift[(2,), (1,)](b, c, 10)
        bound(c, d, n=100, C=1000)
        _C._helion_launch(shift, (2,), d, out, 20000, 0, _block_dims=(1, 1, 1))
    assert len(graph) == 5
    assert values_of(out) == [21116.0, 21122.0]  # recording runs the launches too
    x2, out2 = numbers(device, 5, 6), numbers(device, 0, 0)
    graph(x=x2, out=out2)
    assert values_of(out2) == [21140.0, 21146.0]
    assert values_of(out) == [21116.0, 21122.0]


def test_what_a_call_leaves_out_is_as_it_was_recorded(device, scale) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    with record(x=x, out=out, factor=10.0) as graph:
        scale(x, out, graph["factor"])
    other = numbers(device, 0, 0)
    graph(numbers(device, 3, 4), other)
    assert values_of(other) == [30.0, 40.0]
    graph(numbers(device, 5, 6))
    assert values_of(out) == [50.0, 60.0]
    graph(out=other, factor=2.0)
    assert values_of(other) == [2.0, 4.0]
    x.fill_(7)
    graph()
    assert values_of(out) == [70.0, 70.0]


def test_an_update_in_place_goes_on_from_call_to_call(device, accumulate) -> None:
    step, total = numbers(device, 1, 2), numbers(device, 0, 0)
    with record(step=step) as graph:
        accumulate(step, total)
    for _ in range(9):
        graph()
    graph(numbers(device, 100, 100))
    assert values_of(total) == [110.0, 120.0]


# ---- Which tensors are replaced


def test_views_of_a_parameter_are_replaced_with_it(device, scale) -> None:
    x, out = torch.arange(8.0, device=device), torch.zeros(8, device=device)
    with record(x=x, out=out) as graph:
        scale(x[2:6], out[4:], 1.0)
        scale(x.view(2, 4)[1], out.view(4, 2)[:2].reshape(-1), 10.0)
    x2, out2 = torch.arange(100.0, 108.0, device=device), torch.zeros(8, device=device)
    graph(x2, out2)
    assert values_of(out2) == [1040.0, 1050.0, 1060.0, 1070.0, 102.0, 103.0, 104.0, 105.0]


def test_a_replacement_may_be_a_view_of_its_own(device, scale) -> None:
    x, out = torch.arange(4.0, device=device), torch.zeros(4, device=device)
    with record(x=x, out=out) as graph:
        scale(x[1:], out[1:], 1.0)
    base = torch.arange(100.0, 120.0, device=device)
    target = torch.zeros(20, device=device)
    graph(base[3:7], target[9:13])
    assert values_of(target) == [0.0] * 10 + [104.0, 105.0, 106.0] + [0.0] * 7


def test_columns_keep_their_strides(device) -> None:
    @metal_jit
    def copy_column(x, out):
        i = ml.tgid[0]
        out[i] = x[i]

    x, out = torch.arange(12.0, device=device).view(4, 3), torch.zeros(4, device=device)
    with record(column=x[:, 1], out=out) as graph:
        copy_column[4, 1](x[:, 1], out)
    graph(x[:, 2])
    assert values_of(out) == [2.0, 5.0, 8.0, 11.0]
    graph(torch.arange(100.0, 112.0, device=device).view(4, 3)[:, 0])
    assert values_of(out) == [100.0, 103.0, 106.0, 109.0]
    with pytest.raises(ArgumentError, match=r"'column' .*copy_column.* strides \(3,\) .* strides \(1,\)"):
        graph(x.view(-1)[:4])


def test_one_tensor_may_be_given_for_two_parameters(device, scale) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    with record(x=x, out=out) as graph:
        scale(x, out, 3.0)
    graph(x, x)
    assert values_of(x) == [3.0, 6.0]


def test_parameters_that_share_memory_are_refused(device) -> None:
    x = torch.zeros(8, device=device)
    with pytest.raises(ArgumentError, match="'a' and 'b' of the graph share memory"):
        record(a=x[:5], b=x[4:])
    record(a=x[:4], b=x[4:])


def test_a_launch_on_more_than_a_parameter_is_refused_before_it_runs(device, scale) -> None:
    x, out = torch.ones(8, device=device), torch.zeros(8, device=device)
    with record(x=x[2:6]) as graph:
        scale(x[2:4], out[2:4], 1.0)
        scale(x[6:], out[6:], 1.0)  # beside the parameter, so held
        with pytest.raises(ArgumentError, match=r"argument 0 of kernel 'scale'.* parameter 'x' .*beyond"):
            scale(x, out, 1.0)
    assert values_of(out) == [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
    assert len(graph) == 2


def test_a_parameter_that_no_launch_uses_is_refused(device, scale) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    with pytest.raises(ArgumentError, match="'x' of the graph is used by none"), record(x=x, out=out):
        scale(x.clone(), out, 1.0)
    with pytest.raises(ArgumentError, match=r"'factor' .*graph\['factor'\]"), record(out=out, factor=1.0):
        scale(x, out, 1.0)


def test_tensors_without_elements(device, scale) -> None:
    kernel = helion_msl.compile(
        HEADER + "kernel void note(device const float *nothing, device float *out) { out[0] += 1; }", device=device
    )
    empty, out = torch.empty(0, device=device), numbers(device, 0)
    with record(empty=empty, out=out) as graph:
        kernel([empty, out], 1, 1)
    graph(torch.empty(0, device=device))
    assert values_of(out) == [2.0]
    with pytest.raises(ArgumentError, match="'empty'"):
        graph(numbers(device, 1))


# ---- What is held


def test_tensors_that_are_no_parameters_live_as_long_as_the_graph(device, scale) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    scratch = numbers(device, 0, 0)
    alive = weakref.ref(scratch)
    with record(x=x, out=out) as graph:
        scale(x, scratch, 2.0)
        scale(scratch, out, 5.0)
    del scratch
    gc.collect()
    assert alive() is not None
    for number in range(20):
        junk = [torch.full((2,), -1.0, device=device) for _ in range(50)]
        graph(x=numbers(device, number, number))
        assert values_of(out) == [10.0 * number] * 2
        del junk
    del graph
    gc.collect()
    assert alive() is None


def test_memory_is_held_that_a_tensor_has_left(device, scale) -> None:
    x, out, held = numbers(device, 1, 2), numbers(device, 0, 0), numbers(device, 10, 20)
    with record(out=out) as graph:
        scale(held, out, 1.0)
        scale(x, out, 1.0)
        scale(held, out, 2.0)
    held.data = numbers(device, 5, 5)
    junk = [torch.full((2,), -1.0, device=device) for _ in range(50)]
    graph()
    assert values_of(out) == [20.0, 40.0]
    del junk


def test_bytes_and_numbers_are_copied(device) -> None:
    kernel = helion_msl.compile(
        HEADER
        + "kernel void fill(device float *out, constant float2 &pair, constant float &n)"
        + "{ out[0] = pair.x + pair.y * n; }",
        device=device,
    )
    out = numbers(device, 0)
    with record(out=out) as graph:
        kernel([out, numpy.array([1, 10], numpy.float32).tobytes(), float("3.5")], 1, 1)
    gc.collect()
    other = numbers(device, 0)
    graph(other)
    assert values_of(other) == [36.0]


def test_arrays_of_other_libraries() -> None:
    kernel = helion_msl.compile(SCALE, device="cpu")
    x, out, held = numpy.ones(4, numpy.float32), numpy.zeros(4, numpy.float32), numpy.zeros(4, numpy.float32)
    with record(x=x, out=out) as graph:
        kernel([x, held, 2.0], 4, 1)
        kernel([held, out, 2.0], 4, 1)
    del held
    other = numpy.zeros(4, numpy.float32)
    graph(torch.full((4,), 3.0), other)
    assert other.tolist() == [12.0] * 4
    other.flags.writeable = False
    with pytest.raises(ArgumentError, match=r"'out'.*read-only"):
        graph(out=other)
    graph(x=other)
    assert out.tolist() == [48.0] * 4


def test_a_graph_and_a_tensor_that_know_each_other_are_collected(device, scale) -> None:
    class Tensor(torch.Tensor):
        pass

    out = numbers(device, 0).as_subclass(Tensor)
    with record(out=out) as graph:
        scale(numbers(device, 1), out, 1.0)
    out.graph = graph
    alive = weakref.ref(out)
    del out, graph
    gc.collect()
    assert alive() is None


# ---- Numbers


@pytest.mark.parametrize("declared", ["float", "half", "int", "uchar", "long"])
def test_numbers_travel_as_the_kernel_declares_them(device, declared) -> None:
    kernel = helion_msl.compile(
        HEADER + f"kernel void fill(device float *out, constant {declared} &n) {{ out[0] = n; }}", device=device
    )
    out = numbers(device, 0)
    with record(out=out, n=1 if declared in {"int", "uchar", "long"} else 1.5) as graph:
        kernel([out, graph["n"]], 1, 1)
    for number in (7, True, numpy.int64(9)):
        graph(n=number)
        assert values_of(out) == [float(number)]


def test_a_number_that_does_not_fit_is_refused_with_its_place(device) -> None:
    kernel = helion_msl.compile(
        HEADER + "kernel void fill(device int *out, constant uchar &n) { out[0] = n; }", device=device
    )
    out = torch.zeros(1, dtype=torch.int32, device=device)
    with record(n=5) as graph:
        kernel([out, 3], 1, 1)
        kernel([out, graph["n"]], 1, 1)
    with pytest.raises(
        ArgumentError, match=r"'n' of the graph \(argument 1 of launch 1, kernel 'fill'\): 256 .*0 to 255"
    ):
        graph(n=256)
    with pytest.raises(ArgumentError, match=r"'n' .*int\(value\)"):
        graph(n=2.5)
    with pytest.raises(ArgumentError, match=r"'n' .*pass a number"):
        graph(n=out)
    assert values_of(out) == [5]
    graph(n=255)
    assert values_of(out) == [255]


def test_numbers_of_a_jit_kernel(device) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    with record(out=out, n=5, m=0.5) as graph:
        shift[2, 1](x, out, graph["n"])
        shift[2, 1](out, out, graph["m"])
        assert graph["n"] == 5
        assert graph["m"] * 2 == 1.0
    graph(n=7)
    assert values_of(out) == [8.5, 9.5]
    graph(m=2, n=0)
    assert values_of(out) == [3.0, 4.0]


@pytest.mark.parametrize("number", [3, 3.0])
def test_a_number_that_is_compiled_in_cannot_be_a_parameter(device, number) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    with record(out=out) as graph:
        shift[2, 1](x, out, 0)
    with pytest.raises(ArgumentError, match=r"'c' .*kernel 'shift'.* compiled into it"), record(c=number) as graph:
        shift[2, 1](x, out, 0, graph["c"])
    assert values_of(out) == [1.0, 2.0]


def test_sizes_of_threadgroup_memory_are_recorded(device) -> None:
    kernel = helion_msl.compile(
        HEADER
        + "kernel void pass(device float *out, threadgroup float *shared [[threadgroup(0)]])"
        + "{ shared[3] = out[0] + 1; out[0] = shared[3]; }",
        device=device,
    )
    out = numbers(device, 0)
    with record(out=out) as graph:
        kernel([out, 16], 1, 1)
    other = numbers(device, 41)
    graph(other)
    assert values_of(other) == [42.0]
    with pytest.raises(ArgumentError, match="'size' is the size of threadgroup memory"), record(size=16) as graph:
        kernel([out, graph["size"]], 1, 1)


@pytest.mark.parametrize("value", [True, b"1234", "text", None, 1j])
def test_what_cannot_be_a_parameter(value) -> None:
    with pytest.raises(ArgumentError, match="'p'"):
        record(p=value)


# ---- Replaying


def test_threads_replay_one_graph_at_once(device) -> None:
    kernel = helion_msl.compile(
        HEADER
        + f"kernel void spin(device const float *x, device float *out, constant float &n, {POSITION})"
        + "{ float sum = 0; for (int k = 0; k < 200; ++k) sum += x[i] * n; out[i] = sum / 200; }",
        device=device,
    )
    size = 2048
    x, scratch_free = torch.ones(size, device=device), torch.zeros(size, device=device)
    with record(x=x, out=scratch_free, n=1.0) as graph:
        for _ in range(3):
            kernel([x, scratch_free, graph["n"]], size // 256, 256)
    wrong = []

    def work(number: int) -> None:
        own, out = torch.full((size,), float(number), device=device), torch.zeros(size, device=device)
        for _ in range(30):
            out.zero_()
            graph(own, out, float(number))
            helion_msl.synchronize()
            if not torch.allclose(out, torch.full_like(out, number * number)):
                wrong.append(out[:4].tolist())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_launches_before_a_failure_have_run_and_those_after_it_have_not(device, scale) -> None:
    if device == "mps":
        pytest.skip("on a GPU launches fail after the call")
    fails = helion_msl.compile(
        HEADER
        + "kernel void diverges(constant int &n, uint i [[thread_position_in_threadgroup]])"
        + "{ if (int(i) < n) threadgroup_barrier(mem_flags::mem_none); }",
        device=device,
    )
    x, before, after = (numbers(device, 1, 2) for _ in range(3))
    with record(n=32) as graph:
        scale(x, before, 2.0)
        fails([graph["n"]], 1, 32)
        scale(x, after, 3.0)
    before.zero_()
    after.zero_()
    with pytest.raises(KernelError, match="diverges"):
        graph(n=7)
    assert before.tolist() == [2.0, 4.0]
    assert after.tolist() == [0.0, 0.0]
    graph()
    assert after.tolist() == [3.0, 6.0]


def test_more_parameters_than_a_kernel_has_buffers(device, accumulate) -> None:
    out = numbers(device, 0)
    tensors = {f"t{number}": numbers(device, number) for number in range(70)}
    with record(**tensors) as graph:
        for tensor in tensors.values():
            accumulate(tensor, out)
    out.zero_()
    graph(*(numbers(device, 1) for _ in range(70)))
    assert values_of(out) == [70.0]


def test_the_null_engine_drops_replays(device, scale) -> None:
    x, out = numbers(device, 1, 2), numbers(device, 0, 0)
    with _C._NullEngine():
        kernel = helion_msl.compile(SCALE + "// for the null engine", device=device)
        with record(x=x) as graph:
            kernel([x, out, 1.0], 2, 1)
        graph(numbers(device, 3, 4))
    assert values_of(out) == [0.0, 0.0]
    graph(numbers(device, 3, 4))
    assert values_of(out) == [3.0, 4.0]


def test_the_example_of_the_documentation_steps_a_rod(capsys) -> None:
    example = runpy.run_path(str(Path(__file__).parent.parent / "examples/heat.py"))
    assert example["main"]() == 0
    assert capsys.readouterr().out.count("equal to torch") == 2
