"""Matrices of 8 by 8 numbers that the 32 threads of a simdgroup hold together; part of :mod:`helion_msl.language`.

    left = ml.simdgroup_load(x, (row, k), stride=x.stride(0))
    right = ml.simdgroup_load(y, (k, column), stride=y.stride(0))
    total = ml.simdgroup_matrix(ml.float32)
    ml.simdgroup_multiply_accumulate(total, left, right)
    ml.simdgroup_store(total, out, (row, column), stride=out.stride(0))

Every thread of a full simdgroup must reach each call. Which thread holds which element is not defined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from .language import DType

__all__ = [
    "SimdgroupMatrix",
    "simdgroup_load",
    "simdgroup_matrix",
    "simdgroup_multiply",
    "simdgroup_multiply_accumulate",
    "simdgroup_store",
]

_SIDE = 8


class SimdgroupMatrix:
    """A matrix, when a kernel is executed as Python: every thread holds the whole.

    Attributes:
        rows: eight lists of eight numbers.
    """

    def __init__(self, rows: list[list[Any]]) -> None:
        self.rows = rows


def simdgroup_matrix(dtype: DType, value: float = 0.0) -> SimdgroupMatrix:
    """Return a matrix with all elements equal.

    Args:
        dtype: ``ml.float32``, ``ml.float16`` or ``ml.bfloat16``.
        value: the elements.
    """
    return SimdgroupMatrix([[dtype(value)] * _SIDE for _ in range(_SIDE)])


def _memory(array: torch.Tensor, index: int | Sequence[int]) -> tuple[Any, int]:
    """Return an array's memory as a row of elements, and the place of one element in it."""
    tensor = getattr(array, "tensor", array)
    place = tuple(index) if isinstance(index, list | tuple) else (index,)
    span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.size(), tensor.stride(), strict=True))
    return tensor.as_strided((span,), (1,)), sum(at * stride for at, stride in zip(place, tensor.stride(), strict=True))


def simdgroup_load(
    array: torch.Tensor, index: int | Sequence[int], stride: int, transpose: bool = False
) -> SimdgroupMatrix:
    """Return a matrix of elements of a tensor or a threadgroup array, of its type.

    Args:
        array: float32, float16 or bfloat16.
        index: the first element, one integer for each dimension.
        stride: elements from one row to the next; the elements of a row follow one another.
        transpose: whether rows in memory become columns; a constant.
    """
    memory, first = _memory(array, index)
    rows = [[memory[first + row * stride + column].item() for column in range(_SIDE)] for row in range(_SIDE)]
    return SimdgroupMatrix([list(column) for column in zip(*rows, strict=True)] if transpose else rows)


def simdgroup_store(
    matrix: SimdgroupMatrix, array: torch.Tensor, index: int | Sequence[int], stride: int, transpose: bool = False
) -> None:
    """Write a matrix into elements of a tensor or a threadgroup array of its type.

    Args:
        matrix: what is written.
        array: where it goes.
        index: the first element, one integer for each dimension.
        stride: elements from one row to the next.
        transpose: whether columns become rows in memory; a constant.
    """
    memory, first = _memory(array, index)
    for row in range(_SIDE):
        for column in range(_SIDE):
            memory[first + row * stride + column] = matrix.rows[column][row] if transpose else matrix.rows[row][column]


def _product(left: SimdgroupMatrix, right: SimdgroupMatrix) -> list[list[Any]]:
    columns = list(zip(*right.rows, strict=True))
    return [[sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in left.rows]


def simdgroup_multiply(left: SimdgroupMatrix, right: SimdgroupMatrix) -> SimdgroupMatrix:
    """Return the product of two matrices of one type, as a matrix of that type."""
    return SimdgroupMatrix(_product(left, right))


def simdgroup_multiply_accumulate(total: SimdgroupMatrix, left: SimdgroupMatrix, right: SimdgroupMatrix) -> None:
    """Add the product of two matrices to a third, a variable, in place; the types may differ."""
    product = _product(left, right)
    total.rows = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(total.rows, product, strict=True)]
