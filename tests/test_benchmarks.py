"""The benchmarks run, each with tiny sizes, and say what they measured and what they could not. Nothing is timed."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import __main__ as command
from benchmarks import charts, measure, neighbours
from benchmarks.measure import Comparison, Timing, compare
from benchmarks.noise import Noise

ROOT = Path(__file__).parents[1]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(measure.QUICK, "1")
    monkeypatch.setattr(measure, "notes", [])


@pytest.fixture
def comparison() -> Comparison:
    timings = {"torch": Timing(1e-6, 2e-6), "ours": Timing(0.5e-6, 3e-6)}
    return Comparison("a title", "torch", timings, {"ours": 1000})


def check_document(document: dict) -> None:
    """Check the JSON of a run: its parts, and that every number is one."""
    assert set(document) == {"machine", "noise", "comparisons", "instruction_counts", "notes"}
    assert {"engine", "processor", "cores", "python", "torch"} <= set(document["machine"])
    noise = document["noise"]
    assert noise["drift"] >= 1
    assert noise["jitter"] >= 1
    assert len(noise["reference_seconds"]) >= 2
    assert isinstance(noise["is_calm"], bool)
    for comparison in document["comparisons"]:
        assert comparison["yardstick"] in comparison["timings"]
        assert set(comparison["traffic"]) <= set(comparison["timings"])
        for timing in comparison["timings"].values():
            assert 0 < timing["minimum"] <= timing["median"]
            assert math.isfinite(timing["median"])


def run_quickly(name: str, directory: Path) -> tuple[dict, str]:
    path = directory / "results.json"
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", name, "--quick", "--json", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    document = json.loads(path.read_text(encoding="utf-8"))
    check_document(document)
    return document, result.stdout


@pytest.mark.parametrize("name", ["throughput", "synchronization", "row_softmax", "matmul", "translation"])
def test_a_benchmark_runs(name: str, quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results" / "latest.json"
    command.main([name, "--json", str(path)])
    document = json.loads(path.read_text(encoding="utf-8"))
    check_document(document)
    assert document["comparisons"]
    printed = capsys.readouterr().out
    for comparison in document["comparisons"]:
        assert comparison["title"] in printed
    assert "noise:" in printed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["launch_overhead", "first_launch", "beside_others"])
def test_a_benchmark_runs_in_a_process_of_its_own(name: str, tmp_path: Path) -> None:
    document, printed = run_quickly(name, tmp_path)
    titles = [comparison["title"] for comparison in document["comparisons"]]
    assert titles
    assert all(title in printed for title in titles)
    if name == "beside_others":
        missing = [key for key in neighbours.ON_CPU if f"{key.partition('_')[0]} is not compared" in printed]
        installed = [key for key in neighbours.ON_CPU if importlib.util.find_spec(key.partition("_")[0])]
        assert set(missing).isdisjoint(installed)


def test_benchmarks_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["--list"])
    names = capsys.readouterr().out.split()
    assert names == list(command.BENCHMARKS)
    for name in names:
        assert importlib.util.find_spec(f"benchmarks.{name}") is not None
    with pytest.raises(SystemExit):
        command.main(["no_such_benchmark"])
    assert "no benchmark named no_such_benchmark" in capsys.readouterr().err


def test_the_table_has_ratios_of_minima_and_of_medians(comparison: Comparison) -> None:
    title, heading, torch_line, our_line = comparison.table().splitlines()
    assert title == "a title"
    assert re.split(r"\s{2,}", heading.strip()) == ["minimum", "median", "of minima", "of medians", "best GB/s"]
    assert torch_line.split() == ["torch", "1.00", "us", "2.00", "us", "1.00", "1.00"]
    assert our_line.split() == ["ours", "500", "ns", "3.00", "us", "0.50", "1.50", "2.0"]
    assert comparison.spread() == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.50  s"), (0.0125, "12.50 ms"), (3e-6, "3.00 us"), (123e-9, "123 ns"), (1.5e-9, "1.50 ns")],
)
def test_durations(seconds: float, text: str) -> None:
    assert measure.duration(seconds).strip() == text


def test_candidates_take_turns_and_warm_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(measure.QUICK, raising=False)
    calls: list[str] = []
    compare(
        "t",
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        yardstick="a",
        calls=2,
        rounds=2,
        before_round=lambda: calls.append("-"),
    )
    assert "".join(calls) == "-aa-bb" * 3


def test_a_busy_machine_is_warned_of() -> None:
    quiet = Noise([(1.0, 1.01), (1.02, 1.03)], [0.1, 0.2])
    assert quiet.is_calm
    assert "WARNING" not in quiet.describe()
    drifting = Noise([(1.0, 1.0), (1.5, 1.5)], [0.1, 0.1])
    assert drifting.drift == 1.5
    assert not drifting.is_calm
    jittering = Noise([(1.0, 1.4), (1.0, 1.0)], [])
    assert jittering.jitter == 1.4
    assert "WARNING" in jittering.describe()
    crowded = Noise([(1.0, 1.0)], [2.0 * (os.cpu_count() or 1)])
    assert not crowded.is_calm


def test_the_reference_is_timed() -> None:
    noise = Noise()
    noise.sample()
    ((minimum, median),) = noise.moments
    assert 0 < minimum <= median


def test_bars_are_drawn(comparison: Comparison, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs helion-msl[bench]")
    wide = Comparison("wide", "a", {"a": Timing(1e-6, 1e-6), "b": Timing(1e-2, 2e-2)})
    files = charts.draw(tmp_path / "latest.json", [comparison, wide])
    assert [file.name for file in files] == ["latest.svg", "latest.png"]
    assert "<svg" in files[0].read_text(encoding="utf-8")
    assert files[1].read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_a_line_says_so(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "notes", [])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert charts.draw(tmp_path / "latest.json", [comparison]) == []
    assert "helion-msl[bench]" in capsys.readouterr().out
    assert len(measure.notes) == 1


@pytest.mark.parametrize(("device", "listed"), [("cpu", neighbours.ON_CPU), ("mps", neighbours.ON_MPS)])
def test_missing_projects_are_named(
    device: str,
    listed: dict[str, str | None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(measure, "notes", [])
    for name in listed:
        monkeypatch.setitem(sys.modules, f"benchmarks.neighbours.{name}", None)
    assert neighbours.installed(device) == []
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(listed)
    for line, (name, remedy) in zip(lines, listed.items(), strict=True):
        assert f"{name.partition('_')[0]} is not compared with" in line
        assert remedy is None or remedy in line
