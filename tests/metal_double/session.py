"""Makes this process one on a Mac, as far as torch and the extension can see."""

from __future__ import annotations

import os
import threading

import torch

from . import control
from .mps_tensors import MpsOnCpu, plays_mps


def start() -> control.MetalDouble:
    """Give torch MPS, and return the double. Launches run when they are encoded until ``set_eager(False)``."""
    double = control.find()
    if double is None:
        raise RuntimeError("the extension was built without the Metal double: make wall-run builds one with it")
    torch.backends.mps.is_available = lambda: True
    torch.mps.synchronize = double.torch_synchronize
    double.set_machine()
    double.play_mps(torch.Tensor, plays_mps)
    double.set_exchange_style(separates_offset=os.environ.get("HELION_MSL_DOUBLE_TORCH") == "2.14")
    double.set_eager(True)
    MpsOnCpu().__enter__()
    run = threading.Thread.run

    def run_with_mode(thread: threading.Thread) -> None:
        with MpsOnCpu():
            run(thread)

    threading.Thread.run = run_with_mode
    return double
