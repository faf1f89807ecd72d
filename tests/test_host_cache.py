"""Compiled kernels on disk, for the CPU: who compiles, who finds, and what makes a kernel be compiled anew."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from helion_msl import _C, _toolchain

pytest.importorskip("numpy")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the host engine runs on Linux and macOS")

PROGRAM = """
import sys, numpy, helion_msl
out = numpy.zeros(1, dtype=numpy.int32)
helion_msl.compile(open(sys.argv[1]).read(), device="cpu", math_mode=sys.argv[2])([out], 1, 1)
print(out.item())
"""
SOURCE = "kernel void f(device int *out [[buffer(0)]]) { out[0] = 41 + 1; }"
WITH_HEADER = """
#include "{header}"
kernel void f(device int *out [[buffer(0)]]) {{ out[0] = ANSWER; }}
"""


class Machine:
    """A cache and a compiler that writes down what it is asked."""

    def __init__(self, directory):
        self.directory = directory
        self.cache = directory / "cache"
        self.log = directory / "log"
        self.clang = directory / "clang"
        toolchain = _toolchain.find_toolchain()
        quoted = " ".join(f"'{word}'" for word in toolchain.clang)
        linker = " ".join(f"'{word}'" for word in toolchain.linker)
        self.clang.write_text(
            f'#!/bin/sh\necho "$*" >> {self.log}\n'
            f'if [ "$1" = -shared ]; then shift; exec {linker} "$@"; fi\nexec {quoted} "$@"\n'
        )
        self.clang.chmod(0o700)

    def run(self, source=SOURCE, math_mode="safe", **environment):
        """Run a kernel in a new process; return its result and how often clang compiled and preprocessed."""
        file = self.directory / "kernel.metal"
        file.write_text(source)
        self.log.write_text("")
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(file), math_mode],
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "HELION_MSL_CACHE_DIR": str(self.cache),
                "HELION_MSL_CLANG": str(self.clang),
                **environment,
            },
        )
        assert result.returncode == 0, result.stderr
        calls = [line.split() for line in self.log.read_text().splitlines()]
        return int(result.stdout), sum("-c" in call for call in calls), sum("-E" in call for call in calls)

    def libraries(self):
        return sorted(self.cache.glob("host/*/data"))


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_second_process_compiles_nothing(machine):
    assert machine.run() == (42, 1, 0)
    assert machine.run() == (42, 0, 0)
    assert machine.run(math_mode="fast") == (42, 1, 0)
    assert machine.run(SOURCE.replace("41", "6")) == (7, 1, 0)
    assert machine.run() == (42, 0, 0)


def test_without_a_directory_every_process_compiles(machine):
    for _ in range(2):
        assert machine.run(HELION_MSL_CACHE_DIR="") == (42, 1, 0)
    assert not machine.cache.exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "no library"])
def test_damaged_library_is_compiled_again(machine, damage):
    machine.run()
    (library,) = machine.libraries()
    content = library.read_bytes()
    if damage == "no library":
        # With a checksum that is right: what the loader refuses goes too.
        key = library.with_name("key").read_bytes().split(b"\n", 1)[1]
        os.environ["HELION_MSL_CACHE_DIR"], before = str(machine.cache), os.environ["HELION_MSL_CACHE_DIR"]
        try:
            _C.disk_cache_remove("host", key)
            _C.disk_cache_store("host", key, b"not a shared object")
        finally:
            os.environ["HELION_MSL_CACHE_DIR"] = before
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        library.write_bytes({"cut": content[:middle], "flipped": flipped, "emptied": b""}[damage])
    assert machine.run() == (42, 1, 0)
    assert machine.run() == (42, 0, 0)


def test_requests_that_are_lost_or_wrong_cost_no_compile(machine):
    """A request is a short cut to an entry, which is found by its text too."""
    machine.run()
    (request,) = (machine.cache / "requests").iterdir()
    address = (request / "data").read_text()
    (library,) = machine.libraries()
    assert address.split()[0] == library.parent.name
    shutil.rmtree(request)
    assert machine.run() == (42, 0, 0)
    assert (request / "data").read_text() == address
    key = (request / "key").read_bytes().split(b"\n", 1)[1]
    os.environ["HELION_MSL_CACHE_DIR"], before = str(machine.cache), os.environ["HELION_MSL_CACHE_DIR"]
    try:
        for wrong in ("", "no address", "0" * 64 + address[64:], address[:-1] + "?", f"../{address}"):
            _C.disk_cache_remove("requests", key)
            _C.disk_cache_store("requests", key, wrong.encode())
            assert machine.run() == (42, 0, 0)
    finally:
        os.environ["HELION_MSL_CACHE_DIR"] = before


def test_compiler_that_was_replaced(machine):
    machine.run()
    machine.clang.write_text(machine.clang.read_text() + "# a newer one\n")
    assert machine.run() == (42, 1, 0)
    assert machine.run() == (42, 0, 0)


def test_preprocessed_source_is_found_while_its_headers_are_the_same(machine):
    header = machine.directory / "answer.h"
    header.write_text("#define ANSWER 5\n")
    os.utime(header, (1e9, 1e9))
    source = WITH_HEADER.format(header=header)
    assert machine.run(source) == (5, 1, 1)
    assert machine.run(source) == (5, 0, 0)
    header.write_text("#define ANSWER 6\n")
    os.utime(header, (1e9, 1e9))  # as old, and as long
    assert machine.run(source) == (6, 1, 1)
    assert machine.run(source) == (6, 0, 0)
    header.write_text("// a comment\n#define ANSWER 6\n")
    os.utime(header, (1e9, 1e9))
    # Preprocessed anew. The text is another one too, as its lines moved.
    assert machine.run(source)[2] == 1


def test_preprocessed_source_without_its_header(machine):
    header = machine.directory / "answer.h"
    header.write_text("#define ANSWER 5\n")
    os.utime(header, (1e9, 1e9))
    source = WITH_HEADER.format(header=header)
    machine.run(source)
    header.unlink()
    with pytest.raises(AssertionError, match=r"answer\.h"):
        machine.run(source)


@pytest.mark.parametrize(
    "line", ["#define ANSWER (sizeof(__TIME__) + 0)", '#if __has_include("/none")\n#endif\n#define ANSWER 9']
)
def test_what_the_preprocessor_may_answer_differently_is_not_kept(machine, line):
    source = f"{line}\nkernel void f(device int *out [[buffer(0)]]) {{ out[0] = ANSWER; }}"
    for _ in range(2):
        assert machine.run(source)[::2] == (9, 1)


def test_c10_header_is_preprocessed_once(machine):
    if not (Path(torch.__file__).parent / "include/c10/metal").is_dir():
        pytest.skip("this torch has no c10/metal headers")
    source = """
    #include <c10/metal/utils.h>
    kernel void f(device int *out [[buffer(0)]]) { out[0] = int(c10::metal::min(3.0f, 4.0f)); }
    """
    assert machine.run(source) == (3, 1, 1)
    assert machine.run(source) == (3, 0, 0)


def test_headers_of_the_package_are_part_of_the_key(tmp_path, monkeypatch):
    include = tmp_path / "include"
    code = textwrap.dedent("""
        import sys, numpy, helion_msl
        from helion_msl import _toolchain
        real = _toolchain._include_directories
        _toolchain._include_directories = lambda: [sys.argv[1], *real()[1:]]
        out = numpy.zeros(1, dtype=numpy.float32)
        helion_msl.launch("kernel void f(device float *out [[buffer(0)]]) { out[0] = M_PI_F; }", [out], 1, 1)
        print(out.item())
    """)
    shutil.copytree(_toolchain.find_toolchain().include_directories[0], include)

    def result():
        command = [sys.executable, "-c", code, str(include)]
        environment = {**os.environ, "HELION_MSL_CACHE_DIR": str(tmp_path / "cache")}
        found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert found.returncode == 0, found.stderr
        return float(found.stdout), len(list((tmp_path / "cache" / "host").iterdir()))

    assert result()[1] == 1
    assert result()[1] == 1
    header = include / "helion_host" / "constants.h"
    header.write_text(header.read_text() + "#undef M_PI_F\n#define M_PI_F 3.0f\n")
    assert result() == (3.0, 2)


def test_unwritable_directory_costs_time_only(machine):
    machine.cache.write_text("a file where the directory would be")
    for _ in range(2):
        assert machine.run() == (42, 1, 0)


def test_processes_that_compile_one_kernel_at_once(machine):
    file = machine.directory / "kernel.metal"
    file.write_text(SOURCE)
    environment = {**os.environ, "HELION_MSL_CACHE_DIR": str(machine.cache)}
    command = [sys.executable, "-c", PROGRAM, str(file), "safe"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    assert [process.communicate()[0] for process in processes] == ["42\n"] * 3
    assert len(machine.libraries()) == 1
    assert [path.name for path in (machine.cache / "host").iterdir() if path.name.startswith(".new-")] == []


def test_cleared_memory_finds_the_disk(tmp_path):
    code = """
        import os, glob, numpy, helion_msl
        text = "kernel void f(device int *out [[buffer(0)]]) { out[0] = 8; }"
        out = numpy.zeros(1, dtype=numpy.int32)
        def libraries():
            return glob.glob(os.environ["HELION_MSL_CACHE_DIR"] + "/host/*/data")
        helion_msl.launch(text, [out], 1, 1)
        (library,) = libraries()
        made = os.stat(library).st_ino
        for _ in range(3):
            helion_msl.clear_cache()
            out[:] = 0
            helion_msl.launch(text, [out], 1, 1)
            assert out.item() == 8
            assert [os.stat(path).st_ino for path in libraries()] == [made]
        child = os.fork()
        if child == 0:
            helion_msl.clear_cache()
            out[:] = 0
            helion_msl.launch(text, [out], 1, 1)
            helion_msl.launch(text.replace("8", "9"), [out], 1, 1)
            os._exit(out.item())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert len(libraries()) == 2
    """
    environment = {**os.environ, "HELION_MSL_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert found.returncode == 0, found.stderr
