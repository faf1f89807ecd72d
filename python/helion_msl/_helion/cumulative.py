"""``torch.cumsum`` and ``torch.cumprod`` in a kernel: what PyTorch gives, as int64 where it is of integers.

Helion takes them for its own ``hl.cumsum`` and ``hl.cumprod``, whose results have the type of what they add up, and
does not know them as methods of a tile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from helion._compiler import device_ir, type_info
from helion._compiler.compile_environment import CompileEnvironment
from helion.language import _decorators, scan_ops

from helion_msl._helion.matmul import CODEGEN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

_METHODS = "_TENSOR_METHOD_REPLACEMENTS"


def install() -> None:
    """Put PyTorch's functions, and the methods of that name, in the place of Helion's, for kernels of this backend."""
    for name in ("cumsum", "cumprod"):
        function, method = getattr(torch, name), getattr(torch.Tensor, name)
        scan = getattr(scan_ops, name)
        elsewhere = _decorators.get_device_func_replacement(function) or function
        _decorators.device_func_replacement(function)(_as_pytorch(scan, elsewhere))
        _decorators.device_func_replacement(method)(_as_pytorch(scan, method))
    for module in (type_info, device_ir):
        setattr(module, _METHODS, getattr(module, _METHODS, frozenset()) | {"cumsum", "cumprod"})


def _as_pytorch(scan: Callable[..., torch.Tensor], elsewhere: Callable[..., torch.Tensor]) -> Callable[..., object]:
    """What computes as PyTorch does with `scan`, one of Helion's; `elsewhere` is what other backends do."""

    def cumulated(input: Any, dim: int, reverse: bool = False, **keywords: Any) -> object:  # noqa: A002, PyTorch's name
        is_plain = keywords.keys() <= {"dtype"} and isinstance(input, torch.Tensor)
        if CompileEnvironment.current().codegen_name != CODEGEN_NAME or not is_plain:
            return elsewhere(input, dim, *([reverse] if reverse else []), **keywords)
        dtype = keywords.get("dtype")
        if dtype is None and not input.dtype.is_floating_point:
            dtype = torch.int64
        return scan(input if dtype is None else input.to(dtype), dim, reverse)

    return cumulated
