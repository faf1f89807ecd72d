"""A pytest plugin that runs the test suite on the Metal engine over the double: ``-p metal_double.plugin``.

torch is told that there is MPS. torch's own operations run at once on the CPU, so the double runs each launch when it
is encoded; the engine's own tests turn that off.
"""

from __future__ import annotations

import gc

import pytest

import helion_msl
from helion_msl.jit import MetalKernel

from . import session

_double = session.start()

# What the engine keeps as long as the process: the device, and a buffer for tensors without elements.
_IMMORTAL = {"DoubleDevice": 1, "DoubleBuffer": 1}


@pytest.fixture(autouse=True)
def no_rule_was_broken():
    yield
    violations = _double.take_violations()
    assert not violations, "\n".join(violations)


@pytest.fixture
def asynchronous():
    """Launches run after their command buffer's commit, on the double's own threads, as on a GPU."""
    helion_msl.synchronize("mps")
    _double.set_eager(False)
    yield
    helion_msl.synchronize("mps")
    _double.set_eager(True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    helion_msl.synchronize("mps")
    helion_msl.clear_cache()
    # Functions decorated with @metal_jit hold their kernels as long as their modules.
    for kernel in [thing for thing in gc.get_objects() if type(thing) is MetalKernel]:
        kernel._specializations.clear()
        kernel._forget()
    gc.collect()
    # Modules and parameters of tests hold tensors, which is not the engine's doing.
    _double.forget_tensors()
    left = {name: count for name, count in _double.living_objects().items() if count != _IMMORTAL.get(name, 0)}
    violations = _double.take_violations()
    for name, count in left.items():
        print(f"\nleft over at the end: {count} {name}, where {_IMMORTAL.get(name, 0)} may be")
    for violation in violations:
        print(f"\nbroken rule, after the tests: {violation}")
    if left or violations:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
