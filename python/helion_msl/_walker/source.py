"""The text of a kernel's Python function, and errors that point into it."""

from __future__ import annotations

import ast
import inspect
import linecache
import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TranslationError
from .outline import Outline, outline_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType


@dataclass(frozen=True, slots=True)
class Source:
    """A function's text and where it stands.

    Attributes:
        parsed: the function's definition, or None until somebody asks for it.
        lines: the text that is parsed, without the indentation that all of it shares.
        filename: the file, or None for text that has none.
        first_line: the line of ``lines[0]`` in that file, from 1.
        indentation: columns that were cut off from the left.
        known_outline: what the names of the function are, where that is known without parsing it.
    """

    parsed: ast.FunctionDef | None
    lines: tuple[str, ...] = ()
    filename: str | None = None
    first_line: int = 1
    indentation: int = 0
    known_outline: Outline | None = field(default=None, compare=False)

    @property
    def definition(self) -> ast.FunctionDef:
        """The parsed function; its lines count from ``first_line``.

        Raises:
            TranslationError: the text is no Python, or has not exactly one function at its top level.
        """
        if self.parsed is None:
            object.__setattr__(self, "parsed", _parsed(self))
        assert self.parsed is not None
        return self.parsed

    @property
    def outline(self) -> Outline:
        """The names of the function.

        Raises:
            TranslationError: the text is no Python, or has not exactly one function at its top level.
        """
        if self.known_outline is None:
            object.__setattr__(self, "known_outline", outline_of(self.definition))
        assert self.known_outline is not None
        return self.known_outline

    def with_outline(self, outline: Outline) -> Source:
        """Return this source with an outline, so that it need not be parsed to make one."""
        return replace(self, known_outline=outline)

    def line(self, node: ast.AST) -> int:
        """Return the line of a node in the file, from 1; 0 for a node that has none."""
        number = getattr(node, "lineno", 0)
        return number + self.first_line - 1 if number else 0

    def comments(self) -> dict[int, str]:
        """Return the lines that hold nothing or only a comment, by their number in the file."""
        found = {}
        for number, line in enumerate(self.lines, self.first_line):
            text = line.strip()
            if not text or text.startswith("#"):
                found[number] = text
        return found

    @property
    def short_filename(self) -> str | None:
        """The file without its directory, for ``#line``: a kernel's text must not depend on where the file stands."""
        return Path(self.filename).name if self.filename else None

    def error(self, node: ast.AST, cause: str, remedy: str = "") -> TranslationError:
        """Return the error that points at a node."""
        number = getattr(node, "lineno", 0)
        text = self.lines[number - 1] if 0 < number <= len(self.lines) else ""
        # ast counts columns in UTF-8 bytes.
        column = len(text.encode()[: getattr(node, "col_offset", 0)].decode(errors="ignore"))
        return TranslationError(
            cause,
            remedy,
            filename=self.filename or "<string>",
            line=self.line(node),
            column=column + self.indentation + 1,
            source_line=" " * self.indentation + text if text else "",
        )


def source_of_text(text: str, filename: str | None = None, first_line: int = 1) -> Source:
    """Parse Python text that defines one function.

    Raises:
        TranslationError: the text is no Python, or has not exactly one function at its top level.
    """
    source = unparsed_source(text, filename, first_line)
    assert source.definition
    return source


def unparsed_source(text: str, filename: str | None, first_line: int) -> Source:
    """Return the source of Python text that defines one function, which is parsed when its definition is needed."""
    lines, indentation = _dedented(text.splitlines())
    return Source(None, tuple(lines), filename, first_line, indentation)


