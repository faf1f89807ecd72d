"""metal_jit: binding of arguments, specialization, launch."""

from __future__ import annotations

import dataclasses

import numpy
import pytest
import torch

import captured_settings
import helion_msl
from helion_msl import ArgumentError, MetalCompileError, TranslationError, jit, metal_jit
from helion_msl import language as ml

FACTOR = 2


@metal_jit
def saxpy(x, y, out, a: float, BLOCK: ml.constexpr = 64):
    """Compute a * x + y."""
    i = ml.tgid[0] * BLOCK + ml.tid[0]
    if i < out.size(0):
        out[i] = a * x[i] + y[i]


def vectors(count=100, dtype=torch.float32):
    return torch.arange(count).to(dtype), torch.ones(count, dtype=dtype), torch.zeros(count, dtype=dtype)


def test_a_kernel_launches_with_a_grid_and_a_threadgroup() -> None:
    x, y, out = vectors()
    saxpy[(2,), (64,)](x, y, out, 3.0)
    assert torch.equal(out, 3 * x + y)
    out.zero_()
    saxpy[4, 32](x, y, out, 2, BLOCK=32)
    assert torch.equal(out, 2 * x + y)
    out.zero_()
    saxpy.launch((x, y, out, 0.5, 32), (4, 1, 1), (32, 1, 1))
    assert torch.equal(out, x / 2 + y)


