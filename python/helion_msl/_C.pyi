"""
The native part of helion_msl: compiles Metal Shading Language and launches kernels.
"""

from collections.abc import Callable, Mapping, Sequence
import os
from types import CellType, TracebackType
from typing import Any, Literal


class ArgumentInfo:
    """What a kernel declares at one buffer index."""

    @property
    def name(self) -> str:
        """Name of the parameter."""

    @property
    def index(self) -> int:
        """n of ``[[buffer(n)]]`` or ``[[threadgroup(n)]]``."""

    @property
    def dtype(self) -> str:
        """
        torch's name of the scalar type, such as ``"float32"``; ``"opaque"`` for structs.
        """

    @property
    def lanes(self) -> int:
        """Components of a vector type, 1 for scalars."""

    @property
    def element_size(self) -> int:
        """Bytes of one element as declared."""

    @property
    def is_reference(self) -> bool:
        """Whether exactly one element is read."""

    @property
    def is_writable(self) -> bool:
        """Whether the kernel may write there."""

    @property
    def is_threadgroup_memory(self) -> bool:
        """
        Whether it is threadgroup memory, for which a launch gives the size in bytes.
        """

    def __repr__(self) -> str: ...

class Kernel:
    """
    A compiled kernel, bound to its pipeline: immutable, and callable from several threads.

    Made by :func:`compile`.
    """

    def __call__(self, args: Sequence[object], grid: int | Sequence[int], block_dims: int | Sequence[int]) -> None:
        """
        Launches the kernel without looking anything up; the parameters and errors are those of :func:`launch`.
        """

    @property
    def name(self) -> str:
        """Name of the kernel function."""

    @property
    def device(self) -> str:
        """``"mps"`` or ``"cpu"``."""

    @property
    def source(self) -> str:
        """The MSL that it was compiled from."""

    @property
    def arguments(self) -> tuple[ArgumentInfo, ...]:
        """
        What the kernel declares, ascending by buffer index: the order of the arguments of a launch.
        """

    @property
    def max_total_threads_per_threadgroup(self) -> int:
        """Most threads that a threadgroup of this kernel can have."""

    @property
    def required_threads_per_threadgroup(self) -> tuple[int, int, int] | None:
        """The only ``block_dims`` that the kernel allows, or None."""

    @property
    def thread_execution_width(self) -> int:
        """Lanes of a simdgroup."""

    @property
    def static_threadgroup_memory(self) -> int:
        """Bytes of threadgroup memory that the kernel declares."""

class Graph:
    """
    A sequence of launches that was recorded once, and is repeated by calling it: made by :func:`record`.

    A call takes a value for each parameter, by position or by name; what is left out is as it was recorded.
    """

    def __call__(self, *values: object, **named_values: object) -> None:
        """
        Repeats the launches. The GPU is handed all of them at once.

        Raises:
            ArgumentError: a value does not fit the parameter; nothing has been launched.
            LaunchError: the graph has not been recorded, or the call is in a recording.
            KernelError: a kernel failed: those before it have run, those after it have not.
        """

    def __enter__(self) -> Graph:
        """
        Begins to record the launches that this thread makes.

        Raises:
            LaunchError: this thread is recording already, or the graph has been recorded.
        """

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """
        Ends the recording. A graph whose block is left by an exception cannot be called.

        Raises:
            ArgumentError: no launch uses one of the parameters.
        """

    def __getitem__(self, name: str) -> Any:
        """
        The tensor that a parameter is recorded with, or what stands in for its number in a launch.

        Raises:
            ArgumentError: there is no such parameter.
        """

    def __len__(self) -> int:
        """Number of launches."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, in the order in which calls take them."""

class KernelDispatcher:
    """
    The native part of :class:`helion_msl.jit.MetalKernel`: finds the compiled kernel for the arguments of a call.
    """

    def __getitem__(
        self,
        configuration: tuple[
            int | Sequence[int] | Callable[[dict[str, object]], int | Sequence[int]], int | Sequence[int]
        ],
    ) -> BoundDispatcher: ...
    def _describe_parameters(
        self, names: tuple[str, ...], positional_count: int, defaults: dict[str, object]
    ) -> None: ...
    def _describe_key(
        self,
        is_constant: tuple[bool, ...],
        captured: Sequence[tuple[CellType | dict[str, object], str, tuple[str, ...]]],
        identity_types: tuple[type, ...],
    ) -> None: ...
    def _forget(self) -> None: ...
    @property
    def _known_count(self) -> int: ...

class BoundDispatcher:
    """
    A kernel with a grid and a threadgroup, ``kernel[grid, block_dims]``: call it with the kernel's arguments.
    """

    def __call__(self, *args: object, **keywords: object) -> None: ...

def _helion_launch(kernel: object, grid: Sequence[int], *args: object, **options: object) -> None: ...

