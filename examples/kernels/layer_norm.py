"""Layer normalization of each row: mean and variance in one pass of float32, whatever the dtype of the tensors."""

from __future__ import annotations

import torch
from reductions import SIMDGROUPS, THREADS, threadgroup_sum

import helion_msl
from helion_msl import language as ml

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"


@helion_msl.metal_jit
def layer_norm_kernel(x, weight, bias, out, epsilon: float):
    """Writes row ``tgid[0]`` of `x`, normalized to mean 0 and variance 1, times `weight` plus `bias`."""
    scratch = ml.threadgroup_array(SIMDGROUPS, ml.float32)
    row = ml.tgid[0]
    columns = x.size(1)
    total = 0.0
    for column in range(ml.tid[0], columns, THREADS):
        total += ml.float32(x[row, column])
    mean = threadgroup_sum(total, scratch) / columns
    # The squares of the differences, not the difference of the squares: that one loses all digits far from zero.
    squares = 0.0
    for column in range(ml.tid[0], columns, THREADS):
        difference = ml.float32(x[row, column]) - mean
        squares += difference * difference
    scale = ml.rsqrt(threadgroup_sum(squares, scratch) / columns + epsilon)
    for column in range(ml.tid[0], columns, THREADS):
        out[row, column] = (ml.float32(x[row, column]) - mean) * scale * weight[column] + bias[column]


def layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, epsilon: float = 1e-5) -> torch.Tensor:
    """Returns the layer normalization of each row of a matrix of float32, float16 or bfloat16."""
    out = torch.empty_like(x)
    layer_norm_kernel[(x.size(0),), (THREADS,)](x, weight, bias, out, epsilon)
    return out


def main() -> None:
    """Compares with torch."""
    weight, bias = torch.randn(2, 700, device=DEVICE)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        x = torch.randn(19, 700, device=DEVICE).to(dtype)
        expected = torch.nn.functional.layer_norm(x.float(), (700,), weight, bias).to(dtype)
        torch.testing.assert_close(layer_norm(x, weight, bias), expected)
    print(f"layer norm of 19 rows of 700 on {helion_msl.engine_description(DEVICE)}: equal to torch")


if __name__ == "__main__":
    main()
