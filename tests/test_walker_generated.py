"""Generated kernels mean the same to CPython and through MSL; :mod:`generated_kernels` says how they are drawn."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generated_kernels.execute import check
from generated_kernels.kernels import draw_kernel, kernel_of_seed
from helion_msl._walker.literals import number_text
from helion_msl.walker import SCALAR_TYPES

TESTS = Path(__file__).parent


def test_many_generated_kernels_mean_what_python_means() -> None:
    command = [sys.executable, "-m", "generated_kernels", "--count", "320", "--seed", "1", "--nice", "0"]
    finished = subprocess.run(
        [*command, "--optimization", "0", "--processes", str(min(os.cpu_count() or 1, 4))],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "seed 1: 320 kernels" in finished.stdout


def test_generated_kernels_mean_the_same_to_an_optimizing_compiler() -> None:
    failures = check([kernel_of_seed(seed, number) for number, seed in enumerate(range(400, 432))])
    assert [failure for failure in failures if failure.kind != "too large"] == []


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(st.randoms(use_true_random=False))
def test_kernels_that_hypothesis_draws(rng) -> None:
    for failure in check([draw_kernel(rng)]):
        assert failure.kind == "too large", str(failure)


def test_a_seed_is_a_kernel() -> None:
    first, again = kernel_of_seed(17), kernel_of_seed(17)
    assert first == again
    assert first.source != kernel_of_seed(18).source
    for one, other in zip(first.arguments(), again.arguments(), strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_a_wrong_translation_is_noticed(monkeypatch) -> None:
    from helion_msl._walker import ir, parse_values

    def swapped(self, node, kind, left, right, real=parse_values.ValueParser.binary):
        built = real(self, node, kind, left, right)
        return ir.Binary("+", built.left, built.right, built.type) if getattr(built, "operator", "") == "-" else built

    monkeypatch.setattr(parse_values.ValueParser, "binary", swapped)
    failures = check([kernel_of_seed(seed, number) for number, seed in enumerate(range(8))])
    assert "differs" in {failure.kind for failure in failures}


@settings(max_examples=200, deadline=None)
@given(st.floats(width=32, allow_nan=False))
def test_float_literals_read_back_as_the_same_float32(value) -> None:
    text = number_text(value, SCALAR_TYPES["float32"])
    if math.isinf(value):
        assert text == ("INFINITY" if value > 0 else "-INFINITY")
    else:
        assert text.endswith("f")
        assert torch.tensor(float(text[:-1]), dtype=torch.float32).item() == value
        digits = len(text.lstrip("-").split("e")[0].replace(".", "").strip("0f"))
        assert digits <= 9
