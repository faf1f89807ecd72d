"""Random numbers of :mod:`helion_msl.language`: each is a function of a seed and an offset, and nothing is kept.

The generator is Philox 4x32-10 (Salmon, Moraes, Dror and Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3", 2011),
with the seed as its key and the offset as its counter. Threads that use different offsets, such as the index of their
element, have independent numbers, and the same launch gives the same numbers on every machine.
"""

from __future__ import annotations

import math

__all__ = ["rand", "randint", "randn"]

_MASK = 0xFFFFFFFF


def philox(seed: int, offset: int) -> tuple[int, int, int, int]:
    """Return the four words of 32 bits that belong to a seed and an offset, each of 64 bits."""
    words = (offset & _MASK, offset >> 32 & _MASK, 0, 0)
    key = (seed & _MASK, seed >> 32 & _MASK)
    for _ in range(10):
        first, second = 0xD2511F53 * words[0], 0xCD9E8D57 * words[2]
        words = (second >> 32 ^ words[1] ^ key[0], second & _MASK, first >> 32 ^ words[3] ^ key[1], first & _MASK)
        key = (key[0] + 0x9E3779B9 & _MASK, key[1] + 0xBB67AE85 & _MASK)
    return words


def randint(seed: int, offset: int) -> int:
    """Return 32 random bits, as a uint32."""
    return philox(seed, offset)[0]


def rand(seed: int, offset: int) -> float:
    """Return a random float32 from 0 up to 1, that excluded: one of 2**24 equally spaced ones."""
    return (philox(seed, offset)[0] >> 8) * 2.0**-24


def randn(seed: int, offset: int) -> float:
    """Return a random float32 of the normal distribution with mean 0 and variance 1."""
    words = philox(seed, offset)
    radius = math.sqrt(-2.0 * math.log(((words[0] >> 8) + 1) * 2.0**-24))
    return radius * math.cos(2.0 * math.pi * (words[1] >> 8) * 2.0**-24)
