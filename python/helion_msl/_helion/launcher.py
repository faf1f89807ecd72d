"""What the generated host function calls to launch its kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helion import exc

from helion_msl import _C

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# launch(kernel, grid, *args, _block_dims, **options): a native function. `kernel` is a `@metal_jit` kernel, `grid`
# counts threadgroups and may have a 0, `args` are tensors and numbers in the order of the kernel's parameters. Of
# Helion's launch options those that say nothing to Metal are ignored.
launch: Callable[..., None] = _C._helion_launch


def refuse_options(names: Sequence[str]) -> Any:
    """Raise Helion's exception for launch options that Metal has no meaning for.

    Args:
        names: all keywords of the launch.
    """
    unknown = sorted(set(names) - {"_block_dims", "num_warps", "num_stages"})
    raise exc.BackendUnsupported("metal", f"the launch options {unknown}")
