"""Arithmetic, comparisons and truth mean in a kernel what they mean to CPython, which executes the same function."""

from __future__ import annotations

import torch

from helion_msl import language as ml
from walker_comparison import FLOATS, INTS, check

# ---- Arithmetic ----------------------------------------------------------------------------------------------------


def floor_division(x, y, out):
    i, j = ml.tid[0], ml.tid[1]
    if y[j] != 0:
        out[i, j, 0] = x[i] // y[j]
        out[i, j, 1] = x[i] % y[j]
        q, r = divmod(x[i], y[j])
        out[i, j, 2] = ml.int64(q) * y[j] + r


def test_integer_division_floors() -> None:
    y = torch.tensor([-100, -7, -3, -2, -1, 0, 1, 2, 3, 7, 100], dtype=torch.int32)
    check(floor_division, INTS, y, torch.zeros(16, 11, 3, dtype=torch.int32), block_dims=(16, 11))


def test_float_division_floors() -> None:
    x = FLOATS[:12]
    y = torch.tensor([-2.5, -1.0, -0.3, 0.0, 0.3, 1.0, 7.0])
    launched = check(floor_division, x, y, torch.zeros(12, 7, 3), block_dims=(12, 7), rtol=1e-5, atol=1e-5)
    # The quotients themselves are whole: no tolerance would hide one that is off by 1.
    wanted = torch.div(x[:, None], y[None, :], rounding_mode="floor")
    usable = (y != 0)[None, :].expand(12, 7)
    torch.testing.assert_close(launched[2][..., 0][usable], wanted[usable], rtol=0, atol=0)


def division_by_constants(x, out):
    i = ml.tid[0]
    out[i, 0] = x[i] // 3
    out[i, 1] = x[i] % 3
    out[i, 2] = x[i] // -3
    out[i, 3] = x[i] % -3
    out[i, 4] = x[i] // 1 + x[i] % 1
    out[i, 5] = -7 // 2 * 1000 + -7 % 3
    out[i, 6] = (i + 5) // 2 % 3


def test_division_by_constants() -> None:
    check(division_by_constants, INTS, torch.zeros(16, 7, dtype=torch.int32), block_dims=16)


def true_division(x, y, out):
    i = ml.tid[0]
    out[i, 0] = x[i] / 4
    out[i, 1] = 7 / 2
    out[i, 2] = x[i] / y[i]
    out[i, 3] = 1 / (y[i] + 0.5)


def test_true_division_of_integers_is_float() -> None:
    y = torch.tensor([1, 2, 3, 4, 5, 6, 7, 9] * 2, dtype=torch.int32)
    check(true_division, INTS, y, torch.zeros(16, 4), block_dims=16, rtol=1e-6)


def powers(x, f, out, fout):
    i = ml.tid[0]
    out[i, 0] = x[i] ** 2
    out[i, 1] = x[i] ** 3
    out[i, 2] = (-2) ** 3
    out[i, 3] = 2 ** abs(x[i] % 5)
    out[i, 4] = (x[i] + 1) ** 2
    fout[i, 0] = f[i] ** 2
    fout[i, 1] = (f[i] * f[i]) ** 0.5
    fout[i, 2] = 2.0 ** (x[i] % 4)
    fout[i, 3] = 2**-2


def test_powers() -> None:
    x = torch.arange(-8, 8, dtype=torch.int32)
    check(
        powers,
        x,
        torch.linspace(-3, 3, 16),
        torch.zeros(16, 5, dtype=torch.int32),
        torch.zeros(16, 4),
        block_dims=16,
        rtol=1e-5,
    )


def shifts_and_bits(x, out):
    i = ml.tid[0]
    v = x[i]
    out[i, 0] = v >> 1
    out[i, 1] = v >> 40
    out[i, 2] = v >> (i * 3)
    out[i, 3] = (v & 15) << 4
    out[i, 4] = ~v
    out[i, 5] = v ^ 0x55
    out[i, 6] = v | 1 & v
    out[i, 7] = (1 << 33) >> 31


def test_shifts_and_bits() -> None:
    check(shifts_and_bits, INTS[:15], torch.zeros(15, 8, dtype=torch.int32), block_dims=15)


def bools(x, out):
    i = ml.tid[0]
    a = x[i] > 0
    b = x[i] % 2 == 0
    out[i, 0] = a + b
    out[i, 1] = -a
    out[i, 2] = a * 5 + b
    out[i, 3] = a & b
    out[i, 4] = (a | b) + 0
    out[i, 5] = a ^ b
    out[i, 6] = a == b
    out[i, 7] = not x[i]
    out[i, 8] = a < b
    out[i, 9] = int(a) - True


def test_bools_are_integers() -> None:
    check(bools, INTS, torch.zeros(16, 10, dtype=torch.int32), block_dims=16)


def narrow(a, b, u, out):
    i = ml.tid[0]
    out[i, 0] = a[i] + b[i]
    out[i, 1] = a[i] * b[i]
    out[i, 2] = u[i] + u[i]
    out[i, 3] = u[i] - 1
    out[i, 4] = -u[i]
    out[i, 5] = a[i] - u[i]
    out[i, 6] = u[i] << 4
    out[i, 7] = a[i] // 3 + u[i] % 7


