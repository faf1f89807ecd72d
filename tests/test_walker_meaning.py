"""A kernel means what the same function means to CPython: both are executed and compared in every element."""

# ruff: noqa: B007, B020, B023, PLC2401 - the loops, captures and names whose meaning is tested

from __future__ import annotations

import math

import pytest
import torch

from helion_msl import language as ml
from helion_msl import metal_jit, reference

OFFSET = 7
WEIGHTS = (0.5, 2.0, -1.0)


def clones(args: tuple[object, ...]) -> list[object]:
    return [arg.clone() if isinstance(arg, torch.Tensor) else arg for arg in args]


def check(function, *args, grid=1, block_dims=1, rtol=0.0, atol=0.0, **keywords) -> list[object]:
    """Run a function as a kernel and as Python; compare all tensors. Returns the kernel's arguments."""
    launched, expected = clones(args), clones(args)
    metal_jit(function)[grid, block_dims](*launched, **keywords)
    reference.run(function, expected, grid, block_dims, keywords)
    for name, got, wanted in zip(function.__code__.co_varnames, launched, expected, strict=False):
        if isinstance(got, torch.Tensor):
            torch.testing.assert_close(
                got, wanted, rtol=rtol, atol=atol, equal_nan=True, msg=lambda m, n=name: f"{n}: {m}"
            )
    return launched


INTS = torch.tensor([-17, -8, -7, -3, -2, -1, 0, 1, 2, 3, 5, 8, 13, 31, 100, 2147483647], dtype=torch.int32)
FLOATS = torch.tensor(
    [-7.5, -3.0, -1.25, -0.5, -0.0, 0.0, 0.25, 1.0, 2.5, 3.5, 1e6, 1e-6, math.inf, -math.inf, math.nan, 9.0]
)


# ---- Arithmetic ----------------------------------------------------------------------------------------------------


def floor_division(x, y, out):
    i, j = ml.tid[0], ml.tid[1]
    if y[j] != 0:
        out[i, j, 0] = x[i] // y[j]
        out[i, j, 1] = x[i] % y[j]
        q, r = divmod(x[i], y[j])
        out[i, j, 2] = q * y[j] + r


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


# ---- Variables -----------------------------------------------------------------------------------------------------


def assigned_in_branches(x, out):
    i = ml.tid[0]
    if x[i] > 0:
        v = x[i] * 2
    elif x[i] < -2:
        v = 0.5
    else:
        v = 1
    out[i] = v


def test_a_name_assigned_in_branches_is_one_variable() -> None:
    check(assigned_in_branches, INTS[:15], torch.zeros(15), block_dims=15)


def widening(x, out):
    acc = 0
    for k in range(4):
        acc = acc + 1.5 * x[k]
    total = 0
    for k in range(4):
        if k == 2:
            total = 0.25
        total += x[k]
    out[0] = acc
    out[1] = total


def test_a_variable_has_the_type_that_holds_all_its_values() -> None:
    check(widening, INTS, torch.zeros(2))


def swaps(out):
    a, b, c = 1, 2, 3
    a, b = b, a + b
    b, c, a = c, a, b
    out[0], out[1], out[2] = a, b, c
    out[0], out[1] = out[1], out[0]
    d = e = a * 10
    out[3] = d + e


def test_tuples_are_assigned_at_once() -> None:
    check(swaps, torch.zeros(4, dtype=torch.int32))


def fibonacci(out):
    a, b = 0, 1
    for k in range(20):
        out[k] = a
        a, b = b, a + b


def test_swap_in_a_loop() -> None:
    check(fibonacci, torch.zeros(20, dtype=torch.int32))


def augmented(x, out):
    i = ml.tid[0]
    v = x[i]
    v += 3
    v -= 1
    v *= 2
    v //= 3
    v %= 5
    v <<= 2
    v >>= 1
    v |= 8
    v &= 12
    v ^= 1
    out[i, 0] = v
    w = v + 0.5
    w /= 2
    w **= 2
    out[i, 1] += w
    out[i, 2] -= i
    out[i, 1] *= 2


def test_augmented_assignments() -> None:
    check(augmented, INTS[:15], torch.ones(15, 3), block_dims=15)


def annotated(x, out):
    i = ml.tid[0]
    h: ml.float16 = x[i]
    f: float = 1
    n: int = 3
    w: ml.int64 = x[i] > 0
    out[i] = h * f + n + w


