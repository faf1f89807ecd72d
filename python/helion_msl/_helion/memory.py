"""Threadgroup memory of a kernel: which arrays there are, and which of them may be used again."""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING

from helion_msl._helion.values import METAL_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    # Arrays of one role, type and shape take each other's place.
    _Key = tuple[str, torch.dtype, tuple[int, ...]]

# Metal Feature Set Tables, "Maximum threadgroup memory allocation" of every Apple GPU family.
THREADGROUP_BYTES = 32768


class ThreadgroupMemory:
    """The threadgroup arrays of a kernel, and the barriers that their uses need.

    Statements are told to :meth:`step` before they are added. It answers with a barrier where they touch what other
    threads may still be writing or reading.

    Attributes:
        declarations: for the top of the kernel.
        size: bytes of all arrays.
    """

    def __init__(self, new_name: Callable[[str], str]) -> None:
        self._new_name = new_name
        self.declarations: list[ast.stmt] = []
        self.size = 0
        self._keys: dict[str, _Key] = {}
        self._free: dict[_Key, list[str]] = {}
        self._live: list[str] = []
        self._read: set[str] = set()
        self._written: set[str] = set()

    # ---- arrays ----------------------------------------------------------------------------------------------------

    def allocate(self, role: str, dtype: torch.dtype, *shape: int) -> str:
        """Return the name of an array of `shape` that nothing else uses."""
        key = (role, dtype, shape)
        if self._free.get(key):
            name = self._free[key].pop()
        else:
            name = self._new_name(role)
            self._keys[name] = key
            sizes = f"({', '.join(map(str, shape))})" if len(shape) > 1 else str(shape[0])
            declaration = f"{name} = ml.threadgroup_array({sizes}, {METAL_TYPES[dtype]})"
            self.declarations += ast.parse(declaration).body
            self.size += math.prod(shape) * dtype.itemsize
        self._live.append(name)
        return name

    def mark(self) -> int:
        """Return what :meth:`release` takes to free all arrays that are allocated from here on."""
        return len(self._live)

    def release(self, mark: int) -> None:
        """Let the arrays that were allocated since `mark` be used again."""
        for name in self._live[mark:]:
            self._free.setdefault(self._keys[name], []).append(name)
        del self._live[mark:]

    # ---- barriers --------------------------------------------------------------------------------------------------

    def step(self, *statements: ast.AST) -> list[ast.stmt]:
        """Return the barrier that must stand before `statements`, which have none inside them."""
        reads, writes = self._uses(statements)
        barrier = []
        if reads & self._written or writes & (self._read | self._written):
            barrier = self.synchronize()
        self._read |= reads
        self._written |= writes
        return barrier

    def synchronize(self) -> list[ast.stmt]:
        """Return a barrier where there is anything that it would order."""
        if not self._read and not self._written:
            return []
        self.synchronized()
        return ast.parse("ml.barrier()").body

    def synchronized(self) -> None:
        """Take note of a barrier that stands in the code."""
        self._read, self._written = set(), set()

    def _uses(self, statements: tuple[ast.AST, ...]) -> tuple[set[str], set[str]]:
        reads: set[str] = set()
        writes: set[str] = set()
        for statement in statements:
            for node in ast.walk(statement):
                if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in self._keys:
                    (writes if isinstance(node.ctx, ast.Store) else reads).add(node.value.id)
        return reads, writes
