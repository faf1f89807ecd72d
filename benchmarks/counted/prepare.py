"""Translates every case on every side, runs it once, and writes what has to be launched to a directory.

A process of its own (``python -m benchmarks.counted.prepare DIRECTORY [case ...]``): Helion's own backend must be there
before this package takes its place.
"""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import helion_msl
from benchmarks.counted import programs
from benchmarks.counted.cases import EXAMPLE_CASES, HELION_CASES, Case, ExampleCase, HelionCase, example_module
from benchmarks.counted.helion_dialect import KERNELS
from benchmarks.counted.programs import FIXED_SIZES, HELIONS, OURS, SAME_TEXT, Program
from helion_msl import _C
from helion_msl.jit import MetalKernel

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Run:
    """The launches of one case on one side in one size, and what they gave; or why there are none."""

    launches: list[dict[str, Any]] = field(default_factory=list)
    result: torch.Tensor | None = None
    refusal: str | None = None

    def launch(self, program: Program, grid: tuple[int, ...], block_dims: tuple[int, ...]) -> None:
        """Launch, and remember it."""
        _C.launch(program.msl, program.arguments, grid, block_dims, name=program.name)
        self.launches.append(
            {
                "msl": program.msl,
                "name": program.name,
                "arguments": program.arguments,
                "grid": grid,
                "block_dims": block_dims,
            }
        )


class Recorder:
    """Stands for a kernel of an example: launches what a side makes of it."""

    def __init__(self, kernel: Any, side: str, run: Run) -> None:
        self.kernel, self.side, self.run = kernel, side, run

    def __getitem__(self, size: tuple[tuple[int, ...], tuple[int, ...]]) -> Callable[..., None]:
        return partial(self.launch, *size)

    def launch(self, grid: tuple[int, ...], block: tuple[int, ...], *args: object, **keywords: object) -> None:
        """Launch the kernel for these arguments."""
        x, y, z = (*block, 1, 1)[:3]
        if self.side == OURS:
            bound = inspect.signature(self.kernel.fn).bind(*args, **keywords)
            translation = self.kernel.translate(*args, block_dims=(x, y, z), **keywords)
            program = programs.ours(translation, list(bound.arguments.values()))
        else:
            named = inspect.signature(self.kernel.fn).bind(*args, **keywords).arguments
            dialect = KERNELS[self.kernel.__name__]
            text, values = programs.filled_in(dialect, named, sizes=self.side == FIXED_SIZES)
            program = programs.helions(text, dialect.namespace(), values, (x, y, z))
        self.run.launch(program, grid, block)


def run_example(name: str, case: ExampleCase, side: str, size: int) -> Run:
    """Run a script's function, its kernels as a side translates them."""
    example, run = example_module(name), Run()
    kernels = {key: value for key, value in vars(example).items() if isinstance(value, MetalKernel)}
    vars(example).update({key: Recorder(kernel, side, run) for key, kernel in kernels.items()})
    try:
        run.result = case.call(example, size)
    finally:
        vars(example).update(kernels)
    return run


def run_helion(name: str, case: HelionCase, side: str, size: int) -> Run:
    """Run a Helion kernel: what the registered backend generates, as a side translates it."""
    import helion

    from benchmarks.counted import helion_kernels

    run = Run()

    def launcher(
        kernel: Any, grid: tuple[int, ...], *args: Any, _block_dims: tuple[int, int, int], **_: object
    ) -> None:
        if side == OURS:
            program = programs.ours(kernel.translate(*args, block_dims=_block_dims), args)
        else:
            text, namespace = programs.source_of(kernel)
            translate = programs.helions if side == HELIONS else programs.same_text
            program = translate(text, namespace, args, _block_dims)
        run.launch(program, grid, _block_dims)

    config = helion.Config(block_sizes=list(case.block_sizes))
    kernel = helion.kernel(getattr(helion_kernels, name), backend="metal", config=config)
    arguments = case.arguments(size)
    run.result = kernel.bind(arguments).compile_config(allow_print=False)(*arguments, _launcher=launcher)
    return run


def run_refusable(run: Callable[..., Run], name: str, case: Case, side: str, size: int) -> Run:
    """Run a case; a side may refuse it."""
    torch.manual_seed(0)
    try:
        return run(name, case, side, size)
    except Exception as error:
        return Run(refusal=f"{type(error).__name__}: {str(error).splitlines()[0]}")


def check_results(runs: dict[tuple[str, str, str, int], Run]) -> None:
    """Refuse a side whose result differs from ours."""
    for (group, name, side, size), run in runs.items():
        expected = runs[group, name, OURS, size]
        if side == OURS or run.refusal or expected.refusal:
            continue
        try:
            torch.testing.assert_close(run.result, expected.result, rtol=1e-4, atol=1e-4)
        except AssertionError as error:
            run.refusal = f"another result: {str(error).splitlines()[0]}"


def write(directory: Path, runs: dict[tuple[str, str, str, int], Run]) -> None:
    """Write all launches, their tensors apart."""
    arrays: dict[str, np.ndarray] = {}
    written = []
    for (group, name, side, size), run in runs.items():
        case = (EXAMPLE_CASES if group == "example" else HELION_CASES)[name]
        launches: list[dict[str, Any]] = []
        for launch in [] if run.refusal else run.launches:
            arguments = []
            for value in launch["arguments"]:
                if isinstance(value, torch.Tensor):
                    key = f"array_{id(value)}"
                    arrays[key] = value.numpy()
                    arguments.append(key)
                else:
                    arguments.append(value)
            launches.append(launch | {"arguments": arguments})
        written.append(
            {
                "group": group,
                "name": name,
                "side": side,
                "size": size,
                "elements": case.elements(size),
                "refusal": run.refusal,
                "launches": launches,
            }
        )
    np.savez(directory / "arrays.npz", **arrays)
    (directory / "runs.json").write_text(json.dumps(written), encoding="utf-8")


def main(directory: Path, names: list[str]) -> None:
    """Prepare the named cases, or all."""
    warnings.filterwarnings("ignore", message="The 'metal' backend is experimental")
    runs: dict[tuple[str, str, str, int], Run] = {}
    examples = {name: case for name, case in EXAMPLE_CASES.items() if not names or name in names}
    helions = {name: case for name, case in HELION_CASES.items() if not names or name in names}

    def add(group: str, cases: dict[str, Any], run: Callable[..., Run], sides: tuple[str, ...]) -> None:
        for name, case in cases.items():
            for side in sides:
                for size in case.sizes:
                    runs[group, name, side, size] = run_refusable(run, name, case, side, size)

    add("example", examples, run_example, (OURS, HELIONS, FIXED_SIZES))
    add("helion", helions, run_helion, (SAME_TEXT, HELIONS))
    helion_msl.register_helion_backend()
    add("helion", helions, run_helion, (OURS,))
    check_results(runs)
    write(directory, runs)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