def test_narrow_integers_compute_without_wrapping() -> None:
    a = torch.tensor([-128, -1, 0, 127], dtype=torch.int8)
    b = torch.tensor([-128, 127, 3, 127], dtype=torch.int8)
    u = torch.tensor([0, 1, 200, 255], dtype=torch.uint8)
    check(narrow, a, b, u, torch.zeros(4, 8, dtype=torch.int32), block_dims=4)


def wide(x, out):
    i = ml.tid[0]
    big = 5_000_000_000
    out[i, 0] = x[i] + big
    out[i, 1] = x[i] * 3_000_000_000
    out[i, 2] = big // 7 - 2**40
    n = 2147483647
    n = n + x[i]
    out[i, 3] = n
    out[i, 4] = -9223372036854775808
    out[i, 5] = x[i] // -5_000_000_000


def test_integers_widen_where_they_must() -> None:
    check(wide, torch.tensor([-5, 0, 7, 2**30], dtype=torch.int64), torch.zeros(4, 6, dtype=torch.int64), block_dims=4)


# ---- Comparisons and truth -----------------------------------------------------------------------------------------


def comparisons(s, u, w, out):
    i, j = ml.tid[0], ml.tid[1]
    out[i, j, 0] = s[i] < u[j]
    out[i, j, 1] = u[j] >= s[i]
    out[i, j, 2] = s[i] == u[j]
    out[i, j, 3] = w[j] > s[i]
    out[i, j, 4] = s[i] != w[j]
    out[i, j, 5] = ml.int64(s[i]) <= w[j]
    out[i, j, 6] = u[j] > -1
    out[i, j, 7] = w[j] < -1


def test_signed_and_unsigned_compare_by_value() -> None:
    s = torch.tensor([-2147483648, -1, 0, 1, 2147483647], dtype=torch.int32)
    u = torch.tensor([0, 1, 2147483648, 4294967295], dtype=torch.uint32)
    w = torch.tensor([0, 1, 2**63 - 1, 2**63 + 5], dtype=torch.uint64)
    check(comparisons, s, u, w, torch.zeros(5, 4, 8, dtype=torch.bool), block_dims=(5, 4))


def chains(x, log, out):
    i = ml.tid[0]
    out[i, 0] = -3 < x[i] < 5
    out[i, 1] = 0 <= x[i] != 3 <= 10
    out[i, 2] = x[i] < 2 == (x[i] < 1)
    out[i, 3] = 1 < ml.atomic_add(log, i, 1) + x[i] < 9 < 10
    out[i, 4] = i < 8 and 0 < x[i * 2] < 4
    out[i, 5] = x[i] in (1, 2, 13)
    out[i, 6] = x[i] not in (1, 2, 13)


def test_chained_comparisons_evaluate_each_operand_once() -> None:
    launched = check(
        chains, INTS, torch.zeros(16, dtype=torch.int32), torch.zeros(16, 7, dtype=torch.bool), block_dims=16
    )
    assert launched[1].tolist() == [1] * 16


def operand_values(x, y, out, fout):
    i = ml.tid[0]
    out[i, 0] = x[i] or y[i]
    out[i, 1] = x[i] and y[i]
    out[i, 2] = x[i] and y[i] and 5
    out[i, 3] = (x[i] - 1) or (y[i] - 1) or 9
    fout[i, 0] = x[i] or 2.5
    fout[i, 1] = 0 or (x[i] and 1.5)


def test_and_and_or_yield_an_operand() -> None:
    x = torch.tensor([0, 0, 1, 2], dtype=torch.int32)
    y = torch.tensor([0, 7, 0, 3], dtype=torch.int32)
    check(operand_values, x, y, torch.zeros(4, 4, dtype=torch.int32), torch.zeros(4, 2), block_dims=4)


def short_circuit(x, count, out):
    i = ml.tid[0]
    out[i, 0] = i < 4 and x[i] > 0
    out[i, 1] = i >= 4 or x[i] > 0
    out[i, 2] = x[i] > 0 if i < 4 else False
    if x[i % 4] > 0 and ml.atomic_add(count, 0, 1) >= 0:
        out[i, 3] = True


def test_short_circuits_do_not_touch_what_they_skip() -> None:
    x = torch.tensor([1, -1, 2, -2], dtype=torch.int32)
    check(short_circuit, x, torch.zeros(1, dtype=torch.int32), torch.zeros(8, 4, dtype=torch.bool), block_dims=8)


def decided_conditions(x, count, out):
    i = ml.tid[0]
    if 1 < x[i] + 1 < 5 or 3 > 2:
        out[i, 0] = 1
    if ml.atomic_add(count, 0, 1) > 100 or 3 > 2:
        out[i, 1] = 1
    if ml.atomic_add(count, 0, 1) >= 0 and 3 < 2:
        out[i, 2] = 1
    out[i, 3] = (1 < x[i] + 1 < 5) or True
    out[i, 4] = (1 < x[i] + 1 < 5) and False


def test_conditions_that_a_constant_decides() -> None:
    count, out = torch.zeros(1, dtype=torch.int32), torch.zeros(4, 5, dtype=torch.int32)
    launched = check(decided_conditions, INTS[5:9], count, out, block_dims=4)
    assert launched[1].item() == 8


def nan_truth(x, out):
    i = ml.tid[0]
    out[i, 0] = 1 if x[i] else 0
    out[i, 1] = not x[i]
    out[i, 2] = x[i] == x[i]
    out[i, 3] = bool(x[i])


def test_truth_of_floats() -> None:
    check(nan_truth, FLOATS, torch.zeros(16, 4, dtype=torch.int32), block_dims=16)
