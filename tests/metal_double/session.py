"""Makes this process one on a Mac, as far as torch and the extension can see."""

from __future__ import annotations

import os
import threading

import torch

from helion_msl import _C, jit

from . import control
from .mps_tensors import MpsOnCpu, mark, plays_mps


def _let_launches_know_the_device() -> None:
    # The one place of the package that asks a tensor for its device.
    device_type = jit._device_type
    jit._device_type = lambda value: "mps" if plays_mps(value) else device_type(value)
    # Helion's host functions allocate on the device of their arguments, which they take for the CPU.
    launch = _C._helion_launch

    def launch_from_helion(kernel: jit.MetalKernel, grid: object, *args: object, **options: object) -> None:
        tensors = [value for value in args if isinstance(value, torch.Tensor)]
        if any(map(plays_mps, tensors)):
            for tensor in tensors:
                mark(tensor)
        launch(kernel, grid, *args, **options)

    _C._helion_launch = launch_from_helion


def start() -> control.MetalDouble:
    """Give torch MPS, and return the double. Launches run when they are encoded until ``set_eager(False)``."""
    double = control.find()
    if double is None:
        raise RuntimeError("the extension was built without the Metal double: make wall-run builds one with it")
    torch.backends.mps.is_available = lambda: True
    torch.mps.synchronize = double.torch_synchronize
    double.set_machine()
    double.play_mps(torch.Tensor, plays_mps)
    double.set_torch_version(os.environ.get("HELION_MSL_DOUBLE_TORCH", "2.13"))
    double.set_eager(True)
    MpsOnCpu().__enter__()
    _let_launches_know_the_device()
    run = threading.Thread.run

    def run_with_mode(thread: threading.Thread) -> None:
        with MpsOnCpu():
            run(thread)

    threading.Thread.run = run_with_mode
    return double
