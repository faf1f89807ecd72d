"""``#include <c10/metal/...>`` for Metal's run-time compiler, which has no include path: against a real preprocessor.

What the expansion makes of a source has to be, to a preprocessor without an include path, what the source is to one
that has it: the same words, with the same ``__LINE__`` and ``__FILE__``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
NAME = "program_source"


def find_compiler() -> list[str]:
    for name in ("c++", "clang++", "g++"):
        if path := shutil.which(name):
            return [path]
    pytest.importorskip("ziglang", reason="needs a C++ compiler")
    return [sys.executable, "-m", "ziglang", "c++"]


@pytest.fixture(scope="module")
def compiler():
    return find_compiler()


@pytest.fixture(scope="module")
def program(compiler, tmp_path_factory):
    path = tmp_path_factory.mktemp("expansion") / "include_expansion"
    sources = [ROOT / "src/metal_includes.cpp", ROOT / "tests/include_expansion.cpp"]
    subprocess.run([*compiler, "-std=c++20", "-Wall", "-Wextra", f"-I{ROOT / 'src'}", *sources, "-o", path], check=True)
    return path


class Expansion:
    """Headers below a directory, and what becomes of a source that includes them."""

    def __init__(self, program: Path, compiler: list[str], directory: Path) -> None:
        self._program = program
        self._compiler = compiler
        self._directory = directory
        (directory / "c10/metal").mkdir(parents=True, exist_ok=True)

    def write(self, name: str, text: str) -> None:
        (self._directory / "c10/metal" / name).write_bytes(text.encode())

    def expand(self, source: str) -> str:
        command = [self._program, self._directory, NAME]
        return subprocess.run(command, input=source.encode(), capture_output=True, check=True).stdout.decode()

    def _words(self, text: str, *options: str) -> list[str]:
        # -P leaves out line markers; file names are compared without the directory.
        command = [*self._compiler, "-E", "-P", "-x", "c++", "-w", *options, "-"]
        result = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout.decode().replace(f"{self._directory}/", "").split()

    def check(self, source: str) -> list[str]:
        """Return the words of the expanded source, after comparing them with the original's."""
        named = f'#line 1 "{NAME}"\n'
        expected = self._words(named + source, f"-I{self._directory}")
        assert self._words(named + self.expand(source)) == expected
        return expected


@pytest.fixture
def expansion(program, compiler, tmp_path):
    return Expansion(program, compiler, tmp_path)


HERE = "__FILE__ __LINE__"


def test_a_header_is_put_in_place_and_lines_keep_their_numbers(expansion):
    expansion.write("a.h", f"#pragma once\n\nin_a {HERE}\n")
    words = expansion.check(f"first {HERE}\n#include <c10/metal/a.h>\nlast {HERE}\n")
    assert words == ["first", f'"{NAME}"', "1", "in_a", '"c10/metal/a.h"', "3", "last", f'"{NAME}"', "3"]


def test_headers_include_each_other(expansion):
    expansion.write("a.h", f"#pragma once\n#include <c10/metal/b.h>\nin_a {HERE}\n")
    expansion.write("b.h", f'#pragma once\n#include "c10/metal/c.h"\nin_b {HERE}\n')
    expansion.write("c.h", f"#pragma once\nin_c {HERE}\n")
    words = expansion.check(f"#include <c10/metal/a.h>\n#include <c10/metal/c.h>\nlast {HERE}\n")
    assert [word for word in words if word.startswith(("in_", "last"))] == ["in_c", "in_b", "in_a", "last"]


def test_a_header_comes_once(expansion):
    expansion.write("a.h", "#pragma once\nin_a\n")
    assert expansion.check("#include <c10/metal/a.h>\n" * 3).count("in_a") == 1


