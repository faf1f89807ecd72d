"""Work that the text leaves out, and the same kernels beside plain Python, where leaving too much out would show."""

# ruff: noqa: B007, B020 - loops whose meaning is tested

from __future__ import annotations

import random

import pytest
import torch

from helion_msl import _C
from helion_msl import language as ml
from helion_msl._walker import prelude
from helion_msl.walker import SCALAR_TYPES, TensorType, translate
from walker_comparison import INTS, check

INT, FLOAT = SCALAR_TYPES["int32"], SCALAR_TYPES["float32"]
VECTOR, MATRIX = TensorType(INT, 1), TensorType(INT, 2)


def lines_of(function, types, **options) -> list[str]:
    """Return the lines of a text, functions included, from its first signature on, without indentation."""
    msl = translate(function, types, line_directives=False, **options).msl
    return [line.strip() for line in msl.splitlines()[2:] if line.strip() and not line.startswith("#line")]


def body_of(function, types, **options) -> list[str]:
    """Return the lines between the braces of the kernel."""
    lines = lines_of(function, types, **options)
    start = next(index for index, line in enumerate(lines) if line.startswith("kernel void"))
    return lines[next(index for index in range(start, len(lines)) if lines[index].endswith(") {")) + 1 : -1]


# ---- Parameters that a function assigns ----------------------------------------------------------------------------


def doubled(value, count):
    for step in range(3):
        value += value
    count = count * 0.5
    return value + count


def parameters_are_assigned(x, out):
    i = ml.tid[0]
    out[i] = doubled(x[i], i % 3) + doubled(1, 2)


def test_a_parameter_is_assigned_itself_where_its_type_fits() -> None:
    lines = lines_of(parameters_are_assigned, {"x": VECTOR, "out": TensorType(FLOAT, 1)})
    assert lines[:8] == [
        "static inline float doubled(int value, int count) {",
        "float count_1 = float(count);",
        "for (int step = 0; step < 3; ++step) {",
        "value += value;",
        "}",
        "count_1 *= 0.5f;",
        "return value + count_1;",
        "}",
    ]


def moved(point, by):
    point = point + by
    x, y = point
    x, by = x * 10, x
    return point, (x, y + by)


def a_parameter_of_each_kind(out):
    p = ml.int2(ml.tid[0], 2)
    q, (x, y) = moved(p, 3)
    out[0], out[1], out[2], out[3], out[4] = q.x, q.y, x, y, p.x


def swapped(pair, n):
    first, pair = pair[0], (pair[1], pair[0])
    n = n + first
    return pair[0] * 100 + pair[1] * 10 + n


def a_tuple_of_parameters(out):
    pair = (ml.tid[0] + 1, 2)
    out[0] = swapped(pair, 3)
    out[1] = pair[0] + swapped((4, 5), pair[0])


@pytest.mark.parametrize("kernel", [a_parameter_of_each_kind, a_tuple_of_parameters], ids=lambda k: k.__name__)
def test_assigned_parameters_change_nothing_for_the_caller(kernel) -> None:
    check(kernel, torch.zeros(5, dtype=torch.int32))


def test_assigned_parameters_mean_the_same() -> None:
    check(parameters_are_assigned, INTS[:8], torch.zeros(8), block_dims=8)


# ---- Offsets in front of loops -------------------------------------------------------------------------------------


def offsets_of_three_loops(x, out, n):
    row = ml.tid[0]
    total = 0
    for i in range(n):
        total += x[row, i]
    if total > 3:
        for i in range(n):
            total += x[row, i]
    row = (row + 1) % 3
    for i in range(n):
        total += x[row, i]
    for i in range(n):
        total -= x[row, n - 1 - i]
        row = 0
    out[ml.tid[0]] = total


def test_an_offset_is_computed_again_only_where_something_assigned_what_it_is_made_of() -> None:
    lines = body_of(offsets_of_three_loops, {"x": MATRIX, "out": VECTOR, "n": INT})
    assert [line for line in lines if "offset" in line] == [
        "long x_offset = row * x_size_1;",
        "total += x[x_offset + i];",
        "total += x[x_offset + i];",
        "long x_offset_1 = row * x_size_1;",
        "total += x[x_offset_1 + i];",
    ]


