"""The atomic operations of :mod:`helion_msl.language`: they change an element in one step, in relaxed order.

Each returns the old value. Elements are those of a tensor or of a threadgroup array, of int32, uint32 or float32. Where
Metal has no such operation on floats, a loop of comparing exchanges stands for it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from . import language_math

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

__all__ = [
    "atomic_add",
    "atomic_and",
    "atomic_compare_exchange",
    "atomic_exchange",
    "atomic_load",
    "atomic_max",
    "atomic_min",
    "atomic_or",
    "atomic_store",
    "atomic_sub",
    "atomic_xor",
]


def _update(array: torch.Tensor, index: int | Sequence[int], change: Any) -> Any:
    with _ATOMIC_LOCK:
        place = tuple(index) if isinstance(index, list | tuple) else index
        element = array[place]
        old = element.item() if hasattr(element, "item") else element
        array[place] = change(old)
        return old


_ATOMIC_LOCK = threading.Lock()


def atomic_add(array: torch.Tensor, index: int | Sequence[int], value: float) -> Any:
    """Add to an element of int32, uint32 or float32; return what it held before."""
    return _update(array, index, lambda old: old + value)


def atomic_sub(array: torch.Tensor, index: int | Sequence[int], value: float) -> Any:
    """Subtract from an element of int32, uint32 or float32; return what it held before."""
    return _update(array, index, lambda old: old - value)


def atomic_min(array: torch.Tensor, index: int | Sequence[int], value: float) -> Any:
    """Lower an element of int32, uint32 or float32 to a value, NaN included; return what it held before."""
    return _update(array, index, lambda old: language_math.minimum(old, value))


def atomic_max(array: torch.Tensor, index: int | Sequence[int], value: float) -> Any:
    """Raise an element of int32, uint32 or float32 to a value, NaN included; return what it held before."""
    return _update(array, index, lambda old: language_math.maximum(old, value))


def atomic_and(array: torch.Tensor, index: int | Sequence[int], value: int) -> Any:
    """Bitwise and into an element of int32 or uint32; return what it held before."""
    return _update(array, index, lambda old: old & value)


def atomic_or(array: torch.Tensor, index: int | Sequence[int], value: int) -> Any:
    """Bitwise or into an element of int32 or uint32; return what it held before."""
    return _update(array, index, lambda old: old | value)


def atomic_xor(array: torch.Tensor, index: int | Sequence[int], value: int) -> Any:
    """Bitwise exclusive or into an element of int32 or uint32; return what it held before."""
    return _update(array, index, lambda old: old ^ value)


def atomic_exchange(array: torch.Tensor, index: int | Sequence[int], value: float) -> Any:
    """Replace an element of int32, uint32 or float32; return what it held before."""
    return _update(array, index, lambda old: value)  # noqa: ARG005


def atomic_load(array: torch.Tensor, index: int | Sequence[int]) -> Any:
    """Read an element that other threads change with atomics."""
    return _update(array, index, lambda old: old)


def atomic_store(array: torch.Tensor, index: int | Sequence[int], value: float) -> None:
    """Write an element that other threads change with atomics."""
    _update(array, index, lambda old: value)  # noqa: ARG005


def atomic_compare_exchange(array: torch.Tensor, index: int | Sequence[int], expected: int, value: int) -> Any:
    """Replace an element of int32 or uint32 that holds ``expected``; return what it held before."""
    return _update(array, index, lambda old: value if old == expected else old)
