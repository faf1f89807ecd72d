"""What a launch costs before an engine, beside torch's cheapest operation and Helion's own Metal launcher."""

from __future__ import annotations

import functools
import importlib.util
import itertools
from typing import TYPE_CHECKING

import torch

import helion_msl
from benchmarks.measure import Comparison, compare
from helion_msl import _C

if TYPE_CHECKING:
    from collections.abc import Callable

ADD = "torch.add(x, y, out=out)"
REPEATED = 100  # launches of a graph


def source(count: int) -> str:
    """A kernel with ``count`` tensors that returns at once."""
    parameters = ", ".join(f"device float* t{i} [[buffer({i})]]" for i in range(count))
    return f"#include <metal_stdlib>\nusing namespace metal;\nkernel void nothing({parameters}) {{}}\n"


def three(x, y, out):  # noqa: ARG001
    """Does nothing."""
    return


def ten(a, b, c, d, e, f, g, h, i, j):  # noqa: ARG001
    """Does nothing."""
    return


def entry_points(device: str) -> dict[str, Callable[[], object]]:
    """Every way to launch, with three float32 tensors of 1024 and with ten."""
    tensors = [torch.zeros(1024, device=device) for _ in range(10)]
    x, y, out = tensors[:3]
    grid, block = (4,), (256,)
    candidates: dict[str, Callable[[], object]] = {ADD: lambda: torch.add(x, y, out=out)}
    for name, arguments, function in (("three", [x, y, out], three), ("ten", tensors, ten)):
        text = source(len(arguments))
        kernel = _C.compile(text, device=device)
        jit_kernel = helion_msl.metal_jit(function)
        bound = jit_kernel[grid, block]
        candidates |= {
            f"Kernel(...), {name}": lambda kernel=kernel, arguments=arguments: kernel(arguments, grid, block),
            f"_C.launch, {name}": lambda text=text, arguments=arguments: _C.launch(text, arguments, grid, block),
            f"jit_kernel[grid, block](...), {name}": lambda jit_kernel=jit_kernel, arguments=arguments: jit_kernel[
                grid, block
            ](*arguments),
            f"bound jit_kernel(...), {name}": lambda bound=bound, arguments=arguments: bound(*arguments),
        }
    return candidates


def graphs(device: str) -> dict[str, Callable[[], object]]:
    """A hundred launches with three float32 tensors of 1024: one by one, and by one call of a graph."""
    x, y, out, other = (torch.zeros(1024, device=device) for _ in range(4))
    kernel = _C.compile(source(3), device=device)
    arguments, grid, block = [x, y, out], (1,), (1,)
    with helion_msl.record(x=x, y=y, out=out) as graph:
        for _ in range(REPEATED):
            kernel(arguments, grid, block)
    inputs = itertools.cycle((x, other))

    def add() -> None:
        for _ in range(REPEATED):
            torch.add(x, y, out=out)

    def one_by_one() -> None:
        for _ in range(REPEATED):
            kernel(arguments, grid, block)

    return {
        ADD: add,
        "Kernel(...)": one_by_one,
        "graph()": graph,
        "graph(x, y, out), x another each time": lambda: graph(next(inputs), y, out),
    }


def helion_launchers(device: str) -> dict[str, Callable[[], object]]:
    """The launchers that Helion's generated host functions call: ours, and Helion's with its GPU call stubbed out."""
    from helion._compiler.metal.metal_jit import metal_jit as helions_metal_jit
    from helion.runtime import default_metal_launcher

    from helion_msl._helion.launcher import launch

    class Library:
        """Stands for what torch.mps.compile_shader returns."""

        @staticmethod
        def three(*args: object, **options: object) -> None:
            """The GPU call."""

    x, y, out = (torch.zeros(1024, device=device) for _ in range(3))
    ours = helion_msl.metal_jit(three)
    theirs = helions_metal_jit(three)
    theirs.required_threads_per_threadgroup = (256, 1, 1)
    theirs._compiled[theirs._signature_key((x, y, out))] = (Library(), "three")
    return {
        "our launcher": lambda: launch(ours, (4,), x, y, out, _block_dims=(256, 1, 1)),
        "Helion's launcher, stubbed": lambda: default_metal_launcher(theirs, (4,), x, y, out, _block_dims=(256, 1, 1)),
    }


def helion_calls(device: str) -> dict[str, Callable[[], object]]:
    """A user's whole call of a Helion kernel: ours, through Helion's own dispatch, and with Helion's own backend."""
    from benchmarks.helion_add import add
    from benchmarks.helions_backend import own_kernel

    x, y = (torch.zeros(1024, device=device) for _ in range(2))
    own = own_kernel(add, x, y)
    helion_msl.register_helion_backend()
    add(x, y)
    host_function = add.bind((x, y))._run
    helions_own = type(add).__call__.__wrapped__
    return {
        "empty_like(x)": lambda: torch.empty_like(x),
        "generated host function": lambda: host_function(x, y),
        "add(x, y)": lambda: add(x, y),
        "add(x, y) by Helion's dispatch": lambda: helions_own(add, x, y),
        "add(x, y) by Helion's own backend, GPU call stubbed": lambda: helions_own(own, x, y),
    }


def run(device: str) -> list[Comparison]:
    """Compare every way to launch with ``torch.add(x, y, out=out)`` of 1024 elements; the engine is the null one."""
    repeated = {"yardstick": ADD, "calls": 50, "operations": REPEATED}
    one_of_many = f"one of {REPEATED} launches, float32 tensors of 1024"
    before_round = functools.partial(helion_msl.synchronize, device)
    comparisons = []
    with _C._NullEngine():
        comparisons.append(
            compare(f"{one_of_many}, null engine", graphs(device), before_round=before_round, **repeated)
        )
        candidates = entry_points(device)
        titles = {"launch of a kernel that does nothing, float32 tensors of 1024, null engine": candidates}
        if importlib.util.find_spec("helion") is not None:
            x, y, out = (torch.zeros(1024, device=device) for _ in range(3))
            add = {ADD: lambda: torch.add(x, y, out=out)}
            titles["Helion, null engine"] = add | helion_launchers(device) | helion_calls(device)
        for title, functions in titles.items():
            comparisons.append(
                compare(
                    title,
                    functions,
                    yardstick=ADD,
                    calls=2000,
                    before_round=before_round,
                )
            )
    engine = helion_msl.engine_description(device)
    comparisons.append(compare(f"{one_of_many}, {engine}", graphs(device), before_round=before_round, **repeated))
    return comparisons
