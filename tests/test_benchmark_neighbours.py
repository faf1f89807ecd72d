"""Each project that the benchmarks compare with computes what torch computes.

Those of a Mac have stand-ins elsewhere, with the documented signatures: they run the Metal sources on the host engine.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
import torch
from benchmarks import beside_others, neighbours

import helion_msl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

HAS_MPS = torch.backends.mps.is_available()
needs_stand_in = pytest.mark.skipif(HAS_MPS, reason="on a Mac the project itself is compared with")


def check(project: ModuleType, device: str) -> None:
    """Compare what a project can do with torch."""
    x, y = torch.randn(2, 2048).to(device)
    out = torch.zeros_like(x)
    project.nothing(x, y, out)()
    project.copy(x, out)()
    project.synchronize()
    torch.testing.assert_close(out, x)
    project.saxpy(y, out, 2.5)()
    project.synchronize()
    torch.testing.assert_close(out, 2.5 * y + x)
    if hasattr(project, "softmax"):
        rows = torch.randn(8, 1024).to(device)
        result = torch.zeros_like(rows)
        project.softmax(rows, result)()
        project.synchronize()
        torch.testing.assert_close(result, torch.softmax(rows, 1))
    if hasattr(project, "matmul"):
        a, b = torch.randn(2, 64, 64).to(device)
        product = torch.zeros_like(a)
        project.matmul(a, b, product)()
        project.synchronize()
        torch.testing.assert_close(product, a @ b, rtol=1e-4, atol=1e-4)


def test_ours(device: str) -> None:
    check(importlib.import_module("benchmarks.neighbours.ours"), device)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "package"), [(n, n.partition("_")[0]) for n in neighbours.ON_CPU])
def test_projects_on_the_cpu(name: str, package: str) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    check(importlib.import_module(f"benchmarks.neighbours.{name}"), "cpu")


def launch(source: str, name: str, arguments: Sequence[Any], threads: Sequence[int], group_size: Sequence[int]) -> None:
    """Run Metal source on the host engine, for launches that count threads."""
    assert all(count % size == 0 for count, size in zip(threads, group_size, strict=True))
    grid = tuple(count // size for count, size in zip(threads, group_size, strict=True))
    helion_msl.launch(
        "#include <metal_stdlib>\nusing namespace metal;\n" + source, arguments, grid, group_size, name=name
    )


def import_anew(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a module of neighbours that is forgotten after the test."""
    module = f"benchmarks.neighbours.{name}"
    monkeypatch.delitem(sys.modules, module, raising=False)
    project = importlib.import_module(module)
    monkeypatch.delitem(sys.modules, module)
    return project


