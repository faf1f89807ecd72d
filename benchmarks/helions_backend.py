"""A Helion kernel by Helion's own Metal backend, where there may be no GPU: what PyTorch would compile does nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    import torch


def compile_nothing(source: str) -> object:
    """Stand for ``torch.mps.compile_shader``: the kernels of the library take anything, and do nothing."""

    def gpu_call(*args: object, **options: object) -> None:
        """Stands for a kernel of the library."""

    names = re.findall(r"kernel void (\w+)", source)
    return type("Library", (), {name: staticmethod(gpu_call) for name in names})()


def own_kernel(like: Any, *arguments: torch.Tensor) -> Any:
    """Return a kernel of the same function and config as ``like``, compiled by Helion's own backend and called once.

    Args:
        like: a Helion kernel.
        arguments: what it is called with.
    """
    import helion
    from helion._compiler.backend_registry import get_backend_class, register_compiler_backend
    from helion._compiler.metal.backend import MetalBackend

    registered = get_backend_class("metal")
    register_compiler_backend(MetalBackend)
    try:
        kernel = helion.kernel(like.fn, backend="metal", config=like.configs[0])
        with mock.patch("torch.mps.compile_shader", compile_nothing):
            kernel(*arguments)
    finally:
        register_compiler_backend(registered)
    return kernel
