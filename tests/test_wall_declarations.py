"""Planted mistakes: `make wall-declarations` has to find each, and to name its file and line."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
METAL = "metal_declarations/metal/Metal/Metal.h"
FOUNDATION = "metal_declarations/foundation/Foundation/Foundation.h"


@pytest.fixture(scope="module")
def wall():
    pytest.importorskip("ziglang", reason="needs ziglang, whose clang parses the headers")
    sys.path.insert(0, str(SCRIPTS))
    try:
        module = importlib.import_module("declarations_wall.__main__")
    finally:
        sys.path.remove(str(SCRIPTS))
    try:
        module.fetch_wheels()
    except module.WheelsMissingError as error:
        pytest.skip(f"needs PyObjC's macOS wheels: {error}")
    return module


@pytest.fixture
def sources(tmp_path):
    shutil.copytree(ROOT / "src/metal_declarations", tmp_path / "metal_declarations")
    for name in ("metal_newer.h", "metal_platform.h"):
        shutil.copy(ROOT / "src" / name, tmp_path / name)
    return tmp_path


def plant(path, right, wrong):
    text = path.read_text(encoding="utf-8")
    (match,) = re.finditer(right, text)
    path.write_text(text[: match.start()] + match.expand(wrong) + text[match.end() :], encoding="utf-8")


def test_the_declarations_are_right(wall, sources):
    verdict, mistakes = wall.check(sources, wall.RECORD.read_text(encoding="utf-8"))
    assert mistakes == []
    assert len(verdict.confirmed) > 100


@pytest.mark.parametrize(
    ("header", "right", "wrong", "complaint", "declaration"),
    [
        pytest.param(
            METAL,
            r"(setBytes:\(const void \*\)bytes) length:\(NSUInteger\)length",
            r"\1 size:(NSUInteger)length",
            "setBytes:size:atIndex:]: no protocol of the framework has this selector",
            "setBytes",
            id="selector-of-a-protocol",
        ),
        pytest.param(
            METAL,
            r" offset:\(NSUInteger\)offset( atIndex)",
            r"\1",
            "setBuffer:atIndex:]: no protocol of the framework has this selector",
            "setBuffer",
            id="missing-argument",
        ),
        pytest.param(
            METAL,
            r"(setBuffer:\(id<MTLBuffer>\)buffer offset):\(NSUInteger\)",
            r"\1:(int)",
            "setBuffer:offset:atIndex:]: argument 2 is Q, declared as i",
            "setBuffer",
            id="argument-type",
        ),
        pytest.param(
            METAL,
            r"(setBuffer):\(id<MTLBuffer>\)",
            r"\1:(id<MTLLibrary>)",
            'setBuffer:offset:atIndex:]: argument 1 is @"<MTLBuffer>", declared as @"<MTLLibrary>"',
            "setBuffer",
            id="argument-class",
        ),
        pytest.param(
            METAL,
            r"NSTimeInterval( GPUStartTime)",
            r"float\1",
            "GPUStartTime]: the result is d, declared as f",
            "GPUStartTime",
            id="result-type",
        ),
        pytest.param(
            METAL,
            r"\(\^MTLCommandBufferHandler\)\(id<MTLCommandBuffer> buffer\)",
            r"(^MTLCommandBufferHandler)(id<MTLCommandBuffer> buffer, NSUInteger status)",
            "addCompletedHandler:]: argument 1 is @?<v@?@>, declared as",
            "addCompletedHandler",
            id="signature-of-a-block",
        ),
        pytest.param(
            METAL,
            r"(MTLLanguageVersion3_1) = 196609",
            r"\1 = 196610",
            "enum MTLLanguageVersion3_1: is 196609, declared as 196610",
            "MTLLanguageVersion3_1",
            id="enumerator",
        ),
        pytest.param(
            METAL,
            r"@protocol MTLComputeCommandEncoder <MTLCommandEncoder>",
            "@protocol MTLComputeCommandEncoder <MTLCommandEncoder, MTLBuffer>",
            "does not inherit from MTLBuffer",
            "@protocol MTLComputeCommandEncoder",
            id="inherited-protocol",
        ),
        pytest.param(
            METAL,
            r"NSUInteger width, height, depth;",
            "NSUInteger width, depth, height;",
            "struct MTLSize: has the fields",
            "typedef struct",
            id="struct",
        ),
        pytest.param(
            METAL,
            r"(\*)MTLCopyAllDevices\(void\)",
            r"\1MTLCopyAllDevices(int number)",
            "function MTLCopyAllDevices",
            "MTLCopyAllDevices",
            id="function",
        ),
        pytest.param(
            METAL,
            r"(@property\(readwrite, nonatomic\)) MTLLanguageVersion languageVersion",
            r"\1 MTLLanguageVersion language_version",
            "-[MTLCompileOptions setLanguage_version:] v Q: not in PyObjC's metadata",
            "language_version",
            id="selector-of-a-class",
        ),
        pytest.param(
            METAL,
            r"@interface MTLFunctionConstant ",
            "@interface MTLFunctionConst ",
            "@interface MTLFunctionConst: not in PyObjC's metadata",
            "MTLFunctionConst",
            id="class",
        ),
        pytest.param(
            METAL,
            r"(typedef NS_OPTIONS\(NSUInteger, MTLPipelineOption\) {)",
            r"\1\n  MTLPipelineOptionEverything = 7,",
            "enum MTLPipelineOptionEverything = 7: not in PyObjC's metadata",
            "MTLPipelineOptionEverything",
            id="unknown-enumerator",
        ),
        pytest.param(
            METAL,
            r"(@protocol MTLComputeCommandEncoder <MTLCommandEncoder>)",
            r"@protocol MTLFutureEncoder <NSObject>\n- (void)dispatchLater:(NSUInteger)count;\n@end\n\n\1",
            "MTLFutureEncoder",
            "dispatchLater",
            id="invented-protocol",
        ),
        pytest.param(
            FOUNDATION,
            r"(stringWithUTF8String):\(const char \*\)",
            r"\1:(int)",
            "+[NSString stringWithUTF8String:]: argument 1 is ^t, declared as i",
            "stringWithUTF8String",
            id="foundation",
        ),
        pytest.param(
            "metal_newer.h",
            r"(MTLMathModeFast) = 2",
            r"\1 = 1",
            "enum MTLMathModeFast: is 2, declared as 1",
            "MTLMathModeFast",
            id="constant-of-a-newer-system",
        ),
    ],
)
def test_a_planted_mistake_is_found(wall, sources, header, right, wrong, complaint, declaration):
    plant(sources / header, right, wrong)
    _, mistakes = wall.check(sources, wall.RECORD.read_text(encoding="utf-8"))
    found = [mistake for mistake in mistakes if complaint in mistake]
    assert found, mistakes
    path, line = re.match(r"(.*?):(\d+): ", found[0]).groups()
    assert Path(path) == sources / header
    assert declaration in Path(path).read_text(encoding="utf-8").splitlines()[int(line) - 1]


def test_a_line_of_the_record_that_nothing_needs_is_reported(wall, sources):
    record = wall.RECORD.read_text(encoding="utf-8") + "-[MTLCompileOptions gone] v\n"
    _, mistakes = wall.check(sources, record)
    assert mistakes == ["record: -[MTLCompileOptions gone] v: declared no more, or PyObjC knows it now"]


def test_headers_that_do_not_compile_are_reported_as_clang_says(wall, sources):
    plant(
        sources / METAL, r"@protocol MTLComputePipelineState <NSObject>", "@protocol MTLComputePipelineState <NSObjekt>"
    )
    with pytest.raises(RuntimeError, match="cannot find protocol declaration for 'NSObjekt'"):
        wall.check(sources, "")
