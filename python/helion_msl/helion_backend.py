"""Makes ``@helion.kernel(backend="metal")`` use this package.

Importing this module is cheap; Helion is imported by :func:`register_helion_backend`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import threading

from .errors import HelionMslError

# The plug-in derives from Helion's internal classes, which change between minor versions.
_MINIMUM = (1, 5, 1)
_BELOW = (1, 6)
_RANGE = ">=1.5.1,<1.6"

_lock = threading.Lock()


class HelionVersionError(HelionMslError, RuntimeError):
    """Helion is not installed, or in a version that the plug-in does not know."""


def register_helion_backend() -> None:
    """Makes ``backend="metal"``, also by ``HELION_BACKEND=metal``, mean this package for kernels compiled from now on.

    A kernel that was decorated before is affected too, unless it was already called. Calling this again changes nothing.

    Raises:
        HelionVersionError: Helion is missing, or its version is not supported; the message says what to install.
    """
    _check_version()
    with _lock:
        from helion._compiler.backend_registry import get_backend_class, register_compiler_backend

        from ._helion.backend import HelionMslBackend

        if get_backend_class("metal") is HelionMslBackend:
            return
        # The operations must be there before the class: another thread may compile a kernel at once.
        importlib.import_module("._helion._codegen_modules", __package__)
        register_compiler_backend(HelionMslBackend)


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
