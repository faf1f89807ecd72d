"""Random structured programs of barriers and simdgroup operations, against a model that runs all threads in step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helion_msl import _C

if TYPE_CHECKING:
    from collections.abc import Iterator

# ---- Programs over one unsigned variable `v` of each thread ----------------------------------------------------------


@dataclass(frozen=True)
class Arithmetic:
    factor: int
    addend: int


@dataclass(frozen=True)
class Simd:
    """`v` becomes the value of a simdgroup operation over it."""

    operation: str


@dataclass(frozen=True)
class Exchange:
    """Adds the `v` of the thread that lies `distance` further, through threadgroup memory."""

    distance: int


@dataclass(frozen=True)
class SimdBarrier:
    pass


@dataclass(frozen=True)
class If:
    condition: Condition
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True)
class Loop:
    """Runs as often as the thread's index modulo `modulus`; as often as `modulus` where it is uniform."""

    modulus: int
    is_uniform: bool
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Return:
    condition: Condition


@dataclass(frozen=True)
class Condition:
    """Of the thread index `t` alone, or of `v` as well, which no compiler can foresee."""

    modulus: int
    below: int
    uses_value: bool

    def text(self) -> str:
        return f"({'v + ' if self.uses_value else ''}t) % {self.modulus}u < {self.below}u"

    def of(self, v: np.ndarray) -> np.ndarray:
        t = np.arange(len(v), dtype=np.uint32)
        return ((v + t) if self.uses_value else t) % np.uint32(self.modulus) < self.below


Statement = Arithmetic | Simd | Exchange | SimdBarrier | If | Loop | Return

# ---- As MSL ----------------------------------------------------------------------------------------------------------


def msl_lines(statements: tuple[Statement, ...], depth: int) -> Iterator[str]:
    for statement in statements:
        match statement:
            case Arithmetic(factor, addend):
                yield f"v = v * {factor}u + {addend}u;"
            case Simd(operation):
                yield f"v = {operation}(v);"
            case Exchange(distance):
                yield "s[t] = v;"
                yield "threadgroup_barrier(mem_flags::mem_threadgroup);"
                yield f"if (t + {distance}u < n && is_there[t + {distance}u]) v += s[t + {distance}u];"
                yield "threadgroup_barrier(mem_flags::mem_threadgroup);"
            case SimdBarrier():
                yield "simdgroup_barrier(mem_flags::mem_threadgroup);"
            case If(condition, then, otherwise):
                yield f"if ({condition.text()}) {{"
                yield from msl_lines(then, depth)
                yield "} else {"
                yield from msl_lines(otherwise, depth)
                yield "}"
            case Loop(modulus, is_uniform, body):
                bound = f"{modulus}u" if is_uniform else f"t % {modulus}u"
                yield f"for (uint i{depth} = 0; i{depth} < {bound}; ++i{depth}) {{"
                yield from msl_lines(body, depth + 1)
                yield "}"
            case Return(condition):
                yield f"if ({condition.text()}) {{ is_there[t] = false; return; }}"


def msl_source(program: tuple[Statement, ...]) -> str:
    body = "\n  ".join(msl_lines(program, 0))
    return f"""#include <metal_stdlib>
using namespace metal;
kernel void program(device int *stored, uint t [[thread_position_in_threadgroup]],
                    uint n [[threads_per_threadgroup]], uint g [[threadgroup_position_in_grid]]) {{
  threadgroup uint s[1024];
  threadgroup bool is_there[1024];
  uint v = as_type<uint>(stored[g * n + t]);
  is_there[t] = true;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  {body}
  stored[g * n + t] = as_type<int>(v);
}}"""


# ---- As the model ----------------------------------------------------------------------------------------------------


def simd_result(operation: str, operands: np.ndarray) -> np.ndarray:
    """What each lane of an active set gets; `operands` are those of the active lanes, ascending."""
    inclusive = np.cumsum(operands, dtype=np.uint32)
    results = {
        "simd_sum": lambda: inclusive[-1],
        "simd_max": lambda: operands.max(),
        "simd_min": lambda: operands.min(),
        "simd_xor": lambda: np.bitwise_xor.reduce(operands),
        "simd_broadcast_first": lambda: operands[0],
        "simd_prefix_inclusive_sum": lambda: inclusive,
        "simd_prefix_exclusive_sum": lambda: inclusive - operands,
    }
    return np.broadcast_to(results[operation](), operands.shape)


