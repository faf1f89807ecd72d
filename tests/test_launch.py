"""What a launch does: memory, offsets, strides, grids, constants, several kernels, streams of launches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import helion_msl

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"

ADD_ONE = (
    HEADER
    + """
kernel void add_one(device const float *x [[buffer(0)]], device float *out [[buffer(1)]],
                    constant uint &n [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  if (i < n) out[i] = x[i] + 1.0f;
}
"""
)

POSITIONS = (
    HEADER
    + """
kernel void positions(device uint *out [[buffer(0)]], uint3 group [[threadgroup_position_in_grid]],
                      uint3 lane [[thread_position_in_threadgroup]], uint3 groups [[threadgroups_per_grid]],
                      uint3 threads [[threads_per_threadgroup]]) {
  uint3 at = group * threads + lane;
  uint3 size = groups * threads;
  out[(at.z * size.y + at.y) * size.x + at.x] += 1 + at.x + 1000 * at.y + 1000000 * at.z;
}
"""
)

SCATTER = (
    HEADER
    + """
kernel void scatter(device int *x [[buffer(0)]], constant long &rows [[buffer(1)]],
                    constant long &columns [[buffer(2)]],
                    constant long &row_stride [[buffer(3)]], constant long &column_stride [[buffer(4)]],
                    uint2 at [[thread_position_in_grid]]) {
  if (at.x < columns && at.y < rows) x[at.y * row_stride + at.x * column_stride] += 1;
}
"""
)

TWO_KERNELS = (
    HEADER
    + """
kernel void one(device int *out [[buffer(0)]]) { out[0] = 1; }
kernel void two(device int *out [[buffer(0)]]) { out[0] = 2; }
"""
)


@settings(max_examples=30, deadline=None)
@given(before=st.integers(0, 70), size=st.integers(1, 1030), after=st.integers(1, 70), block=st.integers(1, 300))
def test_slice_is_written_and_nothing_around_it(device, before, size, after, block):
    storage = torch.full((before + size + after,), -7.0, device=device)
    x = torch.randn(size, device=device)
    grid = -(-size // block)
    helion_msl.launch(ADD_ONE, [x, storage[before : before + size], size], grid, block)
    assert torch.equal(storage[before : before + size], x + 1)
    assert (storage[:before] == -7).all()
    assert (storage[before + size :] == -7).all()


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_strided_views_begin_at_their_first_element(device, data):
    storage = torch.zeros(data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)), dtype=torch.int32, device=device)
    rows = slice(data.draw(st.integers(0, storage.size(0) - 1)), None, data.draw(st.integers(1, 3)))
    columns = slice(data.draw(st.integers(0, storage.size(1) - 1)), None, data.draw(st.integers(1, 3)))
    view = storage[rows, columns]
    if data.draw(st.booleans()):
        view = view.t()
    helion_msl.launch(SCATTER, [view, *view.shape, *view.stride()], (2, 2), (5, 5), name="scatter")
    expected = torch.zeros_like(storage)
    expected[rows, columns] += 1
    assert torch.equal(storage, expected)


@settings(max_examples=25, deadline=None)
@given(
    grid=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    block=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    as_tuple=st.booleans(),
)
def test_every_thread_of_a_grid_runs_once(device, grid, block, as_tuple):
    groups, threads = (sizes + [1] * (3 - len(sizes)) for sizes in (grid, block))
    width, height, depth = (g * t for g, t in zip(groups, threads, strict=True))
    out = torch.zeros(depth, height, width, dtype=torch.int32, device=device)
    sizes = (tuple(grid), tuple(block)) if as_tuple else (grid, block)
    helion_msl.launch(POSITIONS, (out,), *sizes)
    z, y, x = (torch.arange(n, dtype=torch.int32, device=device) for n in (depth, height, width))
    assert torch.equal(out, 1 + x[None, None, :] + 1000 * y[None, :, None] + 1000000 * z[:, None, None])


def test_sizes_may_be_plain_or_index_like_numbers(device):
    numpy = pytest.importorskip("numpy")
    for grid, block in [(2, 3), (numpy.int64(2), numpy.int32(3)), (torch.Size([2]), torch.Size([3])), ([2], (3,))]:
        out = torch.zeros(6, dtype=torch.int32, device=device)
        helion_msl.launch(POSITIONS, [out], grid, block)
        assert torch.equal(out.cpu(), torch.arange(1, 7, dtype=torch.int32))


def test_name_picks_a_kernel_of_several(device):
    out = torch.zeros(1, dtype=torch.int32, device=device)
    helion_msl.launch(TWO_KERNELS, [out], 1, 1, name="two")
    assert out.item() == 2
    helion_msl.launch(TWO_KERNELS, [out], 1, 1, name="one")
    assert out.item() == 1


def test_the_same_tensor_may_be_given_twice(device):
    x = torch.arange(5.0, device=device)
    helion_msl.launch(ADD_ONE, [x, x, 5], 1, 5)
    assert x.tolist() == [1, 2, 3, 4, 5]


def test_empty_and_zero_dimensional_tensors_are_arguments(device):
    empty = torch.empty(0, 3, device=device)
    helion_msl.launch(ADD_ONE, [empty, empty, 0], 1, 1)
    scalar = torch.tensor(2.0, device=device)
    n = torch.tensor(1, dtype=torch.int32, device=device)
    helion_msl.launch(ADD_ONE, [scalar, scalar, n], 1, 1)
    assert scalar.item() == 3


def test_parameters_and_tensors_that_require_a_gradient_are_read(device):
    x = torch.nn.Parameter(torch.arange(3.0, device=device))
    leaf = torch.ones(3, device=device, requires_grad=True)
    out = torch.empty(3, device=device)
    for source in (x, leaf, x.detach()):
        helion_msl.launch(ADD_ONE, [source, out, 3], 1, 3)
        assert torch.equal(out, source.detach() + 1)


def test_subclass_of_tensor(device):
    class Labelled(torch.Tensor):
        pass

    x = torch.arange(3.0, device=device).as_subclass(Labelled)
    out = torch.empty(3, device=device)
    helion_msl.launch(ADD_ONE, [x, out, 3], 1, 3)
    assert out.tolist() == [1, 2, 3]


def test_expanded_tensor_is_its_memory(device):
    x = torch.tensor([5.0], device=device).expand(4)
    out = torch.zeros(1, device=device)
    helion_msl.launch(ADD_ONE, [x, out, 1], 1, 1)
    assert out.item() == 6


def test_launches_follow_each_other_in_order(device):
    x = torch.zeros(16, device=device)
    for _ in range(200):
        helion_msl.launch(ADD_ONE, [x, x, 16], 1, 16)
    helion_msl.commit()
    helion_msl.synchronize(device)
    assert (x == 200).all()


def test_kernel_without_arguments_runs_on_the_default_device():
    helion_msl.launch("kernel void nothing() {}", [], 1, 1)
    helion_msl.launch("kernel void nothing() {}", (), 1, 1, name="nothing")


def test_arguments_follow_the_order_of_the_buffer_indices(device):
    source = (
        HEADER
        + """
    kernel void f(constant int &third [[buffer(7)]], device int *first [[buffer(0)]],
                  constant int &second [[buffer(3)]]) {
      first[0] = second * 10 + third;
    }
    """
    )
    out = torch.zeros(1, dtype=torch.int32, device=device)
    kernel = helion_msl.compile(source, device=device)
    assert [(a.name, a.index) for a in kernel.arguments] == [("first", 0), ("second", 3), ("third", 7)]
    kernel([out, 4, 2], 1, 1)
    assert out.item() == 42


def test_as_many_buffers_as_metal_has(device):
    names = [f"b{i}" for i in range(31)]
    parameters = ", ".join(f"device int *{name} [[buffer({i})]]" for i, name in enumerate(names))
    body = " ".join(f"{name}[0] = {i} + 1;" for i, name in enumerate(names))
    out = torch.zeros(31, dtype=torch.int32, device=device)
    helion_msl.launch(f"kernel void f({parameters}) {{ {body} }}", [out[i:] for i in range(31)], 1, 1)
    assert out.tolist() == list(range(1, 32))


def test_compiled_kernel_tells_what_it_is(device):
    kernel = helion_msl.compile(ADD_ONE, device=device)
    assert kernel.name == "add_one"
    assert kernel.device == device
    assert kernel.source == ADD_ONE
    x, out, n = kernel.arguments
    assert (x.name, x.index, x.dtype, x.lanes, x.element_size) == ("x", 0, "float32", 1, 4)
    assert not x.is_writable
    assert not x.is_reference
    assert out.is_writable
    # Metal's reflection does not tell a reference from a pointer.
    assert (n.dtype, n.is_reference, n.is_writable) == ("uint32", device == "cpu", False)
    assert kernel.max_total_threads_per_threadgroup == 1024
    assert kernel.required_threads_per_threadgroup is None
    assert kernel.thread_execution_width == 32
    assert kernel.static_threadgroup_memory == 0
    assert "add_one" in repr(kernel)
    assert "const float* x" in repr(kernel)


def test_compiled_kernel_is_immutable(device):
    kernel = helion_msl.compile(ADD_ONE, device=device)
    for name in ("name", "source", "arguments", "unheard_of"):
        with pytest.raises(AttributeError):
            setattr(kernel, name, 1)


def test_compiled_kernel_launches(device):
    kernel = helion_msl.compile(ADD_ONE, device=device)
    x = torch.arange(100.0, device=device)
    out = torch.empty_like(x)
    kernel((x, out, 100), (2,), (50, 1, 1))
    assert torch.equal(out, x + 1)
    kernel(args=[out, out, 100], grid=1, block_dims=100)
    assert torch.equal(out, x + 2)


def test_function_constants_by_name_and_by_index(device):
    source = (
        HEADER
        + """
    constant int factor [[function_constant(0)]];
    constant bool negate [[function_constant(1)]];
    constant float shift [[function_constant(2)]];
    kernel void f(device float *out [[buffer(0)]]) { out[0] = (negate ? -1.0f : 1.0f) * float(factor) + shift; }
    """
    )
    out = torch.zeros(1, device=device)
    helion_msl.compile(source, device=device, constants={"factor": 3, "negate": True, "shift": 0.5})([out], 1, 1)
    assert out.item() == -2.5
    helion_msl.compile(source, device=device, constants={0: 4, 1: False, "shift": 0.25})([out], 1, 1)
    assert out.item() == 4.25


def test_engine_description_names_the_engine(device):
    description = helion_msl.engine_description(device)
    assert description.startswith("host: clang " if device == "cpu" else "metal: Apple ")
    assert helion_msl.engine_description(torch.device(device)) == description
