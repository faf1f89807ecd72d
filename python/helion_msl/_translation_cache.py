"""Translations on disk: a new process that runs a kernel which an earlier one translated does not run the walker.

A translation is found by everything that the walker reads: the text of the function and where it stands, the types and
constants of its parameters, what each name of it stands for, and this package itself. What a name stands for is
written down only where that is certain, which is for numbers, strings, tuples of them, what
:mod:`helion_msl.language`, :mod:`math` and the builtins define, and Python functions of which all this holds. A
function that reads anything else is translated in each process.
"""

from __future__ import annotations

import builtins
import functools
import json
import math
import types
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from . import _C, language, language_math
from ._outline_cache import outlined_source
from ._package_state import PACKAGE as _PACKAGE
from ._package_state import package_state
from ._walker.annotations import is_constexpr
from ._walker.dialect import THREADGROUP_ARRAY_PREFIX
from ._walker.source import Source, namespace_of
from ._walker.translation import KernelArgument, Translation
from ._walker.types import BY_NAME
from .errors import HelionMslError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._walker.dialect import Dialect
    from ._walker.outline import Outline
    from ._walker.types import ScalarType, TensorType

_KIND = "translations"
_LITERALS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))


class _UnprovableError(Exception):
    """What a name stands for cannot be written down."""


class Request(NamedTuple):
    """What a translation is made from: the arguments of :func:`helion_msl.walker.translate` that can change it."""

    function: Source
    argument_types: Mapping[str, TensorType | ScalarType]
    constants: Mapping[str, object]
    namespace: Mapping[str, object]
    block_dims: tuple[int, int, int] | None
    dialect: Dialect
    logs_assertions: bool

    def key(self) -> bytes | None:
        """Return what its translation is kept under, or None where it cannot be kept."""
        # Assertions that are logged are for debugging, and not kept.
        if self.logs_assertions or not self.function.lines:
            return None
        names = _Names()
        try:
            described = [_PACKAGE, *((name, names.describe_field(name, self)) for name in self._fields)]
        except (_UnprovableError, HelionMslError):
            return None
        return repr(described).encode(errors="surrogatepass")


def translate(request: Request) -> Translation:
    """Do what :func:`helion_msl.walker.translate` does, or find what it gave before.

    Raises:
        TranslationError: the function uses something that a kernel cannot have; the error points at it.
    """
    key = request.key()
    stored = _C.disk_cache_find(_KIND, key) if key is not None else None
    found = _read(stored) if stored is not None else None
    if found is None:
        # Only here: a process whose kernels have all been translated before never loads the translator.
        from . import _toolchain

        _toolchain.ask_ahead()
        from . import walker

        found = walker.translate(**request._asdict())
        # Again, as another thread may have changed what a name stands for.
        if key is not None and _walker_is_of_this_package() and key == request.key():
            _C.disk_cache_store(_KIND, key, _written(found))
    return found


def _written(translation: Translation) -> bytes:
    arguments = [
        (argument.name, argument.kind, argument.parameter, argument.dimension, argument.dtype.name, argument.is_written)
        for argument in translation.arguments
    ]
    document = {
        "msl": translation.msl,
        "name": translation.name,
        "arguments": arguments,
        "threadgroup_memory": translation.threadgroup_memory,
    }
    return json.dumps(document).encode()


def _read(stored: bytes) -> Translation | None:
    try:
        document = json.loads(stored)
        arguments = tuple(
            KernelArgument(name, kind, parameter, dimension, BY_NAME[dtype], is_written)
            for name, kind, parameter, dimension, dtype, is_written in document["arguments"]
        )
        return Translation(document["msl"], document["name"], arguments, document["threadgroup_memory"])
    except (ValueError, KeyError, TypeError):
        return None


# ---- The key ------------------------------------------------------------------------------------------------------


def _source(source: Source) -> tuple[object, ...]:
    return source.lines, source.short_filename, source.first_line, source.indentation


@functools.cache
def _walker_is_of_this_package() -> bool:
    """Whether the translator, which is loaded when it is needed, is what ``_PACKAGE`` tells; asked when it has been."""
    return package_state() == _PACKAGE


