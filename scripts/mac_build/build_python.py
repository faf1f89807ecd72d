"""The Python that builds the wheel for the stable ABI: 3.12 or later, with its C headers.

One on the ``PATH`` is used where there is one. Debian 12 has none, so there the packages of the next Debian are
unpacked below ``build/``: apt downloads and verifies them, nothing is installed, and root is not needed. They bring
their own C library, which Debian 12's is too old for.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

STABLE_ABI_SINCE = (3, 12)
NEXT_DEBIAN = "trixie"
PACKAGES = [
    "python3.13-minimal",
    "libpython3.13-minimal",
    "libpython3.13-stdlib",
    "libpython3.13-dev",
    "libc6",
    "libexpat1",
    "zlib1g",
]
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def version_of(python: str) -> tuple[int, int] | None:
    """Version of the interpreter ``python`` with its C headers, None where it does not run or lacks them."""
    probe = (
        "import os, sys, sysconfig; header = os.path.join(sysconfig.get_path('include'), 'Python.h');"
        "has_headers = os.path.exists(header) and not sys.abiflags;"
        "print(*sys.version_info[:2] if has_headers else ())"
    )
    try:
        output = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=False, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    numbers = output.split()
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else None


def find_installed() -> tuple[str, tuple[int, int]] | None:
    """The oldest installed Python that has the stable ABI, and its version."""
    candidates = [sys.executable]
    candidates += [found for minor in range(12, 20) if (found := shutil.which(f"python3.{minor}"))]
    usable = [(version, python) for python in candidates if (version := version_of(python)) is not None]
    usable = [each for each in usable if each[0] >= STABLE_ABI_SINCE]
    if not usable:
        return None
    version, python = min(usable)
    return python, version


def debian_mirror() -> str:
    """Where this machine's apt has its packages from.

    Raises:
        SystemExit: this is no Debian.
    """
    needed = f"wall-compile: needs Python {'.'.join(map(str, STABLE_ABI_SINCE))} or later with its C headers"
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None or not KEYRING.exists():
        raise SystemExit(f"{needed}; install one, such as python3.13, so that it is on the PATH")
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
    targets = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for uri, release in (line.split() for line in targets.splitlines()):
        if "-" not in release and uri.rstrip("/").endswith("/debian"):  # and not security or backports
            return uri
    raise SystemExit(f"{needed}, and apt names no Debian mirror to get one from")


def download(mirror: str, directory: Path) -> list[Path]:
    """Download ``PACKAGES`` into ``directory``, with lists of apt's own there, and return the files."""
    for name in ("lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    sources = directory / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {mirror} {NEXT_DEBIAN} main\n", encoding="utf-8")
    options = [
        f"Dir::Etc::SourceList={sources}",
        "Dir::Etc::SourceParts=-",
        f"Dir::State::Lists={directory / 'lists'}",
        f"Dir::Cache={directory / 'cache'}",
        "Dir::State::Status=/dev/null",
        # Root's downloads would change to a user that may not write here.
        f"APT::Sandbox::User={'root' if os.geteuid() == 0 else ''}",
        "Acquire::Languages=none",
        "Acquire::Retries=3",
    ]
    apt = ["apt-get", "--quiet=2", *(part for option in options for part in ("-o", option))]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "download", *PACKAGES], cwd=directory, check=True)
    return sorted(directory.glob("*.deb"))


def unpack(packages: list[Path], root: Path) -> Path:
    """Unpack ``packages`` below ``root``, and return an interpreter that runs from there."""
    for package in packages:
        subprocess.run(["dpkg-deb", "--extract", str(package), str(root)], check=True)
    program = root / "usr/bin/python3.13"
    (loader,) = root.glob("usr/lib/*/ld-linux*.so.*")
    moved = program.with_suffix(".elf")
    program.rename(moved)
    # By its own loader, as the C library that it needs is newer than the machine's. Python finds its standard library
    # from its own path, which is this script's.
    program.write_text(
        f"#!/bin/sh\nexec '{loader}' --library-path '{loader.parent}' --argv0 \"$0\" '{moved}' \"$@\"\n",
        encoding="utf-8",
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def find_python(build: Path) -> tuple[str, tuple[int, int]]:
    """The interpreter to build with and its version; ``build`` is where one can be unpacked.

    Raises:
        SystemExit: there is none, and none to be had; the message says what to install.
    """
    installed = find_installed()
    if installed is not None:
        return installed
    directory = build / "python"
    program = directory / "root/usr/bin/python3.13"
    if not program.exists() or version_of(str(program)) is None:
        shutil.rmtree(directory, ignore_errors=True)
        print(f"no Python {'.'.join(map(str, STABLE_ABI_SINCE))} here: unpacking Debian's", flush=True)
        program = unpack(download(debian_mirror(), directory), directory / "root")
    version = version_of(str(program))
    if version is None:
        raise SystemExit(f"wall-compile: {program} does not run here; install Python 3.12 or later with its C headers")
    return str(program), version
