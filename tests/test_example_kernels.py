"""The kernels of ``examples/kernels`` run as they stand, and agree with torch on other sizes too."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.nn.functional import conv2d, layer_norm

if TYPE_CHECKING:
    from collections.abc import Callable

KERNELS = Path(__file__).parent.parent / "examples" / "kernels"
SCRIPTS = sorted(path.stem for path in KERNELS.glob("*.py") if path.stem != "reductions")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Runs a script and returns its names; by default without its `main`."""
    monkeypatch.syspath_prepend(str(KERNELS))

    def run(name: str, run_name: str = "example") -> dict[str, Any]:
        return runpy.run_path(str(KERNELS / f"{name}.py"), run_name=run_name)

    return run


def test_there_are_ten() -> None:
    assert len(SCRIPTS) == 10


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_script_says_that_it_is_right(name, example, capsys) -> None:
    example(name, "__main__")
    assert "equal to torch" in capsys.readouterr().out


@pytest.mark.parametrize("count", [1, 255, 257])
def test_saxpy(count, example, device) -> None:
    x, y = torch.randn(2, count).half().to(device)
    torch.testing.assert_close(example("saxpy")["saxpy"](0.5, x, y), 0.5 * x + y)


@pytest.mark.parametrize("shape", [(1, 1), (31, 33), (64, 96)])
def test_transpose(shape, example, device) -> None:
    x = torch.randn(shape).to(device)
    assert torch.equal(example("transpose")["transpose"](x), x.t())


@pytest.mark.parametrize("count", [1, 4096, 4097])
def test_histogram(count, example, device) -> None:
    x = torch.randint(0, 3, (count,), dtype=torch.uint8) * 127
    counts = example("histogram")["histogram"](x.to(device)).cpu()
    assert torch.equal(counts, torch.bincount(x.int(), minlength=256).int())


@pytest.mark.parametrize("columns", [1, 31, 257])
def test_row_softmax(columns, example, device) -> None:
    x = (torch.randn(3, columns) * 20).to(device)
    torch.testing.assert_close(example("row_softmax")["softmax"](x), torch.softmax(x, dim=1))


def test_layer_norm_far_from_zero(example, device) -> None:
    x = (torch.randn(2, 300) + 1000).to(device)
    weight, bias = torch.randn(2, 300).to(device)
    expected = layer_norm(x.double().cpu(), (300,), weight.double().cpu(), bias.double().cpu()).float()
    torch.testing.assert_close(
        example("layer_norm")["layer_norm"](x, weight, bias).cpu(), expected, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("sizes", [(1, 1, 1), (16, 16, 16), (17, 33, 15)])
def test_matmul(sizes, example, device) -> None:
    rows, inner, columns = sizes
    a, b = torch.randn(rows, inner).to(device), torch.randn(inner, columns).to(device)
    torch.testing.assert_close(example("matmul")["matmul"](a, b), a @ b, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("size", [1, 3])
def test_convolution(size, example, device) -> None:
    image, weight = torch.randn(2, 17, 5).to(device), torch.randn(3, 2, size, size).to(device)
    expected = conv2d(image[None], weight, padding="same")[0]
    torch.testing.assert_close(example("convolution")["convolution"](image, weight), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("count", [1, 256, 257, 65537])
def test_prefix_sum(count, example, device) -> None:
    x = torch.randint(-5, 6, (count,), dtype=torch.int32).to(device)
    assert torch.equal(example("prefix_sum")["prefix_sum"](x), torch.cumsum(x, 0, dtype=torch.int32))


def test_argmax_of_few_columns_and_of_equal_ones(example, device) -> None:
    argmax = example("argmax")["argmax"]
    for columns in (1, 2, 300):
        x = torch.randint(0, 2, (4, columns)).float()
        x[1] = -torch.inf
        assert torch.equal(argmax(x.to(device)).cpu(), torch.argmax(x, dim=1))
