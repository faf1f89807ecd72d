"""simd_* and quad_* functions against a model that applies their definitions to the lanes of one simdgroup."""

# ruff: noqa: ARG005  (a table's functions have one signature, whether they look at every argument or not)
from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helion_msl import _C
from msl_evaluation import DTYPES, PRELUDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WIDTH = 32
INTEGER_POISON = 0xDEADBEEF


def launch(
    msl_type: str, expressions: Iterable[str], values: torch.Tensor, *, active: str = "true"
) -> dict[str, torch.Tensor]:
    """Expressions of ``x`` and ``lane`` in each thread of one threadgroup; -1 where ``active`` is false."""
    names = list(expressions)
    parameters = "".join(f"device {msl_type} *out{k}, " for k in range(len(names)))
    initial = "".join(f"out{k}[i] = {msl_type}(-1); " for k in range(len(names)))
    statements = "".join(f"out{k}[i] = {name}; " for k, name in enumerate(names))
    source = f"""{PRELUDE}
    kernel void k(device const {msl_type} *values, {parameters}
                  uint i [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {{
      {msl_type} x = values[i];
      {initial}
      if ({active}) {{ {statements} }}
    }}"""
    results = [torch.zeros_like(values) for _ in names]
    _C.launch(source, [values, *results], (1,), (values.shape[0],))
    return dict(zip(names, results, strict=True))


def model(
    values: list,
    function: Callable[[dict[int, object], int, int], object],
    *,
    active: Callable[[int], bool],
    group: int,
) -> list:
    """Applies ``function(values of the group's active lanes by place, place, lane)`` in every active thread."""
    results: list = []
    for begin in range(0, len(values), WIDTH):
        simdgroup = values[begin : begin + WIDTH]
        for lane in range(len(simdgroup)):
            if not active(lane):
                results.append(-1)
                continue
            base = lane - lane % group
            members = {
                other - base: simdgroup[other]
                for other in range(base, min(base + group, len(simdgroup)))
                if active(other)
            }
            results.append(function(members, lane - base, lane))
    return results


def fold(function):
    return lambda members, place, lane: functools.reduce(function, members.values())


def prefix(function, identity, *, inclusive: bool):
    def scan(members, place, lane):
        before = [value for other, value in members.items() if other < place or (inclusive and other == place)]
        return functools.reduce(function, before, identity)

    return scan


ARITHMETIC = {
    "sum": fold(operator.add),
    "product": fold(operator.mul),
    "max": fold(max),
    "min": fold(min),
    "prefix_inclusive_sum": prefix(operator.add, 0, inclusive=True),
    "prefix_exclusive_sum": prefix(operator.add, 0, inclusive=False),
    "prefix_inclusive_product": prefix(operator.mul, 1, inclusive=True),
    "prefix_exclusive_product": prefix(operator.mul, 1, inclusive=False),
    "broadcast_first": lambda members, place, lane: next(iter(members.values())),
}
BITWISE = {"and": fold(operator.and_), "or": fold(operator.or_), "xor": fold(operator.xor)}

ACTIVE = {"true": lambda lane: True, "lane % 3 == 1": lambda lane: lane % 3 == 1, "lane >= 5": lambda lane: lane >= 5}
GROUPS = {"simd": 32, "quad": 4}


def small_values(msl_type: str, count: int) -> torch.Tensor:
    """Values whose sums and products of a simdgroup are exact in every type: mostly ones, a few twos and zeros."""
    values = [2 if i % 13 == 5 else 0 if i == 70 else 1 for i in range(count)]
    return torch.tensor(values).to(DTYPES[msl_type])


@pytest.mark.parametrize(
    "msl_type", ["int", "uint", "short", "uchar", "char", "ushort", "long", "ulong", "float", "half", "bfloat"]
)
def test_reductions_and_prefixes(msl_type):
    """In full and partial simdgroups, on small numbers that every type holds exactly."""
    values = small_values(msl_type, 75)
    numbers = values.double().tolist()
    results = launch(msl_type, [f"{kind}_{name}(x)" for kind in GROUPS for name in ARITHMETIC], values)
    for kind, group in GROUPS.items():
        for name, function in ARITHMETIC.items():
            expected = model(numbers, function, active=ACTIVE["true"], group=group)
            assert results[f"{kind}_{name}(x)"].double().tolist() == expected, (kind, name)


@pytest.mark.parametrize("active", ACTIVE)
def test_only_active_lanes_take_part(active):
    functions = ARITHMETIC | BITWISE
    values = torch.from_numpy(np.random.default_rng(1).integers(-5, 6, 50, dtype=np.int32))
    results = launch("int", [f"{kind}_{name}(x)" for kind in GROUPS for name in functions], values, active=active)
    for kind, group in GROUPS.items():
        for name, function in functions.items():
            expected = model(values.tolist(), function, active=ACTIVE[active], group=group)
            wrapped = [(value + 2**31) % 2**32 - 2**31 for value in expected]
            assert results[f"{kind}_{name}(x)"].tolist() == wrapped, (kind, name)


