"""The native side of metal_jit: each fact that the specialization key holds, and calls that it must not answer."""

from __future__ import annotations

import gc
import inspect
import sys
import threading
import weakref

import pytest
import torch

from helion_msl import _C, ArgumentError, LaunchError, TranslationError, metal_jit
from helion_msl import language as ml

OFFSET = 1
PAIR = (1, 2)


def known(kernel, *args, grid=1, block_dims=1, times=3) -> int:
    """Launch until the native table has met the call, and return its size."""
    for _ in range(times):
        kernel[grid, block_dims](*args)
    return kernel._known_count


@pytest.fixture
def kernel():
    @metal_jit
    def add_number(x, out, n, C: ml.constexpr = 0):
        if x is not None:
            out[0] = x.size(0) + n + C

    return add_number


@pytest.fixture
def asked(monkeypatch):
    """Count how often Python is asked for a specialization."""
    from helion_msl.jit import MetalKernel

    calls = []
    prepare = MetalKernel._prepare
    monkeypatch.setattr(MetalKernel, "_prepare", lambda self, *args: calls.append(args) or prepare(self, *args))
    return calls


def test_python_is_not_asked_again(kernel, asked) -> None:
    out = torch.zeros(1)
    for count in range(1, 20):
        kernel[1, 1](torch.zeros(count), out, count)
        assert out.item() == 2 * count
    assert len(asked) <= 2


@pytest.mark.parametrize(
    ("other", "is_new"),
    [
        pytest.param((torch.zeros(7), 1, 0), False, id="size"),
        pytest.param((torch.zeros(3), 2, 0), False, id="number"),
        pytest.param((torch.zeros(3, 3)[:, 0], 1, 0), True, id="stride"),
        pytest.param((torch.zeros(3, 1)[:, 0], 1, 0), False, id="stride that is 1"),
        pytest.param((torch.zeros(3, dtype=torch.float16), 1, 0), True, id="dtype of the same kind"),
        pytest.param((torch.zeros(3, dtype=torch.bfloat16), 1, 0), True, id="dtype of the same size"),
        pytest.param((torch.zeros(3, dtype=torch.int32), 1, 0), True, id="dtype of another kind"),
        pytest.param((torch.zeros(3, 1), 1, 0), True, id="rank"),
        pytest.param((None, 1, 0), True, id="none"),
        pytest.param((torch.zeros(3), True, 0), True, id="bool"),
        pytest.param((torch.zeros(3), 1.0, 0), True, id="float"),
        pytest.param((torch.zeros(3), 2**31, 0), True, id="int of 64 bits"),
        pytest.param((torch.zeros(3), -(2**31), 0), False, id="least int of 32 bits"),
        pytest.param((torch.zeros(3), -(2**31) - 1, 0), True, id="negative int of 64 bits"),
        pytest.param((torch.zeros(3), 1, 1), True, id="constant"),
        pytest.param((torch.zeros(3), 1, -1), True, id="constant's sign"),
        pytest.param((torch.zeros(3), 1, 0.0), True, id="constant's type"),
        pytest.param((torch.zeros(3), 1, False), True, id="constant's truth"),
    ],
)
def test_each_fact_alone_decides(kernel, other, is_new) -> None:
    out = torch.zeros(1)
    x, n, constant = other
    assert known(kernel, torch.zeros(3), out, 1, 0) == 1
    assert known(kernel, x, out, n, constant) == 1 + is_new
    if x is not None:
        assert out.item() == torch.tensor(x.size(0) + n + constant, dtype=torch.float32).item()
    assert known(kernel, torch.zeros(3), out, 1, 0) == 1 + is_new


def test_the_sign_of_a_zero_constant_decides() -> None:
    @metal_jit
    def store(out, C: ml.constexpr):
        out[0] = C

    out = torch.ones(1)
    for value in (0.0, -0.0):
        assert known(store, out, value) == (2 if str(value)[0] == "-" else 1)
        assert torch.signbit(out).item() == (str(value)[0] == "-")


def test_the_size_of_the_threadgroup_decides(kernel) -> None:
    out = torch.zeros(1)
    known(kernel, torch.zeros(3), out, 1)
    assert known(kernel, torch.zeros(3), out, 1, block_dims=(1, 2)) == 2
    assert known(kernel, torch.zeros(3), out, 1, block_dims=(1, 1, 2)) == 3
    assert known(kernel, torch.zeros(3), out, 1, grid=(2, 2)) == 3