def test_annotations_fix_types() -> None:
    x = torch.tensor([0.5, 1.25, -2.0, 3.0])
    check(annotated, x, torch.zeros(4), block_dims=4)


def renamed(do, half, kernel, out):
    int_ = do[0]
    float4 = half[0]
    thread = int_ + float4
    INFINITY = thread * 2
    tid = ml.tid[0]
    tgid = 1
    device, constant = kernel[0], 5
    metal = thread + INFINITY + tid + tgid + device + constant
    auto = metal
    out[0] = auto
    été = 3
    out[1] = été


def test_any_python_name_can_be_used() -> None:
    one = torch.tensor([1.0])
    check(renamed, one, one * 2, one * 3, torch.zeros(2))


def test_a_kernel_can_have_a_reserved_name() -> None:
    def kernel(out):
        out[0] = 1

    check(kernel, torch.zeros(1))


def parameters_change(x, n, scale, out):
    while n > 0:
        n = n - 1
        scale = scale * 2
    out[0] = n
    out[1] = scale + x[0]


def test_parameters_can_be_assigned() -> None:
    check(parameters_change, torch.tensor([0.5]), 5, 1, torch.zeros(2))


def walrus(x, out):
    i = ml.tid[0]
    if (v := x[i] * 2) > 4 and (w := v + 1) < 30:
        out[i] = v + w
    else:
        out[i] = v


def test_assignment_expressions() -> None:
    check(walrus, INTS[:15], torch.zeros(15, dtype=torch.int32), block_dims=15)


# ---- Loops ---------------------------------------------------------------------------------------------------------


def ranges(n, step, out):
    k = 0
    for i in range(n):
        k += i
    out[0] = k
    for i in range(3, n):
        k += i * 2
    out[1] = k
    for i in range(n, 0, -1):
        k = k * 2 % 1001 + i
    out[2] = k
    for i in range(0, n, 3):
        k += i
    out[3] = k
    for i in range(n, -n, step):
        k = k * 3 % 1009 + i
    out[4] = k
    for i in range(-n, n, -step):
        k = k * 3 % 1009 + i
    out[5] = k
    for i in range(10, -5, -4):
        k = k * 3 % 1009 + i
    out[6] = k


@pytest.mark.parametrize(("n", "step"), [(0, -1), (1, -2), (7, -3), (12, 5), (-4, 1)])
def test_ranges(n, step) -> None:
    check(ranges, n, step, torch.zeros(7, dtype=torch.int32))


def loop_variable_after(n, out):
    i = -1
    for i in range(n):
        pass
    out[0] = i
    for i in range(5):
        out[1] = i
        i = i + 100
    out[2] = i
    for j in range(3):
        for j in range(j, 4):
            out[3] += j
        out[4] += j


@pytest.mark.parametrize("n", [0, 1, 6])
def test_the_loop_variable_survives_the_loop(n) -> None:
    check(loop_variable_after, n, torch.zeros(5, dtype=torch.int32))


def bounds_once(x, out):
    n = 4
    for i in range(n):
        n = n + 1
        out[0] = n
    for i in range(x[0]):
        x[0] = 100
        out[1] = i
    s = 2
    for i in range(0, 10, s):
        s += 1
        out[2] += 1


def test_bounds_are_evaluated_once() -> None:
    check(bounds_once, torch.tensor([3], dtype=torch.int32), torch.zeros(3, dtype=torch.int32))


def loop_else(x, out):
    i = ml.tid[0]
    for k in range(4):
        if x[k] == i:
            out[i, 0] = k
            break
    else:
        out[i, 0] = -1
    for k in range(i):
        out[i, 1] += k
    else:
        out[i, 1] += 100
    k = 0
    while k < 4:
        k += 1
        if x[k - 1] == i:
            continue
        if x[k - 1] > 6:
            break
        out[i, 2] += x[k - 1]
    else:
        out[i, 2] += 1000


def test_else_of_loops_break_and_continue() -> None:
    check(loop_else, torch.tensor([5, 3, 7, 1], dtype=torch.int32), torch.zeros(8, 3, dtype=torch.int32), block_dims=8)


def while_forever(x, out):
    n = x[ml.tid[0]]
    steps = 0
    while True:
        if n == 1:
            break
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    out[ml.tid[0]] = steps


def test_while_true_with_break() -> None:
    check(while_forever, torch.arange(1, 28, dtype=torch.int32), torch.zeros(27, dtype=torch.int32), block_dims=27)


