"""``kernel[grid, block_dims]``: bound kernels share memory one after the other, and nothing else."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
import torch

import helion_msl
from helion_msl import LaunchError, metal_jit
from helion_msl import language as ml


@pytest.fixture
def kernel():
    @metal_jit
    def count_threads(out):
        if ml.tid[0] == 0:
            out[ml.tgid[0]] = ml.threads_per_threadgroup[0]

    return count_threads


def launched(bound, device) -> list[int]:
    """How many threads each of eight threadgroups had."""
    out = torch.zeros(8, dtype=torch.int32, device=device)
    bound(out)
    helion_msl.synchronize()
    return out.tolist()


def test_sizes_follow_the_subscript(kernel, device) -> None:
    for _ in range(3):
        assert launched(kernel[2, 3], device) == [3, 3, 0, 0, 0, 0, 0, 0]
        assert launched(kernel[(1,), (4,)], device) == [4, 0, 0, 0, 0, 0, 0, 0]
        assert launched(kernel[3, 3], device) == [3, 3, 3, 0, 0, 0, 0, 0]
        assert launched(kernel[3, 2], device) == [2, 2, 2, 0, 0, 0, 0, 0]
        assert launched(kernel[lambda arguments: (arguments["out"].numel() // 2,), 1], device) == [1] * 4 + [0] * 4


def test_bound_kernels_that_are_held_keep_their_sizes(kernel, device) -> None:
    bound = [kernel[grid, block] for grid in (1, 2) for block in (3, 4)]
    assert len({id(one) for one in bound}) == 4
    del bound[0]
    again = kernel[8, 5]
    assert launched(again, device) == [5] * 8
    assert [launched(one, device)[:3] for one in bound] == [[4, 0, 0], [3, 3, 0], [4, 4, 0]]


def test_a_list_is_read_each_time(kernel, device) -> None:
    grid, block = [1], [2]
    assert launched(kernel[grid, block], device)[:3] == [2, 0, 0]
    grid[0], block[0] = 2, 3
    assert launched(kernel[grid, block], device)[:3] == [3, 3, 0]
    holder = ([1],)
    with pytest.raises(LaunchError):
        kernel[holder, 1]
    assert launched(kernel[1, 1], device)[:2] == [1, 0]


def test_a_number_of_a_class_is_read_each_time(kernel, device) -> None:
    class Size:
        value = 1

        def __index__(self) -> int:
            return self.value

    size = Size()
    assert launched(kernel[(size,), 1], device)[:3] == [1, 0, 0]
    size.value = 2
    assert launched(kernel[(size,), 1], device)[:3] == [1, 1, 0]


def test_a_refused_subscript_leaves_nothing_behind(kernel, device) -> None:
    assert launched(kernel[1, 2], device)[:2] == [2, 0]
    for _ in range(3):
        with pytest.raises(LaunchError):
            kernel[1, 0]
        with pytest.raises(LaunchError):
            kernel[0, 2]
    assert launched(kernel[1, 2], device)[:2] == [2, 0]


def test_what_a_grid_function_holds_is_released_with_it(kernel, device) -> None:
    class Held:
        pass

    def call(held: Held) -> None:
        launched(kernel[lambda _: 1 if held else 2, 1], device)

    held = Held()
    alive = weakref.ref(held)
    call(held)
    del held
    gc.collect()
    assert alive() is None


def test_a_kernel_and_its_bound_kernels_need_no_garbage_collector(device) -> None:
    @metal_jit
    def nothing(out):
        return

    launched(nothing[1, 1], device)
    bound = nothing[1, 2]
    alive = weakref.ref(nothing)
    gc.disable()
    try:
        del nothing
        assert alive() is not None
        launched(bound, device)
        del bound
        assert alive() is None
    finally:
        gc.enable()


def test_threads_take_and_leave_bound_kernels(kernel, device) -> None:
    wrong = []

    def work(grid: int) -> None:
        for turn in range(300):
            block = 1 + turn % 3
            found = launched(kernel[grid, block], device)
            if found != [block] * grid + [0] * (8 - grid):
                wrong.append((grid, block, found))

    threads = [threading.Thread(target=work, args=(grid,)) for grid in (1, 2, 5, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
