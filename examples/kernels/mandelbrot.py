"""The Mandelbrot set, where threads leave their loops at different times: ``python mandelbrot.py`` draws it."""

from __future__ import annotations

import torch

import helion_msl
from helion_msl import language as ml

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
BLOCK = 16


@helion_msl.metal_jit
def mandelbrot_kernel(counts, left: float, top: float, step: float, limit: int):
    """Writes for each pixel how often ``z = z * z + c`` can be taken before ``z`` is far away, or `limit`."""
    column, row = ml.tgid[0] * BLOCK + ml.tid[0], ml.tgid[1] * BLOCK + ml.tid[1]
    if row >= counts.size(0) or column >= counts.size(1):
        return
    c_real, c_imaginary = left + column * step, top - row * step
    real, imaginary = 0.0, 0.0
    count = 0
    while count < limit and real * real + imaginary * imaginary <= 4.0:
        real, imaginary = real * real - imaginary * imaginary + c_real, 2.0 * real * imaginary + c_imaginary
        count += 1
    counts[row, column] = count


def mandelbrot(height: int, width: int, left: float, top: float, step: float, limit: int = 100) -> torch.Tensor:
    """Returns the counts of a part of the plane, whose upper left corner is ``left + top * 1j``, as int32."""
    counts = torch.empty(height, width, dtype=torch.int32, device=DEVICE)
    mandelbrot_kernel[(-(-width // BLOCK), -(-height // BLOCK)), (BLOCK, BLOCK)](counts, left, top, step, limit)
    return counts


def expected_counts(height: int, width: int, left: float, top: float, step: float, limit: int = 100) -> torch.Tensor:
    """Returns the same with operations of torch, one for all pixels at a time."""
    c_real = left + torch.arange(width) * step
    c_imaginary = (top - torch.arange(height) * step)[:, None]
    real, imaginary = torch.zeros(2, height, width)
    counts = torch.zeros(height, width, dtype=torch.int32)
    for _ in range(limit):
        counts += (real * real + imaginary * imaginary <= 4.0).int()
        real, imaginary = real * real - imaginary * imaginary + c_real, 2.0 * real * imaginary + c_imaginary
    return counts


def main() -> None:
    """Draws the set and compares with torch."""
    # Steps that float32 holds exactly. Where products are fused with sums, a point at the rim may still differ by one
    # rounding, and so by any number of turns.
    view = {"height": 37, "width": 44, "left": -2.0625, "top": 1.125, "step": 0.0625}
    counts = mandelbrot(**view).cpu()
    for line in counts:
        print("".join(2 * " .:-=+*#%@"[min(9, count // 3)] for count in line.tolist()))
    different = int((counts != expected_counts(**view)).sum())
    assert different <= counts.numel() // 100, f"{different} pixels differ"
    print(f"37 x 44 pixels on {helion_msl.engine_description(DEVICE)}: equal to torch but for {different} pixels")


if __name__ == "__main__":
    main()