def test_headers_may_include_themselves_and_each_other_in_circles(expansion):
    expansion.write("a.h", f"#pragma once\n#include <c10/metal/a.h>\n#include <c10/metal/b.h>\nin_a {HERE}\n")
    expansion.write("b.h", f"#pragma once\n#include <c10/metal/a.h>\nin_b {HERE}\n")
    words = expansion.check(f"#include <c10/metal/a.h>\n#include <c10/metal/b.h>\nlast {HERE}\n")
    assert (words.count("in_a"), words.count("in_b")) == (1, 1)


@pytest.mark.parametrize("is_on", [0, 1])
def test_a_header_under_a_condition_may_be_needed_again(expansion, is_on):
    expansion.write("a.h", f"#pragma once\nin_a {HERE}\n")
    source = f"#if {is_on}\n  #  include <c10/metal/a.h>\nyes {HERE}\n#else\nno\n#endif\n#include <c10/metal/a.h>\n"
    assert expansion.check(source + f"last {HERE}\n").count("in_a") == 1


@pytest.mark.parametrize("condition", ["0", "1", "0 /* goes\non */"])
@pytest.mark.parametrize(
    "branch", ["#else", "#else /* goes\n on */ here", "# elif 1", "#endif\n#if 1", "#if 1\n#endif\n#else"]
)
def test_lines_keep_their_numbers_behind_a_branch_that_includes(expansion, condition, branch):
    expansion.write("a.h", f"#pragma once\n\n\nin_a {HERE}\n#if 0\n#include <c10/metal/b.h>\n#endif\nend_a {HERE}\n")
    expansion.write("b.h", f"#pragma once\n\nin_b {HERE}\n")
    expansion.check(
        f"#if {condition}\n#include <c10/metal/a.h>\n{branch}\nfirst {HERE}\n#endif\nlast {HERE}\n"
        f"#include <c10/metal/a.h>\nend {HERE}\n"
    )


def test_a_header_with_a_guard_of_its_own(expansion):
    expansion.write("a.h", f"#ifndef A_H\n#define A_H\n#include <c10/metal/b.h>\nin_a {HERE}\n#endif\n")
    expansion.write("b.h", f"#ifndef B_H\n#define B_H\nin_b {HERE}\n#endif")
    words = expansion.check(f"#include <c10/metal/a.h>\n#include <c10/metal/b.h>\nlast {HERE}\n")
    assert (words.count("in_a"), words.count("in_b")) == (1, 1)


def test_a_header_of_the_engines_host_alone_stays_where_it_is(expansion):
    expansion.write("a.h", "#pragma once\n#if defined(NEVER)\n#include <c10/util/Half.h>\n#endif\nin_a\n")
    source = "#include <metal_stdlib>\n#include <c10/metal/a.h>\n"
    expanded = expansion.expand(source)
    assert expanded.startswith("#include <metal_stdlib>\n")
    assert "#include <c10/util/Half.h>" in expanded


@pytest.mark.parametrize(
    "path", ["c10/metal/none.h", "c10/metal", "c10/metal/", "c10/metal/../metal/a.h", "/c10/metal/a.h", "a.h"]
)
def test_what_is_no_header_stays_for_metals_own_message(expansion, path):
    expansion.write("a.h", "in_a\n")
    source = f"one\n#include <{path}>\nthree\n"
    assert expansion.expand(source) == source


@pytest.mark.parametrize("source", ["", "\n", "no directive", "#include", "#include <", "#include <c10/metal/a.h", "#"])
def test_what_is_no_directive_stays(expansion, source):
    expansion.write("a.h", "in_a\n")
    assert expansion.expand(source) == source


def test_lines_may_end_in_carriage_returns(expansion):
    expansion.write("a.h", f"#pragma once\r\n/* a\r\ncomment */\r\nin_a {HERE}\r\n")
    words = expansion.check(f"first {HERE}\r\n#include <c10/metal/a.h>\r\nlast {HERE}\r\n")
    assert words[-2:] == [f'"{NAME}"', "3"]


