"""How long a Python function of fifty lines takes to become MSL, on the first call and with all modules imported."""

from __future__ import annotations

import gc
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Comparison, Timing, compare
from helion_msl import language as ml
from helion_msl._walker.source import source_of_function
from helion_msl.walker import SCALAR_TYPES, TensorType, namespace_of, translate

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 128
SIMDGROUPS = THREADS // 32


def attention(query, key, value, out, lengths, scale: float, HEAD: ml.constexpr, CAUSAL: ml.constexpr):  # noqa: N803
    """One row of attention for each threadgroup, with a softmax that is computed as the keys come by."""
    shared_query = ml.threadgroup_array(HEAD, ml.float32)
    partial_sums = ml.threadgroup_array((SIMDGROUPS, HEAD), ml.float32)
    partial_totals = ml.threadgroup_array(SIMDGROUPS, ml.float32)
    partial_maxima = ml.threadgroup_array(SIMDGROUPS, ml.float32)
    row, head, batch = ml.tgid[0], ml.tgid[1], ml.tgid[2]
    if row >= query.size(2):
        return
    for column in range(ml.tid[0], HEAD, THREADS):
        shared_query[column] = query[batch, head, row, column] * scale
    ml.barrier()
    length = lengths[batch]
    if CAUSAL:
        length = min(length, row + 1)
    running_max, total = -ml.inf, 0.0
    first, second = 0.0, 0.0
    for position in range(ml.simd_group, length, SIMDGROUPS):
        score = 0.0
        for column in range(ml.simd_lane, HEAD, 32):
            score += shared_query[column] * key[batch, head, position, column]
        score = ml.simd_sum(score)
        if score > running_max:
            correction = ml.exp(running_max - score)
            total *= correction
            first *= correction
            second *= correction
            running_max = score
        weight = ml.exp(score - running_max)
        total += weight
        first += weight * value[batch, head, position, ml.simd_lane]
        if ml.simd_lane + 32 < HEAD:
            second += weight * value[batch, head, position, ml.simd_lane + 32]
    partial_sums[ml.simd_group, ml.simd_lane] = first
    if ml.simd_lane + 32 < HEAD:
        partial_sums[ml.simd_group, ml.simd_lane + 32] = second
    if ml.simd_lane == 0:
        partial_totals[ml.simd_group], partial_maxima[ml.simd_group] = total, running_max
    ml.barrier()
    largest = partial_maxima[0]
    for group in range(1, SIMDGROUPS):
        largest = max(largest, partial_maxima[group])
    for column in range(ml.tid[0], HEAD, THREADS):
        result, whole = 0.0, 0.0
        for group in range(SIMDGROUPS):
            factor = ml.exp(partial_maxima[group] - largest)
            result += partial_sums[group, column] * factor
            whole += partial_totals[group] * factor
        out[batch, head, row, column] = result / whole if whole > 0 else 0.0


FLOATS = SCALAR_TYPES["float32"]
TYPES = {
    "query": TensorType(FLOATS, 4),
    "key": TensorType(FLOATS, 4, strides=(None, None, None, 1)),
    "value": TensorType(FLOATS, 4, strides=(None, None, None, 1)),
    "out": TensorType(FLOATS, 4),
    "lengths": TensorType(SCALAR_TYPES["int32"], 1),
    "scale": FLOATS,
}
CONSTANTS = {"HEAD": 64, "CAUSAL": True}


def translated(function: Any) -> str:
    """Return the MSL of a function; its source is found and parsed too."""
    return translate(function, TYPES, constants=CONSTANTS, block_dims=(THREADS, 1, 1)).msl


def run(device: str) -> list[Comparison]:
    """Time the translation as a whole, without finding the source, and of the source alone."""
    del device
    started = time.perf_counter()
    translated(attention)
    first = time.perf_counter() - started
    source, namespace = source_of_function(attention), namespace_of(attention)
    candidates: dict[str, Callable[[], object]] = {
        "a function": lambda: translated(attention),
        "a parsed function": lambda: translate(
            source, TYPES, constants=CONSTANTS, namespace=namespace, block_dims=(THREADS, 1, 1)
        ),
        "finding and parsing": lambda: source_of_function(attention),
    }
    comparison = compare(
        "translation of a kernel of 50 lines to MSL", candidates, yardstick="a function", calls=5, rounds=30
    )
    timings = {"the first of the process": Timing(first, first), **comparison.timings}
    return [Comparison(comparison.title, comparison.yardstick, timings)]


def main() -> None:
    """Print the table, and the text on request: ``python -m benchmarks.translation --msl``."""
    gc.collect()
    for comparison in run("cpu"):
        print(comparison.table())
    if "--msl" in sys.argv:
        print(translated(attention))


if __name__ == "__main__":
    main()
