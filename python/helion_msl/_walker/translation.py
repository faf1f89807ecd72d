"""What a translation is: the MSL of a kernel and what its launches pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .types import ScalarType  # noqa: TC001  (the documentation resolves it)


@dataclass(frozen=True, slots=True)
class KernelArgument:
    """What the launch passes at one buffer index.

    Attributes:
        name: the Python parameter that it comes from, with ``_size_0`` or ``_stride_0`` behind it for those.
        kind: ``"tensor"`` and ``"scalar"`` are the caller's; ``"size"`` and ``"stride"`` are read from a tensor.
        parameter: index of the Python parameter.
        dimension: which size or stride.
        dtype: type of the element or of the number.
        is_written: whether the kernel stores into the tensor.
    """

    name: str
    kind: Literal["tensor", "scalar", "size", "stride"]
    parameter: int
    dimension: int
    dtype: ScalarType
    is_written: bool


@dataclass(frozen=True, slots=True)
class Translation:
    """A kernel as MSL.

    Attributes:
        msl: the source.
        name: the kernel's name in it.
        arguments: what the launch passes, in the order of the buffer indices.
        threadgroup_memory: bytes of threadgroup memory that its arrays take.
    """

    msl: str
    name: str
    arguments: tuple[KernelArgument, ...]
    threadgroup_memory: int = 0
