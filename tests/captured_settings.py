"""A module that kernels of :mod:`test_jit_captured` read numbers and a function from."""

WIDTH = 4
FACTOR = 2


def scaled(value):
    return value * FACTOR
