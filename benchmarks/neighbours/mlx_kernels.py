"""MLX's ``mx.fast.metal_kernel``, which makes its outputs itself and runs nothing before it is asked for a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlx.core as mx

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

TITLE = "MLX metal_kernel"
THREADS = 256

ELEMENT = "uint i = thread_position_in_grid.x;"
BODIES = {
    "nothing": (["x", "y"], "out[thread_position_in_grid.x] = 0;"),
    "copy": (["x"], f"{ELEMENT} out[i] = x[i];"),
    "saxpy": (["x", "y", "a"], f"{ELEMENT} out[i] = a * x[i] + y[i];"),
}


def _launch(name: str, *inputs: Any) -> Callable[[], object]:
    names, body = BODIES[name]
    kernel = mx.fast.metal_kernel(name=f"bench_{name}", input_names=names, output_names=["out"], source=body)
    arrays = [mx.array(value) if isinstance(value, float) else mx.array(value.cpu().numpy()) for value in inputs]
    mx.eval(*arrays)
    shape = arrays[0].shape

    def launch() -> object:
        outputs = kernel(
            inputs=arrays,
            grid=(shape[0], 1, 1),
            threadgroup=(THREADS, 1, 1),
            output_shapes=[shape],
            output_dtypes=[mx.float32],
        )
        # Gives the work to the GPU, and doesn't wait for it.
        mx.async_eval(outputs)
        return outputs[0]

    return launch


def nothing(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:  # noqa: ARG001
    """Launch a kernel that only writes its output, which MLX wants written."""
    return _launch("nothing", x, y)


def copy(x: torch.Tensor, out: torch.Tensor) -> Callable[[], object]:  # noqa: ARG001
    """Copy a vector."""
    return _launch("copy", x)


def saxpy(x: torch.Tensor, out: torch.Tensor, a: float) -> Callable[[], object]:
    """Add ``a * x`` to a vector, into another one."""
    return _launch("saxpy", x, out, a)


def synchronize() -> None:
    """Wait for the GPU."""
    mx.synchronize()
