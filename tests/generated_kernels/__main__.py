"""Checks many generated kernels: ``PYTHONPATH=tests python -m generated_kernels --count 20000``.

Each kernel has the seed of the run plus its number, so a failure is found again by ``--seed`` and ``--count 1``. A
kernel that fails is printed as small as it can be made, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import shutil
import stat
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TOGETHER = 64  # kernels of one task


def check_seeds(seeds: range, reduces: bool) -> tuple[collections.Counter[str], list[str]]:
    """Check the kernels of some seeds; return how many there were of each kind, and what failed."""
    from .execute import check
    from .kernels import kernel_of_seed
    from .reduce import reduced

    counts: collections.Counter[str] = collections.Counter()
    reports = []
    failures = check([kernel_of_seed(seed, number) for number, seed in enumerate(seeds)])
    counts["equal"] = len(seeds) - len(failures)
    for failure in failures:
        counts[failure.kind] += 1
        if failure.kind != "too large":
            reports.append(f"{failure}\n\n{'smaller:':=<100}\n{reduced(failure)}" if reduces else str(failure))
    return counts, reports


@contextlib.contextmanager
def surroundings(optimization: int | None) -> Iterator[None]:
    """Keep the user's caches as they are, and let clang spend less time on kernels that run once."""
    directory = Path(tempfile.mkdtemp(prefix="generated-kernels-"))
    os.environ["HELION_MSL_CACHE_DIR"] = str(directory / "cache")
    if optimization is not None:
        os.environ["HELION_MSL_CLANG"] = str(_clang(directory, optimization))
    try:
        yield
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _clang(directory: Path, optimization: int) -> Path:
    """Return a program that is the engine's clang at another level of optimization."""
    from helion_msl._toolchain import find_toolchain

    command = " ".join(f"'{part}'" for part in find_toolchain().clang)
    # Where no thread waits for another nothing has to be inlined, so that at level 0 no pass has to run at all.
    quick = (
        'case "$*" in *" -c "*)\n'
        '  for part in "$@"; do case $part in *.cpp) source=$part;; esac; done\n'
        '  grep -q "USES_simd_\\|USES_threadgroup_barrier" "$source" || set -- "$@" -Xclang -disable-llvm-passes;;\n'
        "esac\n"
    )
    script = directory / "clang"
    script.write_text(
        "#!/bin/sh\n"
        'for part in "$@"; do\n'
        "  shift\n"
        f'  [ "$part" = -O3 ] && set -- "$@" -O{optimization} || set -- "$@" "$part"\n'
        "done\n"
        f'{quick if optimization == 0 else ""}exec {command} "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def main() -> int:
    """Run a campaign; 1 where a kernel is not what Python says."""
    parser = argparse.ArgumentParser(prog="generated_kernels", description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--nice", type=int, default=10)
    parser.add_argument("--optimization", type=int, choices=[0, 1, 2, 3], help="clang's level; the engine's by default")
    parser.add_argument("--no-reduction", action="store_true", help="print failing kernels as they were drawn")
    parser.add_argument("--seconds", type=float, help="stop after this time")
    options = parser.parse_args()
    os.nice(options.nice)
    total: collections.Counter[str] = collections.Counter()
    start = time.monotonic()
    end = options.seed + options.count
    batches = [range(first, min(first + TOGETHER, end)) for first in range(options.seed, end, TOGETHER)]
    with surroundings(options.optimization):
        for number, (counts, reports) in enumerate(_results(batches, options)):
            total += counts
            for report in reports:
                print(report, flush=True)
            if number % 10 == 0:
                print(f"{sum(total.values())} kernels, {time.monotonic() - start:.0f} s: {dict(total)}", flush=True)
            if options.seconds is not None and time.monotonic() - start > options.seconds:
                break
    print(f"seed {options.seed}: {sum(total.values())} kernels in {time.monotonic() - start:.0f} s: {dict(total)}")
    return 0 if set(total) <= {"equal", "too large"} else 1


def _results(batches: list[range], options: argparse.Namespace) -> Iterator[tuple[collections.Counter[str], list[str]]]:
    reduces = not options.no_reduction
    if options.processes == 1:
        yield from (check_seeds(batch, reduces) for batch in batches)
        return
    with ProcessPoolExecutor(options.processes) as pool:
        yield from pool.map(check_seeds, batches, [reduces] * len(batches))


if __name__ == "__main__":
    sys.exit(main())
