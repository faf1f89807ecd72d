"""The text of a kernel's Python function, and errors that point into it."""

from __future__ import annotations

import ast
import inspect
import linecache
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TranslationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType


@dataclass(frozen=True, slots=True)
class Source:
    """A function's definition and where it stands.

    Attributes:
        definition: the parsed function; its lines count from ``first_line``.
        lines: the text that was parsed, without the indentation that all of it shares.
        filename: the file, or None for text that has none.
        first_line: the line of ``lines[0]`` in that file, from 1.
        indentation: columns that were cut off from the left.
    """

    definition: ast.FunctionDef
    lines: tuple[str, ...] = ()
    filename: str | None = None
    first_line: int = 1
    indentation: int = 0

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
    lines, indentation = _dedented(text.splitlines())
    # Text inside of a string may stand further left than the code around it, which then keeps its place.
    is_nested = indentation == 0 and next(filter(None, lines), "").startswith((" ", "\t"))
    try:
        parsed = ast.parse("\n".join(["if True:", *lines] if is_nested else lines))
    except SyntaxError as error:
        raise TranslationError(
            f"this is not Python: {error.msg}",
            filename=filename or "<string>",
            line=(error.lineno or 1) + first_line - 1 - is_nested,
            column=error.offset or 1,
            source_line=(error.text or "").rstrip("\n"),
        ) from None
    except (RecursionError, MemoryError):
        raise TranslationError(
            "an expression or a statement is nested too deeply",
            "assign parts of it to names",
            filename=filename or "<string>",
            line=first_line,
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
    return Source(definitions[0], tuple(lines), filename, first_line, indentation)


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _dedented(lines: list[str]) -> tuple[list[str], int]:
    """Return lines without the indentation that all of them share, and how wide that is."""
    margin = min((_indentation(line) for line in lines if line.strip()), default=0)
    if not margin:
        return lines, 0
    return [line[margin:] for line in lines], margin


def source_of_function(function: Callable[..., object]) -> Source:
    """Find and parse the source of a Python function.

    Raises:
        TranslationError: it has no source (a builtin, a lambda, code made by ``exec``), or is no plain function.
    """
    name = getattr(function, "__name__", repr(function))
    code = getattr(function, "__code__", None)
    if code is None:
        raise TranslationError(f"{name} is no Python function", "decorate a function defined with `def`")
    if name == "<lambda>":
        raise TranslationError("a lambda cannot be a kernel", "define the function with `def`")
    code = inspect.unwrap(function).__code__
    found = _lines_of(code, function)
    try:
        if found is not None:
            return source_of_text("".join(found), code.co_filename, code.co_firstlineno)
    except TranslationError:
        pass  # only Python's tokenizer can tell where its text ends
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
    found = _SOURCES.get(function)
    if found is None:
        found = _SOURCES[function] = source_of_function(function)
    return found


_SOURCES: weakref.WeakKeyDictionary[Callable[..., object], Source] = weakref.WeakKeyDictionary()


def local_names(definition: ast.FunctionDef) -> set[str]:
    """Return the parameters of a function and the names that it assigns."""
    arguments = definition.args
    local = {argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    for node in ast.walk(definition):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            local.add(node.id)
    return local


def name_chains(body: list[ast.stmt]) -> Iterator[tuple[str, ...]]:
    """Yield the names that statements read, each with the attributes that are read of it: ``a.b.c`` as three names."""
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name):
            yield (node.id,)
        elif isinstance(node, ast.Attribute):
            attributes = [node.attr]
            inner = node.value
            while isinstance(inner, ast.Attribute):
                attributes.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name):
                yield (inner.id, *reversed(attributes))
            else:
                pending.append(inner)
        else:
            pending.extend(ast.iter_child_nodes(node))


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
    last = end = max([line or 0 for *_, line in code.co_lines()], default=first + 1)
    margin = _indentation(lines[first])
    for number, line in enumerate(lines[last:], last + 1):
        text = line.strip()
        if text and not text.startswith("#"):
            if _indentation(line) <= margin:
                break
            end = number
    return lines[first:end]
