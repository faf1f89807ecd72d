"""Properties of the rewriting of MSL, over generated texts: what it must leave alone, and what it must always find."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from helion_msl import MetalCompileError, UnknownKernelError
from helion_msl._C import _rewrite_msl

# Words that are rewritten or refused as code, and mean nothing in comments and literals.
TRAPS = ["threadgroup float t[2];", "double", "1.0h", "kernel void g()", "return;", "#line 3", "é≥"]
TRAPS += ["{", "}", "(", ")", "[[", ">>"]

text = st.lists(st.sampled_from([*TRAPS, "a", " ", "/", "*", "'", '"', "\\"]), max_size=6).map("".join)
line_comment = text.map(lambda t: "//" + t.replace("\\", "") + "\n")
block_comment = text.map(lambda t: "/*" + t.replace("*/", "") + "\n*/").filter(lambda t: t.find("*/") == len(t) - 2)
string = text.map(lambda t: '"' + t.replace("\\", "\\\\").replace('"', '\\"') + '"')
raw_string = text.map(lambda t: 'R"x(' + t.replace(')x"', "") + '\n)x"')
character = st.sampled_from(["'a'", "'\\''", "'\"'", "'{'", "'\\\\'", "u8'x'"])
number = st.sampled_from(["0", "1'000", "0x1bf", "1.5f", "1e+3", "0b1", "3ul", ".5", "0x1p-3f"])
word = st.sampled_from(["a", "returning", "threadgroup_size", "kernels", "x_double", "L", "R", "u8"])
operator = st.sampled_from(["+", "> >", "<", "->", "::", "&&", ",", "=", ">=", "|=", "?", ":"])
leaf = st.one_of(line_comment, block_comment, string, raw_string, character, number, word, operator)


def bracketed(inner):
    return st.tuples(st.sampled_from(["()", "[]", "{}"]), st.lists(inner, max_size=4)).map(
        lambda pair: pair[0][0] + " ".join(pair[1]) + pair[0][1]
    )


inert = st.lists(st.one_of(leaf, st.recursive(leaf, bracketed, max_leaves=8)), max_size=10).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(inert)
def test_text_that_needs_no_rewriting_is_left_alone(body):
    source = f"kernel void f() {{{body}\n}}\n"
    rewritten = _rewrite_msl(source)
    assert rewritten.count("\n") == source.count("\n")
    begin = rewritten.index("{") + 1
    assert rewritten[begin : begin + len(body)] == body
    assert rewritten[begin + len(body) :].startswith("\nreturn helion_host::finished; }")


SOURCE = """
template < typename T , int n > [[ kernel ]] void f ( device T * x [[ buffer ( 0 ) ]] , uint i
[[ thread_position_in_grid ]] ) { threadgroup T a [ n ] , b ; const threadgroup T * p = a ; alignas ( 16 )
threadgroup vec < T , 4 > c [ 2 ] [ n + 1 ] ; if ( i > 3 ) { threadgroup T d ; return ; }
x [ i ] = p [ 0 ] + 1.5h ; return ; }
template [[ host_name ( "g" ) ]] [[ kernel ]] decltype ( f < float , 4 > ) f < float , 4 > ;
"""
TOKENS = SOURCE.split()
separator = st.sampled_from([" ", "\n", "\t", " /* threadgroup double */ ", " // }\n", "\\\n", "\r\n", "/**/", "\n\n"])
pieces = st.one_of(st.sampled_from([*TOKENS, *TRAPS, '"', "'", "/*", "\\", "\n"]), st.text(max_size=3))


@settings(max_examples=200, deadline=None)
@given(st.lists(separator, min_size=len(TOKENS), max_size=len(TOKENS)))
def test_constructs_are_found_however_they_are_spaced(separators):
    source = "".join(token + space for token, space in zip(TOKENS, separators, strict=True))
    rewritten = _rewrite_msl(source)
    assert rewritten.count("\n") == source.count("\n")
    assert rewritten.count("static thread_local") == 3
    assert re.findall(r"HELION_HOST_THREADGROUP_VARIABLE\((\w+), f<T, n>\)", rewritten) == ["a", "b", "c", "d"]
    assert rewritten.count("helion_host::left") == 1
    # The return at the end, and the end itself.
    assert rewritten.count("helion_host::finished") == 2
    assert "1.5f16" in rewritten
    assert '::describe("g")' in rewritten


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=30).map(" ".join))
def test_any_text_is_rewritten_or_refused(source):
    try:
        rewritten = _rewrite_msl(source.replace("\0", ""))
    except (MetalCompileError, UnknownKernelError):
        return
    assert rewritten.count("\n") == source.count("\n")
