"""Variables and loops mean in a kernel what they mean to CPython, which executes the same function."""

# ruff: noqa: B007, B020, PLC2401 - the loops, captures and names whose meaning is tested

from __future__ import annotations

import pytest
import torch

from helion_msl import language as ml
from walker_comparison import INTS, check

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


TABLE = ((1, 0.5), (2, 0.25), (4, 2))


def over_tuples(x, n, out):
    i = ml.tid[0]
    for factor, (bias) in TABLE:
        out[i, 0] += x[i] * factor + bias
    for a in (x[i], i, 3):
        for b in (a, 1):
            out[i, 1] += a * b
    for index, offset in enumerate((5, 7)):
        out[i, 2] += index * offset
    for low, high in zip((1, 2), (30, 40)):  # noqa: B905
        if x[i] == low:
            continue
        out[i, 3] += high
    for v in reversed((1, 2, 3)):
        out[i, 4] = out[i, 4] * 10 + v
    for v in (3, 5, 8, 13):
        if v == n:
            break
        if x[i] > v:
            out[i, 5] += v
            continue
        out[i, 5] += 100
    else:
        out[i, 5] += 1000
    k = -1
    for k in (10, 20, 30):
        if x[i] < k:
            break
    out[i, 6] = k
    for k in ():
        out[i, 6] = k
    for v in (1, 2, 3):
        if v == 2:
            break
        out[i, 7] = v


@pytest.mark.parametrize("n", [3, 8, 99])
def test_loops_over_tuples(n) -> None:
    check(over_tuples, INTS[:15], n, torch.zeros(15, 8), block_dims=15)


def returns_from_tuples(x, out):
    i = ml.tid[0]
    for v in (1, 5, 100):
        for k in range(3):
            if x[i] == v + k:
                out[i] = v * 10 + k
                return
            if k > x[i]:
                break
    out[i] = -1


def test_jumps_out_of_unrolled_loops() -> None:
    check(returns_from_tuples, INTS[:15], torch.zeros(15, dtype=torch.int32), block_dims=15)


def local_constants(x, out):
    size = 4
    shape = (size, 2)
    shared = ml.threadgroup_array(shape, ml.float32)
    shared[ml.tid[0], 1] = x[ml.tid[0]]
    ml.barrier()
    out[ml.tid[0]] = shared[size - 1 - ml.tid[0], shape[1] - 1]


def test_names_of_constants_serve_as_sizes() -> None:
    check(local_constants, torch.arange(4.0), torch.zeros(4), block_dims=4)


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
