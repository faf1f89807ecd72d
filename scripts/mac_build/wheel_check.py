"""What a wheel for arm64 macOS must hold, from wherever it was built.

usage: python -m mac_build.wheel_check WHEEL...
"""

from __future__ import annotations

import base64
import csv
import email
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from mac_build import macho, system_symbols

ROOT = Path(__file__).resolve().parents[2]

PLATFORM = "macosx_14_0_arm64"
STABLE_ABI = "cp312-abi3"
# The extension's file, by the Python that a wheel is for. The stable ABI serves 3.12 and all later ones.
EXTENSIONS = {
    STABLE_ABI: "_C.abi3.so",
    "cp314-cp314t": "_C.cpython-314t-darwin.so",
    "cp311-cp311": "_C.cpython-311-darwin.so",
    "cp310-cp310": "_C.cpython-310-darwin.so",
}

# What the extension loads at run time. torch is not among them: its entry points are found in the loaded image.
LIBRARIES = {
    system_symbols.METAL,
    system_symbols.FOUNDATION,
    system_symbols.CORE_FOUNDATION,
    system_symbols.LIBOBJC,
    system_symbols.LIBCXX,
    system_symbols.LIBSYSTEM,
}


def package_files() -> set[str]:
    """The files of the Python package in the source tree, as they must be in the wheel."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "python/helion_msl"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return {name.removeprefix("python/") for name in listed}


def name_problems(wheel: Path, tag: str) -> list[str]:
    """What is wrong with the wheel's name."""
    name, _version, *tags = wheel.stem.split("-")
    if name != "helion_msl" or "-".join(tags) != tag:
        return [f"the wheel is called {wheel.name}, its tag must be {tag}"]
    return []


def record_problems(archive: zipfile.ZipFile, info: str) -> list[str]:
    """What is wrong with RECORD: every file of the archive stands in it, with its size and SHA-256."""
    problems = []
    rows = {row[0]: row[1:] for row in csv.reader(archive.read(f"{info}/RECORD").decode().splitlines())}
    names = {name for name in archive.namelist() if not name.endswith("/")}
    problems += [f"RECORD does not list {name}" for name in sorted(names - set(rows))]
    problems += [f"RECORD lists {name}, which is not there" for name in sorted(set(rows) - names)]
    for name in sorted(names & set(rows) - {f"{info}/RECORD"}):
        content = archive.read(name)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        if rows[name] != [f"sha256={digest}", str(len(content))]:
            problems.append(f"RECORD has another hash or size of {name}")
    return problems


def metadata_problems(archive: zipfile.ZipFile, info: str, tag: str) -> list[str]:
    """What is wrong with WHEEL and METADATA."""
    problems = []
    wheel = email.message_from_bytes(archive.read(f"{info}/WHEEL"))
    if wheel.get_all("Tag") != [tag]:
        problems.append(f"WHEEL has the tags {wheel.get_all('Tag')}, not [{tag!r}]")
    if wheel["Root-Is-Purelib"] != "false":
        problems.append(f"WHEEL says Root-Is-Purelib: {wheel['Root-Is-Purelib']}, but there is an extension")
    metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
    expected = {
        "Name": "helion-msl",
        "License-Expression": "BSD-3-Clause",
        "License-File": "LICENSE",
        "Requires-Python": ">=3.10",
    }
    for field, value in expected.items():
        if metadata[field] != value:
            problems.append(f"METADATA says {field}: {metadata[field]}, not {value}")
    if not any(requirement.startswith("torch") for requirement in metadata.get_all("Requires-Dist") or []):
        problems.append("METADATA does not require torch")
    return problems


def extension_problems(archive: zipfile.ZipFile, name: str) -> list[str]:
    """What is wrong with the extension itself."""
    with tempfile.TemporaryDirectory() as directory:
        image = macho.read_image(Path(archive.extract(name, directory)))
    problems = []
    if image.minimum_macos[:2] != (14, 0):
        problems.append(f"{name} needs macOS {'.'.join(map(str, image.minimum_macos))}, it must run on 14.0")
    if image.libraries != LIBRARIES:
        extra = ", ".join(sorted(image.libraries - LIBRARIES)) or "none"
        missing = ", ".join(sorted(LIBRARIES - image.libraries)) or "none"
        problems.append(f"{name} loads other libraries than it must: not wanted {extra}; missing {missing}")
    if "_PyInit__C" not in image.exports:
        problems.append(f"{name} does not export PyInit__C")
    return problems


def problems_of(wheel: Path, python: str) -> list[str]:
    """Everything that is wrong with ``wheel``, one sentence each; empty where all is well.

    Args:
        wheel: the file.
        python: whom it must be for, a key of ``EXTENSIONS``.
    """
    tag = f"{python}-{PLATFORM}"
    problems = name_problems(wheel, tag)
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
        extensions = {name for name in names if name.endswith(".so")}
        expected = package_files() | {f"helion_msl/{EXTENSIONS[python]}"}
        expected |= {
            f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
        }
        problems += [f"{name} is missing" for name in sorted(expected - names)]
        problems += [f"{name} does not belong there" for name in sorted(names - expected)]
        problems += record_problems(archive, info)
        problems += metadata_problems(archive, info, tag)
        for name in sorted(extensions):
            problems += extension_problems(archive, name)
    return problems


def main(arguments: list[str]) -> int:
    """Check the wheels of one release: each is right, and there is one for every Python."""
    status = 0
    left = set(EXTENSIONS)
    for wheel in map(Path, arguments):
        python = "-".join(wheel.stem.split("-")[2:4])
        if python in left:
            left.remove(python)
            problems = problems_of(wheel, python)
        else:
            problems = [f"is for {python}: not wanted, or there twice"]
        for problem in problems:
            print(f"{wheel.name}: {problem}")
        status = 1 if problems else status
        if not problems:
            print(f"{wheel.name} is right")
    for python in sorted(left):
        print(f"no wheel for {python}")
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
