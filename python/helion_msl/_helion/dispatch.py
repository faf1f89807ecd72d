"""A native cache in front of Helion's dispatch, for kernels of this backend.

Helion finds the compiled kernel of a call by hashing its arguments in Python, which takes several times as long as the
launch. The native cache (``src/helion_dispatch.cpp``) compares the same facts: of tensors the class, dtype, device,
shape and strides, and which of them are one object; of numbers the type, and the value of an ``hl.constexpr``; None;
the identity of strings and dtypes. Helion's own prepared calls rest on these facts too. Anything else is left to
Helion: other arguments, keywords, kernels with a ``key`` function or with specializations on more than a tensor's
shape, ``torch.compile``, distributed runs. A cached decision stands only while Helion's generation counters and the
bound kernel's host function are those that it was made with.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import torch
import torch.distributed as dist
from helion.language.constexpr import ConstExpr
from helion.runtime.kernel import Kernel, _capture_safe_specialization
from torch.compiler import is_compiling

from helion_msl import _C

_ATTRIBUTE = "_helion_msl_dispatch"
_log = logging.getLogger("helion_msl")


def install() -> None:
    """Put the cache in front of the calls of Helion's kernels. Installing it again changes nothing."""
    original = Kernel.__call__
    if hasattr(original, _ATTRIBUTE):
        return

    @functools.wraps(original)
    def call(self: Any, *args: object, **kwargs: object) -> Any:
        if kwargs or is_compiling():
            return original(self, *args, **kwargs)
        dispatch = self.__dict__.get(_ATTRIBUTE)
        if dispatch is not None:
            result = dispatch(args)
            if result is not NotImplemented:
                return result
        result = original(self, *args)
        if self.settings.backend == "metal":
            _remember(self, args)
        return result

    setattr(call, _ATTRIBUTE, True)
    Kernel.__call__ = call


def _remember(kernel: Any, args: tuple[object, ...]) -> None:
    """Publish what Helion decided for a call that it has just run."""
    try:
        if not _can_be_cached(kernel):
            return
        dispatch = kernel.__dict__.get(_ATTRIBUTE)
        if dispatch is None:
            is_constant = tuple(annotation is ConstExpr for annotation in kernel._annotations)
            dispatch = _C._HelionDispatch(
                kernel, is_constant, dist.is_initialized, torch.Tensor, torch.nn.Parameter, (str, torch.dtype)
            )
            setattr(kernel, _ATTRIBUTE, dispatch)
        if not dispatch.can_describe(args):
            return
        with kernel._bind_lock:
            generations = (kernel._reset_generation, kernel._specialization_generation)
            bound = kernel.bind(args)
            run = bound._run
            is_current = generations == (bound._reset_generation, kernel._specialization_generation)
            if run is not None and is_current and _is_ours(bound) and _can_be_cached(kernel):
                dispatch.publish(args, bound, run, *generations)
    except Exception:
        # The kernel has run: what is only an optimization must not fail it afterwards.
        _log.debug("helion-msl: a call of %s was not cached", kernel.name, exc_info=True)


def _can_be_cached(kernel: Any) -> bool:
    """Whether the facts that the cache compares decide everything that Helion would decide."""
    return (
        kernel._key_fn is None
        and bool(kernel._dispatch_cache)
        and not kernel.settings.distributed
        and not kernel._declares_process_group
        and kernel.cute_structural_policy is None
        and not dist.is_initialized()
        and all(
            _capture_safe_specialization(extractor)
            for extractors in list(kernel._specialize_extra.values())
            for extractor in extractors
        )
    )


def _is_ours(bound: Any) -> bool:
    from .backend import HelionMslBackend

    return isinstance(bound.env.backend, HelionMslBackend)
