"""Barriers that only some threads reach are warned about where the text shows it, and no others are."""

from __future__ import annotations

import re
import warnings

import pytest
import torch

from helion_msl import DivergenceWarning, KernelError, metal_jit
from helion_msl import language as ml
from helion_msl.walker import SCALAR_TYPES, TensorType, translate

ARGUMENTS = {
    "x": TensorType(SCALAR_TYPES["float32"], 1),
    "n": SCALAR_TYPES["int32"],
}


def synchronized(value):
    ml.barrier()
    return value + 1.0


NAMESPACE = {"ml": ml, "synchronized": synchronized}

# `# barrier` marks the line that is warned about, `# condition` the one that threads differ in.
DIVERGENT = [
    "if ml.tid[0] < n:  # condition\n    ml.barrier()  # barrier",
    "i = ml.gid[0] * 2\nj = i + 1\nif j > n:  # condition\n    x[0] = 1.0\nelse:\n    ml.barrier()  # barrier",
    "if x[ml.tid[0]] > 0.0:  # condition\n    ml.barrier()  # barrier",
    "if ml.simd_lane == 0:  # condition\n    if n > 2:\n        ml.barrier()  # barrier",
    "for i in range(ml.tid[0]):  # condition\n    ml.barrier()  # barrier",
    "for i in range(ml.tid[0], 1000, 64):  # condition\n    ml.barrier()  # barrier",
    "i = ml.tid[0]\nwhile i < n:  # condition\n    i += 64\n    ml.barrier()  # barrier",
    "for i in range(n):\n    if x[ml.tid[0]] > i:  # condition\n        break\n    ml.barrier()  # barrier",
    "v = 0\nif ml.tid[0] > n:\n    v = 1\nif v == 1:  # condition\n    ml.barrier()  # barrier",
    "if ml.tid[0] < n:  # condition\n    x[0] = synchronized(x[0])  # barrier",
]
UNIFORM = [
    "if n > 3:\n    ml.barrier()",
    "if ml.tgid[0] == 0:\n    ml.barrier()",
    "if x[n] > 0.0:\n    ml.barrier()",
    "for i in range(n):\n    if i == 7:\n        break\n    ml.barrier()",
    "for i in range(ml.tid[0], 1024, 64):\n    ml.barrier()",
    "if ml.tid[0] < 64:\n    ml.barrier()",
    "if ml.tid[1] == 0:\n    ml.barrier()",
    "if ml.tid[0] < n:\n    x[ml.tid[0]] = 0.0\nml.barrier()",
    "if ml.simd_sum(x[ml.tid[0]]) > 3.0:\n    ml.barrier()",
    "if ml.tid[0] < n:\n    ml.simdgroup_barrier()",
    "while n > x[0]:\n    x[ml.tid[0]] += synchronized(1.0)",
]


def translated(body: str) -> str:
    text = "def kernel(x, n):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    translate(text, ARGUMENTS, namespace=NAMESPACE, block_dims=(64, 1, 1))
    return text


@pytest.mark.parametrize("body", DIVERGENT)
def test_divergent_barriers_are_warned_about_at_their_line(body) -> None:
    with pytest.warns(DivergenceWarning) as caught:
        lines = translated(body).splitlines()
    assert len(caught) == 1
    assert "# barrier" in lines[caught[0].lineno - 1]
    condition = re.search(r"condition on line (\d+)", str(caught[0].message))
    assert condition is not None
    assert "# condition" in lines[int(condition[1]) - 1]


@pytest.mark.parametrize("body", UNIFORM)
def test_barriers_that_all_threads_reach_are_not(body) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        translated(body)


@metal_jit
def divergent(x):
    if ml.tid[0] < 3:
        ml.barrier()
    x[ml.tid[0]] = 1.0


def test_the_warning_names_the_file(device) -> None:
    x = torch.zeros(8, device=device)
    line = divergent.fn.__code__.co_firstlineno + 3
    with pytest.warns(DivergenceWarning, match="move it out of") as caught:
        text = divergent.msl(x, block_dims=8)
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)
    assert "threadgroup_barrier" in text


@pytest.mark.filterwarnings("ignore::helion_msl.DivergenceWarning")
def test_the_host_engine_finds_it_where_it_happens() -> None:
    with pytest.raises(KernelError, match="not all threads reach the same threadgroup_barrier"):
        divergent[1, 8](torch.zeros(8))
