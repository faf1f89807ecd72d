"""MPS tensors where there is no MPS: CPU tensors that are marked.

A tensor is marked by its storage, so that views are on their base's device. Operations on marked tensors give marked
ones, as on a Mac; ``cpu()`` and ``to("cpu")`` give copies that are not. torch itself, and what traces it, goes on
seeing CPU tensors; only the examples and the package's warm-up, which ask a tensor for its device, are told ``mps``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode

# By address of the storage. A weak reference keeps the address from being used for another storage.
_marked: dict[int, StorageWeakRef] = {}
_MARKED_AT_MOST = 4096


def plays_mps(tensor: torch.Tensor) -> bool:
    """Whether ``tensor`` is to be seen as an MPS tensor."""
    with torch._C.DisableTorchFunction():
        return tensor.device.type == "cpu" and _address(tensor) in _marked


def _address(tensor: torch.Tensor) -> int:
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):  # sparse and other tensors without a storage
        return 0


def mark(tensor: torch.Tensor) -> None:
    """Make ``tensor`` play an MPS tensor, with all that share its storage."""
    if len(_marked) > _MARKED_AT_MOST:
        for address in [address for address, storage in _marked.items() if storage.expired()]:
            del _marked[address]
    if address := _address(tensor):
        _marked[address] = StorageWeakRef(tensor.untyped_storage())


def _is_device(value: object, device: str) -> bool:
    if isinstance(value, str):
        return value.split(":")[0] == device
    return isinstance(value, torch.device) and value.type == device


def _on_cpu(value: object) -> object:
    return torch.device("cpu") if _is_device(value, "mps") else value


def _tensors(value: object) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for item in value for tensor in _tensors(item)] if isinstance(value, (tuple, list)) else []


_device_of = torch.Tensor.device.__get__


def _is_told_mps(caller: Path) -> bool:
    return "examples" in caller.parts or caller.parts[-2:] == ("helion_msl", "warmup.py")


class MpsOnCpu(TorchFunctionMode):
    """While it is active, ``device="mps"`` gives marked CPU tensors."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function == _device_of and _is_told_mps(Path(sys._getframe(1).f_code.co_filename)) and plays_mps(args[0]):
            return torch.device("mps")
        if function is torch.device:
            return function(*args, **kwargs)
        values = [*args, *kwargs.values()]
        sources = {_address(tensor) for value in values for tensor in _tensors(value)}
        to_cpu = function is torch.Tensor.cpu or any(_is_device(value, "cpu") for value in values)
        to_mps = any(_is_device(value, "mps") for value in values)
        result = function(*map(_on_cpu, args), **{name: _on_cpu(value) for name, value in kwargs.items()})
        moves = (to_cpu or to_mps) and sources and isinstance(result, torch.Tensor)
        if moves and _address(result) in sources and plays_mps(result) != to_mps:
            result = result.clone()
        if to_mps or (not to_cpu and any(address in _marked for address in sources)):
            for tensor in _tensors(result):
                if _address(tensor) not in sources:
                    mark(tensor)
        return result
