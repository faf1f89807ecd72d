"""Makes ``@helion.kernel(backend="metal")`` use this package.

Importing this module is cheap; Helion is imported by :func:`register_helion_backend`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import threading
from typing import Any

from .errors import HelionMslError

# The plug-in derives from Helion's internal classes, which change between minor versions.
_MINIMUM = (1, 5, 1)
_BELOW = (1, 6)
_RANGE = ">=1.5.1,<1.6"

_lock = threading.Lock()


class HelionVersionError(HelionMslError, RuntimeError):
    """Helion is not installed, or in a version that the plug-in does not know."""


def register_helion_backend() -> None:
    """Make ``backend="metal"``, also by ``HELION_BACKEND=metal``, mean this package for kernels compiled from now on.

    A kernel that was decorated before is affected too, unless it was called already. Registering again changes nothing.

    Raises:
        HelionVersionError: Helion is missing, or its version is not supported; the message says what to install.
    """
    _check_version()
    with _lock:
        from helion._compiler.backend_registry import get_backend_class, register_compiler_backend

        from ._helion.backend import HelionMslBackend
        from ._helion.cumulative import install as install_cumulative
        from ._helion.dispatch import install as install_dispatch
        from ._helion.matmul import keep_products

        if get_backend_class("metal") is HelionMslBackend:
            return
        # The operations must be there before the class: another thread may compile a kernel at once.
        importlib.import_module("._helion._codegen_modules", __package__)
        keep_products()
        install_cumulative()
        register_compiler_backend(HelionMslBackend)
        install_dispatch()


def generated_msl(kernel: Any, *args: object) -> str:
    """Return the Metal Shading Language that a Helion kernel runs for these arguments, without running it.

    Args:
        kernel: a kernel of ``backend="metal"`` that has one config, or was called with such arguments before.
        args: its arguments.

    Raises:
        RuntimeError: the kernel has no config yet, or several to choose from.
    """
    sources: list[str] = []

    def record(kernel: Any, grid: object, *args: object, _block_dims: tuple[int, int, int], **_: object) -> None:
        del grid
        sources.append(kernel.msl(*args, block_dims=_block_dims))

    kernel.bind(args).compile_config(allow_print=False)(*args, _launcher=record)
    return "\n".join(sources)


def _check_version() -> None:
    try:
        found = importlib.metadata.version("helion")
    except importlib.metadata.PackageNotFoundError:
        raise HelionVersionError("Helion is not installed: pip install helion-msl[helion]") from None
    numbers = tuple(int(number) for number in re.findall(r"\d+", found.split("+")[0])[:3])
    if not _MINIMUM <= numbers < _BELOW:
        raise HelionVersionError(
            f"Helion {found} is installed, and this helion-msl needs helion{_RANGE}: pip install helion-msl[helion]"
        )
