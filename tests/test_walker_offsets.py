"""Offsets that are computed in front of loops: their text, and the same kernels beside plain Python and torch."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helion_msl import language as ml
from helion_msl import metal_jit
from helion_msl._toolchain import find_toolchain
from helion_msl.walker import SCALAR_TYPES, TensorType, translate
from walker_comparison import check

INT, FLOAT = SCALAR_TYPES["int32"], SCALAR_TYPES["float32"]
VECTOR, MATRIX = TensorType(INT, 1), TensorType(INT, 2)


def lines_with(part, function, types) -> list[str]:
    """Return the lines of a kernel's text that contain something, without indentation."""
    msl = translate(function, types, line_directives=False).msl
    body = msl[msl.index("kernel void") :]
    return [line.strip() for line in body[body.index(") {") + 3 :].splitlines() if part in line]


# ---- The text ------------------------------------------------------------------------------------------------------


def around(x, out, n):
    row, column = ml.tid[1], ml.tid[0]
    for dy in range(-1, 2):
        for dx in range(-n, n + 1):
            out[row, column] += x[row + dy, column + dx]


def test_what_is_added_in_the_loop_stays_together() -> None:
    assert lines_with("x_offset", around, {"x": MATRIX, "out": MATRIX, "n": INT}) == [
        "long x_offset = (row + dy) * x_size_1;",
        "out[out_offset + column] += x[x_offset + (column + dx)];",
    ]


def behind_another_term(x, out, a, b, n):
    for j in range(n):
        out[0] += x[j + a * 2 + b * 3]
        out[1] += x[a * 2 + b * 3 + j]
        out[2] += x[a * 2 + j + b * 3]


def test_a_sum_that_the_source_does_not_compute_is_one_of_64_bits() -> None:
    types = {"x": VECTOR, "out": VECTOR, "a": INT, "b": INT, "n": INT}
    assert lines_with("x_offset", behind_another_term, types) == [
        "long x_offset = a * 2 + long(b * 3);",
        "long x_offset_1 = a * 2 + b * 3;",
        "out[0] += x[x_offset + j];",
        "out[1] += x[x_offset_1 + j];",
        "out[2] += x[x_offset + j];",
    ]


def sums_alone(x, out, n):
    column = ml.tid[0]
    for j in range(n):
        out[column] += x[j, column + 32] + x[j, column * 2 + 1]


def test_a_sum_without_products_stays_where_it_is() -> None:
    assert lines_with("x", sums_alone, {"x": MATRIX, "out": VECTOR, "n": INT}) == [
        "int column = tid.x;",
        "long x_offset = column * 2 + 1;",
        "out[column] += x[j * x_size_1 + column + 32] + x[x_offset + j * x_size_1];",
    ]


def unsigned_places(x, u, out, n):
    k = u[0]
    for j in range(n):
        out[0] += x[k * 3 + ml.uint32(j)]


def test_an_offset_of_unsigned_numbers_wraps_around_as_before() -> None:
    types = {"x": VECTOR, "u": TensorType(SCALAR_TYPES["uint32"], 1), "out": VECTOR, "n": INT}
    assert lines_with("x_offset", unsigned_places, types) == [
        "uint x_offset = k * 3u;",
        "out[0] += x[x_offset + uint(j)];",
    ]


# ---- Sums next to 2**31 --------------------------------------------------------------------------------------------

# Of more elements the tensor counts in 64 bits throughout.
MOST = (1 << 31) - (1 << 24) - 2


def beyond_the_row(x, out, left):
    for row in range(2):
        for column in range(x.size(1) - left - 100, x.size(1) - left):
            out[row] += x[row, column + left]