def test_numbers_around_the_function_decide() -> None:
    global OFFSET, PAIR
    captured = 1

    @metal_jit
    def kernel(out):
        out[0] = OFFSET * 100 + PAIR[1] * 10 + captured

    out = torch.zeros(1)
    try:
        assert known(kernel, out) == 1
        assert out.item() == 121
        OFFSET = 2
        assert known(kernel, out) == 2
        assert out.item() == 221
        PAIR = (1, 3)
        assert known(kernel, out) == 3
        assert out.item() == 231
        captured = 4
        assert known(kernel, out) == 4
        assert out.item() == 234
        OFFSET = 2.0
        assert known(kernel, out) == 5
        assert out.item() == 234
    finally:
        OFFSET, PAIR = 1, (1, 2)


def test_a_number_that_has_gone_is_an_error_and_not_the_old_value() -> None:
    global OFFSET

    @metal_jit
    def kernel(out):
        out[0] = OFFSET

    out = torch.zeros(1)
    known(kernel, out)
    try:
        del OFFSET
        with pytest.raises(TranslationError):
            kernel[1, 1](out)
    finally:
        OFFSET = 1


def test_functions_that_are_called_decide() -> None:
    def one(x):
        return x + 1

    def two(x):
        return x + 2

    called = one

    @metal_jit
    def kernel(out, F: ml.constexpr, C: ml.constexpr):
        out[0] = called(0.0) + F(10.0) + (100.0 if C == "hundred" else 0.0)

    out = torch.zeros(1)
    assert known(kernel, out, one, "hundred") == 1
    assert out.item() == 112
    called = two
    assert known(kernel, out, one, "hundred") == 2
    assert out.item() == 113
    assert known(kernel, out, two, "hundred") == 3
    assert out.item() == 114
    assert known(kernel, out, two, "thousand") == 4
    assert out.item() == 14
    function = weakref.ref(one)
    one = called = None
    assert function() is not None  # its address must not mean another function


def test_keywords_and_defaults_meet_the_same_specialization(kernel, asked) -> None:
    out, x = torch.zeros(1), torch.zeros(3)
    known(kernel, x, out, 1, 0)
    for keywords in ({}, {"C": 0}, {"".join(["C"]): 0}):
        kernel[1, 1](x, out, n=4, **keywords)
        assert out.item() == 7
    kernel[1, 1](n=5, out=out, x=x)
    assert out.item() == 8
    assert kernel._known_count == 1
    assert len(asked) <= 2


def test_a_constant_that_is_no_plain_number_is_not_looked_up(kernel) -> None:
    class Shouting(int):
        def __repr__(self) -> str:
            return "three"

    out = torch.zeros(1)
    known(kernel, torch.zeros(3), out, 1, 3)
    kernel[1, 1](torch.zeros(3), out, 1, Shouting(5))
    assert out.item() == 9
    kernel[1, 1](torch.zeros(3), out, 1, torch.Size([5])[0])
    assert out.item() == 9


def test_numbers_above_64_bits_are_refused_before_and_after_a_hit(kernel) -> None:
    out = torch.zeros(1)
    for _ in range(2):
        with pytest.raises(ArgumentError, match="out of range"):
            kernel[1, 1](torch.zeros(3), out, 2**70)
        known(kernel, torch.zeros(3), out, 2**40)


def test_a_refused_call_leaves_the_table_and_the_tensors_alone(kernel) -> None:
    out = torch.zeros(1)
    known(kernel, torch.zeros(3), out, 1)
    out.fill_(7)
    for arguments, error in [
        ((torch.zeros(3), out, "1"), ArgumentError),
        ((torch.zeros(3).double(), out, 1), ArgumentError),
        ((torch.zeros(3), out), ArgumentError),
        ((torch.zeros(3), out, 1, 2, 3), ArgumentError),
        ((torch.zeros(3).to_sparse(), out, 1), Exception),
        ((object(), out, 1), ArgumentError),
        ((torch.zeros(3).numpy(), out, 1), ArgumentError),
    ]:
        with pytest.raises(error):
            kernel[1, 1](*arguments)
        assert kernel._known_count == 1
        assert out.item() == 7


@pytest.mark.parametrize(
    ("configuration", "error"),
    [
        ((0, 1), LaunchError),
        ((1, 0), LaunchError),
        (((1, 2, 3, 4), 1), LaunchError),
        ((-1, 1), LaunchError),
        (("4", 1), LaunchError),
        ((1.0, 1), LaunchError),
        ((2**32, 1), LaunchError),
        ((lambda _: 0, 1), LaunchError),
        ((lambda _: None, 1), LaunchError),
        ((lambda meta: meta["missing"], 1), KeyError),
        ((1, 2048), LaunchError),
        ((1, ()), ArgumentError),
        ((1, 1, 1), ArgumentError),
        (None, ArgumentError),
    ],
)
def test_a_wrong_size_is_refused(kernel, configuration, error) -> None:
    out = torch.zeros(1)
    with pytest.raises(error):
        kernel[configuration](torch.zeros(3), out, 1)
    assert out.item() == 0