def _parsed(source: Source) -> ast.FunctionDef:
    lines = source.lines
    # Text inside of a string may stand further left than the code around it, which then keeps its place.
    is_nested = source.indentation == 0 and next(filter(None, lines), "").startswith((" ", "\t"))
    try:
        parsed = ast.parse("\n".join(["if True:", *lines] if is_nested else lines))
    except SyntaxError as error:
        raise TranslationError(
            f"this is not Python: {error.msg}",
            filename=source.filename or "<string>",
            line=(error.lineno or 1) + source.first_line - 1 - is_nested,
            column=error.offset or 1,
            source_line=(error.text or "").rstrip("\n"),
        ) from None
    except (RecursionError, MemoryError):
        raise TranslationError(
            "an expression or a statement is nested too deeply",
            "assign parts of it to names",
            filename=source.filename or "<string>",
            line=source.first_line,
        ) from None
    body = parsed.body
    if is_nested:
        ast.increment_lineno(parsed, -1)
        body = body[0].body  # type: ignore[attr-defined]
    definitions = [node for node in body if isinstance(node, ast.FunctionDef)]
    if len(definitions) != 1:
        raise TranslationError(
            f"the source defines {len(definitions)} functions, a kernel is one", "pass the text of a single `def`"
        )
    return definitions[0]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _dedented(lines: list[str]) -> tuple[list[str], int]:
    """Return lines without the indentation that all of them share, and how wide that is."""
    if lines and lines[0] and not lines[0][0].isspace():
        return lines, 0
    margin = min((_indentation(line) for line in lines if line.strip()), default=0)
    if not margin:
        return lines, 0
    return [line[margin:] for line in lines], margin


def source_of_function(function: Callable[..., object]) -> Source:
    """Find and parse the source of a Python function.

    Raises:
        TranslationError: it has no source (a builtin, a lambda, code made by ``exec``), or is no plain function.
    """
    found = likely_source(function)
    if found is not None:
        try:
            assert found.definition
            return found
        except TranslationError:
            pass  # only Python's tokenizer can tell where its text ends
    name = getattr(function, "__name__", repr(function))
    code = inspect.unwrap(function).__code__
    try:
        lines, first_line = inspect.getsourcelines(function)
    except (OSError, TypeError):
        raise TranslationError(
            f"the source of {name} cannot be found",
            "define the kernel in a file, or pass its text to helion_msl.walker.translate",
            filename=code.co_filename,
            line=code.co_firstlineno,
        ) from None
    return source_of_text("".join(lines), inspect.getsourcefile(function), max(first_line, 1))


def cached_source(function: Callable[..., object]) -> Source:
    """Do what :func:`source_of_function` does, once for each function."""
    found = SOURCES.get(function)
    if found is None:
        found = SOURCES[function] = source_of_function(function)
    return found


SOURCES: weakref.WeakKeyDictionary[Callable[..., object], Source] = weakref.WeakKeyDictionary()
"""The sources of functions that have been asked for."""


def likely_source(function: Callable[..., object]) -> Source | None:
    """Find the source of a Python function, which may end in the wrong line where it cannot be parsed.

    Raises:
        TranslationError: it can have no source, or is no plain function.
    """
    name = getattr(function, "__name__", repr(function))
    code = getattr(function, "__code__", None)
    if code is None:
        raise TranslationError(f"{name} is no Python function", "decorate a function defined with `def`")
    if name == "<lambda>":
        raise TranslationError("a lambda cannot become part of a kernel", "define the function with `def`")
    code = inspect.unwrap(function).__code__
    lines = _lines_of(code, function)
    return None if lines is None else unparsed_source("".join(lines), code.co_filename, code.co_firstlineno)


def namespace_of(function: Callable[..., object]) -> dict[str, object]:
    """Return the names around a function: its globals, and over them the variables that it captures."""
    names = dict(getattr(function, "__globals__", {}))
    code = getattr(function, "__code__", None)
    for name, cell in zip(code.co_freevars if code else (), getattr(function, "__closure__", None) or (), strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # assigned only after the function
            continue
    return names


def _lines_of(code: CodeType, function: Callable[..., object]) -> list[str] | None:
    """Return the lines of a function by its code and the indentation of what follows, None where there is no file.

    That takes a fifth of the time of :func:`inspect.getsourcelines`, which looks through all modules and tokenizes.
    """
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, getattr(function, "__globals__", None))
    first = code.co_firstlineno - 1
    if not 0 <= first < len(lines):
        return None
    last = end = max([line or 0 for _, _, line in code.co_lines()], default=first + 1)
    margin = _indentation(lines[first])
    for number, line in enumerate(lines[last:], last + 1):
        text = line.strip()
        if text and not text.startswith("#"):
            if _indentation(line) <= margin:
                break
            end = number
    return lines[first:end]
