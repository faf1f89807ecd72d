"""The native cache in front of Helion's dispatch: each fact of its key alone sends a call back to Helion."""

from __future__ import annotations

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import helion
import helion.language as hl
import torch
from helion import exc
from helion.runtime.kernel import Kernel

import helion_msl
from helion_msl import _C
from helion_msl._helion.launcher import launch

helion_msl.register_helion_backend()

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"
CONFIG = helion.Config(block_sizes=[64])


@helion.kernel(backend="metal", config=CONFIG)
def add(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] + y[tile]
    return out


@helion.kernel(backend="metal", config=CONFIG)
def scale(x: torch.Tensor, factor: float, power: hl.constexpr) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] * factor + power
    return out


@pytest.fixture
def asked(monkeypatch):
    """Count the calls that reach Helion's own dispatch."""
    calls = []
    validate = Kernel._validate_structural_policy
    monkeypatch.setattr(Kernel, "_validate_structural_policy", lambda self: calls.append(self) or validate(self))
    return calls


def ones(*shape, dtype=torch.float32):
    return torch.ones(shape, dtype=dtype, device=DEVICE)


def is_cached(kernel, *args) -> bool:
    """Whether a call is answered without Helion; calls it."""
    calls = []
    validate = Kernel._validate_structural_policy
    Kernel._validate_structural_policy = lambda self: calls.append(self) or validate(self)
    try:
        kernel(*args)
    finally:
        Kernel._validate_structural_policy = validate
    return not calls


def warm(kernel, *args) -> None:
    kernel(*args)
    assert is_cached(kernel, *args)


def test_a_repeated_call_is_answered_without_helion(asked) -> None:
    x = ones(100)
    warm(add, x, x.clone())
    asked.clear()
    for value in range(5):
        y = torch.full_like(x, value)
        assert torch.equal(add(x, y), x + y)
    assert asked == []


@pytest.mark.parametrize(
    ("x", "y"),
    [
        pytest.param(ones(90), ones(90), id="shape"),
        pytest.param(ones(200)[::2], ones(100), id="strides"),
        pytest.param(ones(100, dtype=torch.float16), ones(100, dtype=torch.float16), id="dtype"),
        pytest.param(ones(100, dtype=torch.int32), ones(100, dtype=torch.int32), id="dtype of the same size"),
        pytest.param(ones(100), torch.nn.Parameter(ones(100), requires_grad=False), id="class"),
    ],
)
def test_each_fact_of_a_tensor_alone_decides(x, y) -> None:
    add.reset()
    warm(add, ones(100), ones(100))
    assert not is_cached(add, x, y)
    assert torch.equal(add(x, y), x + y)
    assert is_cached(add, x, y)
    assert is_cached(add, ones(100), ones(100))


class Kind:
    """What the cache reads of Helion's kernels and bound kernels."""

    _reset_generation = 1
    _specialization_generation = 2
    _run = None


@pytest.fixture
def dispatch():
    return _C._HelionDispatch(
        Kind(), (False, False, True), lambda: False, torch.Tensor, torch.nn.Parameter, (str, torch.dtype)
    )


X = ones(4, 4)


@pytest.mark.parametrize(
    ("arguments", "is_known"),
    [
        ((X, 1, 1), True),
        ((ones(4, 4), 2, 1), True),
        ((ones(4, 4).requires_grad_(), 1, 1), True),
        ((ones(4), 1, 1), False),
        ((ones(4, 4, 1), 1, 1), False),
        ((ones(4, 5), 1, 1), False),
        ((ones(5, 4), 1, 1), False),
        ((ones(4, 4).t(), 1, 1), False),
        ((ones(0, 4), 1, 1), False),
        ((ones(4, 4, dtype=torch.bfloat16), 1, 1), False),
        ((ones(4, 4, dtype=torch.float16), 1, 1), False),
        ((ones(4, 4).to(torch.uint32), 1, 1), False),
        ((ones(4, 4).to("meta"), 1, 1), False),
        ((ones(4, 4).to_sparse(), 1, 1), False),
        ((torch.nn.Parameter(ones(4, 4)), 1, 1), False),
        ((X, 1.0, 1), False),
        ((X, True, 1), False),
        ((X, None, 1), False),
        ((X, "1", 1), False),
        ((X, torch.float32, 1), False),
        ((X, X, 1), False),
        ((X, (1,), 1), False),
        ((X, len, 1), False),
        ((X, 1, 2), False),
        ((X, 1, -1), False),
        ((X, 1, 1.0), False),
        ((X, 1, True), False),
        ((X, 1), False),
        ((X, 1, 1, 1), False),
        ((1, 1, 1), False),
    ],
)
def test_each_fact_alone_decides(dispatch, arguments, is_known) -> None:
    bound = Kind()
    bound._run = lambda *args: ("ran", *args)
    assert dispatch((X, 1, 1)) is NotImplemented
    assert dispatch.publish((X, 1, 1), bound, bound._run, 1, 2)
    found = dispatch(arguments)
    if is_known:
        assert found[0] == "ran"
        assert all(given is passed for given, passed in zip(arguments, found[1:], strict=True))
    else:
        assert found is NotImplemented


