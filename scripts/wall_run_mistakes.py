"""``make wall-run-mistakes``: shows that ``make wall-run`` notices mistakes in the Metal engine.

Plants each mistake of ``planted_mistakes.py`` in a copy of ``src``, builds it over the Metal double, runs the tests
that are to notice, and expects them to fail for the expected reason. Prints a table.

usage: python scripts/wall_run_mistakes.py [part of a mistake's name ...]
"""

from __future__ import annotations

import re
import shutil
import sys
import time

import wall_run
from planted_mistakes import MISTAKES, Mistake

BUILD = wall_run.ROOT / "build/wall-mistakes"
SOURCES = BUILD / "src"
PATIENCE = 900.0  # seconds: a mistake may show as a process that does not end


def plant(mistake: Mistake) -> None:
    """Put the mistake into the copy of ``src``; leaves where its place is not there exactly once."""
    path = SOURCES / mistake.file
    text = path.read_text()
    if text.count(mistake.right) != 1:
        sys.exit(f"{mistake.name}: {mistake.file} has the right text {text.count(mistake.right)} times, not once")
    path.write_text(text.replace(mistake.right, mistake.wrong))


def repair(mistake: Mistake) -> None:
    """Undo ``plant``."""
    shutil.copyfile(wall_run.ROOT / "src" / mistake.file, SOURCES / mistake.file)


def run(tests: tuple[str, ...]) -> tuple[int, str]:
    """Return the status of the tests and what they print."""
    wall_run.build(BUILD, SOURCES)
    log = BUILD / "run.txt"
    # Without capturing: what a dying process says last would be lost.
    status = wall_run.run_tests("2.13", ["-x", "-s", *tests], log, BUILD / "site", PATIENCE)
    return status, log.read_text(encoding="utf-8", errors="replace")


def judge(mistake: Mistake) -> str:
    """Return by what the mistake was noticed; empty where it was not."""
    plant(mistake)
    try:
        status, output = run(mistake.tests)
    finally:
        repair(mistake)
    found = re.search(mistake.report, output)
    if status == 0 or found is None:
        print(output)
        return ""
    return " ".join(found.group().split())


def main() -> int:
    """Plant all mistakes, or those named; 1 where one goes unnoticed, or where the tests fail without one."""
    wall_run.install_packages()
    wanted = [mistake for mistake in MISTAKES if not sys.argv[1:] or any(part in mistake.name for part in sys.argv[1:])]
    SOURCES.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(SOURCES, ignore_errors=True)
    # With new times, as what was built last had a mistake in it.
    shutil.copytree(wall_run.ROOT / "src", SOURCES, copy_function=shutil.copyfile)
    status, output = run(tuple(dict.fromkeys(test for mistake in wanted for test in mistake.tests)))
    if status != 0:
        print(output)
        sys.exit("the tests fail without a mistake")
    unnoticed = 0
    print("| mistake | noticed by |\n| --- | --- |")
    for mistake in wanted:
        started = time.monotonic()
        report = judge(mistake)
        unnoticed += not report
        print(f"| {mistake.name} | {report or 'NOTHING'} | {time.monotonic() - started:.0f} s", flush=True)
    print(f"{len(wanted) - unnoticed} of {len(wanted)} mistakes noticed")
    return int(unnoticed > 0)


if __name__ == "__main__":
    sys.exit(main())
