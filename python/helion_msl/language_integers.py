"""Functions of integers that :mod:`helion_msl.language` has beside Python's operators.

In a kernel they work on the bits of the operand's type; in plain Python, whose integers have no width, on 32 bits, or
on 64 where the value needs them.
"""

from __future__ import annotations

__all__ = ["cdiv", "clz", "ctz", "mulhi", "popcount", "reverse_bits"]


def _bits_of(n: int) -> tuple[int, int]:
    """Return the bits of a number, and how many there are."""
    width = 32 if -(1 << 31) <= n < 1 << 32 else 64
    return n & ((1 << width) - 1), width


def cdiv(n: int, divisor: int) -> int:
    """Return ``n / divisor`` rounded up: how many blocks of a size hold n elements."""
    return -(-n // divisor)


def popcount(n: int) -> int:
    """Return how many bits are set."""
    return bin(_bits_of(n)[0]).count("1")


def clz(n: int) -> int:
    """Return how many bits in front of the highest one that is set; the width of the type for 0."""
    bits, width = _bits_of(n)
    return width - bits.bit_length()


def ctz(n: int) -> int:
    """Return how many bits below the lowest one that is set; the width of the type for 0."""
    bits, width = _bits_of(n)
    return (bits & -bits).bit_length() - 1 if bits else width


def reverse_bits(n: int) -> int:
    """Return the bits in the reverse order, as an unsigned number of the same width."""
    bits, width = _bits_of(n)
    return int(f"{bits:0{width}b}"[::-1], 2)


def mulhi(a: int, b: int) -> int:
    """Return the upper 32 bits of the product of two numbers of 32 bits, both signed or both unsigned."""
    return (a * b) >> 32
