"""The benchmark that counts instructions: its kernels are the same kernels, and its arithmetic is right."""

from __future__ import annotations

import pytest

pytest.importorskip("helion", reason="needs helion-msl[helion]")

import torch
from benchmarks import instruction_counts
from benchmarks.counted import cases, prepare, programs
from benchmarks.counted.helion_dialect import KERNELS
from benchmarks.instruction_counts import InstructionCounts

needs_host_engine = pytest.mark.skipif(
    torch.backends.mps.is_available(), reason="instructions are those of the host engine"
)


# What Helion's walker has no words for: atomics on arguments, and loops that end when they like.
@needs_host_engine
@pytest.mark.parametrize("name", sorted(set(cases.EXAMPLE_CASES) - {"histogram", "mandelbrot"}))
def test_the_kernels_in_helions_dialect_are_the_examples(name: str) -> None:
    case = cases.EXAMPLE_CASES[name]
    results = []
    for side in (programs.OURS, programs.HELIONS):
        torch.manual_seed(0)
        results.append(prepare.run_example(name, case, side, case.sizes[0]).result)
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


@needs_host_engine
def test_what_helions_walker_refuses_is_said() -> None:
    case = cases.EXAMPLE_CASES["mandelbrot"]
    run = prepare.run_refusable(prepare.run_example, "mandelbrot", case, programs.HELIONS, case.sizes[0])
    assert run.refusal is not None
    assert "While" in run.refusal


def test_every_example_is_counted_with_all_its_kernels() -> None:
    scripts = {path.stem for path in cases.EXAMPLES.glob("*.py")} - {"reductions"}
    assert scripts == set(cases.EXAMPLE_CASES)
    kernels = {name for script in scripts for name in vars(cases.example_module(script)) if name.endswith("_kernel")}
    assert kernels == set(KERNELS)


def test_sizes_become_parameters_or_numbers() -> None:
    named = {"x": torch.zeros(8), "y": torch.zeros(8), "out": torch.zeros(8), "a": 2.5, "BLOCK": 256}
    text, values = programs.filled_in(KERNELS["saxpy_kernel"], named, sizes=False)
    assert "def saxpy_kernel(x, y, out, a, out_size_0)" in text
    assert [value.dim() for value in values] == [1, 1, 1, 0, 0]
    assert values[-1].item() == 8
    text, values = programs.filled_in(KERNELS["saxpy_kernel"], named, sizes=True)
    assert "if i < 8:" in text
    assert len(values) == 4


def run(name: str, side: str, elements: int, launches: int, refusal: str | None = None) -> dict[str, object]:
    return {
        "group": "example",
        "name": name,
        "side": side,
        "size": elements,
        "elements": elements,
        "refusal": refusal,
        "launches": [{}] * launches,
    }


def test_the_larger_size_tells_what_an_element_costs() -> None:
    runs = [run("k", programs.OURS, 100, 2), run("k", programs.OURS, 300, 2)]
    runs += [run("k", programs.HELIONS, 100, 1), run("k", programs.HELIONS, 300, 1)]
    runs += [run("refused", programs.OURS, 1, 0, "no"), run("refused", programs.OURS, 2, 0, "no")]
    (counts,) = instruction_counts._per_element(runs, [1000, 50, 1500, 150, 2000, 2800])
    assert counts.counts["k"] == {programs.OURS: 3.0, programs.HELIONS: 4.0}
    assert counts.ratio("k") == 0.75
    assert counts.counts["refused"] == {programs.OURS: "no"}
    assert counts.ratio("refused") is None


def test_a_lost_count_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="counted 1 launches of 2"):
        instruction_counts._per_element([run("k", programs.OURS, 100, 2)], [1000])


def test_the_table_says_what_is_missing() -> None:
    counts = InstructionCounts("t", {"a": {programs.OURS: 1.5, programs.HELIONS: 3.0}, "b": {programs.OURS: "no luck"}})
    lines = counts.table().splitlines()
    assert lines[0] == "t"
    assert lines[2].split() == ["a", "1.50", "3.00", "0.50"]
    assert lines[3].split() == ["b", "-", "-"]
    assert lines[4].strip() == "b, ours: no luck"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(instruction_counts.shutil, "which", lambda _: None)
    assert instruction_counts.run("cpu") == []
    assert "valgrind is missing" in capsys.readouterr().out
    assert instruction_counts.run("mps") == []
    assert "host engine" in capsys.readouterr().out


@needs_host_engine
@pytest.mark.slow
def test_callgrind_counts_saxpy() -> None:
    missing = instruction_counts.what_is_missing("cpu")
    if missing:
        pytest.skip(missing)
    (counts,) = instruction_counts.run("cpu", ["saxpy"])
    ours = counts.counts["saxpy"][programs.OURS]
    assert isinstance(ours, float)
    # Two loads and a store, in vectors of up to 8; and no launch's worth of instructions among them.
    assert 3 / 8 <= ours < 30
