"""What the Metal engine says when Metal fails: compiling, archives, the GPU, the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from pathlib import Path

import pytest
import torch

import helion_msl
from metal_double import control

double = control.find()
pytestmark = pytest.mark.skipif(double is None, reason="needs the Metal double: make wall-run")

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
SCALE = """
#include <metal_stdlib>
using namespace metal;
kernel void scale(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] *= 2; }
// %s
"""


def source_of(request):
    """A source that no other test compiles, nor an earlier run, which may have left it on disk."""
    if not hasattr(request.node, "metal_source"):
        request.node.metal_source = SCALE % f"{request.node.name} {uuid.uuid4()}"
    return request.node.metal_source


def works(source):
    x = torch.ones(4, device="mps")
    helion_msl.launch(source, (x,), 4, 1)
    helion_msl.synchronize("mps")
    return x.tolist() == [2.0] * 4


def run_program(text, **environment):
    """Runs a program that begins on the double, and returns what it printed."""
    program = "from metal_double import session\nimport helion_msl, torch\n" + textwrap.dedent(text)
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | environment, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_diagnostics_come_with_the_lines_they_name(request):
    report = "program_source:4:76: error: use of undeclared identifier 'z'"
    double.stage("compile_error", report)
    with pytest.raises(helion_msl.MetalCompileError) as caught:
        helion_msl.compile(source_of(request), device="mps")
    assert report in str(caught.value)
    assert "x[i] *= 2" in str(caught.value)
    assert works(source_of(request))


def test_warnings_do_not_stop_a_compile(request):
    double.stage("compile_warning", "program_source:4:1: warning: unused variable 'y'")
    assert works(source_of(request))


def test_errors_come_with_the_warnings_beside_them(request):
    report = "program_source:3:1: warning: unused variable 'y'\nprogram_source:4:76: error: no 'z'\n1 error generated."
    double.stage("compile_error", report)
    with pytest.raises(helion_msl.MetalCompileError) as caught:
        helion_msl.compile(source_of(request), device="mps")
    assert all(line in str(caught.value) for line in report.splitlines())
    assert works(source_of(request))


def test_a_pipeline_that_cannot_be_made(request):
    # Once for the archive's own attempt, which may fail, and once for the pipeline.
    double.stage("pipeline_error", "Compiler encountered an internal error")
    with pytest.raises(helion_msl.MetalCompileError, match=r"scale.*Compiler encountered an internal error"):
        helion_msl.compile(source_of(request), device="mps")
    assert works(source_of(request))


def test_an_exception_of_metal_while_compiling_becomes_pythons(request):
    double.stage("exception", "the compiler service is gone")
    with pytest.raises(helion_msl.MetalCompileError, match="the compiler service is gone"):
        helion_msl.compile(source_of(request), device="mps")
    assert works(source_of(request))


def test_an_exception_of_metal_while_encoding_becomes_pythons(request):
    assert works(source_of(request))
    double.stage("launch_exception", "the encoder is gone")
    with pytest.raises(helion_msl.LaunchError, match="the encoder is gone"):
        works(source_of(request))
    assert works(source_of(request))


def test_an_object_that_is_no_exception_may_be_thrown_too(request):
    assert works(source_of(request))
    double.stage("launch_object", "the encoder is gone")
    with pytest.raises(helion_msl.LaunchError, match=r"launching a kernel: Metal raised an object of class \w*String"):
        works(source_of(request))
    assert works(source_of(request))


def test_a_call_from_torchs_own_queue_is_refused(request, asynchronous):
    """dispatch_sync on the queue that runs the caller ends the process."""
    x = torch.ones(4, device="mps")
    kernel = helion_msl.compile(source_of(request), device="mps")
    refused = {
        "launching a kernel": lambda: kernel((x,), 4, 1),
        "committing": lambda: helion_msl.commit("mps"),
        "waiting for the GPU": lambda: helion_msl.synchronize("mps"),
    }
    for doing, call in refused.items():
        with pytest.raises(helion_msl.LaunchError, match=f"^{doing}: called from a block on torch's own MPS queue"):
            double.on_queue(call)
    kernel((x,), 4, 1)
    helion_msl.synchronize("mps")
    assert x.tolist() == [2.0] * 4


@pytest.mark.parametrize(
    ("failure", "reason"),
    [("no_command_buffer", "torch's MPS stream has no command buffer"), ("no_encoder", "has no command encoder")],
)
def test_a_stream_without_a_buffer_or_an_encoder(request, failure, reason):
    assert works(source_of(request))
    double.stage(failure, "none")
    x = torch.ones(4, device="mps")
    with pytest.raises(helion_msl.LaunchError, match=reason):
        helion_msl.launch(source_of(request), (x,), 4, 1)
    helion_msl.synchronize("mps")
    assert x.tolist() == [1.0] * 4
    assert works(source_of(request))


@pytest.mark.parametrize("failure", ["archive_error", "archive_write_error"])
def test_an_archive_that_cannot_be_filled_costs_no_correctness(request, failure):
    double.stage(failure, "No space left on device")
    assert works(source_of(request))


def test_a_pipeline_without_reflection_is_refused(request):
    double.stage("no_reflection", "none")
    with pytest.raises(helion_msl.MetalCompileError, match="does not tell which arguments kernel scale has"):
        helion_msl.compile(source_of(request), device="mps")
    assert works(source_of(request))


CODES = {2: "timeout", 3: "page fault", 8: "out of memory", 9: "invalid resource", 4: "access revoked"}


@pytest.mark.parametrize("code", CODES, ids=CODES.get)
def test_a_failed_command_buffer_raises_once_with_kernels_and_reason(request, asynchronous, code):
    x = torch.ones(4, device="mps")
    helion_msl.launch(source_of(request), (x,), 4, 1)
    double.stage_command_buffer_error(code, "Caused GPU Hang Error (IOGPUCommandBufferCallbackErrorHang)")
    with pytest.raises(helion_msl.KernelError) as caught:
        helion_msl.synchronize("mps")
    assert "1 launch of scale" in str(caught.value)
    assert "Caused GPU Hang Error" in str(caught.value)
    helion_msl.synchronize("mps")
    assert works(source_of(request))


ADVICE = {2: "a loop that does not end", 3: "outside its buffers", 8: "free tensors", 9: "was gone when it ran"}


@pytest.mark.parametrize("code", ADVICE)
def test_a_failure_comes_with_advice(request, asynchronous, code):
    helion_msl.launch(source_of(request), (torch.ones(4, device="mps"),), 4, 1)
    double.stage_command_buffer_error(code, "it failed")
    with pytest.raises(helion_msl.KernelError, match=ADVICE[code]):
        helion_msl.synchronize("mps")


def test_codes_of_other_domains_mean_something_else(request, asynchronous):
    helion_msl.launch(source_of(request), (torch.ones(4, device="mps"),), 4, 1)
    double.stage("command_buffer_domain", "IOGPUErrorDomain")
    double.stage_command_buffer_error(3, "it failed")
    with pytest.raises(helion_msl.KernelError, match=r"it failed \(IOGPUErrorDomain 3\)$"):
        helion_msl.synchronize("mps")


def test_an_exception_of_metal_in_the_completion_handler_is_a_failure(request, asynchronous):
    """Uncaught, it would end the process, on a thread of Metal's."""
    helion_msl.launch(source_of(request), (torch.ones(4, device="mps"),), 4, 1)
    double.stage_command_buffer_error(3, "page fault")
    double.stage("error_exception", "the driver is gone")
    with pytest.raises(helion_msl.KernelError, match=r"1 launch of scale may have failed .*the driver is gone"):
        helion_msl.synchronize("mps")
    assert works(source_of(request))