def offsets_in_branches_and_turns(x, out, n):
    row = ml.tid[0]
    total = 0
    if row > 0:
        for i in range(n):
            total += x[row, i]
    for i in range(n):
        total += 2 * x[row, i]
    for turn in range(3):
        for i in range(n):
            total += 3 * x[row, i]
        if (row := (row + 1) % 3) == 1:
            for i in range(n):
                total += 5 * x[row, i]
        for column in ml.static_range(2):
            if row == 2:
                row = 1
                continue
            for i in range(n):
                total += 7 * x[row, i] * (column + 1)
            if column < 5:
                break
    while row < 2 and x[row, 0] > 0:
        row += 1
        for i in range(n):
            total += 11 * x[row, i]
    out[ml.tid[0]] = total


@pytest.mark.parametrize("kernel", [offsets_of_three_loops, offsets_in_branches_and_turns], ids=lambda k: k.__name__)
def test_shared_offsets_mean_the_same(kernel) -> None:
    x = torch.randint(1, 9, (3, 4), dtype=torch.int32, generator=torch.Generator().manual_seed(1))
    check(kernel, x, torch.zeros(3, dtype=torch.int32), 4, block_dims=3)


# ---- Assignments of tuples -----------------------------------------------------------------------------------------


def pair_of(x, k):
    return x[k], k * 2


def assignments_of_tuples(x, out, n):
    value, place = x[n], n
    other, other_place = ml.simd_shuffle_down(value, 1), ml.simd_shuffle_down(place, 1)
    value, place = pair_of(x, place)
    a, b = other, other_place
    a, b = b, a
    x[0], x[1] = x[1], x[0]
    out[0], out[1], value = a, b, x[value + place]
    out[2] = value


def test_a_temporary_is_made_only_for_what_an_earlier_target_changes() -> None:
    assert body_of(assignments_of_tuples, {"x": VECTOR, "out": VECTOR, "n": INT}) == [
        "int value = x[n];",
        "int place = n;",
        "int other = metal::simd_shuffle_down(value, 1u);",
        "int other_place = metal::simd_shuffle_down(place, 1u);",
        "tuple_int_int value_1 = pair_of(x, place);",
        "value = value_1.item_0;",
        "place = value_1.item_1;",
        "int a = other;",
        "int b = other_place;",
        "int value_2 = a;",
        "a = b;",
        "b = value_2;",
        "int value_3 = x[0];",
        "x[0] = x[1];",
        "x[1] = value_3;",
        "int value_4 = x[value + place];",
        "out[0] = a;",
        "out[1] = b;",
        "value = value_4;",
        "out[2] = value;",
    ]


PROLOGUE = """
from helion_msl import _C
from helion_msl import language as ml
from helion_msl._walker import prelude


def bumped(x, index, value):
    x[index] += value
    return x[index]


def pair(x, index):
    x[index % 4] += 1
    return x[index % 4], index + 1


def kernel(x, out):
    a, b, c = 1, 2, 3
    t = (4, 5)
    v = ml.int2(6, 7)
"""
EXPRESSIONS = (
    *("a", "b", "c", "7", "a + b", "c - a", "t[0]", "t[1] + b", "v.x", "v.y + a", "x[1]", "x[a % 4]", "x[b % 4] + c"),
    *("bumped(x, 0, 1)", "bumped(x, a % 4, b % 3)", "(a := 3)", "(b := c % 5) + b", "(c := bumped(x, 1, 1))"),
    *("0 <= x[2] < c", "(a if b > c else x[3])"),
)
TARGETS = ("a", "b", "c", "x[0]", "x[1]", "x[a % 4]", "x[b % 4]", "x[(c := 2)]", "v.x", "v.y", "out[0]")
RARE = [
    "a, b = 7, (a := 3)",
    "a, b = b, (b := 5)",
    "v.x, b = c, v.x",
    "v.y, (a, b) = 3, (v.y, c)",
    "x[0], v.x = v.x, x[0]",
    "(a, b), c = (b, a), a + b",
    "x[(a := 1)], b = 6, a",
    "x[a % 4], b = b, bumped(x, 0, 1)",
]