class Model:
    """All threads of one threadgroup in step: a statement runs for the threads of a mask."""

    def __init__(self, values: np.ndarray) -> None:
        self.v = values.copy()
        self.left = np.zeros(len(values), dtype=bool)

    def run(self, statements: tuple[Statement, ...], mask: np.ndarray) -> None:
        for statement in statements:
            self.step(statement, mask & ~self.left)

    def step(self, statement: Statement, mask: np.ndarray) -> None:
        match statement:
            case Arithmetic(factor, addend):
                self.v[mask] = self.v[mask] * np.uint32(factor) + np.uint32(addend)
            case Simd(operation):
                for first in range(0, len(mask), 32):
                    active = np.flatnonzero(mask[first : first + 32]) + first
                    if len(active):
                        self.v[active] = simd_result(operation, self.v[active])
            case Exchange(distance):
                threads = np.flatnonzero(mask[: max(len(mask) - distance, 0)] & mask[distance:])
                self.v[threads] += self.v[threads + distance]
            case If(condition, then, otherwise):
                is_true = condition.of(self.v)
                self.run(then, mask & is_true)
                self.run(otherwise, mask & ~is_true)
            case Loop(modulus, is_uniform, body):
                index = np.arange(len(mask))
                turns = np.full(len(mask), modulus) if is_uniform else index % modulus
                for turn in range(modulus):
                    self.run(body, mask & (turn < turns))
            case Return(condition):
                self.left |= mask & condition.of(self.v)


# ---- All programs that a GPU may run ---------------------------------------------------------------------------------

conditions = st.integers(2, 40).flatmap(
    lambda modulus: st.builds(Condition, st.just(modulus), st.integers(1, modulus - 1), st.booleans())
)
arithmetic = st.builds(Arithmetic, st.sampled_from([1, 3, 5, 2654435761]), st.integers(0, 1000))
simd = st.builds(
    Simd,
    st.sampled_from(
        [
            "simd_sum",
            "simd_max",
            "simd_min",
            "simd_xor",
            "simd_broadcast_first",
            "simd_prefix_inclusive_sum",
            "simd_prefix_exclusive_sum",
        ]
    ),
)


def blocks(statements: st.SearchStrategy[Statement], size: int) -> st.SearchStrategy[tuple[Statement, ...]]:
    return st.lists(statements, max_size=size).map(tuple)


# Where threads may have diverged: no barriers.
divergent = st.recursive(
    arithmetic | simd,
    lambda inner: (
        st.builds(If, conditions, blocks(inner, 3), blocks(inner, 3))
        | st.builds(Loop, st.integers(1, 4), st.booleans(), blocks(inner, 3))
    ),
    max_leaves=6,
)
# Where all threads that are still there are together.
together = (
    divergent
    | st.builds(Exchange, st.sampled_from([0, 1, 31, 32, 33, 100]))
    | st.just(SimdBarrier())
    | st.builds(Return, conditions)
)
uniform_loops = st.builds(Loop, st.integers(1, 3), st.just(value=True), blocks(together, 3))
programs = st.lists(together | uniform_loops, min_size=1, max_size=6).map(tuple)


def check(program: tuple[Statement, ...], threads: int, threadgroups: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 2**32, (threadgroups, threads), dtype=np.uint32)
    expected = values.copy()
    for row in expected:
        model = Model(row)
        model.run(program, np.ones(threads, dtype=bool))
        # A thread that returned has stored nothing.
        row[~model.left] = model.v[~model.left]
    out = torch.from_numpy(values.view(np.int32).copy())
    _C.launch(msl_source(program), [out], (threadgroups,), (threads,))
    np.testing.assert_array_equal(out.numpy().view(np.uint32), expected)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    program=programs,
    threads=st.sampled_from([1, 17, 32, 33, 64, 100, 256]),
    threadgroups=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_programs_do_what_the_model_does(
    program: tuple[Statement, ...], threads: int, threadgroups: int, seed: int
) -> None:
    check(program, threads, threadgroups, seed)


def test_lanes_meet_again_after_a_branch_inside_a_loop() -> None:
    branch = If(Condition(modulus=2, below=1, uses_value=True), (Simd("simd_sum"),), (Arithmetic(1, 1),))
    check((Loop(modulus=3, is_uniform=False, body=(branch,)),), threads=17, threadgroups=1, seed=0)