def test_a_column_and_what_is_added_to_it_are_added_first() -> None:
    # Virtual memory: only the pages that are touched are ever there. The row's offset and `column` pass 2**31.
    x = torch.empty(2, MOST // 2, dtype=torch.int8)
    x[:, -100:] = torch.arange(100)
    out = torch.zeros(2, dtype=torch.int32)
    kernel, left = metal_jit(beyond_the_row), -(1 << 26)
    assert "int row" in kernel.msl(x, out, left)
    kernel[1, 1](x, out, left)
    assert out.tolist() == [sum(range(100))] * 2


def two_products(x, out, a, b, start):
    for j in range(start, start + 4):
        out[0] += x[j + a * 3 + b * 5]


def test_products_whose_sum_passes_32_bits_by_themselves() -> None:
    x = torch.empty(MOST, dtype=torch.int8)
    a, b = (1 << 29) - 7, (1 << 28) + 9
    place = a * 3 + b * 5 - (1 << 30)
    assert a * 3 + b * 5 >= 1 << 31
    assert a * 3 < 1 << 31
    x[place : place + 4] = torch.tensor([1, 2, 3, 4])
    out = torch.zeros(1, dtype=torch.int32)
    metal_jit(two_products)[1, 1](x, out, a, b, -(1 << 30))
    assert out.tolist() == [10]


def overflow(x):
    x[0] += x[1]


def test_clang_finds_no_overflow_in_these_sums(tmp_path) -> None:
    # Sums that wrap around twice give the right place, though they are undefined.
    checks = "signed-integer-overflow,pointer-overflow"
    clang = tmp_path / "clang"
    clang.write_text(
        "#!/bin/sh\n"
        f'case " $* " in *" -c "*) set -- "$@" -fsanitize={checks} -fsanitize-trap={checks};; esac\n'
        f'exec {shlex.join(find_toolchain().clang)} "$@"\n'
    )
    clang.chmod(0o700)
    environment = os.environ | {"HELION_MSL_CLANG": str(clang), "HELION_MSL_CACHE_DIR": str(tmp_path / "cache")}

    def ends_well(calls: str) -> bool:
        program = f"import torch, test_walker_offsets as tests\n{calls}"
        command = [sys.executable, "-c", program]
        return subprocess.run(command, env=environment, cwd=Path(__file__).parent, check=False).returncode == 0

    tests = (
        test_a_column_and_what_is_added_to_it_are_added_first,
        test_products_whose_sum_passes_32_bits_by_themselves,
    )
    assert ends_well("".join(f"tests.{test.__name__}()\n" for test in tests))
    numbers = "torch.tensor([2**31 - 1, 1], dtype=torch.int32)"
    assert not ends_well(f"tests.metal_jit(tests.overflow)[1, 1]({numbers})")


# ---- The same as Python and torch ----------------------------------------------------------------------------------


def inside(x, y, out):
    row = ml.gid[0] - 3
    for column in range(-2, x.size(1) + 2):
        if 0 <= row < x.size(0) and 0 <= column < x.size(1):
            out[row, column] = 2 * x[row, column] - y[column, row]


@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (8, 3), (0, 4), (4, 0), (0, 0)])
def test_rows_outside_of_a_tensor_are_not_touched(shape) -> None:
    # Threads in front of the first row and behind the last; what surrounds the output shows stray stores.
    x, y = torch.randn(shape), torch.randn(shape).t()
    surrounded = torch.zeros(shape[0] + 2, shape[1] + 2)
    out = surrounded[1:-1, 1:-1]
    metal_jit(inside)[4, 4](x, y, out)
    expected = torch.nn.functional.pad(2 * x - y.t(), (1, 1, 1, 1))
    torch.testing.assert_close(surrounded, expected, rtol=0, atol=0)


def blurred(x, out):
    i, j = ml.gid[1], ml.gid[0]
    if i >= out.size(0) or j >= out.size(1):
        return
    total = 0.0
    for di in range(-1, 2):
        for dj in range(-1, 2):
            if 0 <= i + di < x.size(0) and 0 <= j + dj < x.size(1):
                total += x[i + di, j + dj]
    out[i, j] = total


@pytest.mark.parametrize("view", ["contiguous", "transposed", "stepped", "expanded", "channels last"])
def test_neighbours_of_all_elements(view) -> None:
    x = {
        "contiguous": torch.randn(9, 13),
        "transposed": torch.randn(13, 9).t(),
        "stepped": torch.randn(30, 40)[2:29:3, 1:40:3],
        "expanded": torch.randn(9, 1).expand(9, 13),
        "channels last": torch.randn(9, 13, 4)[:, :, 2],
    }[view]
    assert x.shape == (9, 13)
    out = torch.zeros(13, 9).t()
    metal_jit(blurred)[(4, 4), (4, 4)](x, out)
    expected = torch.nn.functional.conv2d(x[None, None], torch.ones(1, 1, 3, 3), padding=1)[0, 0]
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


