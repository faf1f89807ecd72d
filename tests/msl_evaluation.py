"""Evaluates MSL expressions on arrays, for the tests of the standard library's headers.

Each expression becomes an output of one kernel with a thread per element, so that a table of functions costs a few
compilations instead of one each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from helion_msl import _C

if TYPE_CHECKING:
    from collections.abc import Mapping

THREADS = 64

# MSL scalar types and the tensors that hold them. numpy has no bfloat16: torch tensors are the common ground.
DTYPES = {
    "bool": torch.bool,
    "char": torch.int8,
    "uchar": torch.uint8,
    "short": torch.int16,
    "ushort": torch.uint16,
    "int": torch.int32,
    "uint": torch.uint32,
    "long": torch.int64,
    "ulong": torch.uint64,
    "half": torch.float16,
    "bfloat": torch.bfloat16,
    "float": torch.float32,
}

PRELUDE = "#include <metal_stdlib>\nusing namespace metal;\n"


def scalar_and_lanes(msl_type: str) -> tuple[str, int]:
    """``"float3"`` -> ``("float", 3)``; packed types are named ``"packed_float3"``."""
    scalar = msl_type.removeprefix("packed_")
    if scalar[-1] in "234":
        return scalar[:-1], int(scalar[-1])
    return scalar, 1


def stored_lanes(msl_type: str) -> int:
    """Elements between one value and the next: a vector of three is stored as four, unless it is packed."""
    lanes = scalar_and_lanes(msl_type)[1]
    return 4 if lanes == 3 and not msl_type.startswith("packed_") else lanes


def evaluate(
    outputs: Mapping[str, tuple[str, str]],
    inputs: Mapping[str, tuple[str, torch.Tensor]],
    *,
    declarations: str = "",
    body: str = "",
    per_kernel: int = 20,
) -> dict[str, torch.Tensor]:
    """Evaluates expressions of the inputs' names, once for each row of the inputs.

    Args:
        outputs: for each name, the MSL type of the result and the expression.
        inputs: for each name that the expressions use, its MSL type and a tensor of shape ``(n,)`` or ``(n, lanes)``.
        declarations: MSL at program scope.
        body: statements that run before the expressions.
        per_kernel: how many expressions are compiled together (Metal has 31 buffers).

    Returns:
        For each output a tensor of shape ``(n,)`` or ``(n, lanes)``.
    """
    count = len(next(iter(inputs.values()))[1])
    tensors = {name: stored(msl_type, tensor) for name, (msl_type, tensor) in inputs.items()}
    results: dict[str, torch.Tensor] = {}
    names = list(outputs)
    for begin in range(0, len(names), per_kernel):
        group = names[begin : begin + per_kernel]
        parameters = [f"device const {msl_type} *p_{name}" for name, (msl_type, _) in inputs.items()]
        parameters += [f"device {outputs[name][0]} *out{k}" for k, name in enumerate(group)]
        parameters += ["constant uint &count", "uint index [[thread_position_in_grid]]"]
        locals_ = "".join(f"  {msl_type} {name} = p_{name}[index];\n" for name, (msl_type, _) in inputs.items())
        statements = "".join(f"  out{k}[index] = {outputs[name][1]};\n" for k, name in enumerate(group))
        source = (
            f"{PRELUDE}{declarations}\nkernel void evaluate({', '.join(parameters)}) {{\n"
            f"  if (index >= count) return;\n{locals_}{body}\n{statements}}}\n"
        )
        allocated = [
            torch.zeros((count, stored_lanes(outputs[name][0])), dtype=DTYPES[scalar_and_lanes(outputs[name][0])[0]])
            for name in group
        ]
        _C.launch(source, [*tensors.values(), *allocated, count], (-(-count // THREADS),), (THREADS,))
        for name, tensor in zip(group, allocated, strict=True):
            lanes = scalar_and_lanes(outputs[name][0])[1]
            results[name] = tensor[:, 0] if lanes == 1 else tensor[:, :lanes]
    return results


def stored(msl_type: str, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor as the type lies in memory: contiguous, vectors of three padded to four."""
    scalar, lanes = scalar_and_lanes(msl_type)
    tensor = tensor.to(DTYPES[scalar]) if tensor.dtype != DTYPES[scalar] else tensor
    if lanes == 1:
        return tensor.contiguous()
    padding = stored_lanes(msl_type) - lanes
    if padding == 0:
        return tensor.contiguous()
    padded = torch.zeros((len(tensor), lanes + padding), dtype=tensor.dtype)
    padded[:, :lanes] = tensor
    return padded


# ---- inputs --------------------------------------------------------------------------------------------------------

