"""What Python lacks for kernels: thread positions, threadgroup memory, barriers, simdgroup operations, atomics, types.

Import it as ``ml``::

    import helion_msl
    from helion_msl import language as ml

    @helion_msl.metal_jit
    def saxpy(x, y, out, a: float, BLOCK: ml.constexpr):
        i = ml.tgid[0] * BLOCK + ml.tid[0]
        if i < out.size(0):
            out[i] = a * x[i] + y[i]

Numbers mean what they mean to Python as long as they fit their type. An integer is 32 bits wide unless its value, or
what it is computed from, needs 64; a float is float32. A literal takes the type of what it meets (``x[i] * 2.0`` of a
half is a half). Operators compute in the narrowest of int32, uint32, int64, uint64 that holds both operands' values, in
the float where an integer meets one, and in float32 where two different floats meet; ``/`` of integers gives float32.
Signed integers must fit their type: what becomes of one that does not is undefined. Beyond its range an unsigned one
wraps, and a float becomes infinite; dividing by zero gives an undefined number.
A variable has one type, which holds all values assigned to it.

Every name also works in plain Python, one thread at a time: :func:`helion_msl.reference.run` executes a kernel so.
Outside of such a run, names that ask for a thread raise :class:`RuntimeError`.
"""

from __future__ import annotations

import struct
import threading
from typing import TYPE_CHECKING, Any

from . import language_math
from .language_atomics import *  # noqa: F403
from .language_integers import *  # noqa: F403
from .language_math import *  # noqa: F403
from .language_matmul import *  # noqa: F403
from .language_quadgroup import *  # noqa: F403
from .language_random import *  # noqa: F403
from .language_simdgroup_matrix import *  # noqa: F403
from .language_vectors import *  # noqa: F403
from .language_vectors import VectorDType

if TYPE_CHECKING:
    import torch

inf = float("inf")
nan = float("nan")
pi = 3.141592653589793

# ---- The thread that executes a kernel as plain Python -------------------------------------------------------------

_current = threading.local()


def _thread() -> Any:
    thread = getattr(_current, "thread", None)
    if thread is None:
        raise RuntimeError(
            "thread positions exist only inside a kernel; helion_msl.reference.run executes one as Python"
        )
    return thread


class Position:
    """Three integers that say where a thread is: ``ml.tid[0]`` is ``ml.tid.x``, and ``x, y, z = ml.tid``."""

    def __init__(self, attribute: str, doc: str) -> None:
        self._attribute = attribute
        self.__doc__ = doc

    def __repr__(self) -> str:
        return f"ml.{self._attribute}"

    def __getitem__(self, axis: int) -> int:
        """Return one coordinate."""
        return int(getattr(_thread(), self._attribute)[axis])

    @property
    def x(self) -> int:
        """The first coordinate."""
        return self[0]

    @property
    def y(self) -> int:
        """The second coordinate."""
        return self[1]

    @property
    def z(self) -> int:
        """The third coordinate."""
        return self[2]


tgid = Position("tgid", "Position of the threadgroup in the grid.")
tid = Position("tid", "Position of the thread in its threadgroup.")
gid = Position("gid", "Position of the thread in the grid: ``tgid * threads_per_threadgroup + tid``.")
threads_per_threadgroup = Position("threads_per_threadgroup", "Size of a threadgroup, in threads.")
threadgroups_per_grid = Position("threadgroups_per_grid", "Size of the grid, in threadgroups.")

threads_per_simdgroup = 32

if TYPE_CHECKING:
    simd_lane: int
    """Index of the thread in its simdgroup, 0 to 31."""
    simd_group: int
    """Index of the simdgroup in its threadgroup."""
    simdgroups_per_threadgroup: int
    """Simdgroups in a threadgroup."""
    thread_index: int
    """Index of the thread in its threadgroup in linear order, x fastest."""
    quad_lane: int
    """Index of the thread in its quadgroup, 0 to 3."""
    quad_group: int
    """Index of the quadgroup in its threadgroup."""

