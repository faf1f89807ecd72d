"""Other projects that run kernels written in Python, each in a module of its own, which imports it.

A module has ``TITLE`` and functions that take torch tensors and return a function without arguments, which does the
work: ``nothing(x, y, out)``, ``copy(x, out)``, ``saxpy(x, out, a)``, ``softmax(x, out)`` and ``matmul(a, b, out)``.
What a project cannot do, or what would say nothing about it, its module lacks. ``synchronize()`` waits for the work.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from benchmarks.measure import note

if TYPE_CHECKING:
    from types import ModuleType

# Module to what installs its project; None: it comes with torch.
ON_CPU = {
    "warp_kernels": "pip install warp-lang",
    "numba_kernels": "pip install numba",
    "taichi_kernels": "pip install taichi",
}
ON_MPS = {
    "torch_shader": None,
    "mlx_kernels": "pip install mlx",
    "enceladus_kernels": "pip install 'enceladus[torch]'",
}


def installed(device: str) -> list[ModuleType]:
    """Import the modules of the projects that are installed, after a line about each that is not."""
    found = []
    for name, remedy in (ON_CPU if device == "cpu" else ON_MPS).items():
        module = load(name, remedy)
        if module is not None:
            found.append(module)
    return found


def load(name: str, remedy: str | None) -> ModuleType | None:
    """Import one module; None, after a line that says why, where its project is missing or does not work here."""
    project = name.partition("_")[0]
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ImportError as error:
        note(f"{project} is not compared with: {error}{f' ({remedy})' if remedy else ''}")
    except Exception as error:
        note(f"{project} is not compared with: {type(error).__name__}: {error}")
    return None
