"""Translations on disk: found again when all that the walker reads is the same, and not when one thing differs."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import itertools
import os
import subprocess
import sys
import textwrap

import pytest
import torch

import helion_msl
from helion_msl import _C, _outline_cache, _translation_cache, walker
from helion_msl._walker import source

KERNEL = """
import math
import types
import helion_msl.language as ml
from helion_msl import language
SCALE = 2
TABLE = (1, 2.5)
settings = types.SimpleNamespace(offset=3, values=[1])
def helper(value, more=1):
    return value * SCALE + more
def kernel(x, n: ml.constexpr):
    i = ml.tid[0]
    x[i] = {body}
"""


@pytest.fixture
def walked(tmp_path, monkeypatch):
    """How many translations the walker has made, in a cache of this test alone."""
    monkeypatch.setenv("HELION_MSL_CACHE_DIR", str(tmp_path / "cache"))
    calls = []

    original = walker.translate

    def translate(*args, **keywords):
        calls.append(args)
        return original(*args, **keywords)

    monkeypatch.setattr(walker, "translate", translate)
    return calls


def test_a_request_is_what_can_change_a_translation():
    """All parameters of `translate` but the two that `@metal_jit` leaves alone: none can be missing from the key."""
    parameters = set(inspect.signature(walker.translate).parameters)
    assert set(_translation_cache.Request._fields) == parameters - {"name", "line_directives"}


numbers = itertools.count()


@pytest.fixture
def load(tmp_path):
    """Imports a module from a file, anew each time; the file's name stays the same."""

    def load(body="x[i] * n", text=KERNEL):
        directory = tmp_path / f"module_{next(numbers)}"
        directory.mkdir()
        file = directory / "kernels.py"
        file.write_text(text.format(body=body))
        spec = importlib.util.spec_from_file_location("kernels", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


X = torch.ones(4)


def msl_of(module, x=X, n=5, block_dims=4):
    return helion_msl.metal_jit(module.kernel).msl(x, n, block_dims=block_dims)


@pytest.mark.parametrize(
    "body",
    [
        "x[i] * n",
        "x[i] * SCALE",
        "x[i] + TABLE[1]",
        "ml.exp(x[i]) + math.sqrt(x[i])",
        "language.exp(x[i]) if i < x.size(0) else language.inf",
        "x[i] + settings.offset",
        "helper(x[i])",
        "float(ml.simd_lane) + max(x[i], 1.0)",
        "ml.float16(x[i])",
    ],
)
def test_new_function_finds_what_an_equal_one_left(walked, load, body):
    first = msl_of(load(body))
    assert len(walked) == 1
    assert msl_of(load(body)) == first
    assert len(walked) == 1


def test_new_function_of_a_known_text_is_not_parsed(walked, load, monkeypatch):
    first = msl_of(load("helper(x[i]) * n"))

    def refuse(*_, **__):
        raise AssertionError("parsed")

    monkeypatch.setattr(source.ast, "parse", refuse)
    assert msl_of(load("helper(x[i]) * n")) == first
    with pytest.raises(AssertionError, match="parsed"):
        msl_of(load("helper(x[i]) - n"))


@pytest.mark.parametrize("stored", [b"", b"{}", b"[]", b"\xff", b'{"annotations": 1}', b'{"annotations": [[1]]}'])
def test_an_outline_that_says_something_else_is_made_again(walked, load, monkeypatch, stored):
    fake = {"disk_cache_find": staticmethod(lambda *_: stored), "disk_cache_store": staticmethod(lambda *_: None)}
    monkeypatch.setattr(_outline_cache, "_C", type("_C", (), fake))
    first = msl_of(load("helper(x[i]) * n"))
    assert msl_of(load("helper(x[i]) * n")) == first
    assert len(walked) == 1


def test_an_outline_has_all_names_that_a_body_reads():
    text = """
    def kernel(x: "ml.constexpr", *, n: int = 3):
        total = first.second.third + x[other].fourth
        for i, total in enumerate(names(ml.tid[0], key=lambda a: a + free)):
            local: int = builtin
            f"{shown.attribute}"
        return [element * factor for element in x]
    """
    outline = source.source_of_text(textwrap.dedent(text)).outline
    assert outline.annotations == (("x", "ml.constexpr"), ("n", "int"))
    assert outline.local == {"x", "n", "total", "i", "local", "element"}
    read = "first.second.third other enumerate names ml.tid a free int builtin shown.attribute factor"
    assert outline.chains == tuple(sorted(read.split()))
    assert not outline.has_text_annotation
    assert outline.names == outline.local - {"n"} | {chain.partition(".")[0] for chain in outline.chains}


def test_the_translation_is_whole(walked, load):
    x = torch.ones(6, 4)[:, ::2]
    text = KERNEL.replace("ml.tid[0]\n", "ml.tid[0]\n    y = x.size(1)\n").replace("x[i] =", "x[i, 0] =")
    module = load("y", text)
    translations = [helion_msl.metal_jit(module.kernel).translate(x, 1, block_dims=4) for _ in range(2)]
    assert len(walked) == 1
    assert translations[0] == translations[1]
    assert translations[1].arguments[0].kind == "tensor"
    assert translations[1].arguments[0].dtype is walker.SCALAR_TYPES["float32"]


CHANGES = {
    "global number": ("x[i] * SCALE", lambda module: setattr(module, "SCALE", 3)),
    "type of a global": ("x[i] * SCALE", lambda module: setattr(module, "SCALE", 2.0)),
    "bool for a number": ("x[i] * SCALE", lambda module: setattr(module, "SCALE", True)),
    "tuple": ("x[i] + TABLE[1]", lambda module: setattr(module, "TABLE", (1, 3.5))),
    "attribute of an object": ("x[i] + settings.offset", lambda module: setattr(module.settings, "offset", 4)),
    "what a called function reads": ("helper(x[i])", lambda module: setattr(module, "SCALE", 3)),
    "default of a called function": ("helper(x[i])", lambda module: setattr(module.helper, "__defaults__", (2,))),
    "library function": ("math.sqrt(x[i])", lambda module: setattr(module, "math", module.language)),
    "builtin": ("max(x[i], 2.0)", lambda module: setattr(module, "max", min)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_name_stands_for(walked, load, change):
    body, apply = CHANGES[change]
    before = msl_of(load(body))
    module = load(body)
    apply(module)
    after = msl_of(module)
    assert len(walked) == 2
    # And it is what the walker makes without a cache.
    types = {"x": walker.TensorType(walker.SCALAR_TYPES["float32"], 1)}
    fresh = walker.translate(module.kernel, types, constants={"n": 5}, block_dims=(4, 1, 1))
    assert after == fresh.msl
    assert change == "library function" or after != before


def test_source_and_place(walked, load):
    msl_of(load("x[i] + 1"))
    msl_of(load("x[i] + 2"))
    msl_of(load("x[i] + 1", "\n" + KERNEL))  # one line further down, as #line says
    assert len(walked) == 3
    assert "#line" in msl_of(load("x[i] + 1", "\n" + KERNEL))
    assert len(walked) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", torch.ones(4, dtype=torch.int32)),
        ("x", torch.ones(4, dtype=torch.float16)),
        ("x", torch.ones(8)[::2]),
        ("n", 6),
        ("n", 5.0),
        ("n", True),
        ("block_dims", 8),
        ("block_dims", None),
        ("block_dims", (4, 2)),
    ],
)
def test_arguments(walked, load, name, value):
    msl_of(load())
    msl_of(load(), **{name: value})
    assert len(walked) == 2
    msl_of(load(), **{name: value})
    assert len(walked) == 2


def test_constants_that_python_finds_equal(walked, load):
    texts = [msl_of(load("x[i] + n"), n=n) for n in (0.0, -0.0, 0, False)]
    assert len(walked) == 4
    assert len(set(texts[:2])) == 2


UNPROVABLE = {
    "object of the user's": ("x[i] * number", "class Number(int): pass\nnumber = Number(3)"),
    "subclass of a tuple": ("x[i] * pair[0]", "import collections\npair = collections.namedtuple('Pair', 'a')(3)"),
    "wrapped function": (
        "wrapped(x[i])",
        "import functools\n@functools.wraps(helper)\ndef wrapped(value): return value",
    ),
}


@pytest.mark.parametrize("case", UNPROVABLE)
def test_what_cannot_be_proven_is_not_kept(walked, load, case):
    body, more = UNPROVABLE[case]
    text = KERNEL.replace("def kernel", more + "\ndef kernel")
    for count in (1, 2):
        with contextlib.suppress(helion_msl.TranslationError):  # the walker need not take all of them
            msl_of(load(body, text))
        assert len(walked) == count
    assert _C.disk_cache_info()["kinds"]["translations"] == (0, 0)


def test_errors_are_not_kept(walked, load):
    for _ in range(2):
        with pytest.raises(helion_msl.TranslationError, match=r"kernels\.py:\d+"):
            msl_of(load("x[i] + nothing"))
    assert len(walked) == 2


@pytest.mark.parametrize("stored", [b"", b"{}", b"[]", b"\xff", b'{"msl": 1, "name": "f", "arguments": [[1]]}'])
def test_an_entry_that_says_something_else_is_translated_again(walked, load, monkeypatch, stored):
    find, keep = (lambda *_: stored), (lambda *_: None)
    fake = type("_C", (), {"disk_cache_find": staticmethod(find), "disk_cache_store": staticmethod(keep)})
    monkeypatch.setattr(_translation_cache, "_C", fake)
    assert "kernel void" in msl_of(load())
    assert len(walked) == 1


def test_package_that_was_changed(walked, load, monkeypatch):
    msl_of(load())
    monkeypatch.setattr(_translation_cache, "_PACKAGE", ("another",))
    msl_of(load())
    assert len(walked) == 2


def test_new_process_runs_neither_walker_nor_compiler(tmp_path):
    (tmp_path / "kernels.py").write_text(KERNEL.format(body="helper(x[i]) + n"))
    code = textwrap.dedent("""
        import sys
        import torch, helion_msl
        from helion_msl import _translation_cache, _toolchain, walker
        if sys.argv[1] == "again":
            def refuse(*args, **keywords):
                raise AssertionError("the walker ran")
            walker.translate = refuse
        from kernels import kernel
        device = "mps" if torch.backends.mps.is_available() else "cpu"
        x = torch.ones(4, device=device)
        helion_msl.metal_jit(kernel)[1, 4](x, 5)
        print(x.tolist())
    """)
    environment = {**os.environ, "HELION_MSL_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": os.pathsep.join(
        [str(tmp_path), os.environ.get("PYTHONPATH", "")])}  # fmt: skip
    for when in ("first", "again"):
        result = subprocess.run([sys.executable, "-c", code, when], capture_output=True, text=True, check=False,
                                env=environment)  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert result.stdout == "[8.0, 8.0, 8.0, 8.0]\n"
