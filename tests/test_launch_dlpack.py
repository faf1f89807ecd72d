"""Tensors that are read through ``__dlpack__``, and what is read off tensors."""

from __future__ import annotations

import ctypes

import pytest
import torch

import helion_msl
from helion_msl import _C

DOUBLE = """
kernel void twice(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                  uint i [[thread_position_in_grid]]) { out[i] = 2.0f * x[i]; }
"""


class Exporter:
    """An array that offers nothing but the DLPack methods, and counts its exports."""

    def __init__(self, tensor, *, versioned=True):
        self.tensor = tensor
        self.versioned = versioned
        self.exports = 0

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()

    def __dlpack__(self, **options):
        if not self.versioned and options:
            raise TypeError("__dlpack__() got an unexpected keyword argument")
        self.exports += 1
        return self.tensor.__dlpack__(**options)


@pytest.fixture(params=[True, False], ids=["versioned", "unversioned"])
def versioned(request):
    return request.param


def test_objects_with_the_dlpack_methods(versioned):
    storage = torch.zeros(10)
    x = Exporter(torch.arange(4.0), versioned=versioned)
    helion_msl.launch(DOUBLE, [x, Exporter(storage[3:7], versioned=versioned)], 4, 1)
    assert storage.tolist() == [0, 0, 0, 0, 2, 4, 6, 0, 0, 0]
    assert x.exports == 1


def test_numpy_arrays():
    numpy = pytest.importorskip("numpy")
    x = numpy.arange(8, dtype=numpy.float32)
    out = numpy.full(10, -7, dtype=numpy.float32)
    helion_msl.launch(DOUBLE, [x, out[1:9]], 8, 1)
    assert out.tolist() == [-7, 0, 2, 4, 6, 8, 10, 12, 14, -7]
    with pytest.raises(helion_msl.ArgumentError, match=r"Metal has no float64"):
        helion_msl.launch(DOUBLE, [x.astype(numpy.float64), out], 8, 1)
    with pytest.raises(helion_msl.ArgumentError, match=r"argument 0 \(ndarray\) has a negative stride"):
        helion_msl.launch(DOUBLE, [x[::-1], out], 8, 1)
    helion_msl.launch(DOUBLE, [x[::-1][:1], out[:1]], 1, 1)
    assert out[0] == 14


def test_read_only_arrays_are_read_and_not_written():
    numpy = pytest.importorskip("numpy", minversion="2.1")
    x = numpy.arange(8, dtype=numpy.float32)
    x.flags.writeable = False
    out = numpy.zeros(8, dtype=numpy.float32)
    helion_msl.launch(DOUBLE, [x, out], 8, 1)
    assert (out == 2 * x).all()
    with pytest.raises(helion_msl.ArgumentError, match="the kernel writes there, but the array given is read-only"):
        helion_msl.launch(DOUBLE, [out, x], 8, 1)
    assert x.tolist() == list(range(8))


def test_misaligned_array_is_refused():
    numpy = pytest.importorskip("numpy")
    x = numpy.zeros(33, dtype=numpy.uint8)[1:].view(numpy.float32)
    with pytest.raises(helion_msl.ArgumentError, match="not aligned to 4 bytes"):
        helion_msl.launch(DOUBLE, [x, torch.zeros(8)], 8, 1)


def test_tensor_that_requires_a_gradient_is_told_to_detach():
    with pytest.raises(helion_msl.ArgumentError, match=r"argument 0 \(Exporter\) cannot be exported.*detach\(\)"):
        helion_msl.launch(DOUBLE, [Exporter(torch.ones(4, requires_grad=True)), torch.zeros(4)], 4, 1)


@pytest.mark.parametrize(
    ("device", "name"),
    [((2, 1), "cuda:1"), ((10, 0), "rocm:0"), ((14, 2), "xpu:2"), ((99, 0), "DLPack device type 99")],
)
def test_devices_that_nothing_runs_on(device, name):
    class Elsewhere(Exporter):
        def __dlpack_device__(self):
            return device

    x = Elsewhere(torch.ones(4))
    with pytest.raises(
        helion_msl.ArgumentError, match=rf"argument 1 \(.*Elsewhere\) is on {name}; kernels run on mps and"
    ):
        helion_msl.launch(DOUBLE, [torch.ones(4), x], 4, 1)
    assert x.exports == 0


