"""What the generated host function calls to launch its kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helion import exc

if TYPE_CHECKING:
    from collections.abc import Sequence


def launch(kernel: Any, grid: Sequence[int], *args: Any, _block_dims: tuple[int, int, int], **options: Any) -> None:
    """Launches a ``@metal_jit`` kernel.

    Args:
        kernel: the kernel.
        grid: threadgroups along up to three axes.
        args: tensors and numbers in the order of the kernel's parameters.
        _block_dims: threads of a threadgroup along each axis.
        options: Helion's launch options; those that say nothing to Metal are ignored.
    """
    for ignored in ("num_warps", "num_stages"):
        options.pop(ignored, None)
    if options:
        raise exc.BackendUnsupported("metal", f"the launch options {sorted(options)}")
    if 0 in grid:
        # A tensor without elements: there is nothing to do, and Metal refuses an empty grid.
        return
    kernel.launch(args, grid, _block_dims)
