"""Checks that cibuildwheel understands its part of ``pyproject.toml``, and builds for every platform of a release."""

from __future__ import annotations

import subprocess
import sys

# By cibuildwheel's names: the platform's runner, and the architecture.
PLATFORMS = {"macos": ["arm64"], "linux": ["x86_64", "aarch64"]}
BUILT = ["cp310", "cp311", "cp312", "cp314t"]


def builds(platform: str, architecture: str) -> set[str]:
    """The identifiers of what cibuildwheel would build; it leaves with a message where an option is wrong."""
    command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers"]
    command += ["--platform", platform, "--archs", architecture, "."]
    result = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(result.returncode)
    return set(result.stdout.split())


def main() -> int:
    """1 where a build is missing."""
    status = 0
    for platform, architectures in PLATFORMS.items():
        for architecture in architectures:
            family = "macosx" if platform == "macos" else "manylinux"
            missing = {f"{python}-{family}_{architecture}" for python in BUILT} - builds(platform, architecture)
            for build in sorted(missing):
                print(f"cibuildwheel does not build {build}")
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