def test_a_bound_kernel_can_be_kept_and_called_again(kernel) -> None:
    out = torch.zeros(1)
    bound = kernel[[1], (1,)]
    for n in range(4):
        bound(torch.zeros(3), out, n)
        assert out.item() == 3 + n
    assert callable(bound)
    with pytest.raises(TypeError):
        type(bound)()


def test_the_grid_function_sees_defaults_and_constants() -> None:
    seen = []

    @metal_jit
    def kernel(out, C: ml.constexpr = 5):
        out[ml.tgid[0]] = C

    out = torch.zeros(6)
    kernel[lambda meta: seen.append(dict(meta)) or meta["C"], 1](out)
    assert out.tolist() == [5.0] * 5 + [0.0]
    assert seen[0]["C"] == 5
    assert seen[0]["out"] is out


def test_a_grid_function_that_resizes_a_tensor_is_followed() -> None:
    @metal_jit
    def kernel(x):
        x[ml.tgid[0]] = x.size(0)

    x = torch.zeros(2)
    for size in (3, 5000, 4):
        kernel[lambda meta, size=size: meta["x"].resize_(size).shape[0], 1](x)
        assert x.tolist() == [float(size)] * size


def test_arguments_are_not_leaked(kernel) -> None:
    out, x = torch.zeros(1), torch.zeros(3)
    known(kernel, x, out, 1)
    bound = kernel[1, 1]
    before = sys.getrefcount(x), sys.getrefcount(out), sys.getrefcount(kernel)
    for _ in range(50):
        bound(x, out, 1)
        kernel[lambda _: 1, 1](x, out, n=1)
        with pytest.raises(ArgumentError):
            bound(x, out, "no")
    gc.collect()
    assert (sys.getrefcount(x), sys.getrefcount(out), sys.getrefcount(kernel)) == before


def test_kernels_and_bound_kernels_are_collected() -> None:
    @metal_jit
    def kernel(out):
        out[0] = 1

    kernel[1, 1](torch.zeros(1))
    bound = kernel[lambda _: (bound and kernel) and 1, 1]
    bound(torch.zeros(1))
    function = weakref.ref(kernel.fn)
    kernel = bound = None
    gc.collect()
    assert function() is None


def test_the_call_of_a_kernel_object_takes_names() -> None:
    source = "#include <metal_stdlib>\nkernel void one(device float* out [[buffer(0)]]) { out[0] += 1; }"
    kernel = _C.compile(source, device="cpu")
    out = torch.zeros(1)
    kernel([out], 1, 1)
    kernel([out], grid=1, block_dims=1)
    kernel(block_dims=(1,), grid=(1,), args=(out,))
    assert out.item() == 3
    for arguments, keywords, phrase in [
        (([out], 1), {}, "not given 'block_dims'"),
        (([out], 1, 1, 1), {}, "takes 3"),
        (([out], 1, 1), {"grid": 1}, "'grid' twice"),
        (([out], 1), {"block": 1}, "no parameter 'block'"),
    ]:
        with pytest.raises(TypeError, match=phrase):
            kernel(*arguments, **keywords)
    assert out.item() == 3
    with pytest.raises(TypeError):
        _C.Kernel()
    with pytest.raises(TypeError):
        _C.Kernel.__new__(_C.Kernel)
    assert inspect.isdatadescriptor(_C.Kernel.name)


def test_many_threads_meet_one_kernel(kernel) -> None:
    failures = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        x, out = torch.zeros(number + 1), torch.zeros(1)
        start.wait()
        for n in range(300):
            constant = n % 7
            kernel[1, 1](x, out, n, constant)
            if out.item() != number + 1 + n + constant:
                failures.append((number, n, out.item()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert kernel._known_count == 7


def test_the_null_engine_drops_launches_only_while_it_is_entered() -> None:
    @metal_jit
    def kernel(out):
        out[0] += 1

    out = torch.zeros(1)
    source = "#include <metal_stdlib>\nkernel void null_one(device float* out [[buffer(0)]]) { out[0] += 1; }"
    with _C._NullEngine():
        compiled = _C.compile(source, device="cpu")
        compiled([out], 1, 1)
        _C.launch(source, [out], 1, 1)
        kernel[1, 1](out)
        with _C._NullEngine():
            compiled([out], 1, 1)
        compiled([out], 1, 1)
        with pytest.raises(ArgumentError):
            compiled([1], 1, 1)
        assert "null" in _C.engine_description("cpu")
        assert out.item() == 0
    compiled([out], 1, 1)
    _C.launch(source, [out], 1, 1)
    kernel[1, 1](out)
    assert out.item() == 3
