"""The kernels of ``examples/kernels`` in what Helion 1.5.1's own walker takes, as literally as it lets one write them.

That walker knows no sizes, no functions of the kernel's author, no tuples and no chains of comparisons, so that sizes
are numbers (``{x.shape[1]}`` is filled in), functions are written out, and each name is assigned by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BARRIER = "metal.threadgroup_barrier(metal.mem_flags.mem_threadgroup)"


@dataclass(frozen=True)
class DialectKernel:
    """A kernel's text, with placeholders for sizes and constants, and its threadgroup arrays."""

    text: str
    threadgroup_arrays: dict[str, tuple[str, int]] = field(default_factory=dict)

    def namespace(self) -> dict[str, object]:
        """Return the globals through which Helion declares threadgroup arrays."""
        return {f"_METAL_TG_BUF_{name}": (name, *rest) for name, rest in self.threadgroup_arrays.items()}


def _reduced(name: str, operation: str, identity: str) -> str:
    """What ``threadgroup_sum`` and ``threadgroup_max`` of the examples do."""
    return f"""
    {name} = helion_red.simd_{operation}({name})
    {BARRIER}
    if lane == 0:
        tl.store(scratch + _simd_group, {name})
    {BARRIER}
    {name} = helion_red.simd_{operation}(scratch[lane] if lane < 8 else {identity})
"""


_SAXPY = """
def saxpy_kernel(x, y, out, a):
    i = tgid[0] * {BLOCK} + tid[0]
    if i < {out.shape[0]}:
        tl.store(out + i, a * tl.load(x + i) + tl.load(y + i))
"""

_SOFTMAX = f"""
def softmax_kernel(x, out):
    lane = tid[0] % 32
    row = tgid[0]
    largest = float("-inf")
    for column in range(tid[0], {{x.shape[1]}}, 256):
        largest = max(largest, tl.load(x + (row * {{x.shape[1]}} + column)))
    {_reduced("largest", "max", 'float("-inf")')}
    total = 0.0
    for column in range(tid[0], {{x.shape[1]}}, 256):
        total += metal.precise.exp(tl.load(x + (row * {{x.shape[1]}} + column)) - largest)
    {_reduced("total", "sum", "0.0")}
    for column in range(tid[0], {{x.shape[1]}}, 256):
        tl.store(
            out + (row * {{x.shape[1]}} + column),
            metal.precise.exp(tl.load(x + (row * {{x.shape[1]}} + column)) - largest) / total,
        )
"""

_LAYER_NORM = f"""
def layer_norm_kernel(x, weight, bias, out, epsilon):
    lane = tid[0] % 32
    row = tgid[0]
    total = 0.0
    for column in range(tid[0], {{x.shape[1]}}, 256):
        total += tl.load(x + (row * {{x.shape[1]}} + column))
    {_reduced("total", "sum", "0.0")}
    mean = total / {{x.shape[1]}}
    squares = 0.0
    for column in range(tid[0], {{x.shape[1]}}, 256):
        difference = tl.load(x + (row * {{x.shape[1]}} + column)) - mean
        squares += difference * difference
    {_reduced("squares", "sum", "0.0")}
    scale = metal.precise.rsqrt(squares / {{x.shape[1]}} + epsilon)
    for column in range(tid[0], {{x.shape[1]}}, 256):
        tl.store(
            out + (row * {{x.shape[1]}} + column),
            (tl.load(x + (row * {{x.shape[1]}} + column)) - mean) * scale * tl.load(weight + column)
            + tl.load(bias + column),
        )
"""


def _is_better(value: str, place: str, other: str, other_place: str) -> str:
    """``is_better`` of the example, as one expression."""
    return (
        f"{value} > {other} or (metal.isnan({value}) and not metal.isnan({other})) or "
        f"(({value} == {other} or metal.isnan({value})) and {place} < {other_place})"
    )