def poisoned(group: int, members: dict, source: int):
    return members.get(source, INTEGER_POISON) if 0 <= source < group else INTEGER_POISON


def shuffles(group: int) -> dict[str, Callable[[dict, int, int], object]]:
    """What each shuffle reads, by its definition; lanes that are not there give the poison."""

    def shifted(delta):
        def read(members, place, lane):
            source = place + delta
            return poisoned(group, members, source if 0 <= source < group else place)

        return read

    def filled(delta, modulo):
        def read(members, place, lane):
            run, within = divmod(place, modulo)
            source = within + delta
            value = poisoned(group, members, run * modulo + source % modulo)
            outside = not 0 <= source < modulo
            return value + 1000 if outside and value != INTEGER_POISON else value

        return read

    functions = {
        "broadcast(x, 3)": lambda members, place, lane: poisoned(group, members, 3),
        "shuffle(x, (lane * 7 + 3) % 37)": lambda members, place, lane: poisoned(group, members, (lane * 7 + 3) % 37),
        "shuffle_up(x, 2)": shifted(-2),
        "shuffle_down(x, 3)": shifted(3),
        "shuffle_xor(x, 1)": lambda members, place, lane: poisoned(group, members, place ^ 1),
        "shuffle_rotate_up(x, 1)": lambda members, place, lane: poisoned(group, members, (place - 1) % group),
        "shuffle_rotate_down(x, 3)": lambda members, place, lane: poisoned(group, members, (place + 3) % group),
        "shuffle_and_fill_up(x, x + 1000, 1)": filled(-1, group),
        "shuffle_and_fill_down(x, x + 1000, 3)": filled(3, group),
        "shuffle_and_fill_up(x, x + 1000, 1, 2)": filled(-1, 2),
        "shuffle_and_fill_down(x, x + 1000, 1, 4)": filled(1, 4),
    }
    if group == WIDTH:
        functions |= {
            "shuffle_xor(x, 16)": lambda members, place, lane: poisoned(group, members, place ^ 16),
            "shuffle_down(x, 16)": shifted(16),
            "shuffle_and_fill_up(x, x + 1000, 5, 8)": filled(-5, 8),
        }
    return functions


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize("count", [32, 45])
@pytest.mark.parametrize("active", ["true", "lane % 3 == 1"])
def test_shuffles(kind, count, active):
    values = torch.arange(100, 100 + count, dtype=torch.int64)
    functions = {f"{kind}_{expression}": function for expression, function in shuffles(GROUPS[kind]).items()}
    results = launch("uint", functions, values.to(torch.uint32), active=active)
    for expression, function in functions.items():
        expected = model(values.tolist(), function, active=ACTIVE[active], group=GROUPS[kind])
        assert results[expression].tolist() == [value % 2**32 for value in expected], expression


@pytest.mark.parametrize("msl_type", ["float", "half", "bfloat"])
def test_a_float_of_a_missing_lane_is_nan(msl_type):
    values = torch.ones(20, dtype=DTYPES[msl_type])
    (got,) = launch(msl_type, ["simd_shuffle(x, lane + 10)"], values).values()
    assert got[:10].tolist() == [1.0] * 10
    assert bool(got[10:].isnan().all())


def test_integers_of_a_missing_lane_are_recognizable():
    for msl_type, pattern in {"uint": 0xDEADBEEF, "ushort": 0xDEAD, "uchar": 0xAD, "ulong": 0xDEADBEEFDEADBEEF}.items():
        (got,) = launch(msl_type, ["simd_broadcast(x, 31)"], torch.ones(8, dtype=DTYPES[msl_type])).values()
        assert got.tolist() == [pattern] * 8


@pytest.mark.parametrize("msl_type", ["float", "long", "half", "bfloat", "uchar"])
def test_shuffles_of_other_types(msl_type):
    values = torch.arange(64).to(DTYPES[msl_type])
    (got,) = launch(msl_type, ["simd_shuffle_xor(x, 5)"], values).values()
    assert got.tolist() == [values[i ^ 5].item() for i in range(64)]


def test_vectors_are_reduced_and_shuffled_by_component():
    source = f"""{PRELUDE}
    kernel void k(device const float4 *values, device float4 *sums, device float4 *shuffled, device int2 *largest,
                  uint i [[thread_index_in_threadgroup]]) {{
      sums[i] = simd_sum(values[i]);
      shuffled[i] = simd_shuffle_down(values[i], 1);
      largest[i] = simd_max(int2(values[i].xy));
    }}"""
    values = torch.arange(128, dtype=torch.float32).reshape(32, 4)
    sums, moved = torch.zeros(32, 4), torch.zeros(32, 4)
    largest = torch.zeros(32, 2, dtype=torch.int32)
    _C.launch(source, [values, sums, moved, largest], (1,), (32,))
    assert torch.equal(sums, values.sum(0).expand(32, 4))
    assert torch.equal(moved, values[[*range(1, 32), 31]])
    assert largest.tolist() == [[124, 125]] * 32


