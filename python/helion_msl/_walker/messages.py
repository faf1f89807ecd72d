"""``assert`` and ``print``: text with numbers in it, as a format and its arguments."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from . import fold, ir, operators, sequences
from .types import BOOL, FLOAT32, INT32, INT64, UINT32, UINT64, ScalarType, promote
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from .parse_expressions import ExpressionParser
    from .parse_statements import StatementParser
    from .values import Value

# What os_log and printf call the type; a bare %g is a float as Python prints it, where the engine can.
_CONVERSIONS = {INT32: "%d", UINT32: "%u", INT64: "%ld", UINT64: "%lu", FLOAT32: "%g"}
# Stands in a format for a truth value, which no conversion prints by its name.
_TRUTH = "\0"
_MOST_TRUTHS = 4  # in one message: each doubles the statements
_SPECIFICATION = re.compile(r"(?P<flags>0?)(?P<width>\d*)(?P<precision>\.\d+)?(?P<kind>[dfegx]?)")


class _Parts:
    def __init__(self, parser: ExpressionParser) -> None:
        self._parser = parser
        self.format = ""
        self.values: list[ir.Expression] = []

    def literal(self, text: str) -> None:
        self.format += text.replace("%", "%%")

    def value(self, node: ast.expr, value: Value, specification: str = "") -> None:
        """Add the text of a value."""
        if isinstance(value, TupleValue):
            self._tuple(node, value)
            return
        if isinstance(value, PythonObject):
            self._object(node, value.value)
            return
        vector = sequences.as_tuple(self._parser, value)
        if vector is not None:
            self._tuple(node, vector)
            return
        number = self._parser.as_scalar(node, value)
        if isinstance(number, ir.Constant) and not specification:
            self.literal(str(number.value))
            return
        if number.type is BOOL and not specification:
            self.values.append(number)
            self.format += _TRUTH
            return
        scalar = operators.scalar_type(number)
        wide = FLOAT32 if scalar.is_float else promote(scalar, scalar)
        self.values.append(fold.convert(number, wide))
        self.format += self._conversion(node, specification, wide)

    def _tuple(self, node: ast.expr, value: TupleValue) -> None:
        self.literal("(")
        for index, item in enumerate(value.items):
            self.literal(", " if index else "")
            self.value(node, item)
        self.literal(",)" if len(value.items) == 1 else ")")

    def _object(self, node: ast.expr, thing: object) -> None:
        if thing is not None and not isinstance(thing, str):
            raise self._parser.error(node, f"a kernel prints text and numbers, not {thing!r}", "print a number")
        self.literal(str(thing))

    def _conversion(self, node: ast.expr, specification: str, scalar: ScalarType) -> str:
        plain = _CONVERSIONS[scalar]
        if not specification:
            return plain
        found = _SPECIFICATION.fullmatch(specification)
        kind = found["kind"] if found else ""
        fits = kind in ("", "d", "x") if scalar.is_integer else kind in ("e", "f", "g")
        if found is None or not fits or (scalar.is_integer and found["precision"]):
            raise self._parser.error(
                node, f"the format `{specification}` of {scalar} cannot be printed", "write {x:5d}, {x:.3f}, {x:.3e}"
            )
        width = found["flags"] + found["width"]
        if scalar.is_integer:
            return f"%{width}{plain[1:-1]}{'x' if kind == 'x' else plain[-1]}"
        return f"%{width}{found['precision'] or ''}{kind}"

    def text(self, node: ast.expr) -> None:
        """Add an expression: an f-string by its parts."""
        if not isinstance(node, ast.JoinedStr):
            self.value(node, self._parser.value(node))
            return
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self._formatted(part)
            elif isinstance(part, ast.Constant):
                self.literal(str(part.value))

    def _formatted(self, node: ast.FormattedValue) -> None:
        if node.conversion == ord("a"):
            raise self._parser.error(node, "a kernel has no `ascii`", "leave the conversion out")
        specification = ""
        if node.format_spec is not None:
            parts = node.format_spec.values if isinstance(node.format_spec, ast.JoinedStr) else []
            if not all(isinstance(part, ast.Constant) for part in parts):
                raise self._parser.error(node, "a format must be known at translation", "write it out")
            specification = "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
        value = self._parser.value(node.value)
        if node.conversion == ord("r") and isinstance(value, PythonObject) and isinstance(value.value, str):
            value = PythonObject(repr(value.value))
        self.value(node.value, value, specification)

    def message(self) -> ir.Message:
        return ir.Message(self.format, tuple(self.values))


def emit(
    parser: StatementParser, node: ast.AST, message: ir.Message, statement: Callable[[ir.Message], ir.Statement]
) -> None:
    """Append the statement of a message: one for each combination of the truth values in it, as ``True`` and ``False``.

    Raises:
        TranslationError: there are too many.
    """
    count = message.format.count(_TRUTH)
    if count > _MOST_TRUTHS:
        raise parser.error(node, f"a message with {count} truth values", "print them one by one, or as int(condition)")
    if count:
        values = tuple(
            value if isinstance(value, ir.Constant) else parser._temporary(node, value) for value in message.values
        )
        message = ir.Message(message.format, values)
    for each in _spelled(message, statement, parser.source.line(node)):
        parser.emit(each)


def _spelled(message: ir.Message, statement: Callable[[ir.Message], ir.Statement], line: int) -> list[ir.Statement]:
    if _TRUTH not in message.format:
        return [statement(message)]
    place = next(index for index, value in enumerate(message.values) if value.type is BOOL)
    rest = (*message.values[:place], *message.values[place + 1 :])
    named, other = (ir.Message(message.format.replace(_TRUTH, text, 1), rest) for text in ("True", "False"))
    test = message.values[place]
    return [ir.If(test, _spelled(named, statement, line), _spelled(other, statement, line), line)]


def print_message(parser: ExpressionParser, node: ast.Call) -> ir.Message:
    """Return what ``print(...)`` prints, without the end of the line.

    Raises:
        TranslationError: it prints something else than text and numbers, or not to the process's output.
    """
    separator = " "
    for keyword in node.keywords:
        value = parser.value(keyword.value)
        is_text = isinstance(value, PythonObject) and isinstance(value.value, str)
        if keyword.arg == "sep" and is_text:
            separator = str(value.value)  # type: ignore[union-attr]
        elif keyword.arg != "flush":
            raise parser.error(keyword.value, f"print takes no `{keyword.arg}` in a kernel", "print whole lines")
    parts = _Parts(parser)
    for index, argument in enumerate(node.args):
        parts.literal(separator if index else "")
        parts.text(argument)
    return parts.message()


def assert_message(parser: ExpressionParser, node: ast.Assert) -> ir.Message:
    """Return what a failed assertion says: where it stands, the condition, and the message of the source."""
    parts = _Parts(parser)
    place = f"{parser.source.short_filename or '<string>'}:{parser.source.line(node)}"
    parts.literal(f"{place}: assertion failed: {ast.unparse(node.test)}")
    if node.msg is not None:
        parts.literal(": ")
        parts.text(node.msg)
    return parts.message()