def _simdgroup_best(indent: str) -> str:
    """``simdgroup_best`` of the example, its loop unrolled: that walker's loops go over ranges only."""
    steps = [
        f"""
other_{delta} = metal.simd_shuffle_down(value, {delta})
other_place_{delta} = metal.simd_shuffle_down(place, {delta})
if {_is_better(f"other_{delta}", f"other_place_{delta}", "value", "place")}:
    value = other_{delta}
    place = other_place_{delta}"""
        for delta in (16, 8, 4, 2, 1)
    ]
    return "".join(steps).replace("\n", f"\n{indent}")


_ARGMAX_ELEMENT = "tl.load(x + (row * {x.shape[1]} + column))"

_ARGMAX = f"""
def argmax_kernel(x, out):
    lane = tid[0] % 32
    row = tgid[0]
    value = float("-inf")
    place = 2147483647
    for column in range(tid[0], {{x.shape[1]}}, 256):
        if {_is_better(_ARGMAX_ELEMENT, "column", "value", "place")}:
            value = tl.load(x + (row * {{x.shape[1]}} + column))
            place = column
    {_simdgroup_best("    ")}
    if lane == 0:
        tl.store(values + _simd_group, value)
        tl.store(places + _simd_group, place)
    {BARRIER}
    if _simd_group == 0:
        value = values[lane] if lane < 8 else float("-inf")
        place = places[lane] if lane < 8 else 2147483647
        {_simdgroup_best("        ")}
        if lane == 0:
            tl.store(out + row, place)
"""

_CONVOLUTION = """
def convolution_kernel(image, weight, out):
    x = tgid[0] * 16 + tid[0]
    y = tgid[1] * 16 + tid[1]
    filter_index = tgid[2]
    if x < {image.shape[2]} and y < {image.shape[1]}:
        total = 0.0
        for channel in range({image.shape[0]}):
            for dy in range(-{RADIUS}, {RADIUS} + 1):
                for dx in range(-{RADIUS}, {RADIUS} + 1):
                    if 0 <= y + dy and y + dy < {image.shape[1]} and 0 <= x + dx and x + dx < {image.shape[2]}:
                        pixel = tl.load(image + ((channel * {image.shape[1]} + y + dy) * {image.shape[2]} + x + dx))
                        total += pixel * tl.load(
                            weight
                            + (((filter_index * {image.shape[0]} + channel) * {weight.shape[2]} + dy + {RADIUS})
                            * {weight.shape[3]} + dx + {RADIUS})
                        )
        tl.store(out + ((filter_index * {image.shape[1]} + y) * {image.shape[2]} + x), total)
"""

_HISTOGRAM = f"""
def histogram_kernel(x, counts):
    for value in range(tid[0], 256, 256):
        metal.atomic_store_explicit(own + value, 0, metal.memory_order_relaxed)
    {BARRIER}
    first = tgid[0] * 4096 + tid[0]
    for step in range(16):
        i = first + step * 256
        if i < {{x.shape[0]}}:
            metal.atomic_fetch_add_explicit(own + tl.load(x + i), 1, metal.memory_order_relaxed)
    {BARRIER}
    for value in range(tid[0], 256, 256):
        count = metal.atomic_load_explicit(own + value, metal.memory_order_relaxed)
        if count != 0:
            metal.atomic_fetch_add_explicit(counts + value, count, metal.memory_order_relaxed)
"""

_MANDELBROT = """
def mandelbrot_kernel(counts, left, top, step):
    column = tgid[0] * 16 + tid[0]
    row = tgid[1] * 16 + tid[1]
    if row < {counts.shape[0]} and column < {counts.shape[1]}:
        c_real = left + column * step
        c_imaginary = top - row * step
        real = 0.0
        imaginary = 0.0
        count = 0
        while count < {limit} and real * real + imaginary * imaginary <= 4.0:
            next_real = real * real - imaginary * imaginary + c_real
            imaginary = 2.0 * real * imaginary + c_imaginary
            real = next_real
            count += 1
        tl.store(counts + (row * {counts.shape[1]} + column), count)
"""