def _library() -> dict[int, tuple[str, object]]:
    """Return the objects that are known by a name, by their ids. They are held here, so that the ids stay theirs."""
    known: dict[int, tuple[str, object]] = {}
    for module in (builtins, math, language_math, language):
        for name, value in vars(module).items():
            if not isinstance(value, (*_LITERALS, types.ModuleType, dict, list, set)):
                known[id(value)] = (f"{module.__name__}.{name}", value)
    return known


_LIBRARY = _library()
# Thread positions, which exist only in a kernel: the module answers for them by __getattr__.
_THREAD_VALUES = frozenset(language._THREAD_VALUES)


def _is_constexpr_parameter(function: types.FunctionType, name: str) -> bool:
    return is_constexpr(function.__annotations__.get(name))


class _Names:
    """Writes down what the names of functions stand for."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def describe_field(self, name: str, request: Request) -> object:
        """Return a description of one argument of a translation.

        Raises:
            _UnprovableError: there is none.
        """
        value = getattr(request, name)
        match name:
            case "function":
                return _source(value)
            case "argument_types":
                return [(parameter, repr(type_)) for parameter, type_ in value.items()]
            case "constants":
                return [(parameter, self.describe(constant)) for parameter, constant in value.items()]
            case "namespace":
                return self.read_by(request.function.outline, value)
            case _:
                return self.describe(value)

    def describe(self, value: object) -> object:
        """Return a description that only this value has.

        Raises:
            _UnprovableError: there is none.
        """
        if type(value) in _LITERALS:
            return type(value).__name__, repr(value)
        if type(value) is tuple:
            return "tuple", [self.describe(item) for item in value]
        if id(value) in _LIBRARY:
            return "library", _LIBRARY[id(value)][0]
        if isinstance(value, torch.dtype):
            return "dtype", repr(value)
        if type(value) is types.FunctionType:
            return "function", self._function(value)
        raise _UnprovableError

    def _function(self, function: types.FunctionType) -> object:
        if id(function) in self._seen:
            return self._seen[id(function)]
        self._seen[id(function)] = len(self._seen)
        if hasattr(function, "__wrapped__"):
            raise _UnprovableError
        source = outlined_source(function)
        keyword_defaults = function.__kwdefaults__ or {}
        return (
            function.__module__,
            function.__qualname__,
            _source(source),
            [self.describe(value) for value in function.__defaults__ or ()],
            [(name, self.describe(value)) for name, value in keyword_defaults.items()],
            [(name, _is_constexpr_parameter(function, name)) for name in function.__annotations__],
            self.read_by(source.outline, namespace_of(function)),
        )

    def read_by(self, outline: Outline, namespace: Mapping[str, object]) -> object:
        """Return what the names in the body of a function stand for.

        Raises:
            _UnprovableError: that cannot be told.
        """
        if outline.has_text_annotation:
            raise _UnprovableError  # it has names of its own
        found = {chain: self._chain(chain, namespace) for chain in outline.chains}
        for name in outline.names:
            array = THREADGROUP_ARRAY_PREFIX + name
            if array in namespace:
                found[array] = self.describe(namespace[array])
        return sorted(found.items())

    def _chain(self, chain: str, namespace: Mapping[str, object]) -> object:
        """Return what ``a.b.c`` stands for: each step, as the walker takes them one by one."""
        root, *attributes = chain.split(".")
        if root not in namespace:
            if not hasattr(builtins, root):
                return "undefined", attributes
            value: Any = getattr(builtins, root)
        else:
            value = namespace[root]
        steps: list[object] = []
        for attribute in attributes:
            if value is language and attribute in _THREAD_VALUES:
                return steps, "thread value"
            steps.append(self._step(value))
            try:
                value = getattr(value, attribute)
            except Exception:
                raise _UnprovableError from None
        return steps, self.describe(value)

    def _step(self, value: Any) -> object:
        """Return what an object is of which an attribute is read."""
        if type(value) is types.ModuleType:
            return "module", value.__name__
        if isinstance(value, (*_LITERALS, tuple)):
            return self.describe(value)
        return "object", type(value).__module__, type(value).__qualname__
