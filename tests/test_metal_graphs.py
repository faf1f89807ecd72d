"""Graphs on the Metal engine: what a replay sends, when it commits, and what it keeps alive."""

from __future__ import annotations

import gc

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
kernel void add(device float *x [[buffer(0)]], device const float *y [[buffer(1)]], constant float &n [[buffer(2)]],
                uint i [[thread_position_in_grid]]) { x[i] += y[i] + n; }
"""


@pytest.fixture
def commit_every():
    before = helion_msl.get_commit_every("mps")
    yield lambda launches: helion_msl.set_commit_every(launches, "mps")
    helion_msl.set_commit_every(before, "mps")


def ones(size=64):
    return torch.ones(size, device="mps")


def graph_of(launches):
    kernel = helion_msl.compile(ADD, device="mps")
    x, y, held = ones(), ones(), ones()
    with helion_msl.record(x=x, y=y, n=1.0) as graph:
        for number in range(launches):
            kernel([x, y if number % 2 == 0 else held, graph["n"]], 64, 1)
    helion_msl.synchronize("mps")
    return graph


@pytest.mark.parametrize("launches", [1, 2, 30])
@pytest.mark.parametrize("replaced", [0, 2, 3])
def test_what_a_replay_costs(launches, replaced, commit_every):
    graph = graph_of(launches)
    commit_every(0)
    values = [(ones(), ones(), 2.0)[:replaced] for _ in range(5)]
    graph(*values[0])  # finds the command buffer and the encoder, and makes room for other arguments
    with double.counting_launches() as counts:
        for replacement in values:
            graph(*replacement)
    replays = len(values)
    assert counts == {
        "dispatches": replays * launches,
        "encoder_messages": replays * launches * (2 + 3),
        "torch_calls": replays * 3,  # for the stream, its command buffer and its encoder
        "dispatch_syncs": replays,
        "engine_locks": 0,
        "engine_allocations": 0,
    }


def test_an_empty_graph_sends_nothing():
    with helion_msl.record() as graph:
        pass
    with double.counting_launches() as counts:
        graph()
    assert set(counts.values()) == {0}


def test_a_replay_commits_as_its_launches_would(commit_every):
    graph = graph_of(10)
    commit_every(4)
    helion_msl.commit("mps")
    with double.counting("command_buffers_committed") as counts:
        graph()  # commits after 4 and 8, and 2 are left
    assert counts == {"command_buffers_committed": 2}
    with double.counting("command_buffers_committed") as counts:
        graph()  # after 2 + 2, 6 and 10
    assert counts == {"command_buffers_committed": 3}
    commit_every(0)
    with double.counting("command_buffers_committed") as counts:
        graph()
    assert counts == {"command_buffers_committed": 0}


def test_a_replay_takes_its_place_among_the_operations_of_torch():
    graph = graph_of(2)
    x, y = ones(), ones()
    double.torch_add(y, 3.0)
    graph(x, y, 10.0)
    double.torch_add(x, 100.0)
    assert x.tolist() == [1.0] * 64  # nothing has run
    helion_msl.synchronize("mps")
    assert x.tolist() == [1.0 + 4 + 10 + 1 + 10 + 100] * 64


def test_tensors_may_be_freed_right_after_the_replay():
    graph = graph_of(2)
    x = ones()
    with double.gpu_held():
        graph(x, ones(), 10.0)
        gc.collect()
        junk = [torch.full((64,), -1.0, device="mps") for _ in range(20)]
        helion_msl.commit("mps")
    helion_msl.synchronize("mps")
    assert x.tolist() == [1.0 + 1 + 10 + 1 + 10] * 64
    del junk


def test_views_reach_the_gpu_at_their_offset():
    kernel = helion_msl.compile(ADD, device="mps")
    x, y = ones(), ones()
    with helion_msl.record(x=x, y=y) as graph:
        kernel([x[8:16], y[4:12], 0.0], 8, 1)
    base, other = torch.zeros(100, device="mps"), torch.arange(100.0, device="mps")
    graph(base[20:84], other[30:94])
    helion_msl.synchronize("mps")
    assert base.tolist() == [0.0] * 28 + [34.0 + i for i in range(8)] + [0.0] * 64


def test_a_replay_that_is_refused_sends_nothing():
    graph, x, y = graph_of(3), ones(), ones(65)
    with double.counting_launches() as counts, pytest.raises(helion_msl.ArgumentError, match="'y'"):
        graph(x, y)
    assert (counts["dispatches"], counts["dispatch_syncs"]) == (0, 0)


def test_labels_name_each_launch_of_a_replay():
    graph = graph_of(3)
    helion_msl.set_labels(True, "mps")
    try:
        with double.counting("encoder_messages") as counts:
            graph()
    finally:
        helion_msl.set_labels(False, "mps")
    assert counts == {"encoder_messages": 3 * (2 + 3 + 2)}
