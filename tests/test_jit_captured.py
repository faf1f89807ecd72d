"""What a kernel reads from around it is read anew for each launch, by whatever way it is reached."""

from __future__ import annotations

import dataclasses
import enum
import types

import pytest
import torch

import captured_settings
from helion_msl import TranslationError, metal_jit
from helion_msl import language as ml

NUMBER = 1
MODE = "add"
DTYPE = ml.float16
SIZES = types.SimpleNamespace(inner=types.SimpleNamespace(width=5))
PAIR = (1, (2, 3))


@dataclasses.dataclass
class Config:
    scale: float = 3.0


class Limits:
    LARGEST = 7


class Operation(enum.Enum):
    ADD = 1
    MULTIPLY = 2


class Level(enum.IntEnum):
    LOW = 3
    HIGH = 30


CONFIG = Config()


@pytest.fixture(autouse=True)
def _globals_stay():
    before = dict(globals())
    yield
    globals().update(before)


def launched(kernel, *args) -> float:
    """Launch twice, by a subscript and by a kept one, which must agree."""
    bound = kernel[1, 1]
    results = []
    for launch in (kernel[1, 1], bound, bound):
        out = torch.zeros(1)
        launch(out, *args)
        results.append(out.item())
    assert len(set(results)) == 1
    return results[0]


def test_a_global_number_that_changes_between_launches_of_a_bound_kernel() -> None:
    global NUMBER

    @metal_jit
    def kernel(out):
        out[0] = NUMBER

    bound, out = kernel[1, 1], torch.zeros(1)
    for NUMBER in (1, 2, 2.5, True, 1):
        bound(out)
        assert out.item() == NUMBER


def test_text_and_types_decide() -> None:
    global MODE, DTYPE

    @metal_jit
    def kernel(out, x):
        if MODE == "add":
            out[0] = ml.cast(x, DTYPE)
        else:
            out[0] = -1

    exact = 1.0 + 2.0**-12
    assert launched(kernel, exact) == 1.0
    DTYPE = ml.float32
    assert launched(kernel, exact) == exact
    DTYPE = torch.float16
    assert launched(kernel, exact) == 1.0
    MODE = "subtract"
    assert launched(kernel, exact) == -1


def test_a_type_in_an_annotation_decides() -> None:
    global DTYPE

    @metal_jit
    def kernel(out, x):
        v: DTYPE = x
        out[0] = v

    exact = 1.0 + 2.0**-12
    assert launched(kernel, exact) == 1.0
    DTYPE = ml.float32
    assert launched(kernel, exact) == exact


def test_attributes_of_objects_modules_and_classes_are_followed(monkeypatch) -> None:
    global CONFIG

    @metal_jit
    def kernel(out):
        out[0] = CONFIG.scale + captured_settings.WIDTH * 10 + Limits.LARGEST * 100 + SIZES.inner.width * 1000

    assert launched(kernel) == 5743
    monkeypatch.setattr(CONFIG, "scale", 2)
    assert launched(kernel) == 5742
    CONFIG = Config(scale=1.0)
    assert launched(kernel) == 5741
    monkeypatch.setattr(captured_settings, "WIDTH", 3)
    assert launched(kernel) == 5731
    monkeypatch.setattr(Limits, "LARGEST", 9)
    assert launched(kernel) == 5931
    monkeypatch.setattr(SIZES.inner, "width", 6)
    assert launched(kernel) == 6931
    monkeypatch.setattr(SIZES, "inner", types.SimpleNamespace(width=1))
    assert launched(kernel) == 1931


def scaled_by(config, value):
    return config.scale * value


def test_members_of_an_object_that_is_passed_on_are_followed(monkeypatch) -> None:
    @metal_jit
    def kernel(out):
        out[0] = scaled_by(CONFIG, 2)

    assert launched(kernel) == 6
    monkeypatch.setattr(CONFIG, "scale", 5.0)
    assert launched(kernel) == 10