def tuple_assignment(draw: random.Random) -> str:
    """Return one assignment of two or three items, with a tuple among them or a call that returns one."""
    count = draw.choice([2, 2, 3])
    targets, values = draw.choices(TARGETS, k=count), draw.choices(EXPRESSIONS, k=count)
    shape = draw.randrange(8)
    if shape == 0:
        targets[0], values[0] = "(a, b)", f"({draw.choice(EXPRESSIONS)}, {draw.choice(EXPRESSIONS)})"
    elif shape == 1:
        targets[-1], values[-1] = "(b, x[a % 4])", f"pair(x, {draw.choice('abc')})"
    elif shape == 2:
        targets[0], values[0] = "t", f"({draw.choice(EXPRESSIONS)}, t[0])"
    elif shape == 3:
        targets, values = ["t"], [f"{draw.choice(EXPRESSIONS)}, {draw.choice(EXPRESSIONS)}"]
    elif shape == 4:
        targets, values = ["(t, c)"], [f"(t[1], t[0] + {draw.choice(EXPRESSIONS)}), {draw.choice(EXPRESSIONS)}"]
    return f"{', '.join(targets)} = {', '.join(values)}"


@pytest.mark.parametrize("seed", range(6))
def test_tuples_of_everything_are_assigned_as_python_does(seed, tmp_path) -> None:
    draw = random.Random(seed)
    lines = [PROLOGUE]
    for number in range(25):
        lines.append(f"    {RARE[number] if seed == 0 and number < len(RARE) else tuple_assignment(draw)}\n")
        lines.append(f"    out[{number + 1}] = a + 10 * b + 100 * c + 1000 * t[0] + 3 * t[1] + 7 * v.x + 5 * v.y\n")
        lines.append("    a, b, c, t = a % 10, b % 10, c % 10, (t[0] % 10, t[1] % 10)\n")
        lines.append("    v = ml.int2(v.x % 10, v.y % 10)\n")
    path = tmp_path / f"assignments_{seed}.py"
    path.write_text("".join(lines))
    namespace: dict[str, object] = {}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    check(namespace["kernel"], torch.tensor([3, 1, 4, 1], dtype=torch.int32), torch.zeros(26, dtype=torch.int32))


# ---- Loops that count in a variable of Python ----------------------------------------------------------------------


def counted_twice(x, out, n):
    total = 0
    for start in range(0, n, 4):
        k = start + 1
        total += x[k]
        for k in range(4):
            total += k * x[k]
    if total > 5:
        for k in range(n):
            total += x[k]
    out[0] = total


def count_that_is_read_later(x, out):
    for k in range(3):
        if x[k] == 2:
            break
    out[0] = k
    for k in range(3):
        out[1] += x[k]


def test_a_loop_counts_in_its_variable_where_nothing_reads_it_later() -> None:
    assert body_of(counted_twice, {"x": VECTOR, "out": VECTOR, "n": INT}) == [
        "int total = 0;",
        "for (int start = 0; start < n; start += 4) {",
        "int k = start + 1;",
        "total += x[k];",
        "for (k = 0; k < 4; ++k) {",
        "total += k * x[k];",
        "}",
        "}",
        "if (total > 5) {",
        "for (int k = 0; k < n; ++k) {",
        "total += x[k];",
        "}",
        "}",
        "out[0] = total;",
    ]
    assert body_of(count_that_is_read_later, {"x": VECTOR, "out": VECTOR}) == [
        "int k;",
        "for (int k_1 = 0; k_1 < 3; ++k_1) {",
        "k = k_1;",
        "if (x[k] == 2) {",
        "break;",
        "}",
        "}",
        "out[0] = k;",
        "for (k = 0; k < 3; ++k) {",
        "out[1] += x[k];",
        "}",
    ]


LOOPS = """
from helion_msl import language as ml


def kernel(x, out, n):
    k, total = 0, 0
{statements}
    out[0], out[1] = total, k if n > 1 else -1
"""


