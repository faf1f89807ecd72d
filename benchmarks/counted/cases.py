"""Which kernels are counted, and in which two sizes: what the larger one needs more is the cost of its elements."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

EXAMPLES = Path(__file__).parents[2] / "examples" / "kernels"
COLUMNS = 1000


@dataclass(frozen=True)
class Case:
    """One kernel.

    Attributes:
        sizes: the two sizes.
        elements: how many elements a size has.
    """

    sizes: tuple[int, int]
    elements: Callable[[int], int]


@dataclass(frozen=True)
class ExampleCase(Case):
    """A script of ``examples/kernels``; ``call`` calls its function with a size."""

    call: Callable[[ModuleType, int], torch.Tensor]


@dataclass(frozen=True)
class HelionCase(Case):
    """A kernel of :mod:`benchmarks.counted.helion_kernels`, with its block sizes and its arguments for a size."""

    block_sizes: tuple[int, ...]
    arguments: Callable[[int], tuple[torch.Tensor, ...]]


def example_module(name: str) -> ModuleType:
    """Import a script of ``examples/kernels``."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    return importlib.import_module(name)


def _vectors(call: Callable[[Any, int], torch.Tensor]) -> ExampleCase:
    return ExampleCase((16_384, 49_152), lambda size: size, call)


def _rows(call: Callable[[Any, int], torch.Tensor]) -> ExampleCase:
    return ExampleCase((4, 12), lambda size: size * COLUMNS, call)


def _layer_norm(example: Any, rows: int) -> torch.Tensor:
    return example.layer_norm(torch.randn(rows, COLUMNS), torch.randn(COLUMNS), torch.randn(COLUMNS))


EXAMPLE_CASES = {
    "saxpy": _vectors(lambda example, size: example.saxpy(2.5, torch.randn(size), torch.randn(size))),
    "transpose": ExampleCase((64, 192), lambda size: size * 96, lambda m, size: m.transpose(torch.randn(size, 96))),
    "histogram": _vectors(lambda m, size: m.histogram(torch.randint(0, 256, (size,), dtype=torch.uint8))),
    "row_softmax": _rows(lambda example, size: example.softmax(torch.randn(size, COLUMNS))),
    "layer_norm": _rows(_layer_norm),
    "argmax": _rows(lambda example, size: example.argmax(torch.randn(size, COLUMNS))),
    "prefix_sum": _vectors(lambda m, size: m.prefix_sum(torch.randint(-9, 9, (size,), dtype=torch.int32))),
    "matmul": ExampleCase(
        (32, 96),
        lambda size: size * 48,
        lambda example, size: example.matmul(torch.randn(size, 64), torch.randn(64, 48)),
    ),
    "convolution": ExampleCase(
        (16, 48),
        lambda size: 4 * size * 64,
        lambda example, size: example.convolution(torch.randn(3, size, 64), torch.randn(4, 3, 5, 5)),
    ),
    "mandelbrot": ExampleCase(
        (16, 48), lambda size: size * 64, lambda example, size: example.mandelbrot(size, 64, -2.0, 1.0, 0.03125)
    ),
}


def _helion_vectors(*dtypes: torch.dtype) -> HelionCase:
    def arguments(size: int) -> tuple[torch.Tensor, ...]:
        return tuple(torch.randn(size) > 0 if dtype is torch.bool else torch.randn(size) for dtype in dtypes)

    return HelionCase((16_384, 49_152), lambda size: size, (256,), arguments)


def _helion_rows(*block_sizes: int, vectors: int = 0) -> HelionCase:
    def arguments(rows: int) -> tuple[torch.Tensor, ...]:
        return torch.randn(rows, COLUMNS), *(torch.randn(COLUMNS) for _ in range(vectors))

    return HelionCase((8, 24), lambda size: size * COLUMNS, block_sizes, arguments)


HELION_CASES = {
    "masked_copy": _helion_vectors(torch.float32, torch.bool),
    "add": _helion_vectors(torch.float32, torch.float32),
    "gelu": _helion_vectors(torch.float32),
    "add_bias": _helion_rows(8, 32, vectors=1),
    "row_sum": _helion_rows(1),
    "argmax": _helion_rows(1),
    "softmax": _helion_rows(1),
    "softmax_two_pass": _helion_rows(256, 1),
    "layer_norm": _helion_rows(1, vectors=2),
    "rms_norm": _helion_rows(4, vectors=1),
    "cross_entropy": HelionCase(
        (8, 24),
        lambda size: size * COLUMNS,
        (1,),
        lambda rows: (torch.randn(rows, COLUMNS), torch.randint(0, COLUMNS, (rows,))),
    ),
    "matmul": HelionCase(
        (32, 96), lambda size: size * 64, (32, 32, 32), lambda rows: (torch.randn(rows, 64), torch.randn(64, 64))
    ),
}