def running_sums(x, first):
    row = ml.tid[0]
    for column in range(first, x.size(1)):
        x[row, column] += x[row, column - 1]
        x[row, x.size(1) - column] -= x[row, 0]


def counted(x, counts, n):
    row = ml.tid[0]
    for column in range(n):
        if ml.atomic_add(counts, (row % 2, x[row, column]), 1) < n:
            ml.atomic_max(counts, (row % 2, 4), column)


def in_fours(x, out, n):
    row = ml.tid[0]
    for column in range(n // 4):
        values = ml.load_vector(x, (row, column * 4), 4)
        ml.store_vector(out, (2 - row, column * 4), values.wzyx + values)


def with_arrays(x, out, n):
    shared, own = ml.threadgroup_array((3, 4), ml.int32), ml.local_array(8, ml.int32)
    row = ml.tid[0]
    for column in range(n):
        shared[row, column % 4] = x[row, column]
        own[row * 2 + column % 2] = shared[row, column % 4] + column
        out[row, column] = own[row * 2 + column % 2] * 3


def backwards(x, out, n):
    row, flat = ml.tid[0], x.size(0) * x.size(1)
    for column in range(n):
        out[n - 1 - column] += x[x.size(0) - 1 - row, n - 1 - column] * (flat - row * n - column)
        out[column] -= x[row * -1 + 2, column - row + (row - 2) + 2]


def mixed_widths(x, out, n):
    row = ml.tid[0]
    wide, narrow, unsigned = ml.int64(row), ml.int16(row), ml.uint32(row)
    for column in range(n):
        out[row, column] += x[wide, column] + 10 * x[narrow, column]
        out[row, column] += 100 * x[unsigned, column] + 1000 * x[narrow * 1, wide * 2 - wide + unsigned * 2 - row * 2]


@pytest.mark.parametrize(
    ("kernel", "others"),
    [
        (running_sums, [1]),
        (counted, [torch.zeros(2, 5, dtype=torch.int32), 8]),
        (in_fours, [torch.zeros(3, 8, dtype=torch.int32), 8]),
        (with_arrays, [torch.zeros(3, 8, dtype=torch.int32), 8]),
        (backwards, [torch.zeros(8, dtype=torch.int32), 8]),
        (mixed_widths, [torch.zeros(3, 8, dtype=torch.int32), 8]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_whatever_an_offset_is_for(kernel, others) -> None:
    x = torch.randint(0, 4, (3, 8), dtype=torch.int32, generator=torch.Generator().manual_seed(2))
    # One thread after the other where threads share an output.
    check(kernel, x, *others, block_dims=1 if kernel in (backwards, counted) else 3)


def three_dimensions(x, y, out, a, b):
    i = ml.tid[0]
    for j in range(x.size(1)):
        for k in range(x.size(2)):
            out[i, j, k] = 3 * x[i, j, k] - y[k, j, i]
            out[i, j, k] += x[i, (j + a) % x.size(1), (k + b) % x.size(2)]
        for k in range(x.size(2)):
            out[i, j, k] += 5 * y[k, (j + a) % x.size(1), i] + i * x.size(1) * x.size(2) + j * x.size(2) + k


SIZES = st.integers(1, 4)


@settings(max_examples=25, deadline=None)
@given(st.tuples(SIZES, SIZES, SIZES), st.permutations(range(3)), st.sampled_from([1, 3]), *[st.integers(0, 4)] * 2)
def test_views_of_all_kinds(shape, order, step, a, b) -> None:
    def view() -> torch.Tensor:
        sizes = [step * shape[dimension] for dimension in order]
        stepped = torch.randint(-99, 99, sizes, dtype=torch.int32)[::step, ::step, ::step]
        return stepped.permute([order.index(dimension) for dimension in range(3)])

    x, y, out = view(), view().permute(2, 1, 0), view()
    metal_jit(three_dimensions)[1, shape[0]](x, y, out, a, b)
    around = torch.arange(x.numel(), dtype=torch.int32).reshape(shape)
    turned = y.permute(2, 1, 0)
    expected = 3 * x - turned + x.roll((-a, -b), (1, 2)) + 5 * turned.roll(-a, 1) + around
    torch.testing.assert_close(out, expected, rtol=0, atol=0)
