"""Products of matrices that all threads of a threadgroup compute together.

The operands lie in threadgroup memory, the sum in an *accumulator* that is spread over the threads; which thread holds
which element is not defined. Part of :mod:`helion_msl.language`.

    left = ml.threadgroup_array((32, 16), ml.float16)
    right = ml.threadgroup_array((16, 64), ml.float16)
    product = ml.threadgroup_array((32, 64), ml.float32)
    accumulator = ml.matmul_accumulator(32, 64, simdgroups=4)
    for k in range(0, K, 16):
        ...  # fill left and right
        ml.barrier()
        ml.matmul_add(accumulator, left, right)
        ml.barrier()
    ml.matmul_store(accumulator, product)
    ml.barrier()
"""

from __future__ import annotations

from typing import Any

__all__ = ["MatmulAccumulator", "matmul_accumulator", "matmul_add", "matmul_store"]


class MatmulAccumulator:
    """What :func:`matmul_accumulator` returns when a kernel is executed as Python: every thread computes the whole.

    Attributes:
        rows: rows of the sum.
        columns: its columns.
        sums: the elements, row by row.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.sums = [[0.0] * columns for _ in range(rows)]


def matmul_accumulator(rows: int, columns: int, simdgroups: int) -> MatmulAccumulator:
    """Return a float32 accumulator, all zeros.

    Args:
        rows: a constant multiple of 8.
        columns: a constant multiple of 8.
        simdgroups: how many simdgroups the threadgroup has, a constant; every one must be full.
    """
    del simdgroups
    return MatmulAccumulator(rows, columns)


def matmul_add(accumulator: MatmulAccumulator, left: Any, right: Any) -> None:
    """Add the product of two threadgroup arrays of one type, float16, bfloat16 or float32.

    Every thread of the threadgroup must reach the call. The arrays must be complete: a barrier stands before, and
    another before anything writes them again.

    Args:
        accumulator: of ``rows`` by ``columns``.
        left: an array of ``rows`` by ``inner``; ``inner`` is a multiple of 8.
        right: an array of ``inner`` by ``columns``.
    """
    inner = len(right.tensor)
    for row in range(accumulator.rows):
        for column in range(accumulator.columns):
            accumulator.sums[row][column] += sum(left[row, k] * right[k, column] for k in range(inner))


def matmul_store(accumulator: MatmulAccumulator, destination: Any) -> None:
    """Write an accumulator to a float32 threadgroup array of its shape; a barrier must follow before it is read.

    Every thread of the threadgroup must reach the call.
    """
    for row in range(accumulator.rows):
        for column in range(accumulator.columns):
            destination[row, column] = accumulator.sums[row][column]
