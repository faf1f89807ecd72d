"""``@metal_jit``: a Python function that launches as a Metal kernel.

The function is translated and compiled once for each specialization: the dtypes and ranks of its tensors and which of
their strides are fixed, the types of its numbers, the values of its constants and the size of the threadgroup.
"""

from __future__ import annotations

import enum
import functools
import os
import sys
import threading
import warnings
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from . import _C, _translation_cache
from ._outline_cache import outlined_source
from ._walker.captured import captured, functions_among
from ._walker.dialect import dialect_of_names
from ._walker.source import namespace_of
from ._walker.types import BOOL, BY_NAME, FLOAT32, INT32, INT64, ScalarType, TensorType
from .errors import ArgumentError, PrintWarning, TranslationError
from .language import DType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ._walker.captured import Captured
    from ._walker.dialect import Dialect
    from ._walker.source import Source
    from ._walker.translation import Translation

    Grid: TypeAlias = int | Sequence[int] | Callable[[dict[str, object]], int | Sequence[int]]
    BlockDims: TypeAlias = int | Sequence[int]

# As in src/specialization_key.cpp.
_LARGE = (1 << 31) - (1 << 24)
_INT32_RANGE = range(-(1 << 31), 1 << 31)
_MISSING = object()
# Constants of which equal ones are taken for different ones where they are not the same object.
_IDENTITY_TYPES = (str, FunctionType, DType, torch.dtype, enum.Enum)
_FOLLOWING = threading.Lock()
# What the native side calls them.
_SOURCE_KINDS = {"tensor": 0, "scalar": 0, "size": 1, "stride": 2}


def metal_jit(function: Callable[..., object]) -> MetalKernel:
    """Turn a Python function into a kernel.

    Launch it with ``kernel[grid, block_dims](*args)``. Tensors are read and written in place; ``bool``, ``int`` and
    ``float`` arguments travel with the launch; parameters annotated ``ml.constexpr`` become part of the kernel, which
    is compiled anew for each of their values. What the function and those that it calls read from around them is part
    of it too, by its name or by a path (``config.SIZE``): changing it compiles anew at the next launch.
    """
    return MetalKernel(function)


class _Specialization:
    """A translation, and where the arguments of its launches come from."""

    __slots__ = ("kernels", "sources", "translation")

    def __init__(self, translation: Translation) -> None:
        self.translation = translation
        # By device: on a Mac the same text serves mps and cpu tensors.
        self.kernels: dict[str | None, _C.Kernel] = {}
        # Kind, parameter and dimension of each buffer: the caller's arguments in order, then sizes and strides.
        self.sources = tuple(
            (_SOURCE_KINDS[argument.kind], argument.parameter, argument.dimension)
            for wanted in (("tensor", "scalar"), ("size", "stride"))
            for argument in translation.arguments
            if argument.kind in wanted
        )

    def kernel(self, device: str | None) -> _C.Kernel:
        """Return the kernel compiled for tensors on ``device``; None: where kernels run by default."""
        found = self.kernels.get(device)
        if found is None:
            found = _C.compile(self.translation.msl, name=self.translation.name, device=device)
            self.kernels[device] = self.kernels[found.device] = found
            if found.device == "mps":
                _warn_of_lost_prints(self.translation)
        return found


def _warn_of_lost_prints(translation: Translation) -> None:
    """Warn of a kernel that prints where Metal has no log, which MSL has from 3.2 on."""
    if "HELION_MSL_PRINT(" not in translation.msl:
        return
    version = _C.device_info("mps").language_version
    if tuple(map(int, version.split("."))) < (3, 2):
        warnings.warn(
            f"the prints of kernel {translation.name} are lost: this system has MSL {version}, and logs begin with 3.2"
            " (macOS 15); launch it on CPU tensors to see them, or write numbers into a tensor",
            PrintWarning,
            stacklevel=2,
        )


