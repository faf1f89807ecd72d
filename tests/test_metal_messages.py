"""``docs/metal_runtime.md`` names every message that the Metal engine sends."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/metal_runtime.md"


@pytest.fixture(scope="module")
def messages():
    scripts = str(ROOT / "scripts")
    sys.path.insert(0, scripts)
    try:
        return importlib.import_module("mac_build.messages")
    finally:
        sys.path.remove(scripts)


@pytest.fixture
def sources(tmp_path):
    return Path(shutil.copytree(ROOT / "src", tmp_path / "src"))


def unnamed(messages, sources):
    sent = messages.sent_messages(sources)
    missing = messages.unnamed({message.selector for message in sent}, PAGE.read_text(encoding="utf-8"))
    return [(message.selector, message.place) for message in sent if message.selector in missing]


def test_every_message_is_named(messages, sources):
    assert unnamed(messages, sources) == []


def test_the_messages_of_a_launch_are_found(messages, sources):
    sent = {(message.selector, message.place.split(":")[0]) for message in messages.sent_messages(sources)}
    assert len(sent) > 100
    assert sent >= {
        ("setComputePipelineState:", "metal_runtime.mm"),
        ("setBuffer:offset:atIndex:", "metal_runtime.mm"),
        ("dispatchThreadgroups:threadsPerThreadgroup:", "metal_runtime.mm"),
        ("rootCommandBuffer", "metal_runtime.mm"),
        ("addCompletedHandler:", "metal_command_buffer.mm"),
        ("GPUStartTime", "metal_command_buffer.mm"),
        ("setCaptureObject:", "metal_tools.mm"),
        ("newFunctionWithName:constantValues:error:", "metal_library.mm"),
        ("reason", "objective_c_try.m"),
        ("release", "retained.h"),
    }


@pytest.mark.parametrize(
    ("file", "line", "selector"),
    [
        ("metal_runtime.mm", "  [encoder useHeap:heap];", "useHeap:"),
        ("metal_runtime.mm", "  [encoder memoryBarrierWithScope:flags ? a : b];", "memoryBarrierWithScope:"),
        (
            "metal_command_buffer.mm",
            "  [buffer encodeSignalEvent:[events objectAtIndex:0]\n                      value:values[0]];",
            "encodeSignalEvent:value:",
        ),
        ("metal_command_buffer.mm", "  [buffer addCompletedHandler:[[device newEvent] init]];", "newEvent"),
        ("metal_library.mm", "  [library.get() mutableCopy];", "mutableCopy"),
        ("metal_tools.mm", "  const auto length = device.registryID;", "registryID"),
        ("objective_c_try.m", "  [thrown debugDescription];", "debugDescription"),
    ],
)
def test_a_planted_message_is_found(messages, sources, file, line, selector):
    path = sources / file
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}{line}\n", encoding="utf-8")
    assert unnamed(messages, sources) == [(selector, f"{file}:{text.count(chr(10)) + 1}")]


@pytest.mark.parametrize(
    "line",
    [
        "  // [encoder useHeap:heap]",
        '  const char *text = "[encoder useHeap:heap]";',
        "  const auto body = [&, this, other] { return table[index]; };",
        "  [[nodiscard]] int next = values[first + 1];",
    ],
)
def test_what_is_no_message_is_none(messages, sources, line):
    path = sources / "metal_runtime.mm"
    path.write_text(f"{path.read_text(encoding='utf-8')}{line}\n", encoding="utf-8")
    assert unnamed(messages, sources) == []
