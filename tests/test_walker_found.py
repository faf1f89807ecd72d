"""Kernels that meant something else than in Python once: each stays here, as it was found or in fewer lines.

Most were found by :mod:`generated_kernels`, the others by thinking of what it might find.
"""

# ruff: noqa: B020 - loops over what their variable was, and literals on the left

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helion_msl import TranslationError, metal_jit
from helion_msl import language as ml
from helion_msl._walker.names import Names, is_reserved
from walker_comparison import check


def bumped(x, index, value):
    x[index] += value
    return x[index]


def counted(x):
    x[0] += 1
    return x[0], 5


# ---- Effects of what is evaluated and not used ---------------------------------------------------------------------


def other_items_of_a_subscripted_tuple(x, out):
    out[0] = (bumped(x, 0, 1), bumped(x, 1, 2))[1]
    out[1] = (bumped(x, 0, 3), bumped(x, 1, 4), x[0])[0]
    out[2] = (x[0], bumped(x, 0, 5))[-2]
    out[3] = counted(x)[1] + counted(x)[0] * 10


def length_of_a_tuple(x, out):
    out[0] = len((bumped(x, 0, 1), 2))


def truth_of_a_tuple(x, out):
    if (bumped(x, 0, 1), 2):  # noqa: F634
        out[0] = 1


def identity(x, out):
    out[0] = 1 if bumped(x, 0, 1) is None else 2


def power_of_zero(x, out):
    out[0] = bumped(x, 0, 1) ** 0


def decided_choice_of_both(x, out):
    out[0] = ml.where(3 > 2, 5, bumped(x, 0, 1))
    out[1] = ml.where(3 < 2, bumped(x, 0, 1), x[0])


def members_of_a_tuple(x, out):
    out[0] = x[0] in (x[0], bumped(x, 0, 1))
    out[1] = bumped(x, 0, 1) not in (bumped(x, 0, 1), x[0])
    out[2] = (x[0], 1) in ((x[0], 1), (bumped(x, 0, 1), 2))


# ---- The order of effects ------------------------------------------------------------------------------------------


def element_updated_at_a_name_that_the_value_changes(x, out):
    k = 0
    out[k] += (k := 2)
    out[k] -= bumped(x, 0, k)


def bounds_of_a_range(x, out):
    for k in range(bumped(x, 0, 1), bumped(x, 0, 1) + 3, bumped(x, 0, -2)):
        out[0] += k


def bound_of_a_range_that_changes_another(out):
    a, b = 1, 5
    for k in range(a, b, (b := 2) - 1 + (a := 0)):
        out[0] += k * 10 + b + a


def vector_stored_where_the_value_moves(x, out):
    ml.store_vector(out, bumped(x, 0, 1) - 2, ml.int2(bumped(x, 0, 1), x[0]))


# ---- Refused without a reason --------------------------------------------------------------------------------------


def tuple_chosen_by_a_chain(x, out):
    p = (x[0], 1, 7) if x[1] < x[2] < 10 else (2, x[3], x[1])
    out[0], out[1], out[2] = p
    out[3] = ((x[0], 1) if x[1] < x[2] < 5 else (2, x[3]))[1]


def tuple_chosen_by_an_effect(x, out):
    (a, (b, c)) = (x[0], (1, x[0])) if bumped(x, 0, 1) > 1 else (2, (x[3], 4))
    out[0], out[1], out[2] = a, b, c


# ---- The functions of tuples ---------------------------------------------------------------------------------------


def quantified_items(x, out):
    out[0] = any((bumped(x, 0, 1) > 0, bumped(x, 1, 2) > 0))
    out[1] = all((bumped(x, 0, 1) < 0, bumped(x, 1, 2) > 0))


def results_of_a_call(x, out):
    out[0] = sum(counted(x)) + min(counted(x)) + len(counted(x))
    for item in counted(x):
        out[1] += item
    t = (*counted(x), bumped(x, 0, 1))
    out[2] = t[0] * 100 + t[1] * 10 + t[2]
    out[3] = len((*counted(x), bumped(x, 0, 1)))