def test_the_grid_can_be_a_function_of_the_arguments() -> None:
    x, y, out = vectors()
    saxpy[lambda meta: (-(-meta["out"].numel() // meta["BLOCK"]),), 16](x, y, out, a=1.0, BLOCK=16)
    assert torch.equal(out, x + y)


def test_the_function_stays_what_it_was() -> None:
    assert saxpy.__name__ == "saxpy"
    assert saxpy.__doc__ == "Compute a * x + y."
    assert saxpy.fn.__name__ == "saxpy"


def test_one_specialization_for_each_kind_of_arguments() -> None:
    @metal_jit
    def kernel(x, out, n, C: ml.constexpr):
        out[0] = x[0] + n + C

    out = torch.zeros(1)
    x, m = torch.ones(3), torch.ones(3, 1)[:, 0]

    def count(*args):
        kernel[1, 1](*args)
        return len(kernel._specializations)

    assert count(x, out, 1, 2) == 1
    assert count(torch.ones(77), out, 5, 2) == 1
    assert count(m, out, 5, 2) == 1
    assert count(x, out, 5, 3) == 2
    assert count(x, out, 5, 3.0) == 3
    assert count(x, out, 5, True) == 4
    assert count(x, out, 0.5, 3) == 5
    assert count(x, out, 2**40, 3) == 6
    assert count(x.half(), out, 5, 3) == 7
    assert count(torch.ones(6)[::2], out, 5, 3) == 8
    kernel[1, 2](x, out, 5, 3)
    assert len(kernel._specializations) == 9


def test_equal_constants_of_different_types_are_different() -> None:
    @metal_jit
    def halves(out, C: ml.constexpr):
        out[0] = C // 2 if C == 1 else C

    for constant in (1, 1.0, True, 0.0, -0.0):
        out = torch.full((1,), 9.0)
        halves[1, 1](out, constant)
        assert out.item() == (constant // 2 if constant == 1 else constant)
    halves[1, 1](out, -0.0)
    assert torch.signbit(out).item()


def test_globals_are_part_of_the_kernel() -> None:
    global FACTOR

    @metal_jit
    def kernel(out):
        out[0] = FACTOR

    out = torch.zeros(1)
    try:
        for factor in (2, 3, 2.5):
            FACTOR = factor
            kernel[1, 1](out)
            assert out.item() == factor
    finally:
        FACTOR = 2


def test_none_can_stand_for_a_tensor() -> None:
    @metal_jit
    def kernel(out, bias):
        out[0] = 1 if bias is None else bias[0]

    out = torch.zeros(1)
    kernel[1, 1](out, None)
    assert out.item() == 1
    kernel[1, 1](out, torch.tensor([4.0]))
    assert out.item() == 4


@pytest.mark.parametrize(
    ("arguments", "keywords", "phrase"),
    [
        ((1,), {}, "was not given"),
        ((1, 2, 3, 4, 5, 6), {}, "takes 5 arguments, 6 were given"),
        ((1, 2, 3, 4), {"scale": 1}, "no parameter `scale`"),
        ((1, 2, 3, 4), {"a": 1}, "`a` twice"),
    ],
)
def test_arguments_that_do_not_bind_are_refused(arguments, keywords, phrase) -> None:
    with pytest.raises(ArgumentError, match=phrase):
        saxpy[1, 1](*arguments, **keywords)


def test_arguments_of_a_wrong_kind_are_refused_by_name() -> None:
    x, y, out = vectors()
    with pytest.raises(ArgumentError, match="`a` is a str"):
        saxpy[1, 1](x, y, out, "2")
    with pytest.raises(ArgumentError, match="`x` has dtype"):
        saxpy[1, 1](x.double(), y, out, 2.0)
    with pytest.raises(ArgumentError, match="the constant `BLOCK` is a Tensor"):
        saxpy[1, 1](x, y, out, 2.0, BLOCK=x)


@pytest.mark.parametrize(
    ("value", "cause", "remedy"),
    [
        (torch.zeros(4, dtype=torch.float64), "`x` has dtype torch.float64, which Metal does not have", "x.float()"),
        (torch.zeros(4, dtype=torch.complex64), "`x` has dtype torch.complex64", "torch.view_as_real(x)"),
        (torch.zeros(4, dtype=torch.float8_e5m2), "`x` has dtype torch.float8_e5m2", "x.to(torch.float32)"),
        (numpy.zeros(4), "`x` is a ndarray", "torch.from_dlpack(x)"),
        ([1.0, 2.0], "`x` is a list", "as a tensor"),
        ((1.0, 2.0, 3.0, 4.0), "`x` is a tuple", "`x: ml.constexpr`"),
        ("text", "`x` is a str", "`x: ml.constexpr`"),
        (ml.float16, "`x` is a DType", "`x: ml.constexpr`"),
        (abs, "`x` is a builtin_function_or_method", "`x: ml.constexpr`"),
        (1j, "`x` is a complex", "one by one"),
        (numpy.complex64(1), "`x` is a complex64", "one by one"),
    ],
)
def test_what_a_kernel_does_not_take_is_refused_with_a_remedy(value, cause, remedy) -> None:
    @metal_jit
    def kernel(x, out):
        out[0] = 1

    out = torch.zeros(1)
    for launch in (kernel[1, 1], kernel.msl):
        with pytest.raises(ArgumentError) as raised:
            launch(value, out)
        assert cause in str(raised.value)
        assert remedy in str(raised.value)
    assert out.item() == 0


@pytest.mark.parametrize(
    "number", [numpy.float32(2.5), numpy.float64(0.1), numpy.int64(-3), numpy.uint8(200), numpy.bool_(True)]
)
def test_scalars_of_numpy_are_numbers(number) -> None:
    @metal_jit
    def kernel(out, n):
        out[0] = n

    out = torch.zeros(1)
    kernel[1, 1](out, number)
    assert out.item() == torch.tensor(number.item(), dtype=torch.float32).item()


def test_a_call_without_a_grid_says_how_to_launch() -> None:
    with pytest.raises(ArgumentError, match=r"saxpy\[grid, block_dims\]"):
        saxpy(1, 2, 3)
    with pytest.raises(ArgumentError, match="takes a grid"):
        saxpy[4](1, 2, 3)
    with pytest.raises(ArgumentError, match="one to three numbers"):
        saxpy[1, (1, 1, 1, 1)](*vectors(), 1.0)


def test_what_is_no_function_cannot_be_a_kernel() -> None:
    with pytest.raises(TranslationError, match="no Python function"):
        metal_jit(3)


def test_the_text_and_the_table_without_a_launch() -> None:
    x, y, out = vectors()
    msl = saxpy.msl(x, y, out, 2.0, block_dims=64)
    assert "out[i] = a * x[i] + y[i];" in msl
    assert "#line" in msl
    assert [argument.name for argument in saxpy.translate(x, y, out, 2.0).arguments] == [
        "x",
        "y",
        "out",
        "a",
        "out_size_0",
    ]
    assert out.sum() == 0


def test_diagnostics_of_the_metal_compiler_name_the_python_line() -> None:
    @metal_jit
    def kernel(out):
        out[0] = ml.simd_shuffle(out[0], 1)

    translation = kernel.translate(torch.zeros(1))
    broken = translation.msl.replace("metal::simd_shuffle", "metal::simd_shufle")
    with pytest.raises(MetalCompileError) as raised:
        helion_msl.compile(broken, device="cpu")
    line = kernel.fn.__code__.co_firstlineno + 2
    assert f"test_jit.py:{line}" in str(raised.value)


def test_diagnostics_of_a_launch_name_the_line_of_the_function_that_is_called(monkeypatch) -> None:
    """No Python is known that gets through the translator and not through the compiler, so the text is broken here."""

    @metal_jit
    def kernel(out):
        value = out[0] + 1
        out[0] = captured_settings.scaled(value)

    def broken(request, real=jit._translation_cache.translate):
        translation = real(request)
        assert translation.msl.count("return value * 2") == 1
        return dataclasses.replace(translation, msl=translation.msl.replace("return value * 2", "return value * ?"))

    monkeypatch.setattr(jit._translation_cache, "translate", broken)
    out = torch.zeros(1)
    with pytest.raises(MetalCompileError) as raised:
        kernel[1, 1](out)
    line = captured_settings.scaled.__code__.co_firstlineno + 1
    assert f"captured_settings.py:{line}:" in str(raised.value)
    assert out.item() == 0


def test_code_of_helion_is_recognized_and_its_integers_are_constants(tmp_path) -> None:
    path = tmp_path / "generated.py"
    path.write_text(
        "from helion_msl import metal_jit\n"
        "_BLOCK_SIZE_0 = 4\n"
        "_METAL_TG_BUF_scratch = ('scratch', 'float', 32)\n"
        "@metal_jit\n"
        "def kernel(x, out, flag, _REDUCTION_BLOCK_1: int):\n"
        "    acc = float(0)\n"
        "    for roffset_1 in tl.range(0, 10, _REDUCTION_BLOCK_1):\n"
        "        rindex_1 = roffset_1 + tid[0]\n"
        "        mask_1 = rindex_1 < 10\n"
        "        load = tl.load(x + (tgid[0] * 10 + rindex_1), mask_1, other=0)\n"
        "        acc = acc + load\n"
        "    total = helion_red.seg_sum(acc, 4) + flag\n"
        "    tl.store(out + tgid[0], total, None)\n"
    )
    namespace: dict[str, object] = {}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    x, out = torch.arange(30.0).reshape(3, 10), torch.zeros(3)
    namespace["kernel"].launch((x, out, torch.tensor(0.5), 4), (3,), (4, 1, 1))
    assert torch.equal(out, x.sum(1) + 0.5)