class MetalKernel(_C.KernelDispatcher):
    """A Python function that launches as a Metal kernel; made by :func:`metal_jit`.

    ``kernel[grid, block_dims](*args, **constants)`` launches it: ``grid`` counts threadgroups, ``block_dims`` threads
    in a threadgroup, each one to three numbers, x first. ``grid`` may be a function of the arguments by name.

    A launch is native code from the call to the engine; this class is what that asks for a specialization that it has
    not met, by :meth:`_bind` and :meth:`_prepare`.
    """

    __name__: str

    def __init__(self, function: Callable[..., object]) -> None:
        functools.update_wrapper(self, function)
        self.fn: Any = function
        code = getattr(function, "__code__", None)
        if code is None:
            raise TranslationError(f"{function!r} is no Python function", "decorate a function defined with `def`")
        self._names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        self._positional_count: int = code.co_argcount
        self._defaults = _defaults(function, self._names, code.co_argcount)
        self._describe_parameters(self._names, self._positional_count, self._defaults)
        self._specializations: dict[object, _Specialization] = {}
        self._source: Source | None = None
        self._is_constant: tuple[bool, ...] | None = None
        self._dialect: Dialect = "python"
        # What is read from around the functions that are part of the kernel, and becomes part of it.
        self._captured: list[Captured] = []
        self._followed: dict[FunctionType, None] = {}

    def __call__(self, *_: object, **__: object) -> None:
        """Refuse a call without a grid."""
        raise ArgumentError(f"say how many threads run: {self.__name__}[grid, block_dims](...)")

    def launch(
        self,
        args: Sequence[object],
        grid: Grid,
        block_dims: BlockDims,
        keywords: dict[str, object] | None = None,
    ) -> None:
        """Launch the kernel.

        Args:
            args: values of the parameters.
            grid: number of threadgroups, or a function that returns it, given the arguments by name.
            block_dims: number of threads in a threadgroup.
            keywords: values by name.

        Raises:
            TranslationError: the function cannot become a kernel.
            ArgumentError: the arguments do not fit the function.
            LaunchError: the grid or the threadgroup cannot be dispatched.
            KernelError: the kernel failed.
        """
        self[grid, block_dims](*args, **(keywords or {}))

    def warmup(self, *args: object, block_dims: BlockDims, device: object = None, **keywords: object) -> None:
        """Compile the kernel for these arguments, and launch nothing: a launch with such arguments finds it.

        Args:
            args: values of the parameters, as for a launch; a :class:`helion_msl.TensorSpec` stands for a tensor.
            block_dims: threads of a threadgroup.
            device: ``"mps"`` or ``"cpu"``; None: that of the tensors, or ``"mps"`` where there is Metal, else
                ``"cpu"``.
            keywords: values by name.

        Raises:
            TranslationError: the function cannot become a kernel.
            ArgumentError: the arguments do not fit the function.
            EngineUnavailableError: there is no compiler or no device.
        """
        from .warmup import warmup

        warmup(self, args, block_dims, device, keywords)

    def compile_for(self, values: Sequence[object], block_dims: BlockDims, device: str | None) -> None:
        """Compile the specialization for one value of each parameter; tensors need no memory."""
        self._specialize(values, _three(block_dims)).kernel(device)

    def msl(self, *args: object, block_dims: BlockDims | None = None, **keywords: object) -> str:
        """Return the MSL for these arguments, without compiling or launching it.

        Args:
            args: values of the parameters, as for a launch.
            block_dims: threads of a threadgroup; None: any.
            keywords: values by name.
        """
        return self.translate(*args, block_dims=block_dims, **keywords).msl

    def translate(self, *args: object, block_dims: BlockDims | None = None, **keywords: object) -> Translation:
        """Return the MSL with the kernel's name and its argument table."""
        values = self._bind(args, keywords)
        return self._specialize(values, None if block_dims is None else _three(block_dims)).translation

    def explain(self, *args: object, block_dims: BlockDims | None = None, **keywords: object) -> str:
        """Return a report for people: Python and MSL side by side, the argument table, the threadgroup memory.

        Args:
            args: values of the parameters, as for a launch.
            block_dims: threads of a threadgroup; None: any.
            keywords: values by name.
        """
        values = self._bind(args, keywords)
        dims = None if block_dims is None else _three(block_dims)
        translation = self._specialize(values, dims).translation
        assert self._source is not None
        parameters = self._described_parameters(values)
        from ._walker.explain import explain

        return explain(self._source, translation, parameters, dims)

    # ---- What the native side asks for -----------------------------------------------------------------------------

    def _prepare(
        self, values: Sequence[Any], block_dims: tuple[int, int, int]
    ) -> tuple[_C.Kernel, tuple[tuple[int, int, int], ...]]:
        """Return the compiled kernel for these arguments, and where each of its own arguments comes from.

        Args:
            values: one for each parameter.
            block_dims: threads of a threadgroup.
        """
        specialization = self._specialize(values, block_dims)
        device = next((_device_type(value) for value in values if _is_tensor(value)), None)
        return specialization.kernel(device), specialization.sources

    # ---- Specialization --------------------------------------------------------------------------------------------

    def _bind(self, args: Sequence[object], keywords: dict[str, object] | None) -> Sequence[object]:
        """Return one value for each parameter, in order."""
        names = self._names
        if not keywords and len(args) == len(names):
            return args
        if len(args) > self._positional_count:
            raise ArgumentError(f"{self.__name__} takes {self._positional_count} arguments, {len(args)} were given")
        values = list(args) + [_MISSING] * (len(names) - len(args))
        for name, value in (keywords or {}).items():
            if name not in names:
                raise ArgumentError(f"{self.__name__} has no parameter `{name}`; it has {', '.join(names)}")
            index = names.index(name)
            if values[index] is not _MISSING:
                raise ArgumentError(f"{self.__name__} was given `{name}` twice")
            values[index] = value
        for index, value in enumerate(values):
            if value is _MISSING:
                values[index] = self._defaults.get(names[index], _MISSING)
        missing = [name for name, value in zip(names, values, strict=True) if value is _MISSING]
        if missing:
            raise ArgumentError(f"{self.__name__} was not given {', '.join(missing)}")
        return values

    def _specialize(self, values: Sequence[Any], block_dims: tuple[int, int, int] | None) -> _Specialization:
        if self._is_constant is None:
            self._read_source()
        key: list[object] = [block_dims]
        for name, value, is_constant in zip(self._names, values, self._is_constant or (), strict=True):
            if is_constant:
                key.append(_constant_key(value))
            elif type(value) is torch.Tensor and value.is_contiguous() and value.numel() < _LARGE:
                # Most arguments are this, and on every launch: no object is made for them.
                key += (value.dtype, value.dim())
            else:
                key.append(_describe(name, value))
        pairs = zip(values, self._is_constant or (), strict=True)
        self._follow(functions_among(value for value, is_constant in pairs if is_constant))
        key += (_constant_key(each.value()) for each in self._captured)
        found = self._specializations.get(tuple(key))
        if found is None:
            found = _Specialization(self._translate(values, block_dims))
            self._specializations[tuple(key)] = found
        return found

    def _read_source(self) -> None:
        """Read the function's text, at its first use: decorating one costs nothing."""
        source = outlined_source(self.fn)
        namespace = namespace_of(self.fn)
        outline = source.outline
        self._dialect = dialect_of_names(outline.names, namespace)
        self._source = source
        constants = set(_constant_parameters(outline.annotations, namespace, self._dialect))
        self._is_constant = tuple(name in constants for name in self._names)
        if self._dialect == "python":
            self._follow([self.fn])
        else:
            # Code that Helion generates never changes its globals.
            self._describe_key(self._is_constant, [], _IDENTITY_TYPES)

    def _follow(self, functions: Iterable[FunctionType]) -> None:
        """Note what functions read that are part of the kernel: its own, and those that are its constants."""
        new = [function for function in functions if function not in self._followed]
        if not new:
            return
        assert self._is_constant is not None
        with _FOLLOWING:
            self._followed.update(dict.fromkeys(new))
            self._captured = captured(self._followed)
            self._describe_key(self._is_constant, self._captured, _IDENTITY_TYPES)

    def _described_parameters(self, values: Sequence[Any]) -> dict[str, object]:
        """Return for each parameter its type, or the value that becomes part of the kernel."""
        given = zip(self._names, values, self._is_constant or (), strict=True)
        return {name: value if is_constant else _describe(name, value) for name, value, is_constant in given}

    def _translate(self, values: Sequence[Any], block_dims: tuple[int, int, int] | None) -> Translation:
        described = self._described_parameters(values)
        types = {name: value for name, value in described.items() if isinstance(value, TensorType | ScalarType)}
        constants = {name: _constant(name, value) for name, value in described.items() if name not in types}
        assert self._source is not None
        request = _translation_cache.Request(
            function=self._source,
            argument_types=types,
            constants=constants,
            namespace=namespace_of(self.fn),
            block_dims=block_dims,
            dialect=self._dialect,
            logs_assertions=os.environ.get("HELION_MSL_LOG_ASSERTIONS") == "1",
        )
        return _translation_cache.translate(request)