def results_of_calls_joined(x, out):
    t = counted(x) + (bumped(x, 0, 1),)  # noqa: RUF005
    out[0] = t[0] * 10 + t[2]
    out[1] = (*counted(x), bumped(x, 0, 1))[2]
    for k, (a, b) in enumerate(zip(counted(x), (x[0], bumped(x, 0, 1)), strict=True), 1):
        out[2] += k * (a + b)


EFFECTS = [
    quantified_items,
    results_of_a_call,
    results_of_calls_joined,
    other_items_of_a_subscripted_tuple,
    length_of_a_tuple,
    truth_of_a_tuple,
    identity,
    power_of_zero,
    decided_choice_of_both,
    members_of_a_tuple,
    element_updated_at_a_name_that_the_value_changes,
    bounds_of_a_range,
    vector_stored_where_the_value_moves,
    tuple_chosen_by_a_chain,
    tuple_chosen_by_an_effect,
]


@pytest.mark.parametrize("function", EFFECTS)
def test_effects(function) -> None:
    check(function, torch.tensor([1, 7, 9, 4], dtype=torch.int32), torch.zeros(4, dtype=torch.int32))


def repeated_items(x, out):
    out[0] = ((bumped(x, 0, 1), 1) * 2)[0]


def left_out_by_a_slice(x, out):
    for item in counted(x)[1:]:
        out[0] += item


def left_out_by_zip(x, out):
    for a, _ in zip((bumped(x, 0, 1), bumped(x, 0, 1)), (1,), strict=False):
        out[0] += a


def reversed_effects(x, out):
    for a in reversed((bumped(x, 0, 1), bumped(x, 0, 1))):
        out[0] = a


@pytest.mark.parametrize("function", [repeated_items, left_out_by_a_slice, left_out_by_zip, reversed_effects])
def test_effects_of_items_that_would_be_lost_or_repeated_are_refused(function) -> None:
    x = torch.ones(4, dtype=torch.int32)
    with pytest.raises(TranslationError, match="an item of this tuple changes memory") as raised:
        metal_jit(function).msl(x, x)
    assert "assign the tuple to a name first" in str(raised.value)


def test_bounds_of_a_range_keep_their_values() -> None:
    check(bound_of_a_range_that_changes_another, torch.zeros(1, dtype=torch.int32))


# ---- Values --------------------------------------------------------------------------------------------------------