def early_return(x, out):
    i = ml.tid[0]
    if i >= x.size(0):
        return
    for k in range(10):
        if k * k > x[i]:
            out[i] = k
            return
    out[i] = -1


def test_return_ends_the_thread() -> None:
    check(early_return, INTS[:10], torch.zeros(10, dtype=torch.int32), block_dims=16)


def same_name_in_sibling_loops(x, out):
    for k in range(4):
        t = x[k] * 2
        out[k] = t
    for k in range(4):
        t = x[k] * 0.5
        out[k] += t


def test_a_name_in_two_loops() -> None:
    check(same_name_in_sibling_loops, INTS, torch.zeros(4))


def carried(x, out):
    last = 0
    for k in range(6):
        if k % 2 == 0:
            now = x[k] + last
            last = now
        else:
            now = last - 1
        out[k] = now + last


def test_a_value_carried_from_round_to_round() -> None:
    check(carried, INTS, torch.zeros(6, dtype=torch.int32))


# ---- Tensors -------------------------------------------------------------------------------------------------------


def transpose(x, out):
    i, j = ml.gid[0], ml.gid[1]
    if i < x.size(0) and j < x.shape[1]:
        out[j, i] = x[i, j] + x.size(0) * 1000 + len(out)


@pytest.mark.parametrize("view", ["contiguous", "transposed", "sliced", "stepped"])
def test_strides(view) -> None:
    base = torch.arange(24 * 30, dtype=torch.float32).reshape(24, 30)
    x = {
        "contiguous": base[:5, :7].contiguous(),
        "transposed": base[:7, :5].t(),
        "sliced": base[3:8, 2:9],
        "stepped": base[1:16:3, 3:24:3],
    }[view]
    assert x.shape == (5, 7)
    launched = torch.zeros(7, 5)
    metal_jit(transpose)[(2, 2), (4, 4)](x, launched)
    torch.testing.assert_close(launched, x.t() + 5007, rtol=0, atol=0)


def writes_a_slice(out):
    i = ml.tid[0]
    out[i] = i + 1


def test_a_strided_output_writes_only_its_own_elements() -> None:
    base = torch.zeros(12)
    metal_jit(writes_a_slice)[1, 4](base[1:9:2])
    assert base.tolist() == [0, 1, 0, 2, 0, 3, 0, 4, 0, 0, 0, 0]


def from_the_end(x, out):
    out[-1] = x[-2] + x[0]
    out[-4] = x[-1]


def test_negative_constant_indices_count_from_the_end() -> None:
    check(from_the_end, torch.arange(5.0), torch.zeros(4))


def three_dimensions(x, out):
    i, j, k = ml.tid[2], ml.tid[1], ml.tid[0]
    out[k, i, j] = x[i, j, k] + x.stride(0) + x.numel() + x.ndim + x.dim()


def test_three_dimensions() -> None:
    check(three_dimensions, torch.arange(24.0).reshape(2, 3, 4), torch.zeros(4, 2, 3), block_dims=(4, 3, 2))


def scalar_tensor(s, flag, out):
    if flag:
        out[0] = s * 2
    else:
        out[0] = s - 1
    out[1] = s.item() + flag


@pytest.mark.parametrize("flag", [True, False])
def test_a_tensor_without_dimensions_is_read_by_its_name(flag) -> None:
    launched = torch.zeros(2)
    metal_jit(scalar_tensor)[1, 1](torch.tensor(2.5), torch.tensor(flag), launched)
    assert launched.tolist() == [5.0 if flag else 1.5, 2.5 + flag]


DTYPES = [
    torch.bool,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
]


def copies(x, out):
    i = ml.gid[0]
    if i < len(x):
        out[i] = x[i]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_is_copied(dtype) -> None:
    x = torch.tensor([0, 1, 1, 0, 1]) if dtype is torch.bool else torch.tensor([0, 1, 5, 100, 127])
    check(copies, x.to(dtype), torch.zeros(5, dtype=dtype), grid=2, block_dims=3)


def half_arithmetic(a, b, out):
    i = ml.tid[0]
    out[i, 0] = a[i] * 2.0 + b[i]
    out[i, 1] = a[i] > 0.1
    out[i, 2] = a[i] / 3
    out[i, 3] = ml.exp(a[i])
    out[i, 4] = abs(a[i]) + ml.floor(b[i])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_small_floats(dtype) -> None:
    a = torch.tensor([0.1, -1.5, 2.25, 3.0], dtype=dtype)
    rtol = 2e-3 if dtype is torch.float16 else 2e-2
    check(half_arithmetic, a, a.flip(0), torch.zeros(4, 5), block_dims=4, rtol=rtol, atol=rtol)