@pytest.mark.parametrize(
    "arguments",
    [(X, 1), (X, None), (X, "text"), (X, torch.float32, -0.0), (X, X), (X, ones(4, 4)), (torch.nn.Parameter(X), 1)],
)
def test_what_was_published_is_found(dispatch, arguments) -> None:
    bound = Kind()
    bound._run = lambda *args: len(args)
    assert dispatch.can_describe(arguments)
    assert dispatch.publish(arguments, bound, bound._run, 1, 2)
    assert dispatch(arguments) == len(arguments)
    assert dispatch.size == 1
    bound._run = lambda *_: None
    assert dispatch(arguments) is NotImplemented
    assert dispatch.publish(arguments, bound, bound._run, 1, 2)
    assert dispatch(arguments) is None
    assert dispatch.size == 1
    assert dispatch.publish(arguments, bound, bound._run, 0, 2)
    assert dispatch(arguments) is NotImplemented
    assert dispatch.publish(arguments, bound, bound._run, 1, 3)
    assert dispatch(arguments) is NotImplemented


@pytest.mark.parametrize("arguments", [(), (1,), (None,), ([X],), (X, {}), (X, object()), (X, 1j), (X, 1, 2**70)])
def test_what_cannot_be_described_is_not_published(dispatch, arguments) -> None:
    assert not dispatch.can_describe(arguments)
    assert not dispatch.publish(arguments, Kind(), len, 1, 2)
    assert dispatch(arguments) is NotImplemented
    assert dispatch.size == 0


def test_which_arguments_are_one_tensor_decides() -> None:
    x = ones(70)
    add.reset()
    warm(add, x, x.clone())
    assert not is_cached(add, x, x)
    assert is_cached(add, x, x)
    assert is_cached(add, x.clone(), x)


def test_marks_of_torch_compile_on_a_tensor_are_left_to_helion() -> None:
    x, y = ones(71), ones(71)
    warm(add, x, y)
    y._dynamo_static_indices = {0}
    assert not is_cached(add, x, y)
    assert not is_cached(add, x, y)
    del y._dynamo_static_indices
    assert is_cached(add, x, y)


def test_types_of_numbers_and_values_of_constants_decide() -> None:
    x = ones(72)
    warm(scale, x, 2.0, 1)
    assert is_cached(scale, x, 3.5, 1)
    assert torch.equal(scale(x, 3.5, 1), x * 3.5 + 1)
    for arguments in [(2, 1), (True, 1), (2.0, 2), (2.0, 1.0)]:
        assert not is_cached(scale, x, *arguments)
        assert torch.equal(scale(x, *arguments), x * arguments[0] + arguments[1])
        assert is_cached(scale, x, *arguments)


def test_other_arguments_and_keywords_are_left_to_helion(asked) -> None:
    class Subclass(torch.Tensor):
        pass

    x = ones(73)
    warm(add, x, x.clone())
    asked.clear()
    for count in range(2):
        assert torch.equal(add(x, y=x.clone()), x + x)
        assert len(asked) == count + 1
    for _ in range(2):
        asked.clear()
        with pytest.raises(Exception):  # noqa: B017, PT011 - Helion decides
            add(x, [x])
        assert asked
    subclassed = x.as_subclass(Subclass)
    assert not is_cached(add, x, subclassed)
    assert not is_cached(add, x, subclassed)


