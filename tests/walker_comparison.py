"""Executes a function as a kernel and as Python, and compares the two in every element."""

from __future__ import annotations

import math

import torch

from helion_msl import metal_jit, reference


def clones(args: tuple[object, ...]) -> list[object]:
    return [arg.clone() if isinstance(arg, torch.Tensor) else arg for arg in args]


def check(function, *args, grid=1, block_dims=1, rtol=0.0, atol=0.0, **keywords) -> list[object]:
    """Run a function as a kernel and as Python; compare all tensors. Returns the kernel's arguments."""
    launched, expected = clones(args), clones(args)
    metal_jit(function)[grid, block_dims](*launched, **keywords)
    reference.run(function, expected, grid, block_dims, keywords)
    for name, got, wanted in zip(function.__code__.co_varnames, launched, expected, strict=False):
        if isinstance(got, torch.Tensor):
            torch.testing.assert_close(
                got, wanted, rtol=rtol, atol=atol, equal_nan=True, msg=lambda m, n=name: f"{n}: {m}"
            )
    return launched


INTS = torch.tensor([-17, -8, -7, -3, -2, -1, 0, 1, 2, 3, 5, 8, 13, 31, 100, 2147483647], dtype=torch.int32)
FLOATS = torch.tensor(
    [-7.5, -3.0, -1.25, -0.5, -0.0, 0.0, 0.25, 1.0, 2.5, 3.5, 1e6, 1e-6, math.inf, -math.inf, math.nan, 9.0]
)