def test_exports_that_are_no_capsules():
    class Wrong(Exporter):
        def __dlpack__(self, **options):
            return 3

    with pytest.raises(helion_msl.ArgumentError, match=r"__dlpack__\(\) returned int, not a DLPack capsule"):
        helion_msl.launch(DOUBLE, [Wrong(torch.ones(4)), torch.ones(4)], 4, 1)


# ---- Metal's tensors, by a type of our own with an exchange table: no GPU is needed to see what is read ------------


class DLTensor(ctypes.Structure):
    """DLPack's description of a tensor (specification 1.3)."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class ExchangeApi(ctypes.Structure):
    """DLPack's table of exchange functions."""

    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("previous", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("from_object", ctypes.c_void_p),
        ("to_object", ctypes.c_void_p),
        ("describe", ctypes.c_void_p),
        ("stream", ctypes.c_void_p),
    ]


DESCRIBE = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(DLTensor))
new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


def exchange_type(describe, **table):
    """A type whose instances are described by ``describe(object, DLTensor)``."""
    function = DESCRIBE(describe) if describe is not None else None
    fields = {"major": 1, "minor": 3, "describe": ctypes.cast(function, ctypes.c_void_p).value, **table}
    api = ExchangeApi(**fields)
    capsule = new_capsule(ctypes.addressof(api), b"dlpack_exchange_api", None)
    return type("Foreign", (), {"__dlpack_c_exchange_api__": capsule, "keep_alive": (function, api)})


SHAPE = (ctypes.c_int64 * 1)(3)
STRIDES = (ctypes.c_int64 * 1)(1)


def metal_tensor(data, byte_offset, storage_offset):
    def describe(_, out):
        out[0] = DLTensor(data, 8, 0, 1, 2, 32, 1, SHAPE, STRIDES, byte_offset)
        return 0

    tensor = exchange_type(describe)()
    if storage_offset is not None:
        tensor.storage_offset = lambda: storage_offset
    return tensor


@pytest.mark.parametrize(
    ("data", "byte_offset", "storage_offset", "expected"),
    [
        (0x1000, 0, 0, (0x1000, 0)),
        (0x1000 + 20, 0, 5, (0x1000, 20)),  # torch 2.10 to 2.13: the offset is added to the object's address
        (0x1000, 20, 5, (0x1000, 20)),  # torch 2.14 and later
        (0x1000, 20, None, (0x1000, 20)),  # another library, which follows the specification
    ],
)
def test_buffer_of_a_metal_tensor(data, byte_offset, storage_offset, expected):
    read = _C._read_tensor(metal_tensor(data, byte_offset, storage_offset))
    assert (read["data"], read["byte_offset"]) == expected
    assert read["device"] == "mps"


def test_mixed_devices_are_named_with_their_positions():
    with pytest.raises(helion_msl.ArgumentError, match="argument 1 is on cpu and argument 2 is on mps"):
        helion_msl.launch(DOUBLE, [3, torch.ones(3), metal_tensor(0x1000, 0, 0)], 1, 1)


def test_tensor_elsewhere_than_the_kernel(device):
    kernel = helion_msl.compile(DOUBLE, device="cpu")
    with pytest.raises(helion_msl.ArgumentError, match=r"argument 1 .* is on mps, but the kernel was compiled for cpu"):
        kernel([torch.ones(3), metal_tensor(0x1000, 0, 0)], 1, 1)


def test_exchange_tables_of_other_versions_are_not_used():
    def describe(_, out):
        raise AssertionError

    for foreign in (exchange_type(describe, major=2), exchange_type(None)):
        with pytest.raises(helion_msl.ArgumentError, match="argument 0 is a Foreign"):
            _C._read_tensor(foreign())


def test_older_table_is_found_behind_a_newer_one():
    def describe(_, out):
        out[0] = DLTensor(0x40, 1, 0, 1, 0, 8, 1, SHAPE, None, 0)
        return 0

    older = exchange_type(describe)
    newer = exchange_type(None, major=2, previous=ctypes.addressof(older.keep_alive[1]))
    assert _C._read_tensor(newer())["byte_span"] == 3
