"""Runs generated kernels as Python and through MSL, many in one source, and compares them."""

from __future__ import annotations

import linecache
import math
import re
import warnings
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from helion_msl import DivergenceWarning, HelionMslError, metal_jit, reference
from helion_msl import compile as compile_msl
from helion_msl import language as ml
from helion_msl._walker import prelude
from helion_msl.walker import SCALAR_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from helion_msl.jit import Kernel as JitKernel

    from .kernels import Kernel


_HELPER = re.compile(r"\bhelion_msl::\w+")
_TYPES = [scalar.msl for scalar in SCALAR_TYPES.values()]
_END_OF_HELPERS = "}  // namespace helion_msl"
_SWIZZLE = re.compile(r"\.(?:[xyzw]{2,4}|[rgba]{2,4})\b")
_WAITS = re.compile(r"\b(?:simd_|threadgroup_barrier)")
BATCH = 8  # kernels of one source: the host engine keeps that many in a library
# The macro without its `#if`: what needs no preprocessor compiles in half the time.
_ASSERT = """
template <typename... T>
inline void HELION_MSL_ASSERT(bool test, T... message) {
  if (!test) {
    helion_host::fail(message...);
  }
}"""


@dataclass
class Failure:
    """A kernel that is not what Python says.

    Attributes:
        kernel: which.
        kind: ``"too large"`` for Metal's argument table, which is no mistake; ``"invalid"`` where Python itself fails,
            which is one of the generator; ``"refused"``, ``"does not compile"``, ``"fails"`` or ``"differs"``.
        message: what is different, or the error.
        msl: what it was translated to.
    """

    kernel: Kernel
    kind: str
    message: str
    msl: str = ""

    def __str__(self) -> str:
        launch = f"grid {self.kernel.grid}, block_dims {self.kernel.block_dims}, {self.kernel.numbers}"
        return f"seed {self.kernel.seed}: {self.kind}: {self.message}\n{launch}\n{self.kernel.source}\n{self.msl}"


def function_of(kernel: Kernel, names: dict[str, Any] | None = None) -> Any:
    """Return the Python function that is the kernel; its source can be found, as that of one in a file."""
    source = kernel.source
    filename = f"<{kernel.name} {zlib.crc32(source.encode()):08x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {"ml": ml, "math": math, **(names or {})}
    exec(compile(source, filename, "exec", dont_inherit=True), namespace)
    return namespace[kernel.name]


@dataclass
class _Prepared:
    kernel: Kernel
    function: Any
    msl: str
    msl_name: str
    extra: list[Any]

    def launched(self, compiled: Any) -> list[Any]:
        """Launch the kernel; return its arguments."""
        arguments = self.kernel.arguments()
        extra = [arguments[parameter].size(dimension) if kind == "size" else arguments[parameter].stride(dimension)
                 for kind, parameter, dimension in self.extra]  # fmt: skip
        passed = [each for each, name in zip(arguments, self.names(), strict=True) if name not in self.constants()]
        compiled([*passed, *extra], self.kernel.grid, self.kernel.block_dims)
        return arguments

    def names(self) -> list[str]:
        return list(self.function.__code__.co_varnames[: self.function.__code__.co_argcount])

    def constants(self) -> set[str]:
        return {name for name, kind in self.function.__annotations__.items() if kind is ml.constexpr}


def _prepare(kernel: Kernel) -> _Prepared | Failure:
    try:
        function = function_of(kernel)
        jit: JitKernel = metal_jit(function)
        block_dims = kernel.block_dims if kernel.fixes_block_dims else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DivergenceWarning)
            translation = jit.translate(*kernel.arguments(), block_dims=block_dims)
    except HelionMslError as error:
        kind = "too large" if "buffers, sizes and strides included" in str(error) else "refused"
        return Failure(kernel, kind, str(error))
    extra = [
        (each.kind, each.parameter, each.dimension) for each in translation.arguments if each.kind in ("size", "stride")
    ]
    return _Prepared(kernel, function, translation.msl, translation.name, extra)


def combined(texts: Sequence[str]) -> str:
    """Return one source with several kernels, each in a namespace of its own; they share the helper functions."""
    includes = dict.fromkeys(line for text in texts for line in text.splitlines() if line.startswith("#include"))
    helpers = prelude.text({name: _TYPES for text in texts for name in _HELPER.findall(text)})
    parts = [*includes, helpers, _ASSERT]
    for number, text in enumerate(texts):
        body = text.rpartition(_END_OF_HELPERS)[2].rpartition("#endif")[2]
        lines = (line for line in body.splitlines() if not line.startswith("#include"))
        parts.append("\n".join([f"namespace batch_{number} {{", *lines, "}"]))
    return "\n".join(parts) + "\n"


def differences(kernel: Kernel, got: Sequence[Any], wanted: Sequence[Any]) -> str:
    """Return which tensors differ, and where; empty where none does."""
    found = []
    for tensor, one, other in zip(kernel.tensors, got, wanted, strict=False):
        if tensor.name == "rough":
            same = torch.isclose(one, other, rtol=1e-4, atol=1e-4, equal_nan=True)
        else:
            same = (one == other) | ((one != one) & (other != other))
        if not bool(same.all()):
            place = tuple((~same).nonzero()[0].tolist())
            found.append(f"{tensor.name}{list(place)} is {one[place].item()!r}, Python has {other[place].item()!r}")
    return "; ".join(found)


def check(kernels: Sequence[Kernel]) -> list[Failure]:
    """Return the kernels that are not what Python says."""
    prepared = [_prepare(kernel) for kernel in kernels]
    failures = [each for each in prepared if isinstance(each, Failure)]
    usable = [each for each in prepared if isinstance(each, _Prepared)]
    # The engine has its headers compiled for sources without swizzles; barriers take time to compile.
    usable.sort(key=lambda each: (_SWIZZLE.search(each.msl) is not None, _WAITS.search(each.msl) is not None))
    for first in range(0, len(usable), BATCH):
        failures += _check_batch(usable[first : first + BATCH])
    return failures


def _check_batch(usable: list[_Prepared]) -> list[Failure]:
    failures: list[Failure] = []
    source = combined([each.msl for each in usable])
    try:
        # The library with all of them lives as long as one of its kernels.
        library = compile_msl(source, name=usable[0].msl_name, device="cpu")
    except HelionMslError as error:
        if len(usable) == 1:
            return [Failure(usable[0].kernel, "does not compile", str(error), usable[0].msl)]
        middle = len(usable) // 2
        return [*_check_batch(usable[:middle]), *_check_batch(usable[middle:])]
    failures += [found for each in usable if (found := _compare(each, source)) is not None]
    del library
    return failures


def _compare(prepared: _Prepared, source: str) -> Failure | None:
    kernel = prepared.kernel
    expected = kernel.arguments()
    try:
        reference.run(prepared.function, expected, kernel.grid, kernel.block_dims)
    except Exception as error:
        return Failure(kernel, "invalid", f"{type(error).__name__}: {error}", prepared.msl)
    try:
        launched = prepared.launched(compile_msl(source, name=prepared.msl_name, device="cpu"))
    except HelionMslError as error:
        return Failure(kernel, "fails", str(error), prepared.msl)
    message = differences(kernel, launched, expected)
    return Failure(kernel, "differs", message, prepared.msl) if message else None