def narrowed(u8, u64, out):
    i = ml.tid[0]
    out[i, 0] = ml.int8(u8[i]) % 7
    out[i, 1] = ml.int32(u64[i]) // 10
    n = 5
    n += ml.int16(u64[i])
    out[i, 2] = n % 1009
    count = 0
    for k in range(0, 3, ml.int8(u8[i]) // 100 or 1):
        count += k + 1
    out[i, 3] = count


def test_a_narrowed_number_is_not_known_to_be_positive() -> None:
    u8 = torch.tensor([200, 255, 100, 128], dtype=torch.uint8)
    u64 = torch.tensor([(1 << 32) - 9, (1 << 35) + 65535, 3, 1 << 31], dtype=torch.uint64)
    check(narrowed, u8, u64, torch.zeros(4, 4, dtype=torch.int32), block_dims=4)


def shifted_far(x, u, w, out):
    i = ml.tid[0]
    out[i, 0] = x[i] >> u[i]
    out[i, 1] = x[i] >> w[i]
    out[i, 2] = 0 << u[i]


def test_shift_counts_that_int32_does_not_hold() -> None:
    x = torch.tensor([-7, 3, 0, 100], dtype=torch.int32)
    u = torch.tensor([1, 33, 4000000000, 1 << 31], dtype=torch.uint32)
    check(shifted_far, x, u, torch.tensor([1, 1 << 32, (1 << 40) + 1, 64]), torch.zeros(4, 3).int(), block_dims=4)


def loop_over_its_own_bound(n, out):
    for n in range(n):
        out[0] += n
    out[1] = n
    k = 3
    for k in range(k, k + 3):
        out[2] += k
    for k in range(0, k, 2):
        out[3] += k
    else:
        out[4] = k


def unrolled_over_its_own_variable(x, out):
    a = x[0]
    for a in (a + 1, a + 2):
        out[0] += a
    for a, b in ((a, 1), (a, 2)):
        out[1] += a
        a += b
    out[2] = a


def last_turn_after_continue(x, out):
    for k in range(5, 0, -2):
        if k == x[0]:
            continue
        out[0] += k
    else:
        out[1] = k


def break_that_a_continue_goes_around(x, out):
    for k in (1, 2, 3):
        if x[k] > 3:
            out[1] += k
            continue
        out[2] += k
        break
    else:
        out[0] = 7


def test_loops_whose_variable_their_own_header_reads() -> None:
    for n in (4, 0):
        check(loop_over_its_own_bound, n, torch.zeros(5, dtype=torch.int32))
    x, out = torch.tensor([3], dtype=torch.int32), torch.zeros(3, dtype=torch.int32)
    check(unrolled_over_its_own_variable, x, out)
    check(last_turn_after_continue, x, out)
    for row in ([0, 1, 2, 3], [0, 5, 2, 7], [0, 5, 6, 7], [0, 5, 6, 1]):
        check(break_that_a_continue_goes_around, torch.tensor(row, dtype=torch.int32), out)


def scaled(t, x, out):
    out[0] = x[0] * t + t // 2 if t > x[1] else t - 1
    out[1] = -t
    out[2] = abs(t) % 3


def test_a_tensor_without_dimensions_is_a_number_to_plain_python_too() -> None:
    x = torch.tensor([3.0, 1.0])
    for value in (2.5, -7.0, 0.0):
        check(scaled, torch.tensor(value), x, torch.zeros(3))
    check(scaled, torch.tensor(5, dtype=torch.int32), x, torch.zeros(3))


def scalars_in_tuples(t, x, out):
    a, b = t, x[0]
    pair = (t, b)
    c, d = both(t)
    out[0], out[1], out[2] = a + pair[0], c, d


def both(t):
    return t, 2


def test_a_tensor_without_dimensions_can_be_an_item_of_a_tuple() -> None:
    check(scalars_in_tuples, torch.tensor(2.5), torch.tensor([3.0]), torch.zeros(3))


def copied_vector(out):
    v = ml.int4(1, 2, 3, 4)
    w = ml.int4(v)
    v.zw = w.xy
    w.x = 9
    ml.store_vector(out, 0, v)
    ml.store_vector(out, 4, w)


def test_a_vector_that_is_copied_is_another_one() -> None:
    check(copied_vector, torch.zeros(8, dtype=torch.int32))


def same(v):
    return v


def returned_as_it_is(out):
    v = ml.int2(1, 2)
    w = same(v)
    w.x = 9
    out[0] = v.x


def copied_when_returned(out):
    v = ml.int2(1, 2)
    w = ml.int2(same(v))
    w.x = 9
    out[0] = v.x * 10 + w.x


def test_a_vector_that_a_function_returns_as_it_is() -> None:
    out = torch.zeros(1, dtype=torch.int32)
    with pytest.raises(TranslationError, match="`w` and `v` would be one vector"):
        metal_jit(returned_as_it_is).msl(out)
    check(copied_when_returned, out)


# ---- Simdgroups of which not all lanes are there -------------------------------------------------------------------


def reduced_by_some_lanes(w, h, b, out, extremes):
    i = ml.gid[0]
    if i % 3 == 0 or i == 40:
        out[i, 0] = ml.simd_sum(w[i])
        out[i, 1] = ml.simd_max(w[i])
        extremes[i, 0] = ml.simd_max(h[i])
        extremes[i, 1] = ml.simd_min(h[i])
        extremes[i, 2] = ml.simd_max(b[i])
    out[i, 2] = ml.simd_min(w[i])
    out[i, 3] = ml.simd_product(w[i] % 3 + 1)
    extremes[i, 3] = ml.simd_sum(h[i])


def test_reductions_of_wide_and_narrow_numbers_are_those_of_the_lanes_that_are_there() -> None:
    w = torch.arange(77) * 3000000001 - 10**11
    h = (torch.arange(77) % 13 - 6).half() / 4
    b = (torch.arange(77) * 7 % 31).to(torch.int8)
    out, extremes = torch.zeros(77, 4, dtype=torch.int64), torch.zeros(77, 4)
    metal_jit(reduced_by_some_lanes)[1, 77](w, h, b, out, extremes)
    for first in range(0, 77, 32):
        here = torch.arange(first, min(first + 32, 77))
        some = here[(here % 3 == 0) | (here == 40)]
        wanted = torch.zeros_like(out[here])
        wanted[some - first, 0], wanted[some - first, 1] = w[some].sum(), w[some].max()
        wanted[:, 2], wanted[:, 3] = w[here].min(), (w[here] % 3 + 1).prod()
        assert torch.equal(out[here], wanted)
        floats = torch.zeros_like(extremes[here])
        floats[some - first, 0], floats[some - first, 1] = h[some].max().float(), h[some].min().float()
        floats[some - first, 2], floats[:, 3] = b[some].max().float(), h[here].sum().float()
        assert torch.equal(extremes[here], floats)


# ---- Names that the translator searched for without end ------------------------------------------------------------

M = 3


def named_like_macros(x, out, M_PI_F, INT_MAX):
    FLT_EPSILON = M_PI_F + INT_MAX
    out[0] = FLT_EPSILON * M + with_a_size(x, M)
    for M_E in range(2):
        out[0] += M_E


def with_a_size(x, M):
    INT = M
    for INT in range(M):
        x[0] += INT
    return x[0] + INT


def test_names_that_metal_defines_as_macros() -> None:
    check(named_like_macros, torch.ones(1), torch.zeros(1), 2.0, 5)


NAMES = st.sampled_from(["M", "M_1", "INT", "INT_MAX", "FLT_4", "float", "float4", "half", "_", "__", "x", "x_1", "v_"])


@settings(max_examples=100, deadline=None)
@given(st.lists(NAMES | st.from_regex(r"[A-Z]{1,6}_?[A-Z0-9_]{0,4}", fullmatch=True), max_size=12))
def test_every_name_gets_one_of_its_own(wanted) -> None:
    names = Names()
    given_out = [names.unique(name) for name in wanted]
    assert len(set(given_out)) == len(given_out)
    assert not any(map(is_reserved, given_out))


def narrow_choice(x, flag):
    return 3, (flag if x[0] > 1 else ml.int8(-2)), 1


def narrow_choices_in_a_tuple(x, out):
    out[0], out[1], out[2] = narrow_choice(x, x[1] > 0)
    out[3] = max(ml.int8(-5), x[1] > 0 if x[0] > 2 else ml.int8(-7))


def test_a_choice_between_a_truth_value_and_a_narrow_integer_is_narrow() -> None:
    for first in (0, 2, 3):
        check(narrow_choices_in_a_tuple, torch.tensor([first, 5], dtype=torch.int32), torch.zeros(4, dtype=torch.int32))


def beside_unsigned(u, out):
    # A size of the threadgroup is a signed integer, whether it is known at translation or not.
    out[0, 0] = ml.threads_per_threadgroup[0] - u[0]
    out[0, 1] = (u[1] - ml.threads_per_threadgroup[0]) % 1010
    out[0, 2] = ml.simdgroups_per_threadgroup - u[0]


def test_sizes_of_the_threadgroup_beside_unsigned_numbers() -> None:
    u = torch.tensor([771, 0], dtype=torch.uint32)
    check(beside_unsigned, u, torch.zeros(1, 3, dtype=torch.int64), block_dims=4)


def exchanges(counters, value):
    value = ml.atomic_add(counters, ml.tid[0], value)
    return 17


def value_that_only_an_effect_reads(counters, out):
    old = 5
    old = ml.atomic_add(counters, ml.tid[0], old)
    out[ml.tid[0]] = exchanges(counters, 3 + ml.tid[0])


def test_a_value_that_only_an_effect_reads_is_there() -> None:
    counters, out = torch.zeros(2, 4, dtype=torch.int32)
    check(value_that_only_an_effect_reads, counters, out, block_dims=4)
