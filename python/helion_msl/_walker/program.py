"""The functions of one translation: each Python function that a kernel calls, once for each combination of types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import TranslationError
from . import infer, ir
from .source import cached_source, namespace_of
from .survey import survey

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Hashable, Mapping

    from .parse_base import ParserBase


@dataclass(frozen=True, slots=True)
class _Active:
    """A function that is being parsed, and the call that led to it."""

    function: object
    name: str
    filename: str | None
    line: int


class Program:
    """What the parsers of one translation share.

    Attributes:
        kernel: the Python function that is translated, None where only its text is known.
    """

    def __init__(self, kernel: object = None, name: str = "") -> None:
        self._functions: dict[Hashable, ir.Function] = {}
        self._active: list[_Active] = [_Active(kernel, name, None, 0)] if kernel is not None else []

    def specialize(
        self,
        caller: ParserBase,
        node: ast.Call,
        function: Callable[..., object],
        parameters: Mapping[str, object],
        key: Hashable,
    ) -> ir.Function:
        """Return a function translated for these types of its parameters.

        Raises:
            TranslationError: it uses something that a kernel cannot have, or calls itself.
        """
        self._refuse_recursion(caller, node, function)
        full_key = (function, key, caller.index_type)
        found = self._functions.get(full_key)
        if found is None:
            line = caller.source.line(node)
            self._active.append(_Active(function, function.__name__, caller.source.filename, line))
            try:
                found = self._functions[full_key] = self._parse(caller, node, function, parameters)
            except TranslationError as error:
                error.add_caller(caller.source.filename or "<string>", line)
                raise
            finally:
                self._active.pop()
        return found

    def _parse(
        self, caller: ParserBase, node: ast.Call, function: Callable[..., object], parameters: Mapping[str, object]
    ) -> ir.Function:
        try:
            source, namespace = cached_source(function), namespace_of(function)
        except TranslationError as error:
            if error.line:
                raise
            # What has no place of its own is refused where it is called.
            raise caller.error(node, error.cause, error.remedy) from None
        variables = infer.Variables(survey(source.definition), caller.variables.keeps_literals_weak)

        def one_pass() -> ir.Function:
            parser = type(caller)(source, parameters, namespace, variables, caller.block_dims, self)
            parser.index_type = caller.index_type
            return parser.parse_function()

        return infer.stable(variables, one_pass)

    def _refuse_recursion(self, caller: ParserBase, node: ast.Call, function: Callable[..., object]) -> None:
        first = next((index for index, active in enumerate(self._active) if active.function is function), None)
        if first is None:
            return
        steps = [
            f"`{outer.name}` calls `{inner.name}` on line {inner.line}"
            for outer, inner in zip(self._active[first:], self._active[first + 1 :], strict=False)
        ]
        steps.append(f"`{self._active[-1].name}` calls `{function.__name__}` here")
        cause = f"`{function.__name__}` calls itself, and a GPU has no stack for that: {', '.join(steps)}"
        raise caller.error(node, cause, "write a loop, or a function for each depth")

    def functions_of(self, body: list[ir.Statement]) -> list[ir.Function]:
        """Return the functions that statements call, directly or not, each after those that it calls."""
        found: dict[int, ir.Function] = {}
        if self._functions:
            _collect(body, found)
        return list(found.values())


def _collect(body: list[ir.Statement], found: dict[int, ir.Function]) -> None:
    for part in ir.walk_expressions(body):
        if isinstance(part, ir.FunctionCall) and id(part.function) not in found:
            _collect(part.function.body, found)
            found[id(part.function)] = part.function