class _HelionDispatch:
    def __init__(
        self,
        kernel: object,
        is_constant: tuple[bool, ...],
        is_initialized: Callable[[], bool],
        tensor_type: type,
        parameter_type: type,
        identity_types: tuple[type, ...],
    ) -> None: ...
    def __call__(self, args: tuple[object, ...]) -> Any: ...
    def publish(
        self,
        args: tuple[object, ...],
        bound: object,
        run: Callable[..., object],
        reset_generation: int,
        specialization_generation: int,
    ) -> bool: ...
    def can_describe(self, args: tuple[object, ...]) -> bool: ...
    @property
    def size(self) -> int: ...

class CacheInfo:
    """State of the in-memory cache of compiled kernels."""

    @property
    def hits(self) -> int:
        """Look-ups that found a kernel."""

    @property
    def misses(self) -> int:
        """Look-ups that started a compile."""

    @property
    def size(self) -> int:
        """Kernels held now."""

    @property
    def capacity(self) -> int:
        """
        Most kernels held; ``HELION_MSL_CACHE_SIZE`` in the environment sets it.
        """

    def __repr__(self) -> str: ...

def cache_info() -> CacheInfo:
    """
    State of the in-memory cache since the start or the last :func:`clear_cache`.
    """

def clear_cache() -> None:
    """
    Forgets all compiled kernels; :class:`Kernel` objects and running launches keep theirs.
    """

def disk_cache_find(kind: str, key: bytes) -> bytes | None: ...

def disk_cache_store(kind: str, key: bytes, data: bytes) -> None: ...

def disk_cache_remove(kind: str, key: bytes) -> None: ...

def disk_cache_info() -> dict[str, Any]: ...

def disk_cache_trim(max_bytes: int, max_age_seconds: int) -> tuple[int, int]: ...

def disk_cache_clear() -> tuple[int, int]: ...

class DeviceInfo:
    """
    What a device tells about itself. Texts are empty and numbers None where it has nothing of the kind.
    """

    @property
    def name(self) -> str:
        """Name of the GPU or of the processor, ``"Apple M3 Pro"``."""

    @property
    def architecture(self) -> str:
        """``"applegpu_g15s"``, ``"x86_64"``."""

    @property
    def family(self) -> str:
        """
        Highest of Apple's GPU families that it supports, ``"apple9"``; empty on the CPU.
        """

    @property
    def language_version(self) -> str:
        """Version of MSL that kernels are compiled as, ``"3.2"``."""

    @property
    def compiler(self) -> str:
        """What compiles kernels, ``"Metal"`` or ``"clang 22"``."""

    @property
    def system(self) -> str:
        """The operating system and its version."""

    @property
    def threads(self) -> int | None:
        """Threads of the CPU that run kernels; None on a GPU."""

    @property
    def max_threads_per_threadgroup(self) -> int:
        """Most threads of a threadgroup along x; a kernel may allow fewer."""

    @property
    def max_threadgroup_memory(self) -> int:
        """Most bytes of threadgroup memory that a threadgroup can have."""

    @property
    def max_buffer_length(self) -> int | None:
        """Most bytes of one buffer; None: as memory allows."""

    @property
    def recommended_working_set(self) -> int | None:
        """Bytes that all buffers together should not exceed."""

    @property
    def has_unified_memory(self) -> bool:
        """Whether CPU and device share their memory."""

    @property
    def is_paravirtual(self) -> bool:
        """
        Whether it is the GPU of a virtual machine, which differs from a physical one.
        """

    def __repr__(self) -> str: ...

def device_info(device: object = None) -> DeviceInfo:
    """
    What kernels on ``device`` (by default the platform's) run on.

    Raises:
        EngineUnavailableError: there is no compiler or no device.
    """

class GpuTime:
    """The context manager of :func:`gpu_time`."""

    @property
    def seconds(self) -> float | None:
        """
        What the launches took; None before the block is left, or when an exception left it.
        """

    @property
    def device(self) -> str:
        """``"mps"`` or ``"cpu"``."""

    def __enter__(self) -> GpuTime: ...

    def __exit__(self, type: object = None, value: object = None, traceback: object = None) -> None: ...

def gpu_time(device: object = None) -> GpuTime:
    """
    Measures the time that launches of this package take on the device: ``with gpu_time() as time: ...``.

    Leaving the block waits for the launches in it; ``time.seconds`` is then what they took. On the GPU it is the time
    between the start and the end of the command buffers that hold them, so PyTorch's kernels in the same buffers count as
    well; on the CPU it is the time inside of the launches. What runs at the same time counts once. One block can be open
    at a time, in all threads together.

    Args:
        device: ``"mps"`` or ``"cpu"``; by default the platform's.

    Raises:
        LaunchError: another block is open.
        KernelError: a launch failed on the GPU; raised when the block is left.
        EngineUnavailableError: there is no compiler or no device.
    """

class Capture:
    """The context manager of :func:`capture`."""

    @property
    def path(self) -> str:
        """Where the document is written."""

    def __enter__(self) -> Capture: ...

    def __exit__(self, type: object = None, value: object = None, traceback: object = None) -> None: ...