@needs_stand_in
def test_torchs_shaders(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        """What ``compile_shader`` returns: kernels by their names, called with ``threads`` and ``group_size``."""

        def __init__(self, source: str) -> None:
            self.source = source

        def __getattr__(self, name: str) -> Callable[..., None]:
            def kernel(*arguments: Any, threads: tuple[int, ...], group_size: tuple[int, ...]) -> None:
                launch(self.source, name, arguments, threads, group_size)

            return kernel

    monkeypatch.setattr(torch.mps, "compile_shader", Library)
    monkeypatch.setattr(torch.mps, "synchronize", lambda: None)
    check(import_anew("torch_shader", monkeypatch), "cpu")


def stand_in_for_mlx() -> types.ModuleType:
    """The part of ``mlx.core`` that the benchmark uses; arrays are torch's."""

    def metal_kernel(
        name: str, input_names: list[str], output_names: list[str], source: str
    ) -> Callable[..., list[torch.Tensor]]:
        def call(
            *,
            inputs: list[torch.Tensor],
            grid: tuple[int, int, int],
            threadgroup: tuple[int, int, int],
            output_shapes: list[Sequence[int]],
            output_dtypes: list[torch.dtype],
        ) -> list[torch.Tensor]:
            outputs = [torch.zeros(*shape, dtype=t) for shape, t in zip(output_shapes, output_dtypes, strict=True)]
            parameters = [
                f"const device float* {each}" if value.dim() else f"const constant float& {each}"
                for each, value in zip(input_names, inputs, strict=True)
            ]
            parameters += [f"device float* {each}" for each in output_names]
            parameters += ["uint3 thread_position_in_grid [[thread_position_in_grid]]"]
            text = f"kernel void {name}({', '.join(parameters)}) {{ {source} }}"
            values = [value if value.dim() else value.item() for value in inputs]
            launch(text, name, [*values, *outputs], grid, threadgroup)
            return outputs

        return call

    module: Any = types.ModuleType("mlx.core")
    module.array = torch.as_tensor
    module.float32 = torch.float32
    module.eval = module.async_eval = lambda *_: None
    module.synchronize = lambda: None
    module.fast = types.SimpleNamespace(metal_kernel=metal_kernel)
    return module


@needs_stand_in
def test_mlx(monkeypatch: pytest.MonkeyPatch) -> None:
    core = stand_in_for_mlx()
    package: Any = types.ModuleType("mlx")
    package.core = core
    monkeypatch.setitem(sys.modules, "mlx", package)
    monkeypatch.setitem(sys.modules, "mlx.core", core)
    project = import_anew("mlx_kernels", monkeypatch)
    x, y = torch.randn(2, 2048)
    assert project.nothing(x, y, y)().shape == x.shape
    torch.testing.assert_close(project.copy(x, y)(), x)
    torch.testing.assert_close(project.saxpy(x, y, 2.5)(), 2.5 * x + y)


def stand_in_for_enceladus() -> tuple[types.ModuleType, types.ModuleType]:
    """Enceladus and its language as far as the benchmark uses them: one program after the other, on torch tensors."""
    program = [0]

    class Pointer:
        def __init__(self, tensor: torch.Tensor, offsets: Any = 0) -> None:
            self.tensor, self.offsets = tensor, offsets

        def __add__(self, offsets: torch.Tensor) -> Pointer:
            return Pointer(self.tensor, self.offsets + offsets)

    def load(pointer: Pointer, *, mask: torch.Tensor) -> torch.Tensor:
        return torch.where(mask, pointer.tensor[pointer.offsets.clamp(max=pointer.tensor.numel() - 1)], 0)

    def store(pointer: Pointer, value: torch.Tensor, *, mask: torch.Tensor) -> None:
        pointer.tensor[pointer.offsets[mask]] = value[mask]

    class Kernel:
        def __init__(self, function: Callable[..., None]) -> None:
            self.function = function

        def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
            def run(*arguments: Any, **constants: int) -> None:
                for number in range(*grid):
                    program[0] = number
                    values = [Pointer(value) if isinstance(value, torch.Tensor) else value for value in arguments]
                    self.function(*values, **constants)

            return run

    language: Any = types.ModuleType("enceladus.language")
    language.constexpr = int
    language.program_id = lambda axis: program[axis]
    language.arange = torch.arange
    language.load, language.store = load, store
    package: Any = types.ModuleType("enceladus")
    package.jit, package.language = Kernel, language
    package.cdiv = lambda a, b: -(-a // b)
    return package, language


@needs_stand_in
def test_enceladus(monkeypatch: pytest.MonkeyPatch) -> None:
    package, language = stand_in_for_enceladus()
    monkeypatch.setitem(sys.modules, "enceladus", package)
    monkeypatch.setitem(sys.modules, "enceladus.language", language)
    monkeypatch.setattr(torch.mps, "synchronize", lambda: None)
    check(import_anew("enceladus_kernels", monkeypatch), "cpu")


def test_the_gpus_time_is_asked_of_events_around_the_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool = False) -> None:
            assert enable_timing

        def record(self) -> None:
            happened.append("record")

        def elapsed_time(self, end_event: Event) -> float:
            assert end_event is not self
            return 1.5

    monkeypatch.setattr(torch.mps.event, "Event", Event)
    monkeypatch.setattr(torch.mps, "synchronize", lambda: happened.append("synchronize"))
    monkeypatch.setenv("HELION_MSL_BENCH_QUICK", "1")
    candidates: dict[str, Callable[[], object]] = {
        "torch": lambda: happened.append("torch"),
        "MLX metal_kernel": lambda: happened.append("mlx"),
    }
    (comparison,) = beside_others._gpu_times("t", candidates, "torch")
    assert happened == ["record", "torch", "record", "synchronize"]
    assert comparison.timings["torch"].minimum == pytest.approx(1.5e-3)
