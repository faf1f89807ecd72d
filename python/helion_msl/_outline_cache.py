"""Outlines of functions on disk: a process that meets the text of a function again need not parse it.

An outline depends on nothing but the text, so that is what it is found by, with this package and Python's version.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from . import _C
from ._package_state import PACKAGE
from ._walker.outline import Outline
from ._walker.source import SOURCES, likely_source, source_of_function

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._walker.source import Source

_KIND = "outlines"


def outlined_source(function: Callable[..., object]) -> Source:
    """Find the source of a Python function, with its outline, once, and parse it only where nobody has before.

    Raises:
        TranslationError: it has no source (a builtin, a lambda, code made by ``exec``), or is no plain function.
    """
    source = SOURCES.get(function)
    if source is None:
        source = SOURCES[function] = _outlined_source(function)
    return source


def _outlined_source(function: Callable[..., object]) -> Source:
    likely = likely_source(function)
    if likely is None:
        return source_of_function(function)
    key = repr((PACKAGE, likely.lines, likely.indentation == 0)).encode(errors="surrogatepass")
    stored = _C.disk_cache_find(_KIND, key)
    outline = None if stored is None else _read(stored)
    if outline is not None:
        # Stored only where these lines are one function.
        return likely.with_outline(outline)
    source = source_of_function(function)
    if source.lines == likely.lines and source.indentation == likely.indentation:
        _C.disk_cache_store(_KIND, key, _written(source.outline))
    return source


def _written(outline: Outline) -> bytes:
    document = {
        "annotations": outline.annotations,
        "names": sorted(outline.names),
        "local": sorted(outline.local),
        "chains": outline.chains,
        "has_text_annotation": outline.has_text_annotation,
    }
    return json.dumps(document).encode()


def _read(stored: bytes) -> Outline | None:
    try:
        document = json.loads(stored)
        annotations = tuple((name, text) for name, text in document["annotations"])
        return Outline(
            annotations,
            frozenset(document["names"]),
            frozenset(document["local"]),
            tuple(document["chains"]),
            document["has_text_annotation"],
        )
    except (ValueError, KeyError, TypeError):
        return None
