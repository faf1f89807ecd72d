"""Tuples mean in a kernel what they mean to CPython: their functions, operators, slices and stars."""

from __future__ import annotations

import enum
import math

import torch

from helion_msl import language as ml
from helion_msl.walker import SCALAR_TYPES, TensorType, translate
from walker_comparison import INTS, check

TAPS = (0.25, 0.5, 0.125)
MODE = "fast"
COUNTDOWN = range(6, 0, -2)


class Order(enum.Enum):
    ROWS = 1
    COLUMNS = 2


class Axis(enum.IntEnum):
    X = 0
    Y = 1


def functions(x, out):
    i = ml.tid[0]
    for number, tap in enumerate(TAPS, 1):
        out[i, 0] += number * tap
    for number, tap in enumerate(TAPS, start=-2):
        out[i, 1] += number * tap
    for tap, factor in zip(TAPS, (2, 3, 4), strict=True):
        out[i, 2] += tap * factor
    out[i, 3] = sum(TAPS) + sum((x[0], x[1], i)) + sum((True, i > 3)) + sum(())
    out[i, 4] = max((x[i], 3, i)) - min(TAPS) + max(TAPS)
    out[i, 5] = any((x[i] > 3, i == 2)) + 2 * all((x[i] > 1, i < 7)) + any(()) * 8
    for number in COUNTDOWN:
        out[i, 6] = out[i, 6] * 10 + number


def test_functions_of_tuples() -> None:
    check(functions, INTS[:15], torch.zeros(15, 7), block_dims=15)


def operators(x, out):
    i = ml.tid[0]
    pair = (x[i], 2)
    longer = (1, *pair, *TAPS) + (i,) * 2
    out[i, 0] = longer[1] + longer[-1] * 100 + len(longer) * 1000
    first, *middle, last = longer
    out[i, 1] = first + len(middle) * 10 + middle[1] + last
    *start, end = longer[1:4]
    out[i, 2] = start[0] + end
    out[i, 3] = sum(longer[::-2])
    a, *none = (5,)
    out[i, 4] = a + len(none)


def test_operators_of_tuples() -> None:
    check(operators, INTS[:15], torch.zeros(15, 5), block_dims=15)


def three(a, b, c):
    return a * 100 + b * 10 + c


def stars(x, out):
    i = ml.tid[0]
    rest = (x[i], 7)
    out[i] = three(1, *rest) + three(*(1, 2), 3) + max(*TAPS)


def test_stars_in_calls() -> None:
    check(stars, INTS[:15], torch.zeros(15), block_dims=15)


def constants(x, out, mode, order):
    i = ml.tid[0]
    if mode in ("fast", "slow") and MODE not in ("slow",) and mode == "fast":
        out[i] += 1
    if order is Order.ROWS or order == Order.COLUMNS:
        out[i] += order.value * 10
    if x.dtype == torch.float32 and out.dtype == ml.float32 and x.dtype is not ml.float16:
        out[i] += 100
    out[i] += math.log2(8) * 1000 + math.comb(5, 2) * 10000 + Axis.Y.value + Axis.Y
    for number in ml.static_range(1, 4):
        out[i] += number / 16


def test_constants() -> None:
    def kernel(x, out):
        constants(x, out, "fast", Order.ROWS)

    check(kernel, torch.zeros(3), torch.zeros(3), block_dims=3)


def positions(out):
    x, y, z = ml.tid
    here = ml.gid
    out[ml.gid.x, 0] = x + y + z + here[0] * 10 + ml.tgid.y + ml.threads_per_simdgroup
    out[ml.gid.x, 1] = cast(here[0], out.dtype) + ml.threads_per_threadgroup.x


def cast(value, dtype):
    return ml.cast(value, dtype) + ml.cast(0.75, ml.int32) + dtype(1)


def test_positions_are_tuples_of_three() -> None:
    check(positions, torch.zeros(6, 2), grid=2, block_dims=3)


def test_an_item_is_not_called_by_the_name_of_its_tuple() -> None:
    def kernel(n, out):
        out[0] = n in (1, 2) or n in TAPS

    types = {"n": SCALAR_TYPES["int32"], "out": TensorType(SCALAR_TYPES["bool"], 1)}
    assert "TAPS" not in translate(kernel, types, line_directives=False).msl