def capture(path: str | bytes | os.PathLike[str] | os.PathLike[bytes], device: object = None) -> Capture:
    """
    Records all work of the GPU into a ``.gputrace`` document, which Xcode opens: ``with capture("a.gputrace"): ...``.

    The process has to be started with ``MTL_CAPTURE_ENABLED=1`` in its environment. Kernels appear under their names. Work
    from before the block is not in the document; leaving the block waits for the work in it.

    Args:
        path: of the document: ends in ``.gputrace``, and nothing may be there yet.
        device: ``"mps"``, the default on a Mac. The CPU has nothing to capture.

    Raises:
        LaunchError: Metal cannot capture, or a capture is running.
        KernelError: a launch failed on the GPU; raised when the block is left, with the document complete.
        EngineUnavailableError: there is no GPU.
    """

def get_commit_every(device: object = None) -> int:
    """
    After how many launches of a stream the engine commits them by itself; 0: never.
    """

def set_commit_every(launches: int, device: object = None) -> None:
    """
    Sets after how many launches of a stream the engine commits them, so that the GPU starts early.

    64 at first, or ``HELION_MSL_COMMIT_EVERY`` of the environment; 0 leaves it to PyTorch. On the CPU a launch has run when it returns, and the number has no effect.

    Raises:
        ArgumentError: ``launches`` is no such number.
    """

def set_labels(wanted: bool, device: object = None) -> None:
    """
    Whether launches carry their kernel's name for Instruments, at the cost of two messages to Metal each.

    Off at first; always on during a :func:`capture`.
    """

def launch(msl: str, args: Sequence[object], grid: int | Sequence[int], block_dims: int | Sequence[int], *, name: str | None = None) -> None:
    """
    Runs a kernel, compiling it first where its text is new.

    The engine follows the tensors: Apple's GPU for ``mps`` tensors, this machine's cores for CPU tensors. On the GPU the
    launch joins PyTorch's own stream, in order, and returns before it has run.

    Args:
        msl: Metal Shading Language source. The same ``str`` object is found again without reading it.
        args: one value for each parameter of the kernel that has a buffer index, in ascending order of the indices.
            Tensors (and other objects with ``__dlpack__``) become buffers that begin at their first element; the kernel
            sees memory and no strides. A ``bool``, ``int`` or ``float`` becomes a constant of the declared type, ``bytes``
            (at most 4096) a constant of any type. Parameters that are threadgroup memory, ``threadgroup float *shared
            [[threadgroup(0)]]``, come last: for each, an ``int`` that is its size in bytes.
        grid: number of threadgroups, one to three numbers, x first.
        block_dims: number of threads in a threadgroup, one to three numbers, x first.
        name: the kernel to run, needed where the source has several.

    Raises:
        MetalCompileError: the source does not compile.
        UnknownKernelError: the source has no such kernel, or several and ``name`` is None.
        ArgumentError: an argument does not fit the kernel.
        LaunchError: ``grid`` or ``block_dims`` cannot be dispatched.
        KernelError: the kernel failed; on the GPU, raised by a later :func:`synchronize`.
        EngineUnavailableError: there is no compiler or no GPU to run it.
    """

def record(**parameters: object) -> Graph:
    """
    Records launches, to repeat them with other tensors by one call.

    The launches that this thread makes in the block run as usual, and are recorded::

        with helion_msl.record(x=x, out=out) as graph:
            scale[grid, block](x, scratch)
            add[grid, block](scratch, x, out)
        graph(x=x2, out=out2)

    Args:
        parameters: what calls may replace, by name. A tensor is recognized in a launch by its memory, views of it too. For
            an ``int`` or a ``float`` launches are given ``graph["name"]``, which stands in for it.

    Returns:
        The graph, to be entered once, and called after that.

    Raises:
        ArgumentError: a value cannot be a parameter, or two tensors share memory.
    """

def compile(msl: str, *, name: str | None = None, device: object = None, math_mode: Literal['safe', 'fast'] = 'safe', constants: Mapping[str | int, bool | int | float] | None = None) -> Kernel:
    """
    Compiles a kernel, or finds it in the cache.

    Args:
        msl: Metal Shading Language source.
        name: the kernel wanted, needed where the source has several.
        device: ``"mps"`` or ``"cpu"``; by default ``"mps"`` where there is Metal and ``"cpu"`` elsewhere.
        math_mode: ``"safe"`` follows IEEE 754 as PyTorch's own kernels do, ``"fast"`` allows what Metal's fast math does.
        constants: values of function constants, by name or by index.

    Returns:
        The kernel, ready to be called.

    Raises:
        MetalCompileError: the source does not compile.
        UnknownKernelError: the source has no such kernel, or several and ``name`` is None.
        ArgumentError: ``device``, ``math_mode`` or ``constants`` has no meaning.
        EngineUnavailableError: there is no compiler or no device.
    """

def synchronize(device: object = None) -> None:
    """
    Waits for all launches on ``device`` (by default the platform's).

    Raises:
        KernelError: one of them failed on the GPU.
    """

def commit(device: object = None) -> None:
    """
    Hands the launches made so far to ``device``, without waiting for them.
    """

def engine_description(device: object = None) -> str:
    """
    What runs kernels on ``device``: ``"metal: Apple M3"``, ``"host: clang 22, 2 threads"``.

    Raises:
        EngineUnavailableError: there is no compiler or no device.
    """
