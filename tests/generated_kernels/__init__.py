"""Kernels drawn at random, executed by CPython and through MSL, and compared in every element.

A kernel is drawn from a :class:`random.Random`, so a seed names it. Each number that it computes comes with bounds, so
that it fits the type that docs/language.md gives it, and each float is a multiple of a power of two that its type holds
exactly: there the language promises what Python computes, to the last bit. What is not exact is stored into one tensor
of its own, ``rough``, which is compared within a tolerance.
"""
