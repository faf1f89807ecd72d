"""Writes a reduction over a group of threads as Metal Python, now that the shape of the threadgroup is known.

The threads of a group differ only in their position along one axis. Three shapes of groups, from cheap to costly:

- neighbouring threads, a power of two of them up to 32: shuffles within the simdgroup;
- neighbouring threads, whole simdgroups: each simdgroup reduces by itself and leaves one value in threadgroup memory,
  from which every thread reduces the rest;
- any other: every thread leaves its value in threadgroup memory and reads those of its group.

Every thread of the threadgroup must execute the statements: the caller keeps them out of divergent branches.
"""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING

import torch

from helion_msl._helion.reductions import identity

if TYPE_CHECKING:
    from collections.abc import Callable

# Threads in a simdgroup on every Apple GPU (Metal Feature Set Tables, "SIMD-group width").
SIMD_WIDTH = 32

_SIMD_FUNCTIONS = {"sum": "ml.simd_sum", "prod": "ml.simd_product", "max": "ml.simd_max", "min": "ml.simd_min"}


@dataclasses.dataclass(frozen=True)
class Group:
    """The threads that reduce together.

    Attributes:
        axis: the thread axis along which they lie.
        span: how many they are, the size of that axis.
        block_dims: the shape of the threadgroup.
    """

    axis: int
    span: int
    block_dims: tuple[int, int, int]

    @property
    def stride(self) -> int:
        """Distance of two neighbours of the group in the linear order of threads."""
        stride = 1
        for size in self.block_dims[: self.axis]:
            stride *= size
        return stride

    @property
    def threads(self) -> int:
        """Threads in the threadgroup."""
        x, y, z = self.block_dims
        return x * y * z

    @property
    def is_within_simdgroup(self) -> bool:
        """Whether each group lies in one simdgroup, at a multiple of its size."""
        return self.stride == 1 and self.span <= SIMD_WIDTH and SIMD_WIDTH % self.span == 0

    @property
    def is_whole_simdgroups(self) -> bool:
        """Whether each group is a whole number of simdgroups."""
        return self.stride == 1 and self.span % SIMD_WIDTH == 0

    def linear_index(self) -> str:
        """The thread's index in the threadgroup, x fastest, as Metal Python."""
        terms, stride = [], 1
        for axis, size in enumerate(self.block_dims):
            if size > 1:
                terms.append(f"ml.tid[{axis}]" if stride == 1 else f"ml.tid[{axis}] * {stride}")
            stride *= size
        return " + ".join(terms) or "0"


