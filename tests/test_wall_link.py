"""Planted mistakes: `make wall-link` has to name the symbol of each."""

from __future__ import annotations

import dataclasses

import pytest

import mac_walls

METAL = "/System/Library/Frameworks/Metal.framework/Versions/A/Metal"
LIBOBJC = "/usr/lib/libobjc.A.dylib"
LIBSYSTEM = "/usr/lib/libSystem.B.dylib"
LIBCXX = "/usr/lib/libc++.1.dylib"
STREAM = "_ZN2at3mps19getCurrentMPSStreamEv"
SHAPE = "aoti_torch_get_sizes"


@pytest.fixture
def wall():
    return mac_walls.load("wall_link")


@pytest.fixture
def image():
    """An image of an extension whose every symbol can be accounted for."""
    return mac_walls.load("macho").Image(
        libraries=frozenset({METAL, LIBOBJC, LIBSYSTEM, LIBCXX}),
        imports={
            "_malloc": LIBSYSTEM,
            "_objc_msgSend": LIBOBJC,
            "_MTLCopyAllDevices": METAL,
            "__Znwm": LIBCXX,
            "_PyObject_Vectorcall": None,
            "__Py_NoneStruct": None,
        },
        exports=frozenset({"_PyInit__C"}),
        minimum_macos=(14, 0, 0),
        strings=frozenset({STREAM, SHAPE, "a text"}),
    )


@pytest.fixture
def torches():
    """Two versions of torch that export the stream and import from macOS."""
    wheel_class = mac_walls.load("torch_wheels").TorchWheel
    wheels = []
    for version in ("2.10.0", "2.13.0"):
        wheel = wheel_class.__new__(wheel_class)
        wheel.version = version
        wheel.exports = frozenset({f"_{STREAM}", f"_{SHAPE}"})
        wheel.system_imports = {LIBOBJC: frozenset({"_objc_msgSend"}), LIBCXX: frozenset({"__Znwm"})}
        wheel.selectors = frozenset({"computeCommandEncoder", "commandBufferFromCommandQueue:", "copy"})
        wheel.system_imports[METAL] = frozenset({"_MTLCopyAllDevices"})
        wheels.append(wheel)
    return wheels


def test_a_right_extension_has_no_problem(wall, image, torches):
    assert wall.problems_of(image, torches) == []


@pytest.mark.parametrize(
    ("symbol", "library", "complaint"),
    [
        pytest.param("__ZN10helion_msl13GpuTimeRegion3addEdd", None, "is in no library", id="source-left-out"),
        pytest.param("_OBJC_CLASS_$_MTLCompileOptions", None, "is in no library", id="framework-forgotten"),
        pytest.param("_OBJC_CLASS_$_MTLComputeFuture", METAL, "is not known to be exported", id="invented-class"),
        pytest.param("_objc_msgPost", LIBOBJC, "is not known to be exported", id="unknown-function-of-a-library"),
        pytest.param("_mallocate", LIBSYSTEM, "is not known to be exported", id="unknown-c-function"),
        pytest.param("_mallocate", None, "is in no library", id="unbound-c-function"),
        pytest.param("__ZNSt3__15printEv", LIBCXX, "is not known to be exported", id="newer-c++-library"),
        pytest.param("_PyUnicode_AsUTF8", None, "is not in Python's stable ABI", id="outside-the-stable-abi"),
        pytest.param("_PyList_GetItemRef", None, "is in Python's stable ABI only since 3.13", id="newer-stable-abi"),
    ],
)
def test_a_planted_symbol_is_named(wall, image, torches, symbol, library, complaint):
    planted = dataclasses.replace(image, imports=image.imports | {symbol: library})
    (problem,) = wall.problems_of(planted, torches)
    assert problem.startswith(f"{symbol} {complaint}")


