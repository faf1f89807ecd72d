"""Where lanes that took different ways meet again: random programs of ifs and loops, against an executor with masks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import helion_msl
from helion_msl.errors import KernelError

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
LANES = 32


@dataclass(frozen=True)
class Count:
    """Adds the number of active lanes."""


@dataclass(frozen=True)
class Barrier:
    """A ``threadgroup_barrier``, only where all lanes come by."""


@dataclass(frozen=True)
class If:
    """Lanes with ``lane * factor % modulus < bound`` take the first branch."""

    factor: int
    modulus: int
    bound: int
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True)
class Loop:
    """Goes round ``lane * factor % modulus`` times; leaves early from turn ``leaves_at`` on in odd lanes."""

    factor: int
    modulus: int
    leaves_at: int | None
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Repeat:
    """Goes round as often in every lane."""

    turns: int
    body: tuple[Statement, ...]


Statement = Count | Barrier | If | Loop | Repeat


def msl_of(statements: tuple[Statement, ...], depth: int = 0) -> str:
    """The statements in MSL; the variables of loops are called after their depth."""
    text = ""
    inner = depth + 1
    for statement in statements:
        match statement:
            case Count():
                text += "{ total = total * 31 + simd_sum(1); }\n"
            case Barrier():
                text += "threadgroup_barrier(mem_flags::mem_none);\n"
            case If(factor, modulus, bound, then, otherwise):
                text += f"if (lane * {factor} % {modulus} < {bound}) {{\n{msl_of(then, inner)}}} "
                text += f"else {{\n{msl_of(otherwise, inner)}}}\n"
            case Loop(factor, modulus, leaves_at, body):
                text += f"for (uint i{depth} = 0; i{depth} < lane * {factor} % {modulus}; ++i{depth}) {{\n"
                if leaves_at is not None:
                    text += f"if (lane % 2 == 1 && i{depth} == {leaves_at}) break;\n"
                text += f"{msl_of(body, inner)}}}\n"
            case Repeat(turns, body):
                text += f"for (uint i{depth} = 0; i{depth} < {turns}; ++i{depth}) {{\n{msl_of(body, inner)}}}\n"
    return text


def execute(statements: tuple[Statement, ...], active: list[int], totals: list[int]) -> None:
    """Runs the statements in the lanes of ``active``, all at once, as a GPU does."""
    for statement in statements:
        match statement:
            case Count():
                for lane in active:
                    totals[lane] = (totals[lane] * 31 + len(active)) % 2**32
            case Barrier():
                pass
            case If(factor, modulus, bound, then, otherwise):
                execute(then, [lane for lane in active if lane * factor % modulus < bound], totals)
                execute(otherwise, [lane for lane in active if lane * factor % modulus >= bound], totals)
            case Loop(factor, modulus, leaves_at, body):
                inside = active
                for turn in itertools.count():
                    inside = [lane for lane in inside if turn < lane * factor % modulus]
                    inside = [lane for lane in inside if not (lane % 2 == 1 and turn == leaves_at)]
                    if not inside:
                        break
                    execute(body, inside, totals)
            case Repeat(turns, body):
                for _ in range(turns):
                    execute(body, active, totals)


def blocks(leaves: st.SearchStrategy[Statement], most: int = 3) -> st.SearchStrategy[tuple[Statement, ...]]:
    """Up to ``most`` statements."""
    return st.lists(leaves, min_size=1, max_size=most).map(tuple)


def divergent(depth: int) -> st.SearchStrategy[Statement]:
    """A statement that some lanes may not reach: without barriers."""
    if depth == 0:
        return st.just(Count())
    body = blocks(divergent(depth - 1))
    numbers = st.integers(1, 7)
    return st.one_of(
        st.just(Count()),
        st.builds(If, numbers, numbers, st.integers(0, 4), body, body),
        st.builds(Loop, numbers, st.integers(1, 5), st.none() | st.integers(0, 2), body),
        st.builds(Repeat, st.integers(1, 3), body),
    )


def uniform(depth: int) -> st.SearchStrategy[Statement]:
    """A statement that all lanes reach."""
    if depth == 0:
        return st.just(Barrier())
    return st.one_of(
        divergent(depth), st.just(Barrier()), st.builds(Repeat, st.integers(1, 3), blocks(uniform(depth - 1)))
    )


def run(body: str) -> torch.Tensor:
    source = f"""
    #include <metal_stdlib>
    using namespace metal;
    kernel void program(device uint *totals [[buffer(0)]], uint lane [[thread_index_in_simdgroup]]) {{
      uint total = 0;
      {body}
      totals[lane] = total;
    }}"""
    totals = torch.zeros(LANES, dtype=torch.uint32, device=DEVICE)
    helion_msl.launch(source, [totals], (1,), (LANES,))
    return totals.cpu()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(blocks(uniform(3), most=4))
def test_lanes_meet_again_as_under_masks(program: tuple[Statement, ...]) -> None:
    expected = [0] * LANES
    execute(program, list(range(LANES)), expected)
    assert run(msl_of(program)).tolist() == expected


def test_lanes_that_skip_a_loop_do_not_run_ahead_into_its_next_round() -> None:
    # Only the last round has a barrier, so lanes that skip the inner loop come to it again while others are in it.
    program = (
        "for (uint r = 0; r < 4; ++r) { for (uint i = 0; i < (lane + r) % 4; ++i) total = total * 31 + simd_sum(1);"
    )
    program += " if (r == 3) threadgroup_barrier(mem_flags::mem_none); }"
    expected = [0] * LANES
    for turn in range(4):
        for i in range(3):
            active = [lane for lane in range(LANES) if i < (lane + turn) % 4]
            for lane in active:
                expected[lane] = (expected[lane] * 31 + len(active)) % 2**32
    assert run(program).tolist() == expected


def test_lanes_that_leave_by_return_are_not_waited_for() -> None:
    program = "for (uint i = 0; i < 40; ++i) { if (i == lane) { totals[lane] = simd_sum(1) * 100 + i; return; }"
    program += " total += simd_sum(1); }"
    assert run(program).tolist() == [100 + lane for lane in range(LANES)]


@pytest.mark.skipif(DEVICE != "cpu", reason="a limit of the host engine")
def test_too_deeply_nested_operations_are_an_error() -> None:
    nested = "if (lane < 32) { " * 33 + "total = simd_sum(1);" + " }" * 33
    with pytest.raises(KernelError, match="more than 32 ifs and loops"):
        run(nested)
    assert run("if (lane < 32) { " * 32 + "total = simd_sum(1);" + " }" * 32).tolist() == [32] * LANES