class GroupReduction:
    """Statements that reduce one value; with an index beside it for argmax and argmin.

    Args:
        new_name: returns a variable name that the kernel does not use yet.
        group: the threads.
        reduction: ``"sum"``, ``"prod"``, ``"max"``, ``"min"``, ``"argmax"`` or ``"argmin"``.
        dtype: type of the value.
    """

    def __init__(self, new_name: Callable[[str], str], group: Group, reduction: str, dtype: torch.dtype) -> None:
        self.new_name = new_name
        self.group = group
        self.reduction = reduction
        self.dtype = dtype
        self.type = f"ml.{str(dtype).removeprefix('torch.')}"
        self.arrays: list[str] = []
        self.lines: list[str] = []

    def expand(self, value: str, index: str | None = None) -> tuple[list[ast.stmt], list[ast.stmt], str]:
        """Return declarations for the top of the kernel, the statements, and where every thread finds the result."""
        result = self._index(value, index) if index is not None else self._value(self.reduction, self.type, value)
        return ast.parse("\n".join(self.arrays)).body, ast.parse("\n".join(self.lines)).body, result

    def _index(self, value: str, index: str) -> str:
        """The lowest index among the threads that hold the extreme value; NaN counts as extreme, the first one wins."""
        own = self._assign("value", value)
        position = self._assign("index", index)
        extreme = self._value("max" if self.reduction == "argmax" else "min", self.type, own)
        test = f"{own} == {extreme}"
        if self.dtype.is_floating_point:
            test += f" or ml.isnan({own})"
        last = torch.iinfo(torch.int32).max
        candidate = self._assign("candidate", f"{position} if {test} else {last}")
        return self._value("min", "ml.int32", candidate)

    def _value(self, reduction: str, type_name: str, value: str) -> str:
        if self.group.is_within_simdgroup:
            return self._shuffled(reduction, value, self.group.span)
        if self.group.is_whole_simdgroups:
            return self._by_simdgroups(reduction, type_name, value)
        return self._by_threads(reduction, type_name, value)

    def _shuffled(self, reduction: str, value: str, span: int) -> str:
        if span == SIMD_WIDTH:
            return self._assign("reduced", f"{_SIMD_FUNCTIONS[reduction]}({value})")
        result = self._assign("reduced", value)
        distance = span // 2
        while distance:
            other = self._assign("other", f"ml.simd_shuffle_xor({result}, {distance})")
            self.lines.append(f"{result} = {_combined(reduction, result, other)}")
            distance //= 2
        return result

    def _by_simdgroups(self, reduction: str, type_name: str, value: str) -> str:
        partial = self._shuffled(reduction, value, SIMD_WIDTH)
        count = self.group.span // SIMD_WIDTH
        if count == 1:
            return partial
        shared = self._array(type_name, self.group.threads // SIMD_WIDTH)
        self.lines += ["if ml.simd_lane == 0:", f"    {shared}[ml.simd_group] = {partial}", "ml.barrier()"]
        lane = "ml.simd_lane"
        if self.group.threads != self.group.span:
            lane += f" + ml.simd_group // {count} * {count}"
        neutral = identity(reduction, getattr(torch, type_name.removeprefix("ml.")))
        others = self._assign("partial", f"{shared}[{lane}] if ml.simd_lane < {count} else {neutral}")
        result = self._shuffled(reduction, others, SIMD_WIDTH)
        # The next reduction, or the next iteration of a loop, may write the array again.
        self.lines.append("ml.barrier()")
        return result

    def _by_threads(self, reduction: str, type_name: str, value: str) -> str:
        shared = self._array(type_name, self.group.threads)
        place = self._assign("place", self.group.linear_index())
        self.lines += [f"{shared}[{place}] = {value}", "ml.barrier()"]
        stride = self.group.stride
        first = f"{place} - ml.tid[{self.group.axis}]" + (f" * {stride}" if stride > 1 else "")
        return self._read_back(reduction, shared, first, stride, self.group.span)

    def _read_back(self, reduction: str, shared: str, first: str, stride: int, count: int) -> str:
        """Reduces `count` values in threadgroup memory, which may be written again afterwards."""
        start = self._assign("start", first)
        result = self._assign("reduced", f"{shared}[{start}]")
        step = self.new_name("step")
        element = f"{shared}[{start} + {step}" + (f" * {stride}]" if stride > 1 else "]")
        self.lines.append(f"for {step} in range(1, {count}):")
        if reduction in ("sum", "prod"):
            self.lines.append(f"    {result} = {_combined(reduction, result, element)}")
        else:
            other = self.new_name("other")
            self.lines += [f"    {other} = {element}", f"    {result} = {_combined(reduction, result, other)}"]
        self.lines.append("ml.barrier()")
        return result

    def _array(self, type_name: str, size: int) -> str:
        name = self.new_name("shared")
        self.arrays.append(f"{name} = ml.threadgroup_array({size}, {type_name})")
        return name

    def _assign(self, prefix: str, value: str) -> str:
        name = self.new_name(prefix)
        self.lines.append(f"{name} = {value}")
        return name


def _combined(reduction: str, left: str, right: str) -> str:
    if reduction in ("sum", "prod"):
        return f"{left} {'+' if reduction == 'sum' else '*'} {right}"
    return f"ml.{'maximum' if reduction == 'max' else 'minimum'}({left}, {right})"


def masked(value: str, dtype: torch.dtype, reduction: str, is_member: str | None) -> str:
    """`value`, or what changes no result for threads beyond the tile."""
    if is_member is None:
        return value
    kind = {"argmax": "max", "argmin": "min"}.get(reduction, reduction)
    return f"{value} if {is_member} else {identity(kind, dtype)}"