@pytest.mark.parametrize("name", ["_ZN2at3mps9MPSStream14commandEncodrEv", "aoti_torch_get_shapes"])
def test_a_misspelt_name_of_torch_is_named_with_every_version(wall, image, torches, name):
    planted = dataclasses.replace(image, strings=image.strings | {name})
    assert wall.problems_of(planted, torches) == [
        f"_{name} is not exported by torch {version}" for version in ("2.10.0", "2.13.0")
    ]


@pytest.mark.parametrize(
    "selector",
    [
        "computeCommandEncoderWithDispatchType:",
        "computeCommandEncoderWithDescriptor:",
        "commandBufferWithUnretainedReferences",
        "commandBufferWithDescriptor:",
    ],
)
def test_another_encoder_of_torchs_is_named(wall, image, torches, selector):
    torches[1].selectors |= {selector}
    (problem,) = wall.problems_of(image, torches)
    assert problem.startswith(f"torch 2.13.0 sends {selector}: launches may need barriers")


def test_a_torch_that_no_longer_makes_its_encoder_so_is_named(wall, image, torches):
    torches[0].selectors -= {"computeCommandEncoder"}
    (problem,) = wall.problems_of(image, torches)
    assert problem.startswith("torch 2.10.0 does not send computeCommandEncoder")


def test_a_message_that_the_page_does_not_name_is_named(wall, image):
    planted = dataclasses.replace(image, selectors=frozenset({"setBytes:length:atIndex:", "setLabel:", "useHeap:"}))
    page = "| `setBytes:length:atIndex:`, also `useHeaps:count:` | and the `label` |"
    (problem,) = wall.unnamed_messages(planted, page)
    assert problem.startswith("message useHeap: is sent")


@pytest.mark.parametrize(("kept", "complaint"), [(SHAPE, "torch's MPS stream"), (STREAM, "stable C interface")])
def test_an_extension_that_looks_up_nothing_of_torch_is_reported(wall, image, torches, kept, complaint):
    (problem,) = wall.problems_of(dataclasses.replace(image, strings=frozenset({kept})), torches)
    assert problem.startswith("the extension looks up no")
    assert complaint in problem


def test_only_named_frameworks_are_bound():
    compiler = mac_walls.load("compiler")
    objects = ["-bundle", "-flto=thin", "a.o", "-o", "_C.so"]
    kept, libraries = compiler.link_arguments([*objects, "-framework", "Foundation"])
    assert kept == ["-shared", "a.o", "-o", "_C.so"]
    assert METAL not in libraries
    _, libraries = compiler.link_arguments([*objects, "-framework", "Metal"])
    assert METAL in libraries
    with pytest.raises(KeyError):
        compiler.link_arguments([*objects, "-framework", "Metl"])


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["Metal", None])
def test_a_real_image_without_its_framework(tmp_path, monkeypatch, wall, torches, framework):
    compiler = mac_walls.load("compiler")
    monkeypatch.setenv("HELION_MSL_CROSS_STUBS", str(tmp_path / "stubs"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.c").write_text(
        f'void *MTLCopyAllDevices(void); const char *names[] = {{"{STREAM}", "{SHAPE}"}};\n'
        "void *PyInit__C(void) { return names[0] && names[1] ? MTLCopyAllDevices() : 0; }\n",
        encoding="utf-8",
    )
    assert compiler.main(["cc", "-c", "a.c", "-o", "a.o"]) == 0
    frameworks = ["-framework", framework] if framework else []
    assert compiler.main(["c++", "-bundle", "a.o", "-o", "_C.so", *frameworks]) == 0
    image = mac_walls.load("macho").read_image(tmp_path / "_C.so", with_strings=True)
    problems = wall.problems_of(image, torches)
    if framework:
        assert problems == []
        assert image.imports["_MTLCopyAllDevices"] == METAL
        assert image.minimum_macos[:2] == (14, 0)
    else:
        assert problems == ["_MTLCopyAllDevices is in no library that the extension loads"]
