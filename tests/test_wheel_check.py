"""Planted mistakes: the check of the Mac's wheels has to name each."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile

import pytest

import mac_walls

TAG = "cp312-abi3-macosx_14_0_arm64"
INFO = "helion_msl-0.1.0.dist-info"
METADATA = (
    "Metadata-Version: 2.4\nName: helion-msl\nVersion: 0.1.0\nLicense-Expression: BSD-3-Clause\n"
    "License-File: LICENSE\nRequires-Python: >=3.10\nRequires-Dist: torch>=2.10\n\n"
)
WHEEL = f"Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: false\nTag: {TAG}\n\n"
HEADER = "helion_msl/host/include/metal_stdlib"


@pytest.fixture
def check(monkeypatch):
    """The module, for which any extension is a right one."""
    module = mac_walls.load("wheel_check")
    image = mac_walls.load("macho").Image(
        libraries=frozenset(module.LIBRARIES),
        imports={},
        exports=frozenset({"_PyInit__C"}),
        minimum_macos=(14, 0, 0),
        strings=frozenset(),
    )
    monkeypatch.setattr(module.macho, "read_image", lambda _: image)
    return module


@pytest.fixture
def files(check):
    """What a right wheel holds, by name."""
    package = {name: (mac_walls.ROOT / "python" / name).read_bytes() for name in check.package_files()}
    metadata = {"METADATA": METADATA.encode(), "WHEEL": WHEEL.encode(), "licenses/LICENSE": b"text"}
    metadata["entry_points.txt"] = b"[console_scripts]\n"
    return package | {"helion_msl/_C.abi3.so": b"code"} | {f"{INFO}/{name}": text for name, text in metadata.items()}


def pack(directory, files, *, recorded=None, tag=TAG):
    """Write a wheel of ``files``, whose RECORD is that of ``recorded``."""
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    for name, content in (files if recorded is None else recorded).items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow([name, f"sha256={digest}", len(content)])
    writer.writerow([f"{INFO}/RECORD", "", ""])
    path = directory / f"helion_msl-0.1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{INFO}/RECORD", rows.getvalue())
    return path


def test_a_right_wheel_has_no_problem(check, files, tmp_path):
    assert check.problems_of(pack(tmp_path, files), "cp312-abi3") == []


@pytest.mark.parametrize("name", ["helion_msl/py.typed", "helion_msl/_C.pyi", HEADER, f"{INFO}/licenses/LICENSE"])
def test_missing_file(check, files, tmp_path, name):
    del files[name]
    assert check.problems_of(pack(tmp_path, files), "cp312-abi3") == [f"{name} is missing"]


def test_file_that_does_not_belong_there(check, files, tmp_path):
    files["tests/test_launch.py"] = b""
    assert check.problems_of(pack(tmp_path, files), "cp312-abi3") == ["tests/test_launch.py does not belong there"]


def test_header_changed_after_the_record(check, files, tmp_path):
    changed = files | {HEADER: files[HEADER] + b"\n"}
    assert check.problems_of(pack(tmp_path, changed, recorded=files), "cp312-abi3") == [
        f"RECORD has another hash or size of {HEADER}"
    ]


def test_file_that_is_not_recorded(check, files, tmp_path):
    recorded = {name: content for name, content in files.items() if name != HEADER}
    assert check.problems_of(pack(tmp_path, files, recorded=recorded), "cp312-abi3") == [
        f"RECORD does not list {HEADER}"
    ]


def test_wrong_tag_in_the_name(check, files, tmp_path):
    wheel = pack(tmp_path, files, tag="cp312-cp312-macosx_14_0_arm64")
    (problem,) = check.problems_of(wheel, "cp312-abi3")
    assert problem == f"the wheel is called {wheel.name}, its tag must be {TAG}"


def test_wrong_tag_inside(check, files, tmp_path):
    files[f"{INFO}/WHEEL"] = WHEEL.replace("14_0", "11_0").encode()
    (problem,) = check.problems_of(pack(tmp_path, files), "cp312-abi3")
    assert problem.startswith("WHEEL has the tags ['cp312-abi3-macosx_11_0_arm64']")


def test_wheel_that_says_it_has_no_extension(check, files, tmp_path):
    files[f"{INFO}/WHEEL"] = WHEEL.replace("false", "true").encode()
    (problem,) = check.problems_of(pack(tmp_path, files), "cp312-abi3")
    assert problem.startswith("WHEEL says Root-Is-Purelib: true")


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("BSD-3-Clause", "MIT", "METADATA says License-Expression: MIT"),
        (">=3.10", ">=3.12", "METADATA says Requires-Python: >=3.12"),
        ("Requires-Dist: torch>=2.10\n", "", "METADATA does not require torch"),
    ],
)
def test_wrong_metadata(check, files, tmp_path, right, wrong, complaint):
    files[f"{INFO}/METADATA"] = METADATA.replace(right, wrong).encode()
    (problem,) = check.problems_of(pack(tmp_path, files), "cp312-abi3")
    assert problem.startswith(complaint)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"minimum_macos": (15, 0, 0)}, "needs macOS 15.0.0, it must run on 14.0"),
        ({"exports": frozenset()}, "does not export PyInit__C"),
        ({"libraries": frozenset({"@rpath/libtorch_cpu.dylib"})}, "not wanted @rpath/libtorch_cpu.dylib; missing"),
    ],
)
def test_wrong_extension(check, files, tmp_path, monkeypatch, change, complaint):
    import dataclasses

    wrong = dataclasses.replace(check.macho.read_image(None), **change)
    monkeypatch.setattr(check.macho, "read_image", lambda _: wrong)
    (problem,) = check.problems_of(pack(tmp_path, files), "cp312-abi3")
    assert complaint in problem


def test_a_release_has_a_wheel_for_every_python(check, files, tmp_path, capsys):
    wheel = pack(tmp_path, files)
    assert check.main([str(wheel)]) == 1
    output = capsys.readouterr().out
    assert f"{wheel.name} is right" in output
    assert "no wheel for cp310-cp310" in output
    assert "no wheel for cp311-cp311" in output
    assert check.main([str(wheel), str(wheel)]) == 1
    assert "is for cp312-abi3: not wanted, or there twice" in capsys.readouterr().out
