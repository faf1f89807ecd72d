"""``make wall-run``: the Metal engine on Linux, over the Metal double of ``tests/metal_double``.

Builds the extension with the same ``.mm`` files that a Mac builds, against GNUstep's Foundation, with
AddressSanitizer and UndefinedBehaviorSanitizer, and runs the whole test suite on it: once with tensors exported as by
torch 2.10 to 2.13, and what depends on torch once more as with torch 2.15.

usage: python scripts/wall_run.py [pytest's arguments]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/wall-run"
SITE = BUILD / "site"
SHARDS = 4  # of the test files, so that all cores have work

# By what each is known to be there: a program, or a file of a pattern.
_PACKAGES = {
    "clang": "/usr/bin/clang++",
    "libclang-rt-14-dev": "/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan-*.so",
    "libgnustep-base-dev": "/usr/include/GNUstep/Foundation/Foundation.h",
    "libobjc-12-dev": "/usr/lib/gcc/*/*/include/objc/objc.h",
    "libblocksruntime-dev": "/usr/include/Block.h",
    "binutils": "/usr/bin/objcopy",
}
# Tests for which it matters how torch exports tensors, and which streams it has.
_TENSOR_TESTS = tuple(
    f"tests/test_{name}.py" for name in ("launch", "launch_dlpack", "metal_launch", "metal_errors")
)


def _missing_packages() -> list[str]:
    return [name for name, pattern in _PACKAGES.items() if not list(Path("/").glob(pattern.lstrip("/")))]


def install_packages() -> None:
    """Install what Debian has of it, as root; else say what is missing and leave."""
    missing = _missing_packages()
    if not missing:
        return
    install = ["apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(f"missing: {' '.join(missing)}. On Debian 12: sudo {' '.join(install[:2])} {' '.join(missing)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "--quiet=2"], check=True)
    subprocess.run(install, check=True, env=environment)


def build() -> None:
    """Build the extension, and put it with the package's Python files into ``SITE``."""
    cmake = [sys.executable, "-m", "cmake"]
    options = ["-G", "Ninja", f"-DPython_EXECUTABLE={sys.executable}", "-DCMAKE_BUILD_TYPE=None"]
    options += ["-DCMAKE_C_COMPILER=clang", "-DCMAKE_CXX_COMPILER=clang++"]
    # Ninja is beside this Python, in its environment.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    source = ROOT / "tests/metal_double"
    subprocess.run([*cmake, "-S", source, "-B", BUILD, *options, "--log-level=WARNING"], check=True, env=environment)
    subprocess.run([*cmake, "--build", BUILD, "--", "--quiet"], check=True, env=environment)
    shutil.rmtree(SITE, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "python/helion_msl", SITE / "helion_msl", ignore=ignored)
    (extension,) = BUILD.glob("_C.*.so")
    shutil.copy(extension, SITE / "helion_msl" / extension.name)


def sanitizer_environment() -> dict[str, str]:
    """Return the environment of a Python that loads the extension: the sanitizer's library has to come first."""
    command = ["clang", "-print-file-name=libclang_rt.asan-x86_64.so"]
    if os.uname().machine != "x86_64":
        command[1] = f"-print-file-name=libclang_rt.asan-{os.uname().machine}.so"
    library = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return os.environ | {
        "LD_PRELOAD": library,
        # Leaks: Python and torch keep memory until the process ends. Objects of the double are counted instead.
        # Small books for each allocation, of which Python makes many.
        "ASAN_OPTIONS": "detect_leaks=0:malloc_context_size=6:quarantine_size_mb=64",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONPATH": f"{SITE}{os.pathsep}{ROOT / 'tests'}",
    }


def run_tests(torch_version: str, arguments: list[str], log: Path) -> int:
    """Run pytest over the double, with tensors exported as by ``torch_version``; return its status."""
    cache = log.with_suffix(".cache")
    shutil.rmtree(cache, ignore_errors=True)
    environment = sanitizer_environment() | {
        "HELION_MSL_DOUBLE_TORCH": torch_version,
        "HELION_MSL_CACHE_DIR": str(cache),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "metal_double.plugin", "-p", "no:cacheprovider"]
    with log.open("wb") as output:
        finished = subprocess.run([*command, *arguments], cwd=ROOT, env=environment, stdout=output, stderr=output)
    return finished.returncode


def plan(arguments: list[str]) -> list[tuple[str, list[str]]]:
    """Return the runs: torch's version, and pytest's arguments. Each run is a process, and several run at once."""
    if arguments:
        return [("2.13", arguments)]
    files = sorted((ROOT / "tests").glob("test_*.py"), key=lambda path: path.stat().st_size, reverse=True)
    shards = [[str(path.relative_to(ROOT)) for path in files[start::SHARDS]] for start in range(SHARDS)]
    return [*(("2.13", shard) for shard in shards), ("2.15", list(_TENSOR_TESTS))]


def main() -> int:
    """Run the wall; 1 where a test failed, a rule was broken or an object was left over."""
    install_packages()
    started = time.monotonic()
    build()
    print(f"built in {time.monotonic() - started:.0f} s", flush=True)
    runs = [
        (version, arguments, BUILD / f"run-{number}.txt")
        for number, (version, arguments) in enumerate(plan(sys.argv[1:]))
    ]
    failed = False
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for (version, _, log), status in zip(runs, pool.map(lambda run: run_tests(*run), runs), strict=True):
            print(f"==> the engine over the double, tensors as torch {version} exports them: status {status}")
            print(log.read_text(encoding="utf-8", errors="replace"), flush=True)
            failed = failed or status != 0
    print(f"{time.monotonic() - started:.0f} s in all")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
