"""Executes a kernel as plain Python, one thread at a time: what a translated kernel must agree with.

Elements of tensors are Python numbers here, so integers have no width and floats are double precision; stores round to
the tensor's dtype. Slow: meant for tests and for stepping through a kernel with a debugger.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

from . import language
from ._walker.captured import functions_called

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SIMD_WIDTH = 32
_PATIENCE = 60.0  # seconds until a barrier that some threads never reach is given up
_TOGETHER = ("barrier", "simd_", "quad_", "threadgroup_array", "simdgroup_barrier")


class Elements:
    """A tensor whose elements are Python numbers: ``x[i]`` is an int, a float or a bool."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def __getitem__(self, index: Any) -> Any:
        return self.tensor[index].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self.tensor[index] = value.tensor.item() if isinstance(value, ZeroDimensional) else value

    def __len__(self) -> int:
        return len(self.tensor)

    @property
    def dtype(self) -> language.DType:
        """The type of the elements, which may be called."""
        name = str(self.tensor.dtype).removeprefix("torch.")
        return getattr(language, "bool_" if name == "bool" else name)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tensor, name)


class ZeroDimensional(Elements):
    """A tensor without dimensions: its name is its number wherever one is needed, and ``t[()]`` is, too."""

    def __getitem__(self, index: Any) -> Any:
        return self.tensor.item() if index in ((), 0) else super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__((), value)

    __hash__ = None  # type: ignore[assignment]


def _forward(name: str) -> Any:
    def method(self: ZeroDimensional, *others: Any) -> Any:
        numbers = [other.tensor.item() if isinstance(other, ZeroDimensional) else other for other in others]
        found = getattr(self.tensor.item(), name)(*numbers)
        if found is NotImplemented and numbers:
            # An int leaves its float partner to do the work.
            return getattr(float(self.tensor.item()), name)(*numbers)
        return found

    return method


for _name in (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "lshift", "rshift", "and", "or", "xor"),
    *("radd", "rsub", "rmul", "rtruediv", "rfloordiv", "rmod", "rdivmod", "rpow", "rlshift", "rrshift", "rand", "ror"),
    *("rxor", "lt", "le", "gt", "ge", "eq", "ne", "neg", "pos", "abs", "invert", "round", "floor", "ceil", "trunc"),
    *("bool", "int", "float", "index"),
):
    setattr(ZeroDimensional, f"__{_name}__", _forward(f"__{_name}__"))


