"""Where C++ would differ silently: shifts, signs, widths, large tensors."""

from __future__ import annotations

import torch

from helion_msl import language as ml
from helion_msl import metal_jit
from walker_comparison import check

COUNTS = torch.tensor([0, 1, 5, 31, 32, 33, 63, 64, 100], dtype=torch.int32)


def shifts(x, u, w, counts, out, wide):
    i = ml.tid[0]
    n = counts[i]
    out[i, 0] = x[0] >> n
    out[i, 1] = x[1] >> n
    wide[i, 0] = u[0] >> n
    wide[i, 1] = w[0] >> n
    out[i, 2] = 1 << (n & 15)
    out[i, 3] = 3 << n % 8
    if n < 31:
        out[i, 4] = 1 << n
    if n < 63:
        wide[i, 2] = ml.int64(1) << n


def test_shift_counts_from_the_width_on() -> None:
    x = torch.tensor([-17, 2147483647], dtype=torch.int32)
    u, w = torch.tensor([4000000000], dtype=torch.uint32), torch.tensor([-(1 << 62)])
    out, wide = torch.zeros(9, 5, dtype=torch.int32), torch.zeros(9, 3, dtype=torch.int64)
    check(shifts, x, u, w, COUNTS, out, wide, block_dims=9)


def shifted_out(x, counts, out):
    out[ml.tid[0]] = ml.int32(x[0] << counts[ml.tid[0]])


def test_a_left_shift_keeps_the_bits_of_its_type() -> None:
    check(shifted_out, torch.tensor([-17], dtype=torch.int32), COUNTS, torch.zeros(9, dtype=torch.int32), block_dims=9)


def signs(a, b, u, out):
    i = ml.tid[0]
    out[i, 0] = a[i] // b[i]
    out[i, 1] = a[i] % b[i]
    out[i, 2] = a[i] < u[i]
    out[i, 3] = u[i] - a[i]
    out[i, 4] = (a[i] > 0) + (b[i] > 0) + True
    out[i, 5] = -(a[i] > b[i]) * 3
    out[i, 6] = (a[i] > 0) / 2 == 0.5
    out[i, 7] = a[i] == u[i] or -a[i] == u[i]
    out[i, 8] = min(a[i], u[i]) + max(b[i], u[i])


def test_signed_unsigned_and_truth_values() -> None:
    a = torch.tensor([-7, 7, -8, 0, 2147483647, -2147483647, -1, 1], dtype=torch.int32)
    b = torch.tensor([2, -3, 8, 5, -1, 10, -4, 3], dtype=torch.int32)
    u = torch.tensor([7, 4000000000, 8, 0, 2147483647, 1, 4294967295, 1], dtype=torch.uint32)
    check(signs, a, b, u, torch.zeros(8, 9, dtype=torch.int64), block_dims=8)


def lowest(a, out):
    out[0] = ml.int32(a[0] // a[1])
    out[1] = a[0] % a[1]
    out[2] = ml.int8(a[0] + 200)
    out[3] = ml.uint16(a[1])


def test_the_lowest_number_divided_by_minus_one_wraps() -> None:
    a, out = torch.tensor([-(1 << 31), -1], dtype=torch.int32), torch.zeros(4, dtype=torch.int32)
    metal_jit(lowest)[1, 1](a, out)
    # 2**31 wraps to -2**31 in 32 bits; -2**31 + 200 keeps its low 8 bits, 200, as -56.
    assert out.tolist() == [-(1 << 31), 0, -56, 65535]


def far(x, out):
    row = ml.tid[0] * 3
    out[ml.tid[0]] = x[row, x.size(1) - 1]
    x[row, 0] = 7


def test_a_view_with_offsets_beyond_32_bits() -> None:
    # Virtual memory: only the pages that are touched are ever there.
    storage = torch.empty((1 << 31) + (1 << 20), dtype=torch.int8)
    x = storage.as_strided((4, 1000), ((1 << 31) // 3 + 1, 1))
    for row in (0, 3):
        x[row, 0] = x[row, 999] = row + 1
    out = torch.zeros(2, dtype=torch.int32)
    kernel = metal_jit(far)
    assert "long" in kernel.msl(x, out)
    kernel[1, 2](x, out)
    assert out.tolist() == [1, 4]
    assert x[3, 0] == 7
    assert x[0, 0] == 7


def ends(x):
    for i in range(x.size(0) - 300 + ml.tid[0], x.size(0), 200):
        x[i] = i % 100


def test_a_loop_to_the_end_of_a_tensor_that_an_int_just_counts() -> None:
    size = (1 << 31) - 50  # one step further is beyond an int
    x = torch.empty(size, dtype=torch.int8)
    metal_jit(ends)[1, 100](x)
    last = torch.arange(size - 300, size)
    written = (last - last[0]) % 200 < 100
    assert torch.equal(x[-300:][written].long(), (last % 100)[written])


def expanded(x, out):
    i = ml.tgid[0]
    out[i] = x[i * 100000, i * 99999 + 5]


def test_an_expanded_tensor_of_many_elements() -> None:
    x = torch.arange(300000).expand(300000, 300000)
    out = torch.zeros(3, dtype=torch.int64)
    metal_jit(expanded)[3, 1](x, out)
    assert out.tolist() == [5, 100004, 200003]


def both_of_divmod(x, out):
    i = ml.tid[0]
    out[i, 0] = divmod(x[i] + x[(i + 1) % 8], x[i] - 9)[1]
    out[i, 1] = divmod(x[i] * 3, 5 - i * 2)[0]
    out[i, 2], out[i, 3] = divmod(-x[i], 3)
    quotient, rest = divmod(x[i] * 7 - 20, 4)
    out[i, 4] = quotient * 10 + rest


def test_one_half_of_divmod() -> None:
    check(both_of_divmod, torch.arange(8, dtype=torch.int32), torch.zeros(8, 5, dtype=torch.int32), block_dims=8)


def flat_size(x, out):
    if ml.tid[0] < ml.flat(x).size(0):
        out[ml.tid[0]] = ml.flat(x)[ml.tid[0]]
    if ml.tid[0] == 0:
        out[39] = ml.flat(x).size(0)


def test_the_size_of_a_tensor_seen_as_a_row() -> None:
    whole = torch.arange(24.0).view(4, 6)
    for x in (whole, whole.t(), whole[1:3, ::2], whole[:, 2], torch.zeros(0, 3), torch.zeros(3, 0).t()):
        check(flat_size, x, torch.full((40,), -1.0), block_dims=32)
