"""Registering the plug-in: versions, order of things, the environment, autotuning."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import helion
import helion.language as hl
import torch

import helion_msl
from helion_msl.helion_backend import HelionVersionError, generated_msl

if TYPE_CHECKING:
    from pathlib import Path

helion_msl.register_helion_backend()

DEVICE = "mps" if torch.backends.mps.is_available() else "cpu"


@helion.kernel(backend="metal", autotune_effort="none")
def without_config(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size()):
        out[tile] = x[tile] + 1
    return out


@helion.kernel(backend="metal", configs=[helion.Config(block_sizes=[32]), helion.Config(block_sizes=[64])])
def with_two_configs(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] + 1
    return out


@helion.kernel(backend="metal")
def to_be_tuned(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] + 1
    return out


def run(*arguments: str, **environment: str) -> str:
    """Runs Python with these arguments and returns what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("version", ["1.5.0", "1.6.0", "2.0.1", "0.9"])
def test_other_versions_of_helion_are_refused_by_name(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    with pytest.raises(HelionVersionError, match=rf"Helion {version} is installed.*>=1\.5\.1,<1\.6"):
        helion_msl.register_helion_backend()


@pytest.mark.parametrize("version", ["1.5.1", "1.5.2", "1.5.1+git123", "1.5.9.post1"])
def test_supported_versions_are_accepted(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    helion_msl.register_helion_backend()


def test_missing_helion_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(HelionVersionError, match=r"pip install helion-msl\[helion\]"):
        helion_msl.register_helion_backend()


def test_importing_the_package_does_not_import_helion() -> None:
    assert run("-c", "import sys, helion_msl; print('helion' in sys.modules)").strip() == "False"


ORDER = """
import torch, helion, helion.language as hl, helion_msl

{before}

@helion.kernel({options}config=helion.Config(block_sizes=[32]))
def add_one(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] + 1
    return out

{after}
x = torch.randn(100)
print(torch.equal(add_one(x), x + 1), "helion_msl" in add_one.bind((x,)).to_code())
"""
REGISTER = "helion_msl.register_helion_backend()\nhelion_msl.register_helion_backend()"


def test_the_environment_selects_the_backend(tmp_path: Path) -> None:
    # Helion reads a kernel's source, so that it must be in a file.
    script = tmp_path / "kernel.py"
    script.write_text(ORDER.format(options="", before=REGISTER, after=""))
    assert run(str(script), HELION_BACKEND="metal").split() == ["True", "True"]


def test_a_kernel_decorated_before_registration_is_ours_too(tmp_path: Path) -> None:
    script = tmp_path / "kernel.py"
    script.write_text(ORDER.format(options='backend="metal", ', before="", after=REGISTER))
    assert run(str(script)).split() == ["True", "True"]


def test_default_config() -> None:
    for shape in [(1000,), (33, 65), (5, 6, 7)]:
        x = torch.randn(shape, device=DEVICE)
        torch.testing.assert_close(without_config(x), x + 1)


@pytest.mark.skipif(DEVICE != "cpu", reason="on a GPU these kernels are tuned")
def test_tensors_on_the_cpu_are_not_tuned(caplog: pytest.LogCaptureFixture) -> None:
    x = torch.randn(1000)
    for kernel in (with_two_configs, to_be_tuned):
        caplog.clear()
        torch.testing.assert_close(kernel(x), x + 1)
        assert f"{kernel.name} runs without autotuning" in caplog.text
    caplog.clear()
    assert with_two_configs.autotune((x,)) == with_two_configs.configs[0]
    assert "runs without autotuning" in caplog.text


def test_generated_msl_runs_by_itself() -> None:
    x = torch.randn(100, device=DEVICE)
    out = torch.zeros_like(x)
    kernel = helion.kernel(backend="metal", config=helion.Config(block_sizes=[32]))(with_two_configs.fn)
    helion_msl.launch(generated_msl(kernel, x), [x, out], (4,), (32,))
    torch.testing.assert_close(out, x + 1)


def test_scalars_are_passed_as_numbers() -> None:
    @helion.kernel(backend="metal", config=helion.Config(block_sizes=[32]))
    def add(x: torch.Tensor, a: float, n: int) -> torch.Tensor:
        out = torch.empty_like(x)
        for tile in hl.tile(x.size(0)):
            out[tile] = x[tile] * a + n
        return out

    code = add.bind((torch.randn(100, device=DEVICE), 2.5, 3)).to_code()
    assert "scalar_tensor" not in code.split("def add(")[1]
    assert ", a, n, _block_dims=(32, 1, 1))" in code
