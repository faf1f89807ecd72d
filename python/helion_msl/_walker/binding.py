"""Arguments of a call, bound to parameters as Python would bind them, and types named by arguments."""

from __future__ import annotations

import ast
import inspect
import math
from typing import TYPE_CHECKING

from .. import language
from .types import BOOL, BY_NAME, FLOAT32, INT32, ScalarType
from .values import PythonObject

if TYPE_CHECKING:
    from . import ir
    from .parse_expressions import ExpressionParser
    from .values import Value

_PYTHON_TYPES: dict[object, ScalarType] = {int: INT32, float: FLOAT32, bool: BOOL}


def scalar_type_of(value: Value) -> ScalarType | None:
    """Return the type that an object of the source names: ``ml.float16``, ``torch.float16``, ``float``."""
    if not isinstance(value, PythonObject):
        return None
    thing = value.value
    if isinstance(thing, language.DType):
        return BY_NAME[thing.name]
    if isinstance(thing, type):
        return _PYTHON_TYPES.get(thing)
    # Of the same name in torch and in numpy; only torch's are written `torch.float16`.
    text = str(thing) if type(thing).__name__ == "dtype" else ""
    return BY_NAME.get(text.removeprefix("torch.")) if text.startswith("torch.") else None


_SIGNATURES: dict[object, inspect.Signature] = {}
_POSITIONAL = frozenset({inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD})
# C functions whose signature Python does not tell; all their parameters are positional.
_MATH_ARITY = {math.atan2: 2, math.hypot: 2, math.pow: 2, math.fmod: 2, math.copysign: 2}


def bind(
    parser: ExpressionParser, node: ast.Call, function: object, signature: inspect.Signature | None = None
) -> dict[str, ast.expr]:
    """Return the arguments of a call by parameter name; those that are not given are missing.

    Args:
        parser: for errors.
        node: the call.
        function: what is called.
        signature: its parameters, where the caller knows them.

    Raises:
        TranslationError: they do not fit the parameters.
    """
    name = getattr(function, "__name__", repr(function))
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            raise parser.error(argument, "a starred argument has no fixed length", "write the arguments out")
    for keyword in node.keywords:
        if keyword.arg is None:
            raise parser.error(keyword.value, "`**` arguments have no fixed names", "write the arguments out")
    signature = signature or _SIGNATURES.get(function)
    if signature is None:
        if getattr(function, "__module__", "") == "math":
            names = ("x", "y")[: _MATH_ARITY.get(function, 1)]  # type: ignore[call-overload]
            kind = inspect.Parameter.POSITIONAL_ONLY
            signature = inspect.Signature([inspect.Parameter(parameter, kind) for parameter in names])
        else:
            signature = inspect.signature(function)  # type: ignore[arg-type]
        _SIGNATURES[function] = signature
    if not node.keywords and len(node.args) == len(signature.parameters) and _is_plain(signature):
        return dict(zip(signature.parameters, node.args, strict=True))
    try:
        bound = signature.bind(*node.args, **{keyword.arg or "": keyword.value for keyword in node.keywords})
    except TypeError as error:
        raise parser.error(node, f"{name}: {error}", f"its signature is {name}{_plain(signature)}") from None
    return dict(bound.arguments)


def _is_plain(signature: inspect.Signature) -> bool:
    """Whether arguments without keywords are the parameters in their order."""
    return all(parameter.kind in _POSITIONAL for parameter in signature.parameters.values())


def _plain(signature: inspect.Signature) -> str:
    return "(" + ", ".join(signature.parameters) + ")"


def bind_numbers(parser: ExpressionParser, node: ast.Call, function: object) -> dict[str, ir.Expression]:
    """Return the arguments of a call as numbers, by parameter name."""
    return {name: parser.scalar(argument) for name, argument in bind(parser, node, function).items()}