def loop_statements(draw: random.Random, depth: int, indent: str, in_loop: bool) -> list[str]:
    """Return statements that assign and read `k`, in loops over it among others."""
    found = []
    for _ in range(draw.choice([1, 2, 3])):
        kind = draw.randrange(9 if depth else 5)
        inside = indent + "    "
        if kind < 2:
            found.append(f"{indent}total = (total * 3 + {draw.choice(['k', '7', 'x[k % 4]', 'k * 2'])}) % 10007")
        elif kind == 2:
            found.append(f"{indent}k = {draw.choice(['1', 'k + 2', 'total % 4', 'x[1]'])}")
        elif kind == 3 and in_loop:
            found.append(f"{indent}if total % {draw.choice('3456')} == {draw.choice('012')}:")
            found.append(f"{inside}{draw.choice(['break', 'continue'])}")
        elif kind == 4:
            found.append(f"{indent}total += (k := {draw.choice(['k', 'total % 3'])})")
        elif kind < 8:
            head = draw.choice(["range(3)", "range(n)", "range(k % 3, 4)", "range(n, 0, -1)", "(5, 6)", "range(k % 5)"])
            name = draw.choice("kkkj")
            found.append(f"{indent}for {name} in {head}:")
            found += loop_statements(draw, depth - 1, inside, in_loop=True)
            if draw.randrange(3) == 0:
                found += [f"{indent}else:", f"{inside}total += k + 100"]
        else:
            found.append(f"{indent}if total % 2:")
            found += loop_statements(draw, depth - 1, inside, in_loop)
            if draw.randrange(2):
                found += [f"{indent}else:", *loop_statements(draw, depth - 1, inside, in_loop)]
    return found


def read_in_the_next_turn(x, out, n):
    k, total = 7, 0
    for j in range(n):
        total += k
        for k in range(j + 1):
            total += 10 * k
    out[0] = total


def read_after_a_break(x, out, n):
    k, total = 7, 0
    for j in range(5):
        for k in range(n):
            total += k
        if j == 2:
            break
        k = 0
    else:
        k = 9
    out[0], out[1] = total, k


def read_after_a_continue(x, out, n):
    k, total = 7, 0
    for j in range(4):
        total = 2 * total + k
        for k in range(j, n):
            total += 10
        if j % 2:
            continue
        k = 1
    out[0] = total


def changed_inside(x, out, n):
    total = 0
    for k in range(n):
        k = k + x[k]
        total += k
    for k in range(n):
        total += (k := k * 2) + k
    for k in range(n):
        for k in range(2):
            total += k
        total += 10 * k
    k = 3
    for k in range(k, 6):
        total += k
    for k in range(0, 6, k - 3):
        total += 100 * k
    for k in (1, 2):
        for k in range(k):
            total += 1000 * k
            if x[k] == 3:
                continue
            total += 1
    out[0] = total


@pytest.mark.parametrize(
    "kernel",
    [read_in_the_next_turn, read_after_a_break, read_after_a_continue, changed_inside],
    ids=lambda kernel: kernel.__name__,
)
def test_a_count_that_is_read_or_changed_is_a_copy(kernel) -> None:
    x = torch.tensor([3, 1, 4, 1], dtype=torch.int32)
    for n in (0, 1, 4):
        check(kernel, x, torch.zeros(2, dtype=torch.int32), n)


@pytest.mark.parametrize("seed", range(12))
def test_loops_leave_in_their_variable_what_python_does(seed, tmp_path) -> None:
    statements = loop_statements(random.Random(seed), 3, "    ", in_loop=False)
    path = tmp_path / f"loops_{seed}.py"
    path.write_text(LOOPS.format(statements="\n".join(statements)))
    namespace: dict[str, object] = {}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    x = torch.tensor([3, 1, 4, 1], dtype=torch.int32)
    for n in (0, 3):
        check(namespace["kernel"], x, torch.zeros(2, dtype=torch.int32), n)


# ---- Casts ---------------------------------------------------------------------------------------------------------


def narrow_indices(b, s, x, out):
    i = ml.tid[0]
    own = ml.local_array(300, ml.int32)
    own[int(b[i])] = int(s[i]) << 2
    own[int(s[i]) + 290] = i << int(b[i] & 3)
    out[i] = x[int(b[i]) % 4] + own[b[i]] + own[int(s[i]) + 290] + x[ml.int64(s[i]) + 8] + ml.uint32(b[i]) * 2


