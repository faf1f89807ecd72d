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
_TENSOR_TESTS = tuple(f"tests/test_{name}.py" for name in ("launch", "launch_dlpack", "metal_launch", "metal_streams"))


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


def build(directory: Path = BUILD, sources: Path = ROOT / "src") -> None:
    """Build the extension of ``sources``, and put it with the package's Python files into ``directory / "site"``."""
    cmake = [sys.executable, "-m", "cmake"]
    options = ["-G", "Ninja", f"-DPython_EXECUTABLE={sys.executable}", "-DCMAKE_BUILD_TYPE=None"]
    options += ["-DCMAKE_C_COMPILER=clang", "-DCMAKE_CXX_COMPILER=clang++", f"-DHELION_MSL_SOURCES={sources}"]
    # Ninja is beside this Python, in its environment.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    source = ROOT / "tests/metal_double"
    configure = [*cmake, "-S", source, "-B", directory, *options, "--log-level=WARNING"]
    subprocess.run(configure, check=True, env=environment, stdout=subprocess.DEVNULL)
    subprocess.run([*cmake, "--build", directory, "--", "--quiet"], check=True, env=environment)
    site = directory / "site"
    shutil.rmtree(site, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "python/helion_msl", site / "helion_msl", ignore=ignored)
    (extension,) = directory.glob("_C.*.so")
    shutil.copy(extension, site / "helion_msl" / extension.name)


def sanitizer_environment(site: Path, reports: Path) -> dict[str, str]:
    """Return the environment of a Python that loads the extension: the sanitizer's library has to come first.

    Reports go to files whose names begin with ``reports``, since pytest keeps what a test prints to itself.
    """
    command = ["clang", "-print-file-name=libclang_rt.asan-x86_64.so"]
    if os.uname().machine != "x86_64":
        command[1] = f"-print-file-name=libclang_rt.asan-{os.uname().machine}.so"
    library = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return os.environ | {
        "LD_PRELOAD": library,
        # Leaks: Python and torch keep memory until the process ends. Objects of the double are counted instead.
        # Small books for each allocation, of which Python makes many.
        "ASAN_OPTIONS": f"detect_leaks=0:malloc_context_size=6:quarantine_size_mb=64:log_path={reports}",
        "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={reports}",
        "PYTHONPATH": f"{site}{os.pathsep}{ROOT / 'tests'}",
    }


def run_tests(
    torch_version: str, arguments: list[str], log: Path, site: Path = BUILD / "site", patience: float = 3600
) -> int:
    """Run pytest over the double, which plays ``torch_version``, for ``patience`` seconds; return its status."""
    cache = log.with_suffix(".cache")
    shutil.rmtree(cache, ignore_errors=True)
    reports = log.with_suffix(".sanitizer")
    for old in log.parent.glob(f"{reports.name}.*"):
        old.unlink()
    environment = sanitizer_environment(site, reports) | {
        "HELION_MSL_DOUBLE_TORCH": torch_version,
        "HELION_MSL_CACHE_DIR": str(cache),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "metal_double.plugin", "-p", "no:cacheprovider"]
    with log.open("wb") as output:
        try:
            status = subprocess.run(
                [*command, *arguments], cwd=ROOT, env=environment, stdout=output, stderr=output, timeout=patience
            ).returncode
        except subprocess.TimeoutExpired as error:
            output.write(f"\n{error}\n".encode())
            status = 1
        for report in sorted(log.parent.glob(f"{reports.name}.*")):
            output.write(report.read_bytes())
            status = status or 1
    return status


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