def test_a_failure_is_raised_by_the_next_launch_too(request, asynchronous):
    x = torch.ones(4, device="mps")
    helion_msl.launch(source_of(request), (x,), 4, 1)
    double.stage_command_buffer_error(3, "page fault")
    double.torch_synchronize()
    with pytest.raises(helion_msl.KernelError, match="page fault"):
        helion_msl.launch(source_of(request), (x,), 4, 1)
    helion_msl.synchronize("mps")
    assert x.tolist() == [1.0] * 4  # neither the failed launch nor the refused one
    assert works(source_of(request))


def test_a_failure_names_the_kernels_of_its_buffer_and_no_others(asynchronous):
    x = torch.ones(4, device="mps")
    named = [HEADER + f"kernel void k{i}(device float *x [[buffer(0)]]) {{ x[0] += 1; }}" for i in range(18)]
    helion_msl.launch(named[17], (x,), 1, 1)
    helion_msl.commit("mps")
    for source in [*named[:3], named[0]]:
        helion_msl.launch(source, (x,), 1, 1)
    double.wait_for_gpu()
    double.stage_command_buffer_error(3, "page fault")
    with pytest.raises(helion_msl.KernelError, match=r"^4 launches of k0, k1, k2 failed on the GPU"):
        helion_msl.synchronize("mps")
    for source in named:
        helion_msl.launch(source, (x,), 1, 1)
    double.stage_command_buffer_error(3, "page fault")
    with pytest.raises(helion_msl.KernelError, match=r"18 launches of k0, .*, k15 and other kernels failed"):
        helion_msl.synchronize("mps")


