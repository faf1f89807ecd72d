"""The cache of compiled kernels: identity, text, bound, threads; and what a launch keeps alive."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import threading

import pytest
import torch

import helion_msl


@pytest.fixture(autouse=True)
def _empty_cache():
    helion_msl.clear_cache()


def source_of(number: int) -> str:
    """The text of a kernel that stores ``number``: a new str object for every call."""
    return f"kernel void f(device int *out [[buffer(0)]]) {{ out[0] = {number}; }}"


def run(source, device, **options):
    out = torch.zeros(1, dtype=torch.int32, device=device)
    helion_msl.launch(source, [out], 1, 1, **options)
    return out.item()


def counts():
    info = helion_msl.cache_info()
    return info.hits, info.misses, info.size


def test_same_object_and_equal_text_hit(device):
    source = source_of(1)
    assert run(source, device) == 1
    assert counts() == (0, 1, 1)
    assert run(source, device) == 1
    assert counts() == (1, 1, 1)
    equal = source_of(1)
    assert equal is not source
    assert run(equal, device) == 1
    assert counts() == (2, 1, 1)
    assert helion_msl.compile(source_of(1), device=device).name == "f"
    assert counts() == (3, 1, 1)


def test_what_can_change_the_result_is_part_of_the_key(device):
    constants = " ".join(f"constant float {name} [[function_constant({i})]];" for i, name in enumerate("ab"))
    used = "out[0] += is_function_constant_defined(a) + is_function_constant_defined(b);"
    source = f"{constants} {source_of(1)[:-1]} {used} }}"
    for options in (
        {},
        {"math_mode": "fast"},
        {"name": "f"},
        {"constants": {"a": 0.0}},
        {"constants": {"a": -0.0}},
        {"constants": {"a": 0}},
        {"constants": {"a": False}},
        {"constants": {"b": 0}},
        {"constants": {"a": float("nan")}},
    ):
        before = counts()[1]
        helion_msl.compile(source, device=device, **options)
        assert counts()[1] == before + 1
        helion_msl.compile(source, device=device, **options)
        assert counts()[1] == before + 1


def test_address_that_is_used_again_is_another_text(device):
    # Each text is dropped after its launch. If the cache did not hold it, a new str object would soon have its address.
    for number in range(300):
        assert run(source_of(number % 7), device) == number % 7
        gc.collect(0)


def test_text_that_is_built_anew_for_every_launch_is_not_kept(device):
    texts = [source_of(3) for _ in range(20)]
    before = list(map(sys.getrefcount, texts))
    for text in texts:
        assert run(text, device) == 3
    del text
    held = [after - count for after, count in zip(map(sys.getrefcount, texts), before, strict=True)]
    assert sum(held) <= 4
    helion_msl.clear_cache()
    assert list(map(sys.getrefcount, texts)) == before


def test_name_is_part_of_the_identity(device):
    source = ("kernel void one(device int *out [[buffer(0)]]) { out[0] = 1; }\n"
              "kernel void two(device int *out [[buffer(0)]]) { out[0] = 2; }")  # fmt: skip
    for _ in range(3):
        assert run(source, device, name="one") == 1
        assert run(source, device, name="two") == 2


def test_subclass_of_str_is_a_source(device):
    class Text(str):
        __slots__ = ()

    source = Text(source_of(5))
    before = sys.getrefcount(source)
    assert run(source, device) == 5
    assert run(source, device) == 5
    assert sys.getrefcount(source) == before


def test_failure_is_reported_every_time_and_not_kept(device):
    for attempt in range(2):
        with pytest.raises(helion_msl.MetalCompileError):
            run("kernel void f(device int *out [[buffer(0)]]) { out[0] = nothing; }", device)
        assert counts() == (0, attempt + 1, 0)


def test_cleared_kernel_still_runs(device):
    kernel = helion_msl.compile(source_of(9), device=device)
    helion_msl.clear_cache()
    assert counts() == (0, 0, 0)
    out = torch.zeros(1, dtype=torch.int32, device=device)
    kernel([out], 1, 1)
    assert out.item() == 9


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Metal's validation announces itself on standard error.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MTL_")}
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False,
                          env={**inherited, **environment})  # fmt: skip


def test_least_recently_used_kernel_goes_first():
    result = run_python(
        """
        import helion_msl, torch
        out = torch.zeros(1, dtype=torch.int32, device="mps" if torch.backends.mps.is_available() else "cpu")
        def text(n): return "kernel void f(device int *out [[buffer(0)]]) { out[0] = %d; }" % n
        texts = [text(n) for n in range(4)]
        def run(n):
            helion_msl.launch(texts[n], [out], 1, 1)
            assert out.item() == n
        misses = lambda: helion_msl.cache_info().misses
        for n in (0, 1, 2): run(n)
        kept = helion_msl.compile(texts[1])
        run(0); run(2)                       # 1 is now the oldest
        assert misses() == 3
        run(3)
        assert misses() == 4 and helion_msl.cache_info().size == 3
        run(0); run(2); run(3)
        assert misses() == 4
        run(1)
        assert misses() == 5
        kept([out], 1, 1)
        assert out.item() == 1
        print(helion_msl.cache_info())
        """,
        HELION_MSL_CACHE_SIZE="3",
    )
    assert result.stderr == ""
    assert result.stdout.startswith("CacheInfo(hits=")
    assert result.stdout.endswith("misses=5, size=3, capacity=3)\n")


def test_every_thread_finds_what_the_cache_holds_and_nothing_else(device):
    """Threads find by identity without a lock; what is forgotten in one must not be found in another."""
    texts = [source_of(number) for number in range(3)]
    failures = []

    def work(seed):
        try:
            for turn in range(60):
                number = (turn * 7 + seed) % 3
                assert run(texts[number], device) == number
                assert run(source_of(100 + turn % 5), device) == 100 + turn % 5  # at addresses that are used again
                if turn % 20 == seed:
                    helion_msl.clear_cache()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("size", ["0", "-1", "many", "3.5", "3 "])
def test_size_that_is_none_is_an_error_at_first_use(size):
    result = run_python(
        """
        import helion_msl
        try:
            helion_msl.launch("kernel void f() {}", [], 1, 1)
        except helion_msl.HelionMslError as error:
            print(error)
        """,
        HELION_MSL_CACHE_SIZE=size,
    )
    assert result.stdout.startswith(
        f"HELION_MSL_CACHE_SIZE must be a positive integer, the number of compiled kernels kept, not '{size}'"
    )


def in_threads(count, function):
    """Runs ``function(i)`` in threads that start together, and raises what they raise."""
    barrier = threading.Barrier(count)
    errors = []

    def body(index):
        try:
            barrier.wait()
            function(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_that_want_one_kernel_compile_it_once(device):
    out = torch.zeros(8, dtype=torch.int32, device=device)
    in_threads(8, lambda i: helion_msl.launch(source_of(6), [out[i:]], 1, 1))
    helion_msl.synchronize(device)
    assert (out == 6).all()
    assert counts()[1:] == (1, 1)


def test_threads_that_want_one_broken_kernel_all_hear_of_it(device):
    heard = []

    def body(_):
        with pytest.raises(helion_msl.MetalCompileError) as caught:
            run("kernel void f(device int *out [[buffer(0)]]) { out[0] = nothing; }", device)
        heard.append(str(caught.value))

    in_threads(4, body)
    assert len(heard) == 4
    assert len(set(heard)) == 1
    assert counts()[2] == 0


def test_threads_launch_and_clear_at_once(device):
    texts = [source_of(n) for n in range(3)]

    def body(index):
        for step in range(30):
            if index == 0 and step % 10 == 9:
                helion_msl.clear_cache()
            n = (index + step) % 3
            assert run(texts[n], device) == n

    in_threads(4, body)


def test_list_that_another_thread_empties_during_the_launch(device):
    source = """
    kernel void f(device int *out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
      int total = out[i];
      for (int k = 0; k < 2000; ++k) total = total * 3 + k;
      out[i] = total;
    }
    """
    kernel = helion_msl.compile(source, device=device)
    args = []
    stop = threading.Event()

    def empty():
        while not stop.is_set():
            args.clear()

    thread = threading.Thread(target=empty)
    thread.start()
    try:
        for _ in range(50):
            args.append(torch.ones(1 << 12, dtype=torch.int32, device=device))
            with contextlib.suppress(helion_msl.ArgumentError):  # the list was empty already
                kernel(args, 1 << 6, 1 << 6)
    finally:
        stop.set()
        thread.join()


def test_references_are_given_back(device):
    source = source_of(2)
    out = torch.zeros(1, dtype=torch.int32, device=device)
    wrong, meta = out.view(torch.float32), torch.ones(1, device="meta")
    args, grid, block = [out], (1, 1, 1), (1,)
    kernel = helion_msl.compile(source, device=device)
    refused = [(args, 0, block), ([out, out], grid, block), ([wrong], grid, block), ([meta], grid, block), (None, 1, 1)]

    def launch():
        helion_msl.launch(source, args, grid, block)
        kernel(args, grid, block)
        for call in refused:
            with contextlib.suppress(helion_msl.HelionMslError):
                kernel(*call)

    launch()
    held = [source, out, wrong, meta, args, grid, block, kernel, torch.Tensor]
    before = list(map(sys.getrefcount, held)), sys.getrefcount(None)
    for _ in range(1000):
        launch()
    assert list(map(sys.getrefcount, held)) == before[0]
    # None is shared with everything that runs; a reference lost in each launch would show all the same.
    assert abs(sys.getrefcount(None) - before[1]) < 500


def test_exported_arrays_are_given_back():
    numpy = pytest.importorskip("numpy")
    x = numpy.zeros(1, dtype=numpy.int32)
    wrong = numpy.zeros(1, dtype=numpy.float32)
    before = sys.getrefcount(x), sys.getrefcount(wrong)
    for _ in range(20):
        helion_msl.launch(source_of(4), [x], 1, 1)
        with pytest.raises(helion_msl.ArgumentError):
            helion_msl.launch(source_of(4), [wrong], 1, 1)
    assert x[0] == 4
    assert (sys.getrefcount(x), sys.getrefcount(wrong)) == before


def test_nothing_is_said_at_exit_about_what_is_alive():
    result = run_python(
        """
        import helion_msl
        kernel = helion_msl.compile("kernel void f() {}")
        argument = helion_msl.compile("kernel void g(device int *x [[buffer(0)]]) {}").arguments[0]
        helion_msl.launch("kernel void f() {}", [], 1, 1)
        import builtins
        builtins.kept = [kernel, argument, helion_msl.launch, helion_msl.cache_info()]
        """
    )
    assert result.returncode == 0
    assert result.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.skipif(
    sys.platform == "darwin" or torch.backends.mps.is_available(), reason="Apple's frameworks do not survive a fork"
)
def test_child_of_a_fork_launches():
    result = run_python(
        """
        import os, helion_msl, torch
        text = "kernel void f(device int *out [[buffer(0)]]) { out[0] = 3; }"
        out = torch.zeros(1, dtype=torch.int32)
        helion_msl.launch(text, [out], 1, 1)
        child = os.fork()
        if child == 0:
            out.zero_()
            helion_msl.launch(text, [out], 1, 1)
            helion_msl.launch(text.replace("3", "4"), [out], 1, 1)
            os._exit(out.item())
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert result.stdout == "4\n", result.stderr
