"""
The native part of helion_msl: compiles Metal Shading Language and launches kernels.
"""

from collections.abc import Callable, Mapping, Sequence
from types import CellType
from typing import Any, Literal


class ArgumentInfo:
    """What a kernel declares at one buffer index."""

    @property
    def name(self) -> str:
        """Name of the parameter."""

    @property
    def index(self) -> int:
        """n of ``[[buffer(n)]]``."""

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
        globals: dict[str, object],
        numbers: list[tuple[str, CellType | None]],
        identity_types: tuple[type, ...],
    ) -> None: ...
    @property
    def _known_count(self) -> int: ...

class BoundDispatcher:
    """
    A kernel with a grid and a threadgroup, ``kernel[grid, block_dims]``: call it with the kernel's arguments.
    """

    def __call__(self, *args: object, **keywords: object) -> None: ...

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
            (at most 4096) a constant of any type.
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