def _defaults(function: Callable[..., object], names: tuple[str, ...], positional_count: int) -> dict[str, object]:
    positional = getattr(function, "__defaults__", None) or ()
    defaults = dict(zip(names[positional_count - len(positional) : positional_count], positional, strict=True))
    return {**defaults, **(getattr(function, "__kwdefaults__", None) or {})}


def _is_tensor(value: object) -> bool:
    return type(value) is torch.Tensor or hasattr(value, "__dlpack__")


def _device_type(value: Any) -> str | None:
    if type(value) is torch.Tensor and value.is_cpu:
        return "cpu"
    return getattr(getattr(value, "device", None), "type", None)


def _three(dims: BlockDims) -> tuple[int, int, int]:
    """Return a size padded to three dimensions; the launch checks the numbers."""
    if type(dims) is tuple and len(dims) == 3:
        return dims
    given = (dims,) if isinstance(dims, int) else tuple(dims)
    if not 1 <= len(given) <= 3:
        raise ArgumentError(f"block_dims has one to three numbers, not {len(given)}")
    x, y, z = (*given, 1, 1)[:3]
    return int(x), int(y), int(z)


_TENSOR_TYPES: dict[object, TensorType] = {}


def _describe(name: str, value: Any) -> object:
    """Return the type of an argument, or the value itself where it becomes part of the kernel."""
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return INT32 if value in _INT32_RANGE else INT64
    if isinstance(value, float):
        return FLOAT32
    if value is None:
        return None
    if isinstance(value, torch.Tensor):
        return _tensor_type(name, value)
    number = _number_of_library(value)
    if number is not None:
        return _describe(name, number)
    raise ArgumentError(
        f"`{name}` is a {type(value).__name__}; a kernel takes tensors, bool, int and float: {_instead_of(name, value)}"
    )


