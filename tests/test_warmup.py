"""Compiling ahead of the first launch, with tensors and without."""

from __future__ import annotations

import functools
import threading

import pytest
import torch

import helion_msl
from helion_msl import TensorSpec
from helion_msl import language as ml


def make_kernel():
    def scale(x, out, factor: float, BLOCK: ml.constexpr = 4):
        i = ml.tgid[0] * BLOCK + ml.tid[0]
        if i < out.size(0):
            out[i] = x[i] * factor

    return helion_msl.metal_jit(scale)


@pytest.fixture(autouse=True)
def _empty_cache():
    helion_msl.clear_cache()


def misses() -> int:
    return helion_msl.cache_info().misses


def launch(kernel, device, dtype=torch.float32, factor=2.0):
    x = torch.arange(6, dtype=dtype, device=device)
    out = torch.zeros_like(x)
    kernel[2, 4](x, out, factor)
    helion_msl.synchronize(device)
    assert torch.equal(out, x * factor)


def test_launch_after_a_warmup_compiles_nothing(device):
    kernel = make_kernel()
    spec = TensorSpec((6,), torch.float32)
    kernel.warmup(spec, spec, 1.0, block_dims=4, device=device)
    assert misses() == 1
    launch(kernel, device)
    assert misses() == 1
    launch(kernel, device, torch.float16)
    assert misses() == 2


def test_tensors_say_their_device(device):
    kernel = make_kernel()
    x = torch.ones(3, device=device)
    before = x.clone()
    kernel.warmup(x, x, 1.0, block_dims=(4,))
    assert torch.equal(x, before)  # nothing has run
    launch(kernel, device)
    assert misses() == 1


def test_strides_are_those_of_the_tensor(device):
    kernel = make_kernel()
    column = torch.arange(12, dtype=torch.float32, device=device).reshape(6, 2)[:, 1]
    spec = TensorSpec(column.shape, column.dtype, column.stride())
    out = torch.zeros(6, device=device)
    kernel.warmup(spec, TensorSpec([6], torch.float32), 1.0, block_dims=4, device=device)
    kernel[2, 4](column, out, 3.0)
    helion_msl.synchronize(device)
    assert torch.equal(out, column * 3)
    assert misses() == 1


def test_constants_and_keywords(device):
    kernel = make_kernel()
    spec = TensorSpec((6,), torch.float32)
    kernel.warmup(x=spec, out=spec, factor=1.0, BLOCK=2, block_dims=2, device=device)
    launch(kernel, device)
    assert misses() == 2  # that one has BLOCK=4


@pytest.mark.parametrize(
    ("shape", "dtype", "strides"),
    [((-1,), torch.float32, None), ((2,), "float32", None), ((2, 2), torch.float32, (1,)), (("a",), torch.int8, None)],
)
def test_specs_that_no_tensor_has(shape, dtype, strides):
    with pytest.raises(helion_msl.ArgumentError, match="there is no tensor of shape"):
        TensorSpec(shape, dtype, strides)


def test_spec_of_a_dtype_that_metal_has_not():
    spec = TensorSpec((2,), torch.float64)
    with pytest.raises(helion_msl.ArgumentError, match="float64"):
        make_kernel().warmup(spec, spec, 1.0, block_dims=4)


def test_missing_argument():
    with pytest.raises(helion_msl.ArgumentError, match="factor"):
        make_kernel().warmup(TensorSpec((2,), torch.float32), TensorSpec((2,), torch.float32), block_dims=4)


def text_of(number: int) -> str:
    return f"kernel void f(device int *out [[buffer(0)]]) {{ out[0] = {number}; }}"


def test_precompile_compiles_each(device):
    kernel = make_kernel()
    spec = TensorSpec((6,), torch.float32)
    texts = [text_of(number) for number in range(4)]
    ahead = functools.partial(kernel.warmup, spec, spec, 1.0, block_dims=4, device=device)
    helion_msl.precompile([*texts, ahead], device=device)
    assert misses() == 5
    out = torch.zeros(1, dtype=torch.int32, device=device)
    for number, text in enumerate(texts):
        helion_msl.launch(text, [out], 1, 1)
        assert out.item() == number
    launch(kernel, device)
    assert misses() == 5


def test_precompile_works_at_once_on_as_many_threads_as_said():
    together = threading.Barrier(3)
    helion_msl.precompile([lambda: together.wait(60)] * 3, workers=3)


def test_error_of_one_comes_after_all_others_are_compiled(device):
    texts = [text_of(1), "kernel void f(device int *out [[buffer(0)]]) { out[0] = nothing; }", text_of(2)]
    with pytest.raises(helion_msl.MetalCompileError, match="nothing"):
        helion_msl.precompile(texts, device=device)
    assert helion_msl.cache_info().size == 2


@pytest.mark.parametrize("kernels", [[3], [None], [("kernel void f() {}", "f")]])
def test_what_cannot_be_compiled(kernels):
    with pytest.raises(helion_msl.ArgumentError, match=r"element 0 of precompile\(\)"):
        helion_msl.precompile(kernels)


def test_no_workers():
    with pytest.raises(helion_msl.ArgumentError, match="workers is 0"):
        helion_msl.precompile([], workers=0)


def test_nothing_to_compile():
    helion_msl.precompile([])
    assert misses() == 0
