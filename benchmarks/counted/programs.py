"""A kernel's text and what its launch passes: as this package translates it, and as Helion's own walker does."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from helion_msl import walker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.counted.helion_dialect import DialectKernel

OURS, SAME_TEXT, HELIONS, FIXED_SIZES = "ours", "ours, Helion's text", "Helion's walker", "Helion's, fixed sizes"

BlockDims = tuple[int, int, int]


@dataclass(frozen=True)
class Program:
    """What ``_C.launch`` takes besides grid and block."""

    msl: str
    name: str
    arguments: list[Any]


def ours(translation: walker.Translation, values: Sequence[Any]) -> Program:
    """The program of a translation, for one value of each parameter of the Python function."""
    read: dict[str, Callable[[Any, int], object]] = {
        "size": lambda tensor, dimension: tensor.shape[dimension],
        "stride": lambda tensor, dimension: tensor.stride(dimension),
    }
    arguments = [
        read[argument.kind](values[argument.parameter], argument.dimension)
        if argument.kind in read
        else values[argument.parameter]
        for argument in translation.arguments
    ]
    return Program(translation.msl, translation.name, arguments)


def same_text(text: str, namespace: Mapping[str, object], values: Sequence[Any], block_dims: BlockDims) -> Program:
    """The program that this package makes from a kernel in Helion's dialect."""
    types: dict[str, Any] = {}
    constants: dict[str, object] = {}
    for name, value in zip(_parameters(text), values, strict=True):
        if isinstance(value, torch.Tensor):
            element = walker.SCALAR_TYPES[str(value.dtype).removeprefix("torch.")]
            types[name] = walker.TensorType(element, value.dim())
        else:
            constants[name] = value
    translation = walker.translate(
        text, types, constants=constants, namespace=namespace, block_dims=block_dims, dialect="helion"
    )
    return ours(translation, values)


def helions(text: str, namespace: Mapping[str, object], values: Sequence[Any], block_dims: BlockDims) -> Program:
    """The program that Helion's own walker makes from a kernel in its dialect; it has buffers for tensors only."""
    from helion._compiler.metal import metal_jit

    # It asks which Apple GPU this is.
    metal_jit._raise_if_mpp_unsupported_device = lambda: None
    definition = _definition(text)
    msl = metal_jit._generate_msl(
        kernel_name=definition.name,
        body_stmts=definition.body,
        param_names=_parameters(text),
        args=tuple(values),
        fn_globals=dict(namespace),
        required_threads_per_threadgroup=block_dims,
    )
    return Program(msl, definition.name, [value for value in values if isinstance(value, torch.Tensor)])


class _SizeNames:
    """Stands for a tensor in a kernel's text: its sizes are parameters, such as ``x_size_1``."""

    def __init__(self, name: str, tensor: torch.Tensor, parameters: dict[str, int]) -> None:
        self.shape = _Names(name, tensor.shape, parameters)


class _Names:
    def __init__(self, name: str, sizes: Sequence[int], parameters: dict[str, int]) -> None:
        self._name, self._sizes, self._parameters = name, sizes, parameters

    def __getitem__(self, dimension: int) -> str:
        name = f"{self._name}_size_{dimension}"
        self._parameters[name] = self._sizes[dimension]
        return name


def filled_in(kernel: DialectKernel, named: Mapping[str, Any], *, sizes: bool) -> tuple[str, list[Any]]:
    """A kernel's text, and the values of its parameters: numbers are tensors without dimensions, as Helion passes them.

    Args:
        kernel: the kernel.
        named: its arguments by name.
        sizes: whether the text gets the tensors' sizes as numbers; else they become parameters.
    """
    parameters: dict[str, int] = {}
    stand_ins = {
        name: _SizeNames(name, value, parameters) if isinstance(value, torch.Tensor) and not sizes else value
        for name, value in named.items()
    }
    text = kernel.text.format(**stand_ins)
    definition = _definition(text)
    definition.args.args += [ast.arg(name) for name in parameters]
    text, named = ast.unparse(definition), {**named, **parameters}
    return text, [_as_tensor(named[name]) for name in _parameters(text)]


def _as_tensor(value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    return torch.tensor(value, dtype=torch.int32 if isinstance(value, int) else torch.float32)


def source_of(generated: Any) -> tuple[str, dict[str, object]]:
    """The text and the globals of a kernel that Helion's own backend has generated."""
    return textwrap.dedent(inspect.getsource(generated._fn)), generated._fn.__globals__


def _definition(text: str) -> ast.FunctionDef:
    return next(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))


def _parameters(text: str) -> list[str]:
    return [argument.arg for argument in _definition(text).args.args]
