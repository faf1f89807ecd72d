"""How the tensors of torch are read: through its stable C interface where that says what the exchange table says."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.torch_version import TorchVersion

import helion_msl
from helion_msl import _C
from metal_double import control

DTYPES = [
    torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32,
    torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex32, torch.complex64,
    torch.complex128,
]  # fmt: skip
SOURCE = "kernel void twice(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] *= 2.0f; }"


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_tensor_is_read_as_torch_describes_it(data):
    dtype = data.draw(st.sampled_from(DTYPES))
    x = torch.zeros(data.draw(st.lists(st.integers(0, 4), max_size=7)), dtype=dtype)
    for dimension in range(x.dim()):
        if x.size(dimension) > 0:
            start = data.draw(st.integers(0, x.size(dimension) - 1))
            x = x.narrow(dimension, start, x.size(dimension) - start)
    if x.dim() > 1 and data.draw(st.booleans()):
        x = x.transpose(0, 1)
    if dtype.is_floating_point and data.draw(st.booleans()):
        x = torch.nn.Parameter(x)
    read = _C._read_tensor(x)
    span = 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    assert read["data"] + read["byte_offset"] == x.data_ptr()
    assert read["element_count"] == x.numel()
    assert read["byte_span"] == (span * x.itemsize if x.numel() else 0)
    assert f"torch.{read['dtype']}" == str(dtype)
    assert read["device"] == "cpu"


def test_tensors_and_parameters_are_read_directly():
    for x in (torch.ones(4), torch.ones(4)[1:], torch.tensor(1.0), torch.nn.Parameter(torch.ones(4))):
        assert _C._read_tensor(x)["is_read_directly"]


def test_other_classes_are_not():
    class Marked(torch.Tensor):
        pass

    assert not _C._read_tensor(torch.ones(4).as_subclass(Marked))["is_read_directly"]


def test_memory_that_torch_exchanges_is_followed():
    x, other = torch.ones(4), torch.zeros(6)
    assert _C._read_tensor(x)["data"] == x.data_ptr()
    x.set_(other)
    assert (_C._read_tensor(x)["data"], _C._read_tensor(x)["element_count"]) == (other.data_ptr(), 6)
    x.resize_(10_000)
    assert (_C._read_tensor(x)["data"], _C._read_tensor(x)["element_count"]) == (x.data_ptr(), 10_000)
    x.data = torch.zeros(2, 3).t()
    assert _C._read_tensor(x)["data"] == x.data_ptr()


def wrapped_in_vmap(see):
    torch.vmap(lambda row: (see(row), row)[1])(torch.ones(3, 4))


def wrapped_functionally(see):
    see(torch._to_functional_tensor(torch.ones(4)))


@pytest.mark.parametrize("wrap", [wrapped_in_vmap, wrapped_functionally])
def test_wrapped_tensors_are_refused_as_the_exchange_table_refuses_them(wrap, capfd):
    def see(x):
        assert type(x) is torch.Tensor
        with pytest.raises(helion_msl.ArgumentError, match="has no memory"):
            _C._read_tensor(x)
        assert not _C._read_tensor(torch.ones(2).as_strided((1,), (1,)))["is_read_only"]

    wrap(see)
    # torch 2.10 logs what its C functions catch, 2.13 does not.
    if TorchVersion(torch.__version__) >= (2, 13):
        assert capfd.readouterr().err == ""


def run_program(text):
    """Runs a program, and returns what it printed."""
    begin = "import torch, helion_msl\nfrom helion_msl import _C\n"
    if control.find() is not None:
        begin = "from metal_double import session\n" + begin
    program = begin + textwrap.dedent(text)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "first",
    [
        "torch.empty(0)",
        "torch.ones(3).to_sparse()",
        "torch.ones(3, device='meta')",
        "torch._to_functional_tensor(torch.ones(3))",
    ],
)
def test_the_first_tensor_of_a_process_need_not_be_a_usual_one(first):
    printed = run_program(
        f"""
        try:
            print(_C._read_tensor({first})["element_count"])
        except helion_msl.ArgumentError:
            print("refused")
        x = torch.ones(4)[1:]
        read = _C._read_tensor(x)
        print(read["data"] == x.data_ptr(), read["is_read_directly"])
        """
    )
    assert printed.split() == ["0" if first == "torch.empty(0)" else "refused", "True", "True"]


@pytest.mark.parametrize("answer", ["'no number'", "0", "-1", "function(*args) + 8", "1 / 0"])
def test_what_cannot_be_found_in_a_tensor_is_not_used(answer):
    printed = run_program(
        f"""
        from torch.overrides import TorchFunctionMode

        class Odd(TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                return {answer}

        x = torch.ones(4)
        with Odd():
            _C._read_tensor(x)
        read = _C._read_tensor(x)
        print(read["data"] == x.data_ptr(), read["is_read_directly"])
        """
    )
    assert printed.split() == ["True", "False"]


def test_threads_may_be_the_first_to_read_a_tensor():
    printed = run_program(
        """
        import threading
        from torch.overrides import TorchFunctionMode

        class Slow(TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                threading.Event().wait(0.01)
                return function(*args, **(kwargs or {}))

        def read():
            with Slow():
                found.append(_C._read_tensor(x)["is_read_directly"])

        x, found = torch.ones(4), []
        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(found)
        """
    )
    assert printed.strip() == str([True] * 8)


needs_double = pytest.mark.skipif(control.find() is None, reason="needs the Metal double: make wall-run")


@needs_double
@pytest.mark.parametrize("version", ["2.10", "2.13", "2.14", "2.15"])
def test_mps_tensors_are_read_directly(version):
    printed = run_program(
        f"""
        double = session.start()
        double.set_torch_version("{version}")
        x = torch.ones(8, device="mps")
        for each in (x, x[2:], x.view(2, 4).t(), x[:0]):
            read = _C._read_tensor(each)
            print(read["device"], read["byte_offset"], read["is_read_directly"])
            helion_msl.launch({SOURCE!r}, (each,), each.numel() or 1, 1)
        helion_msl.synchronize("mps")
        print(x.tolist())
        """
    )
    lines = printed.splitlines()
    assert [line.split() for line in lines[:3]] == [["mps", "0", "True"], ["mps", "8", "True"], ["mps", "0", "True"]]
    assert lines[-1] == str([4.0] * 2 + [8.0] * 6)


@needs_double
@pytest.mark.parametrize("version", ["2.13", "2.15"])
def test_addresses_that_are_no_buffers_are_not_believed(version):
    printed = run_program(
        f"""
        double = session.start()
        double.set_torch_version("{version}")
        double.set_tensor_addresses(are_buffers=False)
        x = torch.ones(8, device="mps")
        for each in (x, x[2:], x, x[2:]):
            print(_C._read_tensor(each)["is_read_directly"])
            helion_msl.launch({SOURCE!r}, (each,), each.numel(), 1)
        helion_msl.synchronize("mps")
        print(x.tolist(), _C._read_tensor(torch.ones(2).cpu())["device"])
        """
    )
    assert printed.splitlines()[:4] == ["False"] * 4
    assert printed.splitlines()[4].startswith(str([4.0] * 2 + [16.0] * 6))
