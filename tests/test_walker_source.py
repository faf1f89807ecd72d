"""The text of a function, found without Python's tokenizer, is the one that ``inspect`` finds."""

# ruff: noqa: PIE790 - the layouts that are tested

from __future__ import annotations

import ast
import functools
import inspect
import textwrap

import pytest

from helion_msl import language as ml
from helion_msl._walker.source import source_of_function
from helion_msl.walker import SCALAR_TYPES, TensorType, translate


def decorated(*_: object):
    return lambda function: function


@decorated(
    1,
    2,
)
def with_decorator(
    x,
    out,
) -> None:
    # A comment.
    out[0] = (
        x[0]
        + 1
)  # fmt: skip


def one_line(x): pass  # fmt: skip


def only_text():
    """Text
in two lines."""  # fmt: skip


# fmt: off
def ends_in_dead_code(x, out):
    out[0] = x[0]
    if False:
        out[1] = 3
# A comment to the left of the body.
    pass
# fmt: on
# A comment after it.


def ends_in_a_string(x, out):
    out[0] = x[0]
    """
left of everything
"""  # fmt: skip


def has_inner():
    def inner(x):
        return x

    pass
    return


@functools.wraps(one_line)
def wrapper():
    return 1


def enclosed():
    """Functions that stand further to the right."""

    def text_at_the_margin(x, out):
        """Documentation
that starts at the left.
        """  # fmt: skip
        out[0] = x[0]

    def plain(x, out):
        if x[0] > 0:
            out[0] = 1

        # The end.

    return text_at_the_margin, plain


@pytest.mark.parametrize(
    "function",
    [with_decorator, one_line, only_text, ends_in_dead_code, ends_in_a_string, has_inner, wrapper, enclosed],
    ids=lambda function: function.__code__.co_name,
)
def test_the_function_is_the_one_that_inspect_finds(function) -> None:
    expected = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    found = source_of_function(function)
    assert ast.dump(found.definition) == ast.dump(expected)
    assert found.line(found.definition) == inspect.unwrap(function).__code__.co_firstlineno + len(
        inspect.getsource(function).split("def ")[0].splitlines()
    )


def test_text_inside_of_a_function_may_stand_to_the_left_of_it() -> None:
    types = {name: TensorType(SCALAR_TYPES["float32"], 1) for name in ("x", "out")}
    for function in enclosed():
        source = source_of_function(function)
        assert source.definition.name == function.__name__
        line = function.__code__.co_firstlineno
        assert source.line(source.definition) == line
        last = source.definition.body[-1]
        assert source.lines[last.lineno - 1].strip() == ast.unparse(last).splitlines()[0]
        assert "out[0] = " in translate(function, types).msl


def test_errors_in_an_indented_function_point_at_their_column() -> None:
    def kernel(out):
        """Text
at the left."""  # fmt: skip
        out[0] = ml.missing

    with pytest.raises(Exception, match="`missing`") as raised:
        translate(kernel, {"out": TensorType(SCALAR_TYPES["float32"], 1)})
    error = raised.value
    assert error.line == kernel.__code__.co_firstlineno + 3
    assert error.source_line[error.column - 1 :] == "ml.missing"