def test_after_a_fault_the_first_failures_are_listed_and_the_others_counted(request, asynchronous):
    x = torch.ones(4, device="mps")
    with double.gpu_held():
        for _ in range(6):
            helion_msl.launch(source_of(request), (x,), 4, 1)
            helion_msl.commit("mps")
        double.stage_command_buffer_error(4, "access revoked", times=6)
    with pytest.raises(helion_msl.KernelError) as caught:
        helion_msl.synchronize("mps")
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert all("1 launch of scale failed" in line for line in lines[:4])
    assert lines[4] == "and 2 more command buffers failed after these"
    helion_msl.synchronize("mps")


def test_a_failure_of_a_buffer_without_launches_is_not_ours(asynchronous):
    x = torch.ones(4, device="mps")
    double.torch_add(x, 1.0)
    double.stage_command_buffer_error(3, "page fault")
    double.torch_synchronize()
    helion_msl.synchronize("mps")


def test_two_threads_that_want_the_same_kernel_compile_it_once(request):
    source = source_of(request)
    barrier = threading.Barrier(4)
    kernels = []

    def work():
        barrier.wait()
        kernels.append(helion_msl.compile(source, device="mps"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    with double.counting("libraries_compiled") as counts:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(kernels) == 4
    assert counts == {"libraries_compiled": 1}


def test_python_and_other_kernels_go_on_while_one_compiles(request):
    """A compile holds neither the GIL nor the lock of the cache."""
    ready = HEADER + "kernel void ready(device float *x [[buffer(0)]]) { x[0] = 3; }"
    x = torch.ones(1, device="mps")
    helion_msl.launch(ready, (x,), 1, 1)
    compiled = []
    with double.compiler_held():
        before = double.counter("libraries_compiled")
        thread = threading.Thread(
            target=lambda: compiled.append(helion_msl.compile(source_of(request), device="mps")), daemon=True
        )
        thread.start()
        while double.counter("libraries_compiled") == before:
            time.sleep(0.001)
        x.zero_()
        helion_msl.launch(ready, (x,), 1, 1)
        helion_msl.compile(ready, device="mps")
        helion_msl.synchronize("mps")
        helion_msl.cache_info()
        assert compiled == []
    thread.join()
    assert x.item() == 3
    assert compiled[0].name == "scale"


ARCHIVED = """
    double = session.start()
    x = torch.ones(4, device="mps")
    with double.counting("pipelines_compiled", "pipelines_from_archives") as counts:
        helion_msl.launch("kernel void f(device float *x [[buffer(0)]]) { x[0] = 5; }", (x,), 1, 1)
    assert x.tolist() == [5, 1, 1, 1]
    assert double.take_violations() == []
    print(counts["pipelines_compiled"], counts["pipelines_from_archives"])
"""


def files_below(directory):
    return [path for path in Path(directory).rglob("*") if path.is_file()]


@pytest.mark.slow
def test_a_second_process_takes_the_pipeline_from_the_archive(tmp_path):
    cache = {"HELION_MSL_CACHE_DIR": str(tmp_path)}
    assert run_program(ARCHIVED, **cache).split()[0] == "1"
    assert run_program(ARCHIVED, **cache) == "0 1\n"


@pytest.mark.slow
def test_an_archived_pipeline_without_reflection_is_built_again(tmp_path):
    cache = {"HELION_MSL_CACHE_DIR": str(tmp_path)}
    run_program(ARCHIVED, **cache)
    staged = ARCHIVED.replace("    x = torch", '    double.stage("no_reflection", "none")\n    x = torch')
    assert run_program(staged, **cache).split()[0] == "1"
    assert run_program(ARCHIVED, **cache) == "0 1\n"


@pytest.mark.slow
@pytest.mark.parametrize(("validation", "second_run"), [("1", "1 0\n"), ("0", "0 1\n")])
def test_nothing_is_stored_under_shader_validation(tmp_path, validation, second_run):
    """Pipelines hold the checks then, and variables that differ by macOS say which."""
    environment = {"HELION_MSL_CACHE_DIR": str(tmp_path), "MTL_SHADER_VALIDATION": validation}
    run_program(ARCHIVED, **environment)
    assert run_program(ARCHIVED, **environment) == second_run


@pytest.mark.slow
def test_a_paravirtual_gpu_has_no_archives(tmp_path):
    program = ARCHIVED.replace("session.start()\n", "session.start()\n    double.set_machine(is_paravirtual=True)\n", 1)
    for _ in range(2):
        assert run_program(program, HELION_MSL_CACHE_DIR=str(tmp_path)) == "1 0\n"
    assert not any(b"metal double archive" in path.read_bytes() for path in files_below(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["emptied", "overwritten", "cut short"])
def test_a_damaged_archive_is_built_again(tmp_path, damage):
    cache = {"HELION_MSL_CACHE_DIR": str(tmp_path)}
    run_program(ARCHIVED, **cache)
    archives = [path for path in files_below(tmp_path) if b"metal double archive" in path.read_bytes()]
    assert archives
    for path in archives:
        path.write_bytes(path.read_bytes()[:-9] if damage is None else damage)
    assert run_program(ARCHIVED, **cache).split()[0] == "1"
    assert run_program(ARCHIVED, **cache) == "0 1\n"


UNAVAILABLE = """
    double = session.start()
    double.set_machine(%s)
    try:
        helion_msl.engine_description("mps")
    except helion_msl.EngineUnavailableError as error:
        print(error)
    double.set_machine()
    print(helion_msl.engine_description("mps"))  # asked again, and there
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        ("has_device=False", "Metal finds no GPU in this session"),
        ("torch_has_mps=False, macos=13", "torch's MPS needs macOS 14"),
        ("torch_has_mps=False", "torch has no MPS device"),
    ],
)
def test_a_machine_without_a_gpu_says_what_is_missing(machine, reason):
    refusal, description = run_program(UNAVAILABLE % machine).splitlines()
    assert reason in refusal
    assert description.startswith("metal: Apple M3 (double), MSL ")


@pytest.mark.slow
def test_a_forked_process_is_refused_the_gpu_of_its_parent():
    program = """
    import os, signal
    double = session.start()
    source, x = "kernel void f(device float *x [[buffer(0)]]) { x[0] += 1; }", torch.ones(1, device="mps")
    kernel = helion_msl.compile(source, device="mps")
    kernel((x,), 1, 1)
    calls = [
        lambda: kernel((x,), 1, 1),
        lambda: helion_msl.launch(source, (x,), 1, 1),
        lambda: helion_msl.compile(source + "// another", device="mps"),
        lambda: helion_msl.commit("mps"),
        lambda: helion_msl.synchronize("mps"),
        lambda: helion_msl.device_info("mps"),
    ]
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # what is not refused may wait for ever
        refusals = 0
        for call in calls:
            try:
                call()
            except helion_msl.EngineUnavailableError as refusal:
                refusals += "spawn" in str(refusal)
        os._exit(refusals)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(calls))
    kernel((x,), 1, 1)
    helion_msl.synchronize("mps")
    print(x.item(), double.take_violations())
    """
    assert run_program(program).splitlines() == ["6 6", "3.0 []"]


@pytest.mark.slow
def test_a_gpu_without_memory_for_the_engine_is_asked_again_later():
    program = """
    double = session.start()
    double.stage("no_memory", "all of it is in use")
    try:
        helion_msl.engine_description("mps")
    except helion_msl.EngineUnavailableError as error:
        print(error)
    print(helion_msl.engine_description("mps"))
    """
    refusal, description = run_program(program).splitlines()
    assert refusal == "torch's MPS stream has no usable Metal device"
    assert description.startswith("metal: ")


POLICY = """
    double = session.start()
    double.set_eager(False)
    x = torch.zeros(1, device="mps")
    add = helion_msl.compile("kernel void f(device float *x [[buffer(0)]]) { x[0] += 1; }", device="mps")
    with double.counting("command_buffers_committed") as counts:
        for _ in range(200):
            add((x,), 1, 1)
    helion_msl.synchronize("mps")
    print(counts["command_buffers_committed"], x.item(), double.take_violations())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("commit_every", "commits"), [("", 3), ("0", 0), ("1", 200), ("7", 28)])
def test_the_environment_says_after_how_many_launches_to_commit(commit_every, commits):
    assert run_program(POLICY, HELION_MSL_COMMIT_EVERY=commit_every) == f"{commits} 200.0 []\n"


@pytest.mark.slow
@pytest.mark.parametrize("commit_every", ["-1", "many", "64 launches", "4294967296"])
def test_a_number_of_launches_that_is_none_is_refused(commit_every):
    program = """
    double = session.start()
    try:
        helion_msl.engine_description("mps")
    except helion_msl.EngineUnavailableError as error:
        print(error)
    """
    assert f'HELION_MSL_COMMIT_EVERY is "{commit_every}"' in run_program(program, HELION_MSL_COMMIT_EVERY=commit_every)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machine", "description"),
    [
        ("macos=14", "metal: Apple M3 (double), MSL 3.1"),
        ("macos=15", "metal: Apple M3 (double), MSL 3.2"),
        ("macos=26", "metal: Apple M3 (double), MSL 4.0"),
        ("is_paravirtual=True", "metal: Apple Paravirtual device, MSL 3.2"),
    ],
)
def test_every_macos_compiles_the_newest_language_it_has(machine, description):
    program = f"""
    double = session.start()
    double.set_machine({machine})
    print(helion_msl.engine_description("mps"))
    x = torch.ones(2, device="mps")
    for math_mode in ("safe", "fast"):
        source = "kernel void f(device float *x [[buffer(0)]]) {{ x[0] += 1; }}"
        helion_msl.compile(source, device="mps", math_mode=math_mode)((x,), 1, 1)
    print(x.tolist(), double.take_violations())
    """
    assert run_program(program).splitlines() == [description, "[3.0, 1.0] []"]
