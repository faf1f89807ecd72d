"""Planted mistakes: what `make wall-compile` compiles with has to refuse each."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import mac_walls

FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-fno-objc-arc", "-O0"]


def compile_for_the_mac(source, directory):
    command = [sys.executable, "-m", "mac_build.compiler", "c++", *FLAGS, f"-I{mac_walls.ROOT / 'src'}"]
    command += ["-c", str(source), "-o", str(directory / "out.o")]
    environment = os.environ | {"PYTHONPATH": str(mac_walls.SCRIPTS)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture
def plant(tmp_path):
    """Compile a copy of one of the engine's files with a mistake in it."""
    mac_walls.load("compiler")

    def compile_copy(name, right="", wrong=""):
        text = (mac_walls.ROOT / "src" / name).read_text(encoding="utf-8")
        assert text.count(right) >= 1
        copy = tmp_path / name
        copy.write_text(text.replace(right, wrong, 1) if right else text, encoding="utf-8")
        return compile_for_the_mac(copy, tmp_path)

    return compile_copy


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metal_pipeline.mm", "metal_tools.mm", "torch_mps.mm", "loaded_image.cpp"])
def test_the_engine_compiles(plant, name):
    result = plant(name)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "right", "wrong", "complaint"),
    [
        pytest.param(
            "metal_pipeline.mm",
            "serializeToURL:",
            "serialiseToURL:",
            "'-serialiseToURL:error:' not found",
            id="misspelt-selector",
        ),
        pytest.param(
            "metal_pipeline.mm",
            "newBinaryArchiveWithDescriptor:descriptor.get() error:&error",
            "newBinaryArchiveWithDescriptor:descriptor.get()",
            "'-newBinaryArchiveWithDescriptor:' not found",
            id="missing-argument",
        ),
        pytest.param(
            "metal_tools.mm", "  NSError *error = nil;", "  NSError *error = nil;\n  int left = 1;", "unused variable",
            id="unused-variable",
        ),
        pytest.param(
            "metal_pipeline.mm",
            "descriptor.get().computeFunction = function;",
            "descriptor.get().computeFunction = device;",
            "'id<MTLDevice>'",
            id="wrong-object",
        ),
        pytest.param(
            "loaded_image.cpp",
            "#include <mach-o/dyld.h>",
            "#include <mach-o/dylb.h>",
            "'mach-o/dylb.h' file not found",
            id="missing-darwin-header",
        ),
        pytest.param(
            "loaded_image.cpp",
            "_dyld_image_count()",
            "_dyld_images_count()",
            "undeclared identifier '_dyld_images_count'",
            id="invented-function",
        ),
    ],
)  # fmt: skip
def test_a_planted_mistake_is_refused(plant, name, right, wrong, complaint):
    result = plant(name, right, wrong)
    assert result.returncode != 0
    assert complaint in result.stderr