_THREAD_VALUES = frozenset(
    {"simd_lane", "simd_group", "simdgroups_per_threadgroup", "thread_index", "quad_lane", "quad_group"}
)


def __getattr__(name: str) -> int:
    if name in _THREAD_VALUES:
        return int(getattr(_thread(), name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# ---- Types ---------------------------------------------------------------------------------------------------------


class DType:
    """A scalar type. Calling it converts a number as C++ does: ``ml.int8(200)`` is -56."""

    def __init__(self, name: str, format_character: str, doc: str) -> None:
        self.name = name
        self.format = format_character
        self.__doc__ = doc

    def __call__(self, value: float) -> Any:
        """Convert a number."""
        if self.name == "bool":
            return bool(value)
        if self.name == "bfloat16":
            return _round_to_bfloat16(float(value))
        if self.format in "ef":
            try:
                return struct.unpack(self.format, struct.pack(self.format, float(value)))[0]
            except OverflowError:
                return inf if value > 0 else -inf
        bits = 8 * struct.calcsize("=" + self.format)
        low_bits = int(value) & ((1 << bits) - 1)
        is_negative = self.format.islower() and low_bits >> (bits - 1)
        return low_bits - (1 << bits) if is_negative else low_bits

    def __eq__(self, other: object) -> bool:
        """Whether it is the same type, which a torch dtype may name too."""
        return self is other or (type(other).__name__ == "dtype" and str(other) == f"torch.{self.name}")

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"helion_msl.language.{'bool_' if self.name == 'bool' else self.name}"


def _round_to_bfloat16(value: float) -> float:
    if value != value:
        return nan
    try:
        bits = int.from_bytes(struct.pack(">f", value), "big")
    except OverflowError:
        return inf if value > 0 else -inf
    bits += 0x7FFF + (bits >> 16 & 1)
    return float(struct.unpack(">f", (bits & 0xFFFF0000).to_bytes(4, "big"))[0])


bool_ = DType("bool", "?", "True or False, one byte in memory.")
int8 = DType("int8", "b", "Signed, 8 bits; Metal's char.")
int16 = DType("int16", "h", "Signed, 16 bits; Metal's short.")
int32 = DType("int32", "i", "Signed, 32 bits; Metal's int.")
int64 = DType("int64", "q", "Signed, 64 bits; Metal's long.")
uint8 = DType("uint8", "B", "Unsigned, 8 bits; Metal's uchar.")
uint16 = DType("uint16", "H", "Unsigned, 16 bits; Metal's ushort.")
uint32 = DType("uint32", "I", "Unsigned, 32 bits; Metal's uint.")
uint64 = DType("uint64", "Q", "Unsigned, 64 bits; Metal's ulong.")
float16 = DType("float16", "e", "IEEE half precision; Metal's half.")
bfloat16 = DType("bfloat16", "f", "The upper 16 bits of a float32; Metal's bfloat.")
float32 = DType("float32", "f", "IEEE single precision; Metal's float.")


bool2 = VectorDType("bool2", bool_, 2)
bool3 = VectorDType("bool3", bool_, 3)
bool4 = VectorDType("bool4", bool_, 4)
char2 = VectorDType("char2", int8, 2)
char3 = VectorDType("char3", int8, 3)
char4 = VectorDType("char4", int8, 4)
short2 = VectorDType("short2", int16, 2)
short3 = VectorDType("short3", int16, 3)
short4 = VectorDType("short4", int16, 4)
int2 = VectorDType("int2", int32, 2)
int3 = VectorDType("int3", int32, 3)
int4 = VectorDType("int4", int32, 4)
long2 = VectorDType("long2", int64, 2)
long3 = VectorDType("long3", int64, 3)
long4 = VectorDType("long4", int64, 4)
uchar2 = VectorDType("uchar2", uint8, 2)
uchar3 = VectorDType("uchar3", uint8, 3)
uchar4 = VectorDType("uchar4", uint8, 4)
ushort2 = VectorDType("ushort2", uint16, 2)
ushort3 = VectorDType("ushort3", uint16, 3)
ushort4 = VectorDType("ushort4", uint16, 4)
uint2 = VectorDType("uint2", uint32, 2)
uint3 = VectorDType("uint3", uint32, 3)
uint4 = VectorDType("uint4", uint32, 4)
ulong2 = VectorDType("ulong2", uint64, 2)
ulong3 = VectorDType("ulong3", uint64, 3)
ulong4 = VectorDType("ulong4", uint64, 4)
half2 = VectorDType("half2", float16, 2)
half3 = VectorDType("half3", float16, 3)
half4 = VectorDType("half4", float16, 4)
bfloat2 = VectorDType("bfloat2", bfloat16, 2)
bfloat3 = VectorDType("bfloat3", bfloat16, 3)
bfloat4 = VectorDType("bfloat4", bfloat16, 4)
float2 = VectorDType("float2", float32, 2)
float3 = VectorDType("float3", float32, 3)
float4 = VectorDType("float4", float32, 4)


class constexpr:  # noqa: N801 - an annotation, like a builtin type
    """Annotates a parameter whose value becomes part of the kernel: ``BLOCK: ml.constexpr``."""


def cast(x: float, dtype: DType) -> Any:
    """Convert a number to a type: ``ml.cast(x, out.dtype)`` is ``out.dtype(x)``; a torch dtype names a type too."""
    if not callable(dtype):
        name = str(dtype).removeprefix("torch.")
        dtype = globals()["bool_" if name == "bool" else name]
    return dtype(x)


def static_range(start: int, stop: int | None = None, step: int = 1) -> range:
    """Return the numbers of ``range``, for a loop that is written out: all bounds are constants."""
    return range(start) if stop is None else range(start, stop, step)


def bitcast(x: float, dtype: DType) -> Any:
    """Return the value that has the same bits in another type of the same size.

    In plain Python x counts as float32 or int32, or as the integer type of the size asked for.
    """
    if dtype.name == "bfloat16" or dtype.name == "bool":
        raise TypeError(f"bitcast to {dtype.name} has no plain-Python meaning")
    size = struct.calcsize("=" + dtype.format)
    source = {2: "e", 4: "f", 8: "d"}[size] if isinstance(x, float) else {1: "b", 2: "h", 4: "i", 8: "q"}[size]
    if not isinstance(x, float) and x >= 1 << (8 * size - 1):
        source = source.upper()
    return struct.unpack("=" + dtype.format, struct.pack("=" + source, x))[0]


# ---- Device memory ---------------------------------------------------------------------------------------------------


def flat(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's memory as a row of elements: ``flat(x)[offset]``.

    Offsets count elements from the tensor's first one, whatever its sizes and strides are; they are 0 or more.
    """
    span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.size(), tensor.stride(), strict=True))
    return tensor.as_strided((span if tensor.numel() else 0,), (1,))


# ---- Threadgroup memory and barriers -------------------------------------------------------------------------------


def threadgroup_array(shape: int | tuple[int, ...], dtype: DType) -> Any:
    """Return an array that all threads of the threadgroup share, its elements undefined at first.

    Args:
        shape: constant sizes.
        dtype: type of the elements.
    """
    return _thread().threadgroup_array((shape,) if isinstance(shape, int) else tuple(shape), dtype)


def local_array(shape: int | tuple[int, ...], dtype: DType) -> Any:
    """Return an array that each thread has for itself, its elements undefined at first.

    Small ones whose indices are known once loops are unrolled stay in registers.

    Args:
        shape: constant sizes.
        dtype: type of the elements.
    """
    return _thread().local_array((shape,) if isinstance(shape, int) else tuple(shape), dtype)


def barrier(memory: str = "threadgroup") -> None:
    """Wait until all threads of the threadgroup are here and see what the others have written.

    Args:
        memory: ``"threadgroup"``, ``"device"``, ``"all"`` or ``"none"``: whose writes become visible.
    """
    del memory
    _thread().barrier()


def simdgroup_barrier(memory: str = "threadgroup") -> None:
    """Wait until all threads of the simdgroup are here; ``memory`` as in :func:`barrier`."""
    del memory
    _thread().exchange(None)


# ---- Simdgroup operations: every thread of the simdgroup must reach the call ---------------------------------------


def _lanes(value: Any) -> list[Any]:
    return list(_thread().exchange(value))


def _lane() -> int:
    return int(_thread().simd_lane)


def simd_sum(x: float) -> Any:
    """Return the sum over the threads of the simdgroup."""
    return sum(_lanes(x))


def simd_product(x: float) -> float:
    """Return the product over the threads of the simdgroup."""
    product: float = 1
    for value in _lanes(x):
        product = product * value
    return product


def simd_max(x: float) -> float:
    """Return the largest value in the simdgroup; NaN where one is NaN."""
    largest, *rest = _lanes(x)
    for value in rest:
        largest = language_math.maximum(largest, value)
    return float(largest) if isinstance(largest, float) else largest


def simd_min(x: float) -> float:
    """Return the smallest value in the simdgroup; NaN where one is NaN."""
    smallest, *rest = _lanes(x)
    for value in rest:
        smallest = language_math.minimum(smallest, value)
    return float(smallest) if isinstance(smallest, float) else smallest


def simd_and(x: int) -> int:
    """Return the bitwise and over the threads of the simdgroup."""
    result = -1
    for value in _lanes(x):
        result &= value
    return result


def simd_or(x: int) -> int:
    """Return the bitwise or over the threads of the simdgroup."""
    result = 0
    for value in _lanes(x):
        result |= value
    return result


def simd_xor(x: int) -> int:
    """Return the bitwise exclusive or over the threads of the simdgroup."""
    result = 0
    for value in _lanes(x):
        result ^= value
    return result


def simd_prefix_inclusive_sum(x: float) -> Any:
    """Return the sum over the lanes up to this one."""
    return sum(_lanes(x)[: _lane() + 1])


def simd_prefix_exclusive_sum(x: float) -> Any:
    """Return the sum over the lanes below this one."""
    return sum(_lanes(x)[: _lane()])


def simd_all(condition: bool) -> bool:
    """Return whether the condition holds in all threads of the simdgroup."""
    return all(_lanes(condition))


def simd_any(condition: bool) -> bool:
    """Return whether the condition holds in any thread of the simdgroup."""
    return any(_lanes(condition))


def simd_ballot(condition: bool) -> int:
    """Return a uint32 with bit i set where the condition holds in lane i."""
    return sum(1 << lane for lane, value in enumerate(_lanes(condition)) if value)


def simd_broadcast(x: float, lane: int) -> float:
    """Return the value of one lane, the same one for all threads."""
    return _lanes(x)[lane]  # type: ignore[no-any-return]


def simd_broadcast_first(x: float) -> float:
    """Return the value of the first active lane."""
    return _lanes(x)[0]  # type: ignore[no-any-return]


def simd_shuffle(x: float, lane: int) -> float:
    """Return the value of a lane that each thread chooses."""
    return _lanes(x)[lane]  # type: ignore[no-any-return]


def simd_shuffle_up(x: float, delta: int) -> float:
    """Return the value of the lane ``delta`` below; the lowest lanes keep their own."""
    lane = _lane()
    return _lanes(x)[lane - delta if lane >= delta else lane]  # type: ignore[no-any-return]


def simd_shuffle_down(x: float, delta: int) -> float:
    """Return the value of the lane ``delta`` above; the highest lanes keep their own."""
    values, lane = _lanes(x), _lane()
    return values[lane + delta if lane + delta < len(values) else lane]  # type: ignore[no-any-return]


def simd_shuffle_xor(x: float, mask: int) -> float:
    """Return the value of the lane whose index differs in the bits of ``mask``."""
    return _lanes(x)[_lane() ^ mask]  # type: ignore[no-any-return]
