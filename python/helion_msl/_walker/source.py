"""The text of a kernel's Python function, and errors that point into it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TranslationError

if TYPE_CHECKING:
    from collections.abc import Callable


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
    dedented = textwrap.dedent(text)
    lines = tuple(dedented.splitlines())
    try:
        module = ast.parse(dedented)
    except SyntaxError as error:
        raise TranslationError(
            f"this is not Python: {error.msg}",
            filename=filename or "<string>",
            line=(error.lineno or 1) + first_line - 1,
            column=error.offset or 1,
            source_line=(error.text or "").rstrip("\n"),
        ) from None
    definitions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    if len(definitions) != 1:
        raise TranslationError(
            f"the source defines {len(definitions)} functions, a kernel is one", "pass the text of a single `def`"
        )
    first = next((line for line in text.splitlines() if line.strip()), "")
    indentation = len(first) - len(first.lstrip())
    return Source(definitions[0], lines, filename, first_line, indentation)


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
