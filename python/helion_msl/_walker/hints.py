"""What people write who come from Triton, CUDA, Taichi, MLX or MSL, and what it is called here."""

from __future__ import annotations

import difflib
from types import ModuleType

from .. import language

# Names that `ml` does not have: what to write instead.
_IN_THE_LANGUAGE = {
    **dict.fromkeys(("float64", "double"), "Metal has no 64-bit floats; use ml.float32"),
    **dict.fromkeys(("half", "float_", "float"), "write ml.float16 or ml.float32"),
    **dict.fromkeys(("bfloat",), "write ml.bfloat16"),
    **dict.fromkeys(("int", "int_", "uint", "long", "ulong", "short", "ushort", "char", "uchar"), "write ml.int32"),
    **dict.fromkeys(("bool",), "write ml.bool_"),
    **dict.fromkeys(("max", "min", "abs", "round", "range", "len", "print"), "Python's own `{name}` works in a kernel"),
    "assert_": "Python's `assert` works in a kernel",
    "device_assert": "Python's `assert` works in a kernel",
    "device_print": "Python's `print` works in a kernel",
    **dict.fromkeys(
        ("program_id", "block_idx", "blockIdx", "group_id"), "write ml.tgid[0], the threadgroup's position"
    ),
    **dict.fromkeys(("thread_idx", "threadIdx", "local_id", "thread_id"), "write ml.tid[0], the thread's position"),
    **dict.fromkeys(
        ("thread_position_in_grid", "global_id", "grid", "thread_pos", "indices"),
        "write ml.gid[0], the thread's position in the grid",
    ),
    **dict.fromkeys(("num_programs", "grid_dim", "gridDim", "gridsize"), "write ml.threadgroups_per_grid[0]"),
    **dict.fromkeys(("block_dim", "blockDim", "block_size"), "write ml.threads_per_threadgroup[0]"),
    **dict.fromkeys(("lane_id", "lane", "laneid"), "write ml.simd_lane"),
    **dict.fromkeys(("warp_id", "simdgroup_index"), "write ml.simd_group"),
    **dict.fromkeys(
        ("simd_width", "simd_size", "warp_size", "warpsize"), "write ml.threads_per_simdgroup, which is 32"
    ),
    **dict.fromkeys(
        ("syncthreads", "sync_threads", "threadgroup_barrier", "debug_barrier", "sync", "simt"), "write ml.barrier()"
    ),
    **dict.fromkeys(("syncwarp", "simd_barrier"), "write ml.simdgroup_barrier()"),
    **dict.fromkeys(
        ("shared_array", "shared", "SharedArray", "smem", "threadgroup"), "write ml.threadgroup_array(shape, dtype)"
    ),
    **dict.fromkeys(
        ("zeros", "ones", "empty", "full", "array", "zeros_like", "private_array", "register_array"),
        "write ml.local_array(shape, dtype) for a thread's own numbers, and ml.threadgroup_array for shared ones",
    ),
    **dict.fromkeys(
        ("load", "store"), "read and write elements: x[i], out[i] = value; load_vector takes several at once"
    ),
    **dict.fromkeys(
        ("arange", "make_range"), "a thread computes with single numbers: take ml.tid[0], or loop over a range"
    ),
    **dict.fromkeys(("sum", "cumsum", "softmax", "sort"), "combine threads with ml.simd_sum and threadgroup memory"),
    "reduce": "combine threads with ml.simd_sum, ml.simd_max and threadgroup memory",
    "lerp": "write ml.mix(x, y, t)",
    "to": "write ml.cast(x, dtype), or the type: ml.float16(x)",
    "astype": "write ml.cast(x, dtype), or the type: ml.float16(x)",
    "relu": "write max(x, 0.0)",
    "silu": "write x * ml.sigmoid(x)",
    "gelu": "write 0.5 * x * (1 + ml.erf(x * 0.70710678))",
    "sqrt_rn": "ml.sqrt is rounded to the nearest",
    "random": "write ml.rand(seed, offset)",
    **dict.fromkeys(("atomic_cas", "atomic_compare_and_swap", "compare_exchange"), "write ml.atomic_compare_exchange"),
    **dict.fromkeys(("atomic_xchg", "atomic_exch"), "write ml.atomic_exchange"),
    **dict.fromkeys(("shfl", "shfl_sync", "shuffle"), "write ml.simd_shuffle"),
    **dict.fromkeys(
        ("all_sync", "any_sync", "ballot", "ballot_sync"), "write ml.simd_all, ml.simd_any or ml.simd_ballot"
    ),
}
_OF_NUMBERS = {
    **dict.fromkeys(
        ("to", "astype", "type", "half", "float", "int", "long", "bool"), "write the type: ml.float16(x), int(x)"
    ),
    "dtype": "the dtype of a tensor is known: x.dtype",
    "item": "a number is one already",
    "bit_count": "write ml.popcount(n)",
    **dict.fromkeys(("sum", "max", "min", "mean", "abs"), "this is one number, not a tensor"),
}
_BUILTINS = {
    **dict.fromkeys(("isinstance", "type", "hasattr", "getattr"), "every type is known before the kernel runs"),
    **dict.fromkeys(("list", "dict", "set"), "use ml.local_array, ml.threadgroup_array, or a tuple of constants"),
    **dict.fromkeys(("sorted", "filter", "map", "iter", "next"), "write a loop over a range"),
    **dict.fromkeys(("str", "repr", "format", "chr", "ord", "input", "open"), "work with text on the host"),
    "range": "a range is for loops: for i in range(n)",
    "tuple": "write the tuple out: (a, b)",
    "complex": "keep the real and the imaginary part in two variables",
}


def of_attribute(owner: object, name: str) -> str:
    """Return what to write instead of an attribute that an object does not have; empty where nothing is near."""
    if owner is language and name in _IN_THE_LANGUAGE:
        return _IN_THE_LANGUAGE[name].replace("{name}", name)
    public = [
        other
        for other in dir(owner)
        if not other.startswith("_") and not isinstance(getattr(owner, other, None), ModuleType)
    ]
    if owner is language:
        public += language._THREAD_VALUES
    close = difflib.get_close_matches(name, public, 1)
    return f"did you mean `{close[0]}`?" if close else ""


def of_number(name: str) -> str:
    """Return what to write instead of an attribute of a number."""
    return _OF_NUMBERS.get(name, "")


def of_builtin(name: str) -> str:
    """Return what to write instead of a builtin that a kernel does not have."""
    return _BUILTINS.get(name, "write a loop over a range")
