"""Exponentials, logarithms and powers over the whole range of float, against numpy's double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helion_msl import _C

FUNCTIONS = {
    "exp": np.exp,
    "exp2": np.exp2,
    "log": np.log,
    "log2": np.log2,
    "exp10": lambda x: np.power(10.0, x),
    "log10": np.log10,
    "tanh": np.tanh,
}

SOURCE = "#include <metal_stdlib>\nusing namespace metal;\n" + "\n".join(
    f"kernel void run_{name}(device const float *x, device float *out, constant uint &n,"
    f" uint i [[thread_position_in_grid]]) {{ if (i < n) out[i] = {name}(x[i]); }}"
    for name in FUNCTIONS
)
POWER = """#include <metal_stdlib>
using namespace metal;
kernel void run_pow(device const float *x, device const float *y, device float *out, constant uint &n,
                    uint i [[thread_position_in_grid]]) { if (i < n) out[i] = pow(x[i], y[i]); }
"""

# A GPU's own functions may be further off (MSL specification, "ULP Values and Relative Error"), in fast mode much
# further.
pytestmark = pytest.mark.skipif(torch.backends.mps.is_available(), reason="the host engine's accuracy, not a GPU's")


def floats() -> np.ndarray:
    """Floats of every exponent and both signs, with the special ones, and powers that have exact logarithms."""
    bits = np.arange(0, 2**32, 40009, dtype=np.uint64).astype(np.uint32)
    powers = np.concatenate([np.exp2(np.arange(-149.0, 128)), np.power(10.0, np.arange(-10, 39))])
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, np.nextafter(np.float32(1), np.float32(0))]
    with np.errstate(invalid="ignore"):
        return np.concatenate([bits.view(np.float32), powers, special]).astype(np.float32)


@pytest.mark.parametrize("math_mode", ["safe", "fast"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_rounded_almost_correctly(name: str, math_mode: str) -> None:
    x = floats()
    out = torch.empty(len(x))
    kernel = _C.compile(SOURCE, name=f"run_{name}", device="cpu", math_mode=math_mode)  # type: ignore[arg-type]
    kernel([torch.from_numpy(x), out, len(x)], ((len(x) + 255) // 256,), (256,))

    with np.errstate(all="ignore"):
        check(out.numpy(), FUNCTIONS[name](x.astype(np.float64)))


@pytest.mark.parametrize("math_mode", ["safe", "fast"])
def test_powers_are_rounded_almost_correctly(math_mode: str) -> None:
    generator = np.random.default_rng(5)
    special = np.float32([0, 1, 2, 3, 0.5, 1.5, 2**24 + 2, 3e38, 1e-44, np.inf, np.nan])
    special = np.concatenate([special, -special])
    bits = generator.integers(0, 2**32, (2, 40000), dtype=np.uint64).astype(np.uint32).view(np.float32)
    # Of bases whose powers are neither zero nor infinite, exponents that are whole, and numbers close to 1.
    bases = np.exp(generator.uniform(-5, 5, 60000)).astype(np.float32)
    exponents = generator.uniform(-17, 17, 60000).astype(np.float32)
    near_one = (1 + generator.uniform(-1e-3, 1e-3, 20000)).astype(np.float32)
    x = np.concatenate([np.repeat(special, len(special)), bits[0], bases, -bases, near_one])
    y = np.concatenate([np.tile(special, len(special)), bits[1], exponents, np.rint(exponents), near_one * 60000])
    x, y = x.astype(np.float32), y.astype(np.float32)
    out = torch.empty(len(x))
    kernel = _C.compile(POWER, device="cpu", math_mode=math_mode)  # type: ignore[arg-type]
    kernel([torch.from_numpy(x), torch.from_numpy(y), out, len(x)], ((len(x) + 255) // 256,), (256,))
    with np.errstate(all="ignore"):
        check(out.numpy(), np.power(x.astype(np.float64), y.astype(np.float64)))


def check(result: np.ndarray, exact: np.ndarray) -> None:
    """Compares floats with results in double precision, to a hundredth of a unit more than rounding takes."""
    with np.errstate(all="ignore"):
        nearest = exact.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(exact))
    infinite = np.isinf(nearest) | np.isinf(result)
    np.testing.assert_array_equal(result[infinite], nearest[infinite])
    finite = ~(np.isnan(exact) | infinite)
    np.testing.assert_array_equal(np.signbit(result[finite]), np.signbit(nearest[finite]))
    errors = np.abs(result[finite].astype(np.float64) - exact[finite]) / np.spacing(np.abs(nearest[finite]))
    assert errors.max() < 0.51
    # Exact results are found exactly: log2(8) is 3, exp(0) is 1.
    whole = finite & (exact == np.rint(exact)) & (np.abs(exact) < 2**20)
    np.testing.assert_array_equal(result[whole], nearest[whole])