def test_functions_of_other_modules_are_followed(monkeypatch) -> None:
    @metal_jit
    def kernel(out):
        out[0] = captured_settings.scaled(3)

    assert launched(kernel) == 6
    monkeypatch.setattr(captured_settings, "FACTOR", 5)
    assert launched(kernel) == 15
    monkeypatch.setattr(captured_settings, "scaled", squared)
    assert launched(kernel) == 9


def squared(value):
    return value * value


def plus_number(value):
    return value + NUMBER


def plus_width(value):
    return value + captured_settings.WIDTH


def applied(value, function=plus_number):
    return function(value)


def test_functions_that_are_constants_are_followed(monkeypatch) -> None:
    global NUMBER

    @metal_jit
    def kernel(out, functions: ml.constexpr):
        total = 0
        for function in functions:
            total += function(10)
        out[0] = total

    assert launched(kernel, (plus_number,)) == 11
    NUMBER = 2
    assert launched(kernel, (plus_number,)) == 12
    assert launched(kernel, (plus_number, plus_width)) == 26
    monkeypatch.setattr(captured_settings, "WIDTH", 5)
    assert launched(kernel, (plus_number, plus_width)) == 27
    NUMBER = 3
    assert launched(kernel, (plus_number,)) == 13


def test_functions_that_are_defaults_are_followed() -> None:
    global NUMBER

    @metal_jit
    def kernel(out):
        out[0] = applied(10)

    assert launched(kernel) == 11
    NUMBER = 4
    assert launched(kernel) == 14


def test_captured_variables_and_nested_tuples_decide() -> None:
    global PAIR
    inner = 3

    @metal_jit
    def kernel(out):
        out[0] = inner * 100 + PAIR[0] * 10 + PAIR[1][1]

    assert launched(kernel) == 313
    inner = 4
    PAIR = (2, (2, 5))
    assert launched(kernel) == 425


def test_what_was_missing_at_first_is_followed_too() -> None:
    @metal_jit
    def kernel(out):
        out[0] = LATE  # noqa: F821

    with pytest.raises(TranslationError, match="`LATE` is not defined"):
        launched(kernel)
    try:
        for value in (1, 2):
            globals()["LATE"] = value
            assert launched(kernel) == value
    finally:
        del globals()["LATE"]
    with pytest.raises(TranslationError, match="`LATE` is not defined"):
        launched(kernel)


def test_text_that_a_property_makes_anew_is_told_apart() -> None:
    class Named:
        text = "ab"

        @property
        def mode(self) -> str:
            return "".join(self.text)

    named = Named()

    @metal_jit
    def kernel(out):
        out[0] = 1 if named.mode == "ab" else 2

    for _ in range(3):
        assert launched(kernel) == 1
    Named.text = "cd"
    assert launched(kernel) == 2


def test_members_of_enumerations_are_constants() -> None:
    @metal_jit
    def kernel(out, operation: ml.constexpr, level: ml.constexpr = Level.LOW):
        out[0] = 100 if operation is Operation.ADD else 200
        out[0] += level + (operation == Operation.MULTIPLY) * operation.value

    assert launched(kernel, Operation.ADD) == 103
    assert launched(kernel, Operation.MULTIPLY) == 205
    assert launched(kernel, Operation.ADD, Level.HIGH) == 130
    assert launched(kernel, Operation.ADD, 4) == 104
    assert len(kernel._specializations) == 4


def test_a_global_cannot_be_assigned_in_a_kernel() -> None:
    def kernel(out):
        global NUMBER
        NUMBER = 2
        out[0] = NUMBER

    with pytest.raises(TranslationError, match="a kernel cannot change a global variable") as raised:
        launched(metal_jit(kernel))
    assert raised.value.line == kernel.__code__.co_firstlineno + 1
    assert "store into a tensor, and pass values as arguments" in raised.value.remedy
    assert NUMBER == 1


def test_a_captured_variable_cannot_be_assigned_in_a_kernel() -> None:
    count = 1

    def kernel(out):
        nonlocal count
        count += 1
        out[0] = count

    with pytest.raises(TranslationError, match="a kernel cannot change a captured variable"):
        launched(metal_jit(kernel))
    assert count == 1
