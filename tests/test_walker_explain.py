"""``kernel.explain``: the report on one specialization of a kernel."""

from __future__ import annotations

import torch

from helion_msl import language as ml
from helion_msl import metal_jit


def doubled(value):
    return value * 2.0


@metal_jit
def scale(x, out, a, BLOCK: ml.constexpr, FACTORS: ml.constexpr = (1, 2)):
    shared = ml.threadgroup_array((2, 16), ml.float16)
    i = ml.tgid[0] * BLOCK + ml.tid[0]
    # Beyond the end there is nothing.
    if i < x.size(0):
        shared[0, 0] = x[i]
        for factor in FACTORS:
            out[i] = doubled(x[i] * a) * factor


def report() -> list[str]:
    return scale.explain(torch.ones(64)[::2], torch.ones(32), 2.0, BLOCK=32, block_dims=32).splitlines()


def test_the_facts_of_a_specialization() -> None:
    lines = report()
    expected = "kernel scale: 5 buffers, 64 bytes of threadgroup memory, 32 x 1 x 1 threads in a threadgroup"
    assert lines[0] == expected
    start = lines.index("Specialized for")
    facts = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[start + 1 : start + 6]}
    assert facts == {
        "x": "1-dimensional tensor of float32, strides (any)",
        "out": "1-dimensional tensor of float32, contiguous",
        "a": "a number of type float32",
        "BLOCK": "the constant 32",
        "FACTORS": "the constant (1, 2)",
    }


def test_the_argument_table() -> None:
    lines = report()
    start = lines.index("Arguments")
    rows = [line.split()[:4] for line in lines[start + 2 : start + 7]]
    assert rows == [
        ["0", "x", "float*", "read"],
        ["1", "out", "float*", "written"],
        ["2", "a", "float", "read"],
        ["3", "x_size_0", "int", "read"],
        ["4", "x_stride_0", "int", "read"],
    ]


def test_each_line_of_msl_stands_beside_its_python() -> None:
    first = scale.fn.__code__.co_firstlineno
    pairs = [line.split(" | ") for line in report() if " | " in line]
    beside = [(left.split(maxsplit=1)[0] if left.strip() else "", right.strip()) for left, right in pairs]
    assert (str(first + 3), "int i = int(tgid.x) * BLOCK + int(tid.x);") in beside
    assert (str(first + 5), "if (i < x_size_0) {") in beside
    # Both turns of the unrolled loop, which are one line of Python.
    stores = [place for place, text in beside if text.count("out[i] = doubled(") == 2]
    assert stores == [str(first + 8)]
    numbers = [
        int(left.split(maxsplit=1)[0])
        for left, *_ in (line.split(" |") for line in report())
        if left[:4].strip().isdigit()
    ]
    assert [number for number in numbers if number >= first] == list(range(first, first + 9))


def test_functions_that_it_calls_are_shown() -> None:
    lines = report()
    assert "static inline float doubled(float value) {" in lines[lines.index("Functions that it calls") :]
