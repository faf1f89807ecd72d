"""The Metal double from Python: its counters, the rules that were broken, and the failures it can stage."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import torch


class MetalDouble:
    """The double inside the loaded extension; ``find`` makes it, once."""

    def __init__(self, library: ctypes.PyDLL) -> None:
        self._library = library
        self.torch_version = "2.13"
        for name in ("take_violations", "living_objects", "torch_synchronize"):
            self._function(name).restype = ctypes.c_void_p
        self._function("free").argtypes = [ctypes.c_void_p]
        self._function("counter").restype = ctypes.c_int64
        self._function("stage_command_buffer_error").argtypes = [ctypes.c_int64, ctypes.c_char_p, ctypes.c_int]
        self._function("exchange_api").restype = ctypes.py_object
        self._function("exchange_api").argtypes = [ctypes.py_object, ctypes.py_object]
        self._function("torch_add").argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_float]
        self._function("torch_copy").argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]

    def _function(self, name: str) -> Callable[..., object]:
        return getattr(self._library, f"metal_double_{name}")

    def _text(self, name: str) -> list[str]:
        address = self._function(name)()
        text = ctypes.string_at(address).decode()
        self._function("free")(address)
        return text.splitlines()

    def take_violations(self) -> list[str]:
        """The rules broken since the last call."""
        return self._text("take_violations")

    def living_objects(self) -> dict[str, int]:
        """Objects of the double that are alive, by class."""
        self._function("collect_storages")()
        return {name: int(count) for name, count in (line.rsplit(" ", 1) for line in self._text("living_objects"))}

    def forget_tensors(self) -> None:
        """Lets go of the buffers of tensors that Python still has; they are made anew when needed."""
        self._function("forget_tensors")()

    def counter(self, name: str) -> int:
        """One of ``Counters`` in ``double_state.h``."""
        value = self._function("counter")(name.encode())
        assert value >= 0, name
        return value

    @contextlib.contextmanager
    def counting(self, *names: str) -> Iterator[dict[str, int]]:
        """Yields a dictionary that holds, after the block, by how much each counter has grown."""
        grown: dict[str, int] = {}
        before = {name: self.counter(name) for name in names}
        yield grown
        grown.update({name: self.counter(name) - before[name] for name in names})

    def watch_thread(self, on: bool) -> bool:
        """Counts locks and allocations of this thread from now on; False where allocations cannot be counted."""
        return bool(self._function("watch_thread")(int(on)))

    @contextlib.contextmanager
    def counting_launches(self) -> Iterator[dict[str, int]]:
        """Counts what launches of this thread cost, and keeps the tests' watching of torch's functions out of it."""
        import torch

        names = ("encoder_messages", "torch_calls", "dispatch_syncs", "dispatches")
        names += ("engine_allocations", "engine_locks")
        with torch._C.DisableTorchFunction(), self.counting(*names) as counts:
            self.watch_thread(True)
            try:
                yield counts
            finally:
                self.watch_thread(False)

    def set_eager(self, on: bool) -> None:
        """Whether dispatches run when they are encoded, instead of after their command buffer's commit."""
        self._function("set_eager")(int(on))

    @contextlib.contextmanager
    def gpu_held(self) -> Iterator[None]:
        """Within the block, committed command buffers wait."""
        self._function("hold_gpu")(1)
        try:
            yield
        finally:
            self._function("hold_gpu")(0)

    def wait_for_gpu(self) -> None:
        """Returns when all committed command buffers have run, which torch is not told."""
        self._function("wait_for_gpu")()

    @contextlib.contextmanager
    def compiler_held(self) -> Iterator[None]:
        """Within the block, Metal's compiler does not come to an end."""
        self._function("hold_compiler")(1)
        try:
            yield
        finally:
            self._function("hold_compiler")(0)

    def stage(self, failure: str, text: str) -> None:
        """The next message that ``failure`` fits fails with ``text``."""
        assert self._function("stage")(failure.encode(), text.encode()), failure

    def stage_command_buffer_error(self, code: int, reason: str, times: int = 1) -> None:
        """The next command buffers that run fail on the GPU, with a code of ``MTLCommandBufferError``."""
        self._function("stage_command_buffer_error")(code, reason.encode(), times)

    def set_machine(
        self, *, has_device: bool = True, is_paravirtual: bool = False, torch_has_mps: bool = True, macos: int = 15
    ) -> None:
        """The Mac that the double plays."""
        self._function("set_machine")(int(has_device), int(is_paravirtual), int(torch_has_mps), macos)

    def set_torch_version(self, version: str) -> None:
        """The torch that the double plays, "2.10" to "2.15".

        From 2.14 on, tensors are exported as a buffer with the offset apart. From 2.15 on, each thread has a current
        stream, and torch raises the errors of command buffers.
        """
        minor = int(version.split(".")[1])
        self._function("set_torch_minor_version")(minor)
        self._function("set_exchange_style")(int(minor >= 14))
        self.torch_version = version

    def set_tensor_addresses(self, *, are_buffers: bool) -> None:
        """What torch's C function tells of an MPS tensor: its buffer plus the offset, or an address in memory."""
        self._function("set_tensor_addresses")(int(are_buffers))

    def set_current_stream(self, stream: int) -> None:
        """The calling thread's: 0 is the default stream, 1 to 32 are torch's pool. Before torch 2.15 there is one."""
        self._function("set_current_stream")(stream)

    def play_mps(self, tensor_type: type[torch.Tensor], plays_mps: Callable[[torch.Tensor], bool]) -> None:
        """Shows the extension those CPU tensors of ``tensor_type`` as MPS tensors of which ``plays_mps`` is true."""
        own = tensor_type.__dlpack_c_exchange_api__
        # torch's capsule holds the table that the new one calls.
        self._torchs_own = own
        tensor_type.__dlpack_c_exchange_api__ = self._function("exchange_api")(own, plays_mps)

    def make_mistake(self, mistake: str) -> None:
        """Breaks a rule on purpose; the names are in ``mistakes.mm``."""
        assert self._function("make_mistake")(mistake.encode()), mistake

    def torch_add(self, tensor: torch.Tensor, value: float) -> None:
        """One of torch's kernels, on the stream: adds ``value`` to a contiguous float tensor."""
        self._function("torch_add")(tensor.data_ptr(), tensor.numel(), value)

    def torch_copy(self, destination: torch.Tensor, source: torch.Tensor) -> None:
        """One of torch's copies, on the stream, which ends the open encoder."""
        size = source.numel() * source.element_size()
        self._function("torch_copy")(destination.data_ptr(), source.data_ptr(), size)

    def torch_commit(self) -> None:
        """torch.mps.commit()."""
        self._function("torch_commit")()

    def torch_synchronize(self) -> None:
        """torch.mps.synchronize()."""
        if errors := self._text("torch_synchronize"):
            raise RuntimeError("\n".join(errors))

    def on_queue(self, body: Callable[[], None]) -> None:
        """Runs ``body`` in a block on torch's queue, as no code of torch's does, and raises what it raises."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                body()
            except BaseException as failure:
                failures.append(failure)

        self._function("on_queue")(ctypes.PYFUNCTYPE(None)(run))
        if failures:
            raise failures[0]

    def is_capturing(self) -> bool:
        """Whether a GPU capture runs."""
        return bool(self._function("is_capturing")())

    def start_capture(self, path: Path) -> None:
        """Other code starts a capture, as torch.mps.profiler can."""
        self._function("start_capture")(str(path).encode())

    def stop_capture(self) -> None:
        """Other code stops the capture, as a person in Xcode can."""
        self._function("stop_capture")()

    def end_encoder(self) -> None:
        """Other code has torch end its open encoder, as torch::mps::get_command_buffer() does."""
        self._function("end_encoder")()


@functools.cache
def find() -> MetalDouble | None:
    """Return the double, or None where the extension was built without it."""
    extension = importlib.import_module("helion_msl._C")
    library = ctypes.PyDLL(extension.__file__)
    if not hasattr(library, "metal_double_counter"):
        return None
    return MetalDouble(library)
