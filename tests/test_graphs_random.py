"""Random sequences of launches, replayed with random tensors and numbers, do what the launches do one by one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import helion_msl

# One thread, so that memory which two arguments share has a meaning: that of the loop.
COMBINE = """
#include <metal_stdlib>
using namespace metal;
kernel void combine(device const uint *a, device const uint *b, device uint *out, constant uint &n, constant uint &c) {
  for (uint i = 0; i < n; ++i) out[i] = 3 * a[i] + b[i] + c;
}
"""
SIZE = 8


def combine(a: list[int], b: list[int], out: list[int], offsets: tuple[int, int, int], n: int, c: int) -> None:
    """What the kernel does, on lists."""
    for i in range(n):
        out[offsets[2] + i] = (3 * a[offsets[0] + i] + b[offsets[1] + i] + c) % 2**32


def unsigned(tensor: torch.Tensor) -> list[int]:
    """The numbers that the kernel sees: torch cannot fill tensors of uint32."""
    return [number % 2**32 for number in tensor.tolist()]


@dataclass(frozen=True)
class Step:
    """One launch: for each of its arguments the tensor and the element it begins at; a number, or a parameter's."""

    tensors: tuple[int, int, int]
    offsets: tuple[int, int, int]
    n: int
    number: int


@st.composite
def steps(draw: st.DrawFn, tensors: int) -> Step:
    n = draw(st.integers(1, SIZE))
    some = st.integers(0, tensors - 1)
    offset = st.integers(0, SIZE - n)
    return Step(
        draw(st.tuples(some, some, some)), draw(st.tuples(offset, offset, offset)), n, draw(st.integers(-1, 1000))
    )


@st.composite
def programs(draw: st.DrawFn) -> tuple[int, list[Step]]:
    tensors = draw(st.integers(1, 5))
    return tensors, draw(st.lists(steps(tensors), min_size=1, max_size=6))


# For each parameter: None leaves it out; a number below 5 is the recorded tensor of that position, any other a new one
# that begins at an element of a larger tensor.
replacements = st.lists(st.none() | st.integers(0, 10), min_size=5, max_size=5)


@pytest.fixture(scope="module")
def kernel():
    device = "mps" if torch.backends.mps.is_available() else "cpu"
    return helion_msl.compile(COMBINE, device=device)


@settings(max_examples=120, deadline=None)
@given(
    program=programs(),
    parameter_count=st.integers(0, 5),
    calls=st.lists(st.tuples(replacements, st.none() | st.integers(0, 2**32 - 1), st.booleans()), max_size=4),
)
def test_replays_do_what_launches_do_one_by_one(kernel, program, parameter_count, calls) -> None:
    tensor_count, launches = program
    tensors = [
        torch.arange(10 * k, 10 * k + SIZE, dtype=torch.int32, device=kernel.device) for k in range(tensor_count)
    ]
    model = list(map(unsigned, tensors))
    used = {tensor for step in launches for tensor in step.tensors}
    parameters = [k for k in range(min(parameter_count, tensor_count)) if k in used]
    numbers = {"c": 7} if any(step.number < 0 for step in launches) else {}

    def expect(lists: list[list[int]], bases: list[int], c: int) -> None:
        for step in launches:
            a, b, out = (lists[k] for k in step.tensors)
            offsets = tuple(bases[k] + offset for k, offset in zip(step.tensors, step.offsets, strict=True))
            combine(a, b, out, offsets, step.n, c if step.number < 0 else step.number)

    with helion_msl.record(**{f"p{k}": tensors[k] for k in parameters}, **numbers) as graph:
        for step in launches:
            views = [tensors[k][offset : offset + step.n] for k, offset in zip(step.tensors, step.offsets, strict=True)]
            kernel([*views, step.n, graph["c"] if step.number < 0 else step.number], 1, 1)
    expect(model, [0] * tensor_count, 7)

    for replaced, number, by_position in calls:
        lists, bases = list(model), [0] * tensor_count
        given_tensors, fresh = {}, []
        for k, choice in zip(range(5), replaced, strict=True):
            if k not in parameters or (choice is None and not by_position):
                continue
            if choice is None or choice < tensor_count:
                source = k if choice is None else choice
                given_tensors[f"p{k}"] = tensors[source]
                lists[k] = model[source]
            else:
                start = 50 + choice
                base = torch.arange(start, start + 2 * SIZE, dtype=torch.int32, device=kernel.device)
                given_tensors[f"p{k}"] = base[choice % SIZE : choice % SIZE + SIZE]
                lists[k], bases[k] = unsigned(base), choice % SIZE
                fresh.append((base, lists[k]))
        with_number = {"c": number} if numbers and number is not None else {}
        if by_position:
            graph(*given_tensors.values(), **with_number)
        else:
            graph(**given_tensors, **with_number)
        expect(lists, bases, with_number.get("c", 7))
        helion_msl.synchronize()
        assert list(map(unsigned, tensors)) == model
        for base, expected in fresh:
            assert unsigned(base) == expected