@pytest.mark.parametrize("count", [32, 20, 1])
def test_votes(count):
    """Ballots and their helpers, in both branches of a divergent condition."""
    source = f"""{PRELUDE}
    kernel void k(device uint *out, uint i [[thread_index_in_threadgroup]]) {{
      device uint *o = out + i * 12;
      if (i % 3 == 1) {{
        simd_vote v = simd_ballot(i > 7);
        o[0] = uint(static_cast<simd_vote::vote_t>(v));
        o[1] = v.all(); o[2] = v.any();
        o[3] = simd_all(i != 4); o[4] = simd_any(i == 4);
        o[5] = simd_is_first();
        o[6] = uint(simd_vote::vote_t(simd_active_threads_mask()));
        o[7] = quad_all(i != 4); o[8] = quad_any(i == 4); o[9] = quad_is_first();
        o[10] = uint(quad_vote::vote_t(quad_ballot(i > 7)));
      }} else {{
        o[6] = uint(simd_vote::vote_t(simd_active_threads_mask()));
      }}
      o[11] = simd_is_helper_thread();
    }}"""
    out = torch.zeros(count, 12, dtype=torch.int32)
    _C.launch(source, [out.view(torch.uint32)], (1,), (count,))
    chosen = [i for i in range(count) if i % 3 == 1]
    others = [i for i in range(count) if i % 3 != 1]

    def mask(lanes) -> int:
        pattern = sum(1 << lane for lane in lanes)
        return pattern - 2**32 if pattern >= 2**31 else pattern

    for i in range(count):
        if i in others:
            assert out[i].tolist() == [0] * 6 + [mask(others)] + [0] * 5
            continue
        quad = [lane for lane in chosen if lane // 4 == i // 4]
        expected = [
            mask(lane for lane in chosen if lane > 7),
            int(all(lane > 7 for lane in chosen)),
            int(any(lane > 7 for lane in chosen)),
            int(4 not in chosen),
            int(4 in chosen),
            int(i == chosen[0]),
            mask(chosen),
            int(4 not in quad),
            int(4 in quad),
            int(i == quad[0]),
            sum(1 << (lane % 4) for lane in quad if lane > 7),
            0,
        ]
        assert out[i].tolist() == expected


def test_each_call_is_a_place_of_its_own():
    """Two textually equal calls in two branches have two active sets, also through a helper function."""
    source = f"""{PRELUDE}
    int total(int x) {{ return simd_sum(x); }}
    kernel void k(device int *out, uint i [[thread_index_in_threadgroup]]) {{
      int a, b;
      if (i < 10) {{ a = simd_sum(1); b = total(1); }} else {{ a = simd_sum(1); b = total(1); }}
      out[i] = a * 100 + b;
    }}"""
    out = torch.zeros(32, dtype=torch.int32)
    _C.launch(source, [out], (1,), (32,))
    assert out.tolist() == [1010] * 10 + [2222] * 22


def test_sum_of_floats_is_as_good_as_a_tree():
    values = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, 32).astype(np.float32))
    (got,) = launch("float", ["simd_sum(x)"], values).values()
    exact = math.fsum(values.tolist())
    # Five additions deep: each adds half a unit in the last place at most.
    assert float((got.double() - exact).abs().max()) <= 5 * 0.5 * 2.0**-23 * 16
    assert len(set(got.tolist())) == 1


@settings(max_examples=15, deadline=None)
@given(lanes=st.lists(st.integers(-1000, 1000), min_size=1, max_size=96), seed=st.integers(1, 2**31 - 1))
def test_loops_whose_lanes_leave_one_by_one(lanes, seed):
    """Every lane runs its own number of rounds; in each, the sum is that of the lanes that are still there."""
    source = f"""{PRELUDE}
    kernel void k(device const int *values, device const int *rounds, device int *out,
                  uint i [[thread_index_in_threadgroup]]) {{
      int sum = 0;
      for (int round = 0; round < rounds[i]; ++round) sum += (round + 1) * simd_sum(values[i]);
      out[i] = sum;
    }}"""
    values = torch.tensor(lanes, dtype=torch.int32)
    rounds = torch.from_numpy(np.random.default_rng(seed).integers(0, 5, len(lanes), dtype=np.int32))
    out = torch.zeros_like(values)
    _C.launch(source, [values, rounds, out], (1,), (len(lanes),))
    for i in range(len(lanes)):
        simdgroup = range(i - i % WIDTH, min(i - i % WIDTH + WIDTH, len(lanes)))
        expected = sum((r + 1) * sum(lanes[j] for j in simdgroup if rounds[j] > r) for r in range(int(rounds[i])))
        assert int(out[i]) == expected
