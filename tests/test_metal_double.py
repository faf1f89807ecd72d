"""The Metal double refuses what Metal refuses: each mistake is planted, and has to be reported."""

from __future__ import annotations

import pytest

from metal_double import control

double = control.find()
pytestmark = pytest.mark.skipif(double is None, reason="needs the Metal double: make wall-run")


def test_right_use_is_not_reported():
    double.make_mistake("none")
    assert double.take_violations() == []


@pytest.mark.parametrize(
    ("mistake", "report"),
    [
        ("dispatch without a pipeline", "dispatchThreadgroups: without a pipeline"),
        ("missing argument", "argument factor at index 1 is missing"),
        ("buffer index above 30", "setBuffer:offset:atIndex: at index 31, the last is 30"),
        ("bytes index above 30", "setBytes:length:atIndex: at index 31, the last is 30"),
        ("bytes above 4096", "setBytes: of 4097 bytes, 1 to 4096 can be set"),
        ("no bytes", "setBytes: of 0 bytes, 1 to 4096 can be set"),
        ("threadgroup memory of 20 bytes", "setThreadgroupMemoryLength: of 20 bytes, multiples of 16 can be set"),
        ("bytes for a written argument", "argument x at index 0 is written by the kernel, but set as bytes"),
        ("offset behind the buffer", "setBuffer: with offset 64 into a buffer of 64 bytes"),
        ("misaligned offset", "argument x at index 0 begins at byte 4, its type wants multiples of 16"),
        ("too few bytes", "argument factor at index 1 has 2 bytes, its type 4"),
        ("object that is no buffer", "setBuffer: of an object that is no buffer of this device"),
        ("oversized threadgroup", "dispatch of scale with a threadgroup of 1025 x 1 x 1 threads"),
        ("empty grid", "dispatch of 0 x 1 x 1 threadgroups"),
        ("empty threadgroup", "threadgroups of 1 x 0 x 1 threads"),
        ("encoding after endEncoding", "setComputePipelineState: sent to an encoder after endEncoding"),
        ("endEncoding twice", "endEncoding sent twice"),
        ("open debug group", "endEncoding inside of a debug group"),
        ("debug group closed twice", "popDebugGroup without a group"),
        ("two open encoders", "computeCommandEncoder while another encoder is open"),
        ("commit with an open encoder", "commit while an encoder is open"),
        ("commit twice", "commit of a command buffer that was committed before"),
        ("wait before commit", "waitUntilCompleted before commit"),
        ("handler after commit", "addCompletedHandler: after commit"),
        ("message after the last release", "-[DoubleBuffer length] sent after the object was released"),
        ("released once too often", "-[DoubleBuffer release] sent after the object was released"),
        ("no autorelease pool", "newLibraryWithSource:options:error: sent on a thread without an autorelease pool"),
        ("empty buffer", "newBufferWithLength: of 0 bytes"),
        ("pipeline without a function", "the descriptor has no compute function"),
        ("stream off its queue", "the test outside of torch's queue"),
        ("nested dispatch_sync", "dispatch_sync on the queue that runs the caller"),
    ],
)
def test_a_mistake_is_reported(mistake, report):
    double.make_mistake(mistake)
    violations = double.take_violations()
    assert any(report in violation for violation in violations), violations