@pytest.mark.parametrize(
    "text",
    [
        '"#include <c10/metal/a.h>"',
        "// #include <c10/metal/a.h>",
        "/* #include <c10/metal/a.h> */",
        "/*\n#include <c10/metal/a.h>\n*/",
        '/* "\n#include <c10/metal/a.h>\n*/ "quote"',
        "'\"' /*\n#include <c10/metal/a.h>\n*/ '\\''",
        '"/*"\nreal\n"*/"',
        "// /*\nreal",
        "// goes on \\\n#include <c10/metal/a.h>",
        "// goes on \\\r\n#include <c10/metal/a.h>",
        "#define M one \\\n two\nM",
        "int x = 3; #include <c10/metal/a.h>",
    ],
)
def test_directives_in_comments_and_texts_are_none(expansion, text):
    expansion.write("a.h", "#pragma once\nin_a\n")
    words = expansion.check(f"{text}\nlast {HERE}\n")
    assert "in_a" not in words


@pytest.mark.parametrize(
    "tail",
    ["// a comment", "/* a comment */", "/* it goes\non */", "/* it goes\n#include <c10/metal/b.h>\non */ more", " "],
)
def test_a_comment_may_follow_the_name(expansion, tail):
    expansion.write("a.h", f"#pragma once\nin_a {HERE}\n")
    expansion.write("b.h", "#pragma once\nin_b\n")
    words = expansion.check(
        f"#include <c10/metal/a.h> {tail}\nlast {HERE}\n#include <c10/metal/a.h> {tail}\nend {HERE}\n"
    )
    assert words.count("in_a") == 1
    assert "in_b" not in words


def test_a_directive_may_go_on_in_the_next_line(expansion):
    expansion.write("a.h", f"#pragma once\n#define TWO \\\n  2\nin_a {HERE}\n")
    words = expansion.check(f"#define ONE \\\n 1\n#include <c10/metal/a.h>\nlast ONE TWO {HERE}\n")
    assert words[-5:] == ["last", "1", "2", f'"{NAME}"', "4"]


def test_without_a_directory_nothing_is_expanded(program):
    source = "#include <c10/metal/utils.h>\n"
    result = subprocess.run([program, "", NAME], input=source.encode(), capture_output=True, check=True)
    assert result.stdout.decode() == source


HEADERS = ("a.h", "b.h", "c.h")
line = st.one_of(
    st.builds(lambda number: f"word_{number} {HERE}", st.integers(0, 99)),
    st.builds(lambda name: f"#include <c10/metal/{name}>", st.sampled_from(HEADERS)),
    st.builds(lambda name: f"#include <c10/metal/{name}> /* opens", st.sampled_from(HEADERS)),
    st.sampled_from(["", "closes */", "// /* not", "/* one line */", '"/*"', "/*", "*/ after", "// on \\", "'\"' x"]),
)
block = st.recursive(
    st.lists(line, max_size=5),
    lambda inner: st.builds(
        lambda is_on, yes, no: [f"#if {is_on}", *yes, "#else", *no, "#endif"], st.integers(0, 1), inner, inner
    ),
    max_leaves=4,
)


def closed(lines: list[str]) -> str:
    """``lines`` as a text that no comment leaves open, so that preprocessors have nothing to refuse."""
    return "\n".join([*lines, "/* */", "end"]) + "\n"


def is_preprocessable(expansion: Expansion, text: str) -> bool:
    try:
        expansion._words(text, f"-I{expansion._directory}")
    except AssertionError:
        return False
    return True


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(source=st.lists(block, max_size=4), headers=st.tuples(block, block, block))
def test_any_tree_of_headers(expansion, source, headers):
    for name, lines in zip(HEADERS, headers, strict=True):
        # GCC takes files of one content for one file.
        expansion.write(name, f"#pragma once\n// {name}\n" + closed(lines))
    text = closed([line for lines in source for line in lines])
    texts = [text, *(f"#include <c10/metal/{name}>\n" for name in HEADERS)]
    if all(is_preprocessable(expansion, each) for each in texts):  # an #endif may have come into a comment
        expansion.check(text)
