"""Operations of a quadgroup: four threads of a simdgroup whose lanes follow one another, from a multiple of 4 on.

All threads of the quadgroup must reach the call. In plain Python the whole simdgroup must.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

from . import language_math

__all__ = [
    "quad_all",
    "quad_and",
    "quad_any",
    "quad_broadcast",
    "quad_broadcast_first",
    "quad_max",
    "quad_min",
    "quad_or",
    "quad_prefix_exclusive_sum",
    "quad_prefix_inclusive_sum",
    "quad_product",
    "quad_shuffle",
    "quad_shuffle_down",
    "quad_shuffle_up",
    "quad_shuffle_xor",
    "quad_sum",
    "quad_xor",
]


def _lane() -> int:
    from . import language

    return int(language._thread().quad_lane)


def _values(x: Any) -> list[Any]:
    """Return the values of the quadgroup's threads."""
    from . import language

    thread = language._thread()
    first = thread.simd_lane - thread.quad_lane
    return list(thread.exchange(x)[first : first + 4])


def quad_sum(x: float) -> Any:
    """Return the sum over the threads of the quadgroup."""
    return sum(_values(x))


def quad_product(x: float) -> Any:
    """Return the product over the threads of the quadgroup."""
    return functools.reduce(operator.mul, _values(x))


def quad_max(x: float) -> Any:
    """Return the largest value in the quadgroup; NaN where one is NaN."""
    return functools.reduce(language_math.maximum, _values(x))


def quad_min(x: float) -> Any:
    """Return the smallest value in the quadgroup; NaN where one is NaN."""
    return functools.reduce(language_math.minimum, _values(x))


def quad_and(x: int) -> Any:
    """Return the bitwise and over the threads of the quadgroup."""
    return functools.reduce(operator.and_, _values(x))


def quad_or(x: int) -> Any:
    """Return the bitwise or over the threads of the quadgroup."""
    return functools.reduce(operator.or_, _values(x))


def quad_xor(x: int) -> Any:
    """Return the bitwise exclusive or over the threads of the quadgroup."""
    return functools.reduce(operator.xor, _values(x))


def quad_prefix_inclusive_sum(x: float) -> Any:
    """Return the sum over the threads of the quadgroup up to this one."""
    return sum(_values(x)[: _lane() + 1])


def quad_prefix_exclusive_sum(x: float) -> Any:
    """Return the sum over the threads of the quadgroup below this one."""
    return sum(_values(x)[: _lane()])


def quad_all(condition: bool) -> bool:
    """Return whether the condition holds in all threads of the quadgroup."""
    return all(_values(condition))


def quad_any(condition: bool) -> bool:
    """Return whether the condition holds in any thread of the quadgroup."""
    return any(_values(condition))


def quad_broadcast(x: float, lane: int) -> Any:
    """Return the value of one thread of the quadgroup, the same one for all of them."""
    return _values(x)[lane]


def quad_broadcast_first(x: float) -> Any:
    """Return the value of the first active thread of the quadgroup."""
    return _values(x)[0]


def quad_shuffle(x: float, lane: int) -> Any:
    """Return the value of a thread of the quadgroup that each thread chooses."""
    return _values(x)[lane]


def quad_shuffle_up(x: float, delta: int) -> Any:
    """Return the value of the thread ``delta`` below; the lowest ones keep their own."""
    return _values(x)[_lane() - delta if _lane() >= delta else _lane()]


def quad_shuffle_down(x: float, delta: int) -> Any:
    """Return the value of the thread ``delta`` above; the highest ones keep their own."""
    return _values(x)[_lane() + delta if _lane() + delta < 4 else _lane()]


def quad_shuffle_xor(x: float, mask: int) -> Any:
    """Return the value of the thread whose index differs in the bits of ``mask``."""
    return _values(x)[_lane() ^ mask]