def _number_of_library(value: Any) -> bool | int | float | None:
    """Return a NumPy scalar as the Python number that the launch reads from it; None for anything else."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic):
        return None
    number = value.item()
    return number if isinstance(number, bool | int | float) else None


def _instead_of(name: str, value: object) -> str:
    """Return what to pass instead of what a kernel does not take."""
    if hasattr(value, "__dlpack__"):
        return f"pass torch.from_dlpack({name})"
    if isinstance(value, list | tuple):
        return (
            f"pass its numbers one by one or as a tensor, or make them part of the kernel by the annotation"
            f" `{name}: ml.constexpr`"
        )
    if callable(value) or isinstance(value, str | torch.dtype | DType | enum.Enum):
        return f"make it part of the kernel by the annotation `{name}: ml.constexpr`"
    return "pass its numbers one by one"


def _tensor_type(name: str, tensor: torch.Tensor) -> TensorType:
    is_large = tensor.numel() >= _LARGE
    contiguous = tensor.is_contiguous()
    strides = None if contiguous else tuple(1 if stride == 1 else None for stride in tensor.stride())
    if strides is not None and not is_large:
        is_large = (
            sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)) >= _LARGE
        )
    key = (tensor.dtype, tensor.dim(), strides, is_large)
    found = _TENSOR_TYPES.get(key)
    if found is None:
        dtype = BY_NAME.get(str(tensor.dtype).removeprefix("torch."))
        if dtype is None:
            raise ArgumentError(
                f"`{name}` has dtype {tensor.dtype}, which Metal does not have: pass {_convertible(name, tensor.dtype)}"
            )
        found = _TENSOR_TYPES[key] = TensorType(dtype, tensor.dim(), strides, is_large=is_large)
    return found


def _convertible(name: str, dtype: torch.dtype) -> str:
    if dtype is torch.float64:
        return f"{name}.float()"
    return f"torch.view_as_real({name})" if dtype.is_complex else f"{name}.to(torch.float32)"


def _constant_key(value: object) -> object:
    """Return what tells constants apart: 1, 1.0 and True are equal to Python and different here, -0.0 and 0.0 too."""
    if type(value) is int or isinstance(value, FunctionType | enum.Enum):
        return value  # a function is kept, since its address in a text could come to mean another one
    if type(value) is tuple:
        return tuple(_constant_key(item) for item in value)
    return type(value), repr(value)


def _constant(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str | FunctionType | DType | torch.dtype | enum.Enum):
        return value
    if isinstance(value, tuple):
        return tuple(_constant(name, item) for item in value)
    if hasattr(value, "__index__") and not _is_tensor(value):
        return value.__index__()
    raise ArgumentError(
        f"the constant `{name}` is a {type(value).__name__}; it must be a number, a type, a function, a string or a"
        " tuple of these"
    )


def _constant_parameters(
    annotations: Sequence[tuple[str, str]], namespace: dict[str, object], dialect: Dialect
) -> list[str]:
    """Return the parameters whose values become part of the kernel."""
    from .language import constexpr

    # Helion annotates nothing but its constants: `_REDUCTION_BLOCK_1: int`.
    return [name for name, text in annotations if dialect == "helion" or _resolves_to(text, namespace, constexpr)]


def _resolves_to(text: str, namespace: dict[str, object], wanted: object) -> bool:
    root, *attributes = text.split(".")
    value = namespace.get(root)
    for attribute in attributes:
        value = getattr(value, attribute, None)
    return value is wanted or text.rsplit(".", maxsplit=1)[-1] == getattr(wanted, "__name__", "")