def scalars(n: int, f: float, b: bool, big, out):
    out[0] = n // 2
    out[1] = f / 2
    out[2] = 10 if b else 20
    out[3] = big // 1_000_000


@pytest.mark.parametrize("b", [True, False])
def test_scalar_arguments(b) -> None:
    check(scalars, -7, 0.5, b, 5_000_000_000, torch.zeros(4))


def constants(x, out, SIZE: ml.constexpr, bias=None, scale: ml.constexpr = 2):
    acc = OFFSET
    for k in range(SIZE):
        acc += x[k] * scale
    if bias is not None:
        acc += bias[0]
    if SIZE == 3:
        acc += WEIGHTS[1]
    out[0] = acc + math.pi


def test_constants_and_optional_arguments() -> None:
    x = torch.arange(4.0)
    check(constants, x, torch.zeros(1), 3, rtol=1e-6)
    check(constants, x, torch.zeros(1), SIZE=4, bias=torch.tensor([10.0]), scale=3, rtol=1e-6)


def test_captured_variables_are_constants() -> None:
    for captured in (3, 2.5):

        def kernel(out):
            out[0] = captured * 2

        assert check(kernel, torch.zeros(1))[0].item() == captured * 2


# ---- Threads working together --------------------------------------------------------------------------------------


def reverse_in_threadgroup(x, out):
    shared = ml.threadgroup_array(64, ml.float32)
    i = ml.tid[0]
    shared[i] = x[i]
    ml.barrier()
    out[i] = shared[63 - i]


def test_threadgroup_memory() -> None:
    check(reverse_in_threadgroup, torch.arange(64.0), torch.zeros(64), block_dims=64)


def simdgroup_operations(x, out):
    i = ml.tid[0]
    v = x[i]
    out[i, 0] = ml.simd_sum(v)
    out[i, 1] = ml.simd_max(v)
    out[i, 2] = ml.simd_min(v)
    out[i, 3] = ml.simd_prefix_inclusive_sum(v)
    out[i, 4] = ml.simd_prefix_exclusive_sum(v)
    out[i, 5] = ml.simd_shuffle_xor(v, 5)
    out[i, 6] = ml.simd_broadcast(v, 3)
    out[i, 7] = ml.simd_any(v > 40)
    out[i, 8] = ml.simd_all(v >= 0)
    out[i, 9] = ml.simd_ballot(v > 40) % 65536
    out[i, 10] = ml.simd_shuffle(v, 31 - ml.simd_lane)
    out[i, 11] = ml.simd_lane + ml.simd_group * 100 + ml.thread_index * 1000


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32], ids=str)
def test_simdgroup_operations(dtype) -> None:
    x = (torch.arange(64) * 7 % 61).to(dtype)
    check(simdgroup_operations, x, torch.zeros(64, 12, dtype=dtype), block_dims=64)


def wide_simdgroup_operations(x, out):
    i = ml.tid[0]
    out[i, 0] = ml.simd_sum(x[i])
    out[i, 1] = ml.simd_max(x[i])
    out[i, 2] = ml.simd_min(x[i])
    out[i, 3] = ml.simd_shuffle_xor(x[i], 1)
    out[i, 4] = ml.simd_broadcast(x[i], 9)


def test_64_bit_simdgroup_operations() -> None:
    x = (torch.arange(32) * 7919 % 61 - 30) * 10_000_000_000
    check(wide_simdgroup_operations, x, torch.zeros(32, 5, dtype=torch.int64), block_dims=32)


def atomics(counts, fsum, x):
    i = ml.tid[0]
    ml.atomic_add(counts, x[i] % 4, 1)
    ml.atomic_max(counts, 4, x[i])
    ml.atomic_min(counts, 5, x[i])
    ml.atomic_or(counts, 6, 1 << (x[i] % 8))
    ml.atomic_add(fsum, 0, 0.5)


def test_atomics() -> None:
    check(
        atomics,
        torch.zeros(7, dtype=torch.int32),
        torch.zeros(1),
        torch.arange(32, dtype=torch.int32) * 5,
        block_dims=32,
    )