class _Thread:
    """One thread: what the names of :mod:`helion_msl.language` ask for."""

    def __init__(self, group: _Threadgroup, tid: tuple[int, int, int], index: int) -> None:
        dims = group.block_dims
        self._group = group
        self.tgid, self.tid, self.thread_index = group.tgid, tid, index
        self.threads_per_threadgroup, self.threadgroups_per_grid = dims, group.grid
        self.gid = tuple(group.tgid[axis] * dims[axis] + tid[axis] for axis in range(3))
        self.simd_group, self.simd_lane = divmod(index, SIMD_WIDTH)
        self.quad_group, self.quad_lane = divmod(index, 4)
        self.simdgroups_per_threadgroup = -(-group.size // SIMD_WIDTH)
        self._arrays = 0

    def barrier(self) -> None:
        self._group.barrier.wait(_PATIENCE)

    def exchange(self, value: object) -> list[object]:
        """Return the values of all threads of the simdgroup."""
        slots, barrier = self._group.simdgroups[self.simd_group]
        slots[self.simd_lane] = value
        barrier.wait(_PATIENCE)
        values = list(slots)
        barrier.wait(_PATIENCE)
        return values

    def local_array(self, shape: tuple[int, ...], dtype: language.DType) -> Elements:
        """Return an array of this thread."""
        import torch

        return Elements(torch.zeros(shape, dtype=getattr(torch, dtype.name)))

    def threadgroup_array(self, shape: tuple[int, ...], dtype: language.DType) -> Elements:
        """Return the array that the other threads get at the same place of the program."""
        self._arrays += 1
        return self._group.array(self._arrays, shape, dtype)


class _Threadgroup:
    def __init__(self, tgid: tuple[int, ...], grid: tuple[int, ...], block_dims: tuple[int, ...]) -> None:
        self.tgid, self.grid, self.block_dims = tgid, grid, block_dims
        self.size = block_dims[0] * block_dims[1] * block_dims[2]
        self.barrier = threading.Barrier(self.size)
        self.simdgroups = []
        for first in range(0, self.size, SIMD_WIDTH):
            lanes = min(SIMD_WIDTH, self.size - first)
            slots: list[object] = [None] * lanes
            self.simdgroups.append((slots, threading.Barrier(lanes)))
        self._arrays: dict[int, Elements] = {}
        self._lock = threading.Lock()

    def array(self, number: int, shape: tuple[int, ...], dtype: language.DType) -> Elements:
        import torch

        with self._lock:
            if number not in self._arrays:
                self._arrays[number] = Elements(torch.zeros(shape, dtype=getattr(torch, dtype.name)))
            return self._arrays[number]

    def threads(self) -> Iterator[_Thread]:
        x, y, z = self.block_dims
        for index, (k, j, i) in enumerate(itertools.product(range(z), range(y), range(x))):
            yield _Thread(self, (i, j, k), index)


def run(
    function: Callable[..., object],
    args: Sequence[object],
    grid: int | Sequence[int],
    block_dims: int | Sequence[int],
    keywords: dict[str, object] | None = None,
) -> None:
    """Execute a kernel's Python function for every thread of a launch.

    Args:
        function: the function, or the kernel that :func:`helion_msl.metal_jit` made of it.
        args: values of its parameters; tensors are changed in place.
        grid: number of threadgroups, one to three numbers.
        block_dims: number of threads in a threadgroup, one to three numbers.
        keywords: values by name.

    Raises:
        RuntimeError: not all threads reached the same barrier.
        Exception: whatever the function raises.
    """
    function = getattr(function, "fn", function)
    wrapped = [_elements(arg) if hasattr(arg, "__dlpack__") else arg for arg in args]
    groups, threads = _three(grid), _three(block_dims)
    together = _needs_threads(function)
    for z, y, x in itertools.product(*(range(count) for count in reversed(groups))):
        group = _Threadgroup((x, y, z), groups, threads)
        calls = [_call(function, wrapped, keywords or {}, thread) for thread in group.threads()]
        if together:
            _run_together(calls, group)
        else:
            for call in calls:
                call()


def _elements(tensor: Any) -> Elements:
    return Elements(tensor) if tensor.dim() else ZeroDimensional(tensor)


def _call(
    function: Callable[..., object], args: list[object], keywords: dict[str, object], thread: _Thread
) -> Callable[[], None]:
    def call() -> None:
        language._current.thread = thread
        try:
            function(*args, **keywords)
        finally:
            language._current.thread = None

    return call


def _run_together(calls: list[Callable[[], None]], group: _Threadgroup) -> None:
    """Run the threads of a threadgroup at once; the first failure ends all of them."""
    failures: list[BaseException] = []

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except threading.BrokenBarrierError:
            if not failures:
                failures.append(RuntimeError("not all threads reached the same barrier"))
        except BaseException as error:
            failures.append(error)
            group.barrier.abort()
            for _, barrier in group.simdgroups:
                barrier.abort()

    workers = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]


def _needs_threads(function: Callable[..., object]) -> bool:
    """Whether a function, or one that it calls, waits for other threads: by the names it uses."""
    called = functions_called(function)  # type: ignore[arg-type]
    return any(name.startswith(_TOGETHER) for each in called for name in each.__code__.co_names)


def _three(dims: int | Sequence[int]) -> tuple[int, int, int]:
    x, y, z = (*((dims,) if isinstance(dims, int) else dims), 1, 1)[:3]
    return x, y, z