_MATMUL = f"""
def matmul_kernel(a, b, out):
    column = tgid[0] * 16 + tid[0]
    row = tgid[1] * 16 + tid[1]
    total = 0.0
    for start in range(0, {{a.shape[1]}}, 16):
        left = start + tid[0]
        tl.store(
            a_tile + (tid[1] * 16 + tid[0]),
            tl.load(a + (row * {{a.shape[1]}} + left)) if row < {{a.shape[0]}} and left < {{a.shape[1]}} else 0.0,
        )
        upper = start + tid[1]
        tl.store(
            b_tile + (tid[1] * 16 + tid[0]),
            tl.load(b + (upper * {{b.shape[1]}} + column))
            if upper < {{a.shape[1]}} and column < {{b.shape[1]}} else 0.0,
        )
        {BARRIER}
        for k in range(16):
            total += a_tile[tid[1] * 16 + k] * b_tile[k * 16 + tid[0]]
        {BARRIER}
    if row < {{out.shape[0]}} and column < {{out.shape[1]}}:
        tl.store(out + (row * {{out.shape[1]}} + column), total)
"""

_BLOCK_SUMS = f"""
def block_sums_kernel(x, out, sums):
    lane = tid[0] % 32
    i = tgid[0] * 256 + tid[0]
    own = tl.load(x + i) if i < {{x.shape[0]}} else 0
    running = metal.simd_prefix_inclusive_sum(own)
    if lane == 31:
        tl.store(scratch + _simd_group, running)
    {BARRIER}
    for group in range(_simd_group):
        running += scratch[group]
    if i < {{x.shape[0]}}:
        tl.store(out + i, running)
    if tid[0] == 255:
        tl.store(sums + tgid[0], running)
"""

_ADD_PREVIOUS = """
def add_previous_kernel(running, out):
    i = tgid[0] * 256 + tid[0]
    if tgid[0] > 0 and i < {out.shape[0]}:
        tl.store(out + i, tl.load(out + i) + tl.load(running + (tgid[0] - 1)))
"""

_TRANSPOSE = f"""
def transpose_kernel(x, out):
    column = tgid[0] * 32 + tid[0]
    for step in range(0, 32, 8):
        row = tgid[1] * 32 + tid[1] + step
        if row < {{x.shape[0]}} and column < {{x.shape[1]}}:
            tl.store(tile + ((tid[1] + step) * 33 + tid[0]), tl.load(x + (row * {{x.shape[1]}} + column)))
    {BARRIER}
    column = tgid[1] * 32 + tid[0]
    for step in range(0, 32, 8):
        row = tgid[0] * 32 + tid[1] + step
        if row < {{out.shape[0]}} and column < {{out.shape[1]}}:
            tl.store(out + (row * {{out.shape[1]}} + column), tile[tid[0] * 33 + tid[1] + step])
"""

_SCRATCH = {"scratch": ("float", 8)}

KERNELS = {
    "saxpy_kernel": DialectKernel(_SAXPY),
    "softmax_kernel": DialectKernel(_SOFTMAX, _SCRATCH),
    "layer_norm_kernel": DialectKernel(_LAYER_NORM, _SCRATCH),
    "argmax_kernel": DialectKernel(_ARGMAX, {"values": ("float", 8), "places": ("int", 8)}),
    "convolution_kernel": DialectKernel(_CONVOLUTION),
    "histogram_kernel": DialectKernel(_HISTOGRAM, {"own": ("atomic_int", 256)}),
    "mandelbrot_kernel": DialectKernel(_MANDELBROT),
    "matmul_kernel": DialectKernel(_MATMUL, {"a_tile": ("float", 256), "b_tile": ("float", 256)}),
    "block_sums_kernel": DialectKernel(_BLOCK_SUMS, {"scratch": ("int", 8)}),
    "add_previous_kernel": DialectKernel(_ADD_PREVIOUS),
    "transpose_kernel": DialectKernel(_TRANSPOSE, {"tile": ("float", 32 * 33)}),
}
