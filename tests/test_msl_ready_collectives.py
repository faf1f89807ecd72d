"""What the engine has ready for simdgroup functions of 32 bits, against numpy, for any set of active lanes."""

# ruff: noqa: ARG005  (a table's functions have one signature, whether they look at their argument or not)
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helion_msl import _C
from msl_evaluation import PRELUDE

DTYPES = {"float": np.float32, "int": np.int32, "uint": np.uint32}


def maximum(a, b):
    return np.fmax(a, b) if a.dtype == np.float32 else np.maximum(a, b)


def minimum(a, b):
    return np.fmin(a, b) if a.dtype == np.float32 else np.minimum(a, b)


REDUCTIONS = {"sum": np.add, "product": np.multiply, "max": maximum, "min": minimum}
BITWISE = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}


def tree(values: np.ndarray, operation) -> np.ndarray:
    """Neighbours first; of an odd number, the last one waits for the next level."""
    while len(values) > 1:
        pairs = operation(values[0 : len(values) // 2 * 2 : 2], values[1::2])
        values = np.concatenate([pairs, values[len(values) // 2 * 2 :]])
    return values[0]


@pytest.mark.parametrize("msl_type", DTYPES)
@settings(max_examples=40, deadline=None)
@given(
    active=st.integers(1, 2**32 - 1) | st.just(2**32 - 1),
    bits=st.lists(st.integers(0, 2**32 - 1), min_size=32, max_size=32),
)
def test_reductions(msl_type, active, bits):
    values = np.array(bits, dtype=np.uint32).view(DTYPES[msl_type])
    functions = REDUCTIONS if msl_type == "float" else REDUCTIONS | BITWISE
    statements = "".join(f"out[i + {32 * row}] = simd_{name}(x); " for row, name in enumerate(functions))
    source = f"""{PRELUDE}
    kernel void k(device const {msl_type} *values, device {msl_type} *out, constant uint &active,
                  uint i [[thread_index_in_simdgroup]]) {{
      {msl_type} x = values[i];
      if (active >> i & 1) {{ {statements} }}
    }}"""
    out = torch.from_numpy(np.zeros(32 * len(functions), dtype=np.uint32).view(values.dtype))
    _C.launch(source, [torch.from_numpy(values), out, active], (1,), (32,))
    lanes = [lane for lane in range(32) if active >> lane & 1]
    for row, (name, operation) in enumerate(functions.items()):
        got = out.numpy()[32 * row : 32 * row + 32]
        with np.errstate(all="ignore"):
            expected = tree(values[lanes], operation)
        assert np.array_equal(got[lanes], np.full(len(lanes), expected), equal_nan=msl_type == "float"), name
        others = np.delete(got, lanes)
        assert np.array_equal(others, np.zeros_like(others)), name


@settings(max_examples=40, deadline=None)
@given(active=st.integers(1, 2**32 - 1), amount=st.integers(0, 70))
def test_shuffles_votes_and_broadcasts(active, amount):
    lanes = [lane for lane in range(32) if active >> lane & 1]
    sources = {
        "simd_shuffle(x, amount)": lambda lane: amount,
        "simd_shuffle_up(x, amount)": lambda lane: lane - amount if lane >= amount else lane,
        "simd_shuffle_down(x, amount)": lambda lane: lane + amount if lane + amount < 32 else lane,
        "simd_shuffle_xor(x, amount)": lambda lane: lane ^ amount,
        "simd_shuffle_rotate_up(x, amount)": lambda lane: (lane - amount) % 32,
        "simd_shuffle_rotate_down(x, amount)": lambda lane: (lane + amount) % 32,
        "simd_broadcast_first(x)": lambda lane: lanes[0],
    }
    statements = "".join(f"out[i + {32 * row}] = {text}; " for row, text in enumerate(sources))
    source = f"""{PRELUDE}
    kernel void k(device uint *out, constant uint &active, constant ushort &amount,
                  uint i [[thread_index_in_simdgroup]]) {{
      uint x = 1000 + i;
      if (active >> i & 1) {{
        {statements}
        out[i + {32 * len(sources)}] = uint(ulong(simd_ballot(i % 3 == 0)));
      }}
    }}"""
    out = torch.zeros(32 * (len(sources) + 1), dtype=torch.uint32)
    _C.launch(source, [out, active, amount], (1,), (32,))
    rows = out.reshape(-1, 32).tolist()
    for row, source_of in zip(rows, sources.values(), strict=False):
        expected = [1000 + source_of(lane) if source_of(lane) in lanes else 0xDEADBEEF for lane in lanes]
        assert [row[lane] for lane in lanes] == expected
    votes = sum(1 << lane for lane in lanes if lane % 3 == 0)
    assert [rows[-1][lane] for lane in lanes] == [votes] * len(lanes)