def test_an_index_is_promoted_by_itself() -> None:
    types = {"b": TensorType(SCALAR_TYPES["uint8"], 1), "s": TensorType(SCALAR_TYPES["int16"], 1)}
    lines = body_of(narrow_indices, {**types, "x": VECTOR, "out": TensorType(SCALAR_TYPES["int64"], 1)})
    assert "own[b[i]] = s[i] << 2;" in lines
    assert not any("int(b[i])]" in line or "int(s[i]) <<" in line for line in lines)
    b, s = torch.tensor([0, 7, 200, 255], dtype=torch.uint8), torch.tensor([-8, -1, 3, 7], dtype=torch.int16)
    check(narrow_indices, b, s, torch.arange(16, dtype=torch.int32), torch.zeros(4, dtype=torch.int64), block_dims=4)


# ---- Helper functions ----------------------------------------------------------------------------------------------


def helpers_of(function, **types) -> list[str]:
    """Return the lines of the helpers that a text carries."""
    lines = translate(function, types, line_directives=False).msl.splitlines()
    return lines[lines.index("namespace helion_msl {") + 1 : lines.index("}  // namespace helion_msl")]


def largest_of_a_simdgroup(x, out):
    out[0] = ml.simd_max(x[ml.tid[0]])


def remainders(x, y, out):
    out[0] = x[0] % y[0]


def test_helpers_are_those_of_the_types_they_are_called_with() -> None:
    floats, longs = TensorType(FLOAT, 1), TensorType(SCALAR_TYPES["int64"], 1)
    assert helpers_of(largest_of_a_simdgroup, x=floats, out=floats) == [
        "inline float simd_max(float value) {",
        "  return metal::simd_any(value != value) ? NAN : metal::simd_max(value);",
        "}",
    ]
    assert helpers_of(largest_of_a_simdgroup, x=VECTOR, out=VECTOR) == [
        "inline int simd_max(int value) {",
        "  return metal::simd_max(value);",
        "}",
    ]
    of_longs = "\n".join(helpers_of(largest_of_a_simdgroup, x=longs, out=longs))
    for needed in ("wide(long x)", "simd_shuffle_xor(long x", "T maximum(", "T segment_max(", "T simd_active_max("):
        assert needed in of_longs
    for needless in ("ulong x", "float", "T simd_shuffle_xor("):
        assert needless not in of_longs
    assert [line for line in helpers_of(remainders, x=floats, y=floats, out=floats) if line.startswith("inline")] == [
        "inline float floor_remainder(float a, float b) {"
    ]
    assert [line for line in helpers_of(remainders, x=VECTOR, y=VECTOR, out=VECTOR) if line.startswith("inline")] == [
        "inline T remainder(T a, T b) {",
        "inline T floor_remainder(T a, T b) {",
    ]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int32, torch.int64])
@pytest.mark.parametrize("name", ["max", "min"])
def test_the_extreme_of_a_threadgroup_is_one_of_its_values(name, dtype) -> None:
    kind = {torch.float16: "half", torch.bfloat16: "bfloat", torch.int64: "long", torch.int32: "int"}.get(
        dtype, "float"
    )
    helpers = prelude.text({f"helion_msl::threadgroup_{name}": {kind}})
    text = f"""#include <metal_stdlib>
    {helpers}
    kernel void reduce(device {kind}* x [[buffer(0)]], uint tid [[thread_position_in_threadgroup]]) {{
      threadgroup {kind} parts[2];
      x[tid] = helion_msl::threadgroup_{name}(parts, x[tid], tid, 64);
    }}"""
    extreme = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    limit = {"max": extreme.min, "min": extreme.max}[name]
    if dtype.is_floating_point:
        limit = {"max": -torch.inf, "min": torch.inf}[name]
    x = torch.full((64,), limit, dtype=dtype)
    _C.launch(text, [x], (1,), (64,))
    assert x.tolist() == [limit] * 64
    x = torch.arange(64).to(dtype)
    _C.launch(text, [x], (1,), (64,))
    assert x.tolist() == [getattr(torch.arange(64), name)().item()] * 64
