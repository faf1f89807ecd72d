"""What every test shares: the device under test, and which engine that is."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import settings

import helion_msl

if TYPE_CHECKING:
    from collections.abc import Iterator


# On a Mac whose GPU is not to be tested, a virtual one's: every test asks torch which device to take.
if os.environ.get("HELION_MSL_TEST_DEVICE") == "cpu":
    torch.backends.mps.is_available = lambda: False


def _device() -> str:
    return "mps" if torch.backends.mps.is_available() else "cpu"


@pytest.fixture(scope="session", autouse=True)
def _own_disk_cache() -> Iterator[None]:
    """Leaves the user's cache alone, and the processes that tests start too."""
    yield
    shutil.rmtree(_CACHE, ignore_errors=True)


# Before any engine is made, which reads it once.
_CACHE = os.environ["HELION_MSL_CACHE_DIR"] = tempfile.mkdtemp(prefix="helion-msl-test-cache-")


# A change is judged by examples that are the same in every run; --hypothesis-profile=random searches for others.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("random", derandomize=False)
settings.load_profile("repeatable")


def pytest_report_header() -> str:
    try:
        engine = helion_msl.engine_description(_device())
    except helion_msl.EngineUnavailableError as error:
        engine = f"none, so that tests which launch will fail: {error}"
    return f"helion_msl {helion_msl.__version__}, torch {torch.__version__}, engine: {engine}"


@pytest.fixture(scope="session")
def device() -> str:
    """The device that kernels are tested on: Apple's GPU where there is one, else this machine's cores."""
    return _device()
