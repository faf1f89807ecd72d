"""Metal kernels for PyTorch, written in Python or in Metal Shading Language.

On a Mac kernels run on Apple's GPU, on PyTorch's own stream; elsewhere the same Metal source runs on the CPU.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .errors import (
    ArgumentError,
    DivergenceWarning,
    EngineUnavailableError,
    HelionMslError,
    KernelError,
    LaunchError,
    MetalCompileError,
    PrintWarning,
    TranslationError,
    UnknownKernelError,
)

try:
    from ._C import (
        ArgumentInfo,
        CacheInfo,
        DeviceInfo,
        Graph,
        Kernel,
        cache_info,
        capture,
        clear_cache,
        commit,
        compile,  # noqa: A004
        device_info,
        engine_description,
        get_commit_every,
        gpu_time,
        launch,
        record,
        set_commit_every,
        set_labels,
        synchronize,
    )
except ModuleNotFoundError as error:
    if error.name != f"{__name__}._C":
        raise
    msg = (
        f"helion_msl was imported from {__path__[0]}, where its native module has not been built: install the "
        "package first (pip install . or pip install -e .), and don't import it from the source tree"
    )
    raise ImportError(msg) from error

# Here, as the first compile shall not have to load it.
from . import _toolchain as _toolchain

if TYPE_CHECKING:
    from . import language
    from .helion_backend import register_helion_backend
    from .jit import metal_jit
    from .warmup import TensorSpec, precompile

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "ArgumentInfo",
    "CacheInfo",
    "DeviceInfo",
    "DivergenceWarning",
    "EngineUnavailableError",
    "Graph",
    "HelionMslError",
    "Kernel",
    "KernelError",
    "LaunchError",
    "MetalCompileError",
    "PrintWarning",
    "TensorSpec",
    "TranslationError",
    "UnknownKernelError",
    "__version__",
    "cache_info",
    "capture",
    "clear_cache",
    "commit",
    "compile",
    "device_info",
    "engine_description",
    "get_commit_every",
    "gpu_time",
    "language",
    "launch",
    "metal_jit",
    "precompile",
    "record",
    "register_helion_backend",
    "set_commit_every",
    "set_labels",
    "synchronize",
]

# Imported at first use: launching MSL needs no walker, and Helion alone takes seconds to import.
_LAZY = {
    "TensorSpec": "warmup",
    "language": None,
    "metal_jit": "jit",
    "precompile": "warmup",
    "register_helion_backend": "helion_backend",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    submodule = _LAZY[name]
    value = (
        importlib.import_module(f".{name}", __name__)
        if submodule is None
        else getattr(importlib.import_module(f".{submodule}", __name__), name)
    )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