# ---- Functions -----------------------------------------------------------------------------------------------------


def float_functions(x, out):
    i = ml.tid[0]
    v = x[i]
    out[i, 0] = ml.sin(v) + math.cos(v)
    out[i, 1] = ml.exp(v) - math.exp(-v)
    out[i, 2] = ml.tanh(v) * ml.sigmoid(v)
    out[i, 3] = ml.erf(v)
    out[i, 4] = ml.erfc(v)
    out[i, 5] = ml.sqrt(abs(v)) + math.sqrt(2)
    out[i, 6] = ml.log(abs(v) + 1) + ml.log1p(abs(v) * 1e-5) + math.log(8, 2)
    out[i, 7] = ml.expm1(v * 1e-5)
    out[i, 8] = math.floor(v) * 100 + math.ceil(v) * 10 + math.trunc(v) + round(v)
    out[i, 9] = ml.where(v > 0, v, -2.0) + min(v, 1.5) + max(v, 0, -1)
    out[i, 10] = ml.clamp(v, -1.0, 1.0) + ml.fmod(v, 0.7) + ml.atan2(v, 2.0)
    out[i, 11] = ml.floor(v) + ml.rint(v) + ml.sign(v) + ml.copysign(3.0, v) + ml.fma(v, 2.0, 1.0)
    out[i, 12] = ml.rsqrt(abs(v) + 0.1) + ml.pow(abs(v), 1.5) + ml.exp2(v)
    out[i, 13] = int(v) + float(int(v)) + ml.int8(v * 3)


def test_float_functions() -> None:
    x = torch.cat([torch.linspace(-9.3, 9.3, 40), torch.tensor([0.0, 0.5, -0.5, 1.0, -1.0, 2.5, 3.999, -4.0])])
    check(float_functions, x, torch.zeros(48, 14), block_dims=48, rtol=3e-6, atol=2e-6)


def special_values(x, y, out):
    i, j = ml.tid[0], ml.tid[1]
    out[i, j, 0] = ml.maximum(x[i], y[j])
    out[i, j, 1] = ml.minimum(x[i], y[j])
    out[i, j, 2] = max(x[i], y[j])
    out[i, j, 3] = min(x[i], y[j])
    out[i, j, 4] = ml.fmax(x[i], y[j])
    out[i, j, 5] = ml.isnan(x[i]) + 2 * ml.isinf(y[j]) + 4 * ml.isfinite(x[i])
    out[i, j, 6] = ml.inf if x[i] > y[j] else float("-inf")
    out[i, j, 7] = ml.erf(x[i]) + 2 * ml.sign(y[j])


def test_special_values() -> None:
    check(special_values, FLOATS, FLOATS, torch.zeros(16, 16, 8), block_dims=(16, 16), rtol=1e-6, atol=1e-6)


def casts(x, out):
    i = ml.tid[0]
    out[i, 0] = ml.int8(x[i])
    out[i, 1] = ml.uint8(x[i])
    out[i, 2] = ml.int16(x[i] * 1000)
    out[i, 3] = ml.uint32(x[i]) > 5
    out[i, 4] = ml.bitcast(ml.float32(x[i]), ml.int32)
    out[i, 5] = ml.int32(ml.bitcast(x[i], ml.float32) == 0.0)
    out[i, 6] = ml.bool_(x[i]) + ml.int32(2.9) + ml.int32(-2.9)
    out[i, 7] = ml.int8(200) + ml.uint8(-1)


def test_casts_convert_as_cpp_does() -> None:
    x = torch.tensor([-200, -1, 0, 1, 127, 128, 255, 256, 70000], dtype=torch.int32)
    check(casts, x, torch.zeros(9, 8, dtype=torch.int32), block_dims=9)


def unsigned_hash(x, out):
    i = ml.tid[0]
    h = ml.uint32(2166136261)
    for k in range(4):
        h = (h ^ x[i, k]) * 16777619
    out[i] = h


def test_unsigned_arithmetic_wraps() -> None:
    x = torch.arange(32, dtype=torch.int64).reshape(8, 4).to(torch.uint32)
    launched = torch.zeros(8, dtype=torch.uint32)
    metal_jit(unsigned_hash)[1, 8](x, launched)
    expected = []
    for row in x.tolist():
        h = 2166136261
        for value in row:
            h = ((h ^ value) * 16777619) % 2**32
        expected.append(h)
    assert launched.tolist() == expected