def test_a_reset_and_a_new_configuration_are_noticed() -> None:
    x, y = ones(74), ones(74)
    warm(add, x, y)
    add.reset()
    assert not is_cached(add, x, y)
    assert is_cached(add, x, y)
    bound = add.bind((x, y))
    before = bound._run
    bound.set_config(helion.Config(block_sizes=[32]))
    assert bound._run is not before
    assert not is_cached(add, x, y)
    assert is_cached(add, x, y)
    add._specialization_generation += 1
    assert not is_cached(add, x, y)


def test_a_process_group_is_noticed(monkeypatch) -> None:
    x, y = ones(75), ones(75)
    initialized = [False]
    add.reset()
    add.__dict__.pop("_helion_msl_dispatch", None)
    with monkeypatch.context() as patch:
        patch.setattr(torch.distributed, "is_initialized", lambda: initialized[0])
        warm(add, x, y)
        dispatch = add._helion_msl_dispatch
        assert dispatch((x, y)) is not NotImplemented
        initialized[0] = True
        assert dispatch((x, y)) is NotImplemented
    add.__dict__.pop("_helion_msl_dispatch", None)
    add.reset()


def test_kernels_with_a_key_function_are_left_to_helion() -> None:
    @helion.kernel(backend="metal", config=CONFIG, key=lambda x: x.size(0) > 50)
    def double(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            out[tile] = x[tile] * 2
        return out

    x = ones(76)
    double(x)
    assert not is_cached(double, x)


def test_specialized_numbers_are_left_to_helion() -> None:
    @helion.kernel(backend="metal", config=CONFIG)
    def plus(x: torch.Tensor, n: int) -> torch.Tensor:
        hl.specialize(n)
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            out[tile] = x[tile] + n
        return out

    x = ones(77)
    for n in (1, 2, 1, 2):
        assert torch.equal(plus(x, n), x + n)


def test_errors_of_the_kernel_pass_through() -> None:
    x, y = ones(78), ones(78)
    warm(add, x, y)
    dispatch = add._helion_msl_dispatch
    for wrong in [(), ([x, y],), ((x, y), 1)]:
        with pytest.raises(TypeError):
            dispatch(*wrong)
    assert dispatch((x,)) is NotImplemented
    assert dispatch((x, y, x)) is NotImplemented
    assert dispatch(()) is NotImplemented


# ---- The launcher ----------------------------------------------------------------------------------------------------


@helion_msl.metal_jit
def add_one(x):
    """Add 1 to the first element."""
    x[0] = x[0] + 1


def test_the_launcher_is_native_and_ignores_options_without_meaning() -> None:
    assert launch is _C._helion_launch
    x = ones(4)
    launch(add_one, (1,), x, _block_dims=(1, 1, 1), num_warps=4, num_stages=2)
    launch(add_one, [1], x, _block_dims=(1, 1, 1))
    assert x[0].item() == 3


def test_the_launcher_leaves_an_empty_grid_out() -> None:
    x = ones(4)
    launch(add_one, (0,), x, _block_dims=(1, 1, 1))
    launch(add_one, (4, 0, 1), x, _block_dims=(1, 1, 1))
    assert x[0].item() == 1


def test_the_launcher_refuses_what_it_cannot_do() -> None:
    x = ones(4)
    for arguments, keywords, error in [
        ((add_one, (1,), x), {"_block_dims": (1, 1, 1), "launch_cooperative_grid": True}, exc.BackendUnsupported),
        ((add_one, (1,), x), {}, TypeError),
        ((add_one,), {"_block_dims": (1, 1, 1)}, TypeError),
        ((print, (1,), x), {"_block_dims": (1, 1, 1)}, TypeError),
        ((add_one, (-1,), x), {"_block_dims": (1, 1, 1)}, helion_msl.LaunchError),
        ((add_one, (1,), x), {"_block_dims": (0, 1, 1)}, helion_msl.LaunchError),
        ((add_one, (1,), x, x), {"_block_dims": (1, 1, 1)}, helion_msl.ArgumentError),
    ]:
        with pytest.raises(error):
            launch(*arguments, **keywords)
    assert x[0].item() == 1
