"""A convolution of images with small filters, one thread for each element of the output."""

from __future__ import annotations

import torch

import helion_msl
from helion_msl import language as ml

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
BLOCK = 16


@helion_msl.metal_jit
def convolution_kernel(image, weight, out, RADIUS: ml.constexpr):
    """Writes the convolution of `image` (channels, height, width) with `weight` (filters, channels, size, size).

    A threadgroup takes BLOCK x BLOCK pixels of one filter; pixels outside of the image count as 0.
    """
    x, y, filter_index = ml.tgid[0] * BLOCK + ml.tid[0], ml.tgid[1] * BLOCK + ml.tid[1], ml.tgid[2]
    height, width = image.size(1), image.size(2)
    if x >= width or y >= height:
        return
    total = 0.0
    for channel in range(image.size(0)):
        for dy in range(-RADIUS, RADIUS + 1):
            for dx in range(-RADIUS, RADIUS + 1):
                if 0 <= y + dy < height and 0 <= x + dx < width:
                    pixel = image[channel, y + dy, x + dx]
                    total += pixel * weight[filter_index, channel, dy + RADIUS, dx + RADIUS]
    out[filter_index, y, x] = total


def convolution(image: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Returns the convolution of an image with square filters of odd size, of the image's height and width."""
    filters, _, size, _ = weight.shape
    _, height, width = image.shape
    out = torch.empty(filters, height, width, device=image.device)
    grid = -(-width // BLOCK), -(-height // BLOCK), filters
    convolution_kernel[grid, (BLOCK, BLOCK)](image, weight, out, RADIUS=size // 2)
    return out


def main() -> None:
    """Compares with torch."""
    image, weight = torch.randn(3, 50, 70, device=DEVICE), torch.randn(4, 3, 5, 5, device=DEVICE)
    expected = torch.nn.functional.conv2d(image[None], weight, padding="same")[0]
    torch.testing.assert_close(convolution(image, weight), expected, rtol=1e-5, atol=1e-4)
    print(f"convolution of 3 x 50 x 70 with 4 filters on {helion_msl.engine_description(DEVICE)}: equal to torch")


if __name__ == "__main__":
    main()
