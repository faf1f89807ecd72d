"""``assert`` and ``print`` in kernels, as the host engine carries them out; and what a GPU is given."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest
import torch

from helion_msl import KernelError, PrintWarning, TranslationError, jit, metal_jit, reference
from helion_msl import language as ml
from helion_msl.walker import SCALAR_TYPES, TensorType, translate


def checked(x, limit):
    i = ml.tid[0]
    assert x[i] < limit, f"x[{i}] is {x[i]}, the limit {limit:.2f}"
    x[i] += 1


def test_a_failed_assertion_names_its_line_and_its_message() -> None:
    kernel = metal_jit(checked)
    x = torch.arange(8.0)
    kernel[1, 8](x, 8.0)
    assert x.tolist() == list(range(1, 9))
    line = checked.__code__.co_firstlineno + 2
    message = rf"test_walker_messages.py:{line}: assertion failed: x\[i\] < limit: x\[7\] is 8.0, the limit 8.00"
    with pytest.raises(KernelError, match=message):
        kernel[1, 8](x, 8.0)


def checked_together(x):
    value = ml.simd_sum(x[ml.tid[0]])
    ml.barrier()
    assert value < 20


def test_an_assertion_among_barriers_ends_the_launch() -> None:
    kernel = metal_jit(checked_together)
    kernel[1, 4](torch.ones(4))
    with pytest.raises(KernelError, match=r"assertion failed: value < 20$"):
        kernel[1, 4](torch.ones(4) * 6)


def printing(x, k):
    print("start", None, 3, 0.5, "100%")
    print(x[0], f"{x[1]:8.3f}|{k[0]:4d}|{k[1]:x}", sep="; ")
    print((x[2], k[2]), f"{k[0]}{'a'}")
    print()


def test_print_writes_lines_as_python_does(capfd) -> None:
    x, k = torch.tensor([0.1, 2.0, 1e20]), torch.tensor([7, 255, -3])
    metal_jit(printing)[1, 1](x, k)
    got = capfd.readouterr().out
    assert got == "start None 3 0.5 100%\n0.1;    2.000|   7|ff\n(1e+20, -3) 7a\n\n"


def printing_truths(x, m):
    i = ml.tid[0]
    print(x[i] > 1, (m[i], 2), f"{not m[i]} {m[i]:d} {m[i]:3}", True)
    assert x[i] < 3, f"{m[i]} {x[i] > 0}"


def test_truth_values_are_printed_by_their_names(capfd) -> None:
    x, m = torch.tensor([0.5, 2.0]), torch.tensor([True, False])
    metal_jit(printing_truths)[1, 2](x, m)
    got = capfd.readouterr().out
    reference.run(printing_truths, [x, m], 1, 2)
    assert got == capfd.readouterr().out
    assert "False (True, 2) False 1   1 True" in got
    with pytest.raises(KernelError, match=r"assertion failed: x\[i\] < 3: False True$"):
        metal_jit(printing_truths)[1, 2](torch.tensor([0.5, 4.0]), m)


def counting_truths(x):
    print(ml.atomic_add(x, 0, 1) > 0, x[0] > 0, ml.atomic_add(x, 0, 1) > 1)


def test_the_parts_of_a_message_are_evaluated_once_and_in_order(capfd) -> None:
    x = torch.zeros(1, dtype=torch.int32)
    metal_jit(counting_truths)[1, 1](x)
    assert capfd.readouterr().out == "False True False\n"
    assert x.item() == 2


NUMBERS = [0.1, 1e6, 1.5e-7, 16777216.0, 3.0, -0.0, 123.456, 1e16, 1.0e-4, 9.999999e15, 0.00012, 1e-45, 3.4028235e38]


def printing_numbers(x):
    print(x[ml.tgid[0]])


@pytest.mark.parametrize("number", [*NUMBERS, float("inf"), float("-inf"), float("nan")])
def test_floats_are_printed_with_the_fewest_digits(capfd, number) -> None:
    metal_jit(printing_numbers)[1, 1](torch.tensor([number]))
    got = capfd.readouterr().out.strip()
    assert torch.tensor(float(got)).equal(torch.tensor(number)) or number != number
    # These decimals are the shortest of their float32, so that Python writes the same for the double.
    assert got == repr(number)


def test_a_gpu_logs_from_msl_3_2_on_and_tests_nothing() -> None:
    types = {"x": TensorType(SCALAR_TYPES["float32"], 1), "limit": SCALAR_TYPES["float32"]}
    msl = translate(checked, types).msl
    assert 'HELION_MSL_ASSERT(x[i] < limit, "test_walker_messages.py:' in msl
    assert "#else\n#define HELION_MSL_ASSERT(test, ...) void()\n#endif" in msl
    printed = translate("def kernel(x):\n    print(x[0])\n", {"x": types["x"]}).msl
    assert 'HELION_MSL_PRINT("%g", x[0]);' in printed
    assert "#elif __METAL_VERSION__ >= 320\n#include <metal_logging>" in printed


def test_assertions_are_logged_where_that_is_asked_for(monkeypatch) -> None:
    define = "#define HELION_MSL_LOGS_ASSERTIONS 1"
    assert define not in metal_jit(checked).msl(torch.ones(1), 1.0)
    monkeypatch.setenv("HELION_MSL_LOG_ASSERTIONS", "1")
    msl = metal_jit(checked).msl(torch.ones(1), 1.0)
    assert define in msl
    assert "log_error" in msl[msl.index(define) :]


def test_an_assertion_that_holds_at_translation_is_left_out() -> None:
    msl = translate(
        "def kernel(x):\n    assert x.ndim == 1\n    x[0] = 1\n", {"x": TensorType(SCALAR_TYPES["int32"], 1)}
    )
    assert "ASSERT" not in msl.msl


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        ("print(x)", "used where one number is needed"),
        ("print(ml.tid)", "prints text and numbers"),
        ("print(1, end='')", "takes no `end`"),
        ("print(f'{x[0]!a}')", "no `ascii`"),
        ("print(f'{x[0]:d}')", "cannot be printed"),
        ("print(x[0] > 1, x[0] > 2, x[0] > 3, x[0] > 4, x[0] > 5)", "5 truth values"),
        ("v = print(1)", "print returns nothing"),
    ],
)
def test_what_cannot_be_printed_is_refused(statement, cause) -> None:
    with pytest.raises(TranslationError) as raised:
        translate(
            f"def kernel(x):\n    {statement}\n",
            {"x": TensorType(SCALAR_TYPES["float32"], 1)},
            namespace={"ml": ml},
        )
    assert cause in raised.value.cause


@pytest.mark.parametrize(("version", "is_warned"), [("3.1", True), ("3.2", False), ("4.0", False)])
def test_prints_that_a_gpu_has_no_log_for_are_warned_about(monkeypatch, version, is_warned) -> None:
    kind = TensorType(SCALAR_TYPES["float32"], 1)
    translation = translate("def kernel(x):\n    print(x[0])\n", {"x": kind})
    monkeypatch.setattr(jit._C, "device_info", lambda _device: SimpleNamespace(language_version=version))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        jit._warn_of_lost_prints(translation)
        jit._warn_of_lost_prints(translate("def kernel(x):\n    x[0] = 1\n", {"x": kind}))
    assert [warning.category for warning in caught] == [PrintWarning] * is_warned
    assert all("macOS 15" in str(warning.message) for warning in caught)