FLOAT_SPECIALS = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.0, -2.0, 2.5, -2.5, 3.0, 10.0, 0.1, 1e-3, -1e-3, 100.0, -88.0,
    88.0, 1e10, -1e10, 16777216.0, 16777217.0, -8388607.5, float(np.finfo(np.float32).max),
    float(np.finfo(np.float32).min), float(np.finfo(np.float32).tiny), 1e-45, -1e-45, 1e-40, float("inf"),
    float("-inf"), float("nan"), 0.9999999403953552, 1.0000001192092896,
]  # fmt: skip


def floats(*, random: int = 400, seed: int = 0) -> torch.Tensor:
    """Single-precision numbers: the special ones, uniform ones around zero, and ones of every exponent."""
    generator = np.random.default_rng(seed)
    uniform = generator.uniform(-10.0, 10.0, random).astype(np.float32)
    patterns = generator.integers(0, 2**32, random, dtype=np.uint32).view(np.float32)
    return torch.from_numpy(np.concatenate([np.array(FLOAT_SPECIALS, np.float32), uniform, patterns]))


def integers(msl_type: str, *, random: int = 200, seed: int = 0) -> torch.Tensor:
    """Integers of a type: the limits and their neighbours, small ones, and random ones."""
    dtype = numpy_dtype(msl_type)
    limits = np.iinfo(dtype)
    edges = {limits.min, limits.min + 1, limits.max, limits.max - 1, limits.max // 2, *range(6)}
    edges |= {value for value in range(-5, 0) if value >= limits.min}
    generator = np.random.default_rng(seed)
    drawn = generator.integers(limits.min, limits.max, random, dtype=dtype, endpoint=True)
    return torch.from_numpy(np.concatenate([np.array(sorted(edges), dtype), drawn]))


def numpy_dtype(msl_type: str) -> np.dtype:
    """The numpy type of an MSL scalar type; bfloat has none."""
    return torch.empty(0, dtype=DTYPES[msl_type]).numpy().dtype


def shuffled(tensor: torch.Tensor, seed: int) -> torch.Tensor:
    """The same values in another order: a second operand, with every special value beside ordinary ones."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(tensor)))
    return from_bits(bits(tensor)[order], tensor.dtype)


def pairs(values: list[float] | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Every value with every value."""
    tensor = torch.tensor(values, dtype=torch.float32) if isinstance(values, list) else values
    return tensor.repeat_interleave(len(tensor)), tensor.repeat(len(tensor))


# ---- comparison ----------------------------------------------------------------------------------------------------


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """The bit patterns, as signed integers of the same size: unsigned tensors lack most operations."""
    return tensor.view({1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()])


def from_bits(patterns: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The inverse of :func:`bits`."""
    return patterns.view(dtype)


def assert_same_bits(result: torch.Tensor, expected: torch.Tensor, context: object = "") -> None:
    """Equal bit for bit; all NaNs count as one."""
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    same = bits(result) == bits(expected)
    if result.is_floating_point():
        same |= result.isnan() & expected.isnan()
    if not bool(same.all()):
        at = int((~same).flatten().nonzero()[0])
        raise AssertionError(f"{context}: element {at} is {result.flatten()[at]}, not {expected.flatten()[at]}")


def assert_close(result: torch.Tensor, expected: np.ndarray, *, ulps: float, context: object = "", inputs: object = ()):
    """Within a number of units in the last place of ``result``'s type from ``expected``, given in double precision.

    Infinities and NaNs have to agree; where the exact value lies beyond the largest number, that one will do as well.
    """
    number = torch.finfo(result.dtype)
    got = result.double().numpy()
    with np.errstate(all="ignore"):
        rounded = torch.from_numpy(np.asarray(expected, np.float64)).to(result.dtype).double().numpy()
        exponent = np.floor(np.log2(np.maximum(np.abs(rounded), number.tiny)))
        unit = np.maximum(number.eps * 2.0**exponent, number.smallest_normal * number.eps)
        error = np.abs(got - expected) / unit
        good = (
            (np.isnan(got) & np.isnan(expected))
            | (got == rounded)
            | (np.isfinite(got) & np.isfinite(expected) & (error <= ulps))
            | (np.isinf(rounded) & np.isfinite(expected) & (np.abs(got) == number.max))
        )
    if not good.all():
        at = int(np.flatnonzero(~good)[0])
        arguments = [values[at] for values in inputs]
        raise AssertionError(
            f"{context}: {int((~good).sum())} of {good.size} differ; f{tuple(arguments)} is {got[at]!r}, "
            f"not {expected[at]!r} ({error[at]:.2f} ulp)"
        )
