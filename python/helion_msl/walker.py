"""Python to Metal Shading Language: :func:`translate` turns one Python function into the MSL source of one kernel.

Three steps, each in modules of its own (see :mod:`helion_msl._walker`): **parse** turns the Python AST into a typed
intermediate representation and finds every error, **types** infers one type for each variable over the whole function,
**print** writes MSL from the representation. The text depends on nothing but the arguments of :func:`translate`.
"""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from . import language
from ._walker import divergence, helion_matmul, infer, ir, types
from ._walker.dialect import Dialect, dialect_of_names
from ._walker.helion_dialect import HelionParser
from ._walker.hoist import hoist_offsets
from ._walker.parse_statements import StatementParser
from ._walker.printer import print_kernel
from ._walker.program import Program
from ._walker.source import Source, namespace_of, source_of_function, source_of_text
from ._walker.survey import survey
from ._walker.translation import KernelArgument, Translation
from ._walker.types import ScalarType, SimdgroupMatrixType, TensorType, VectorType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ArgumentType: TypeAlias = TensorType | ScalarType

SCALAR_TYPES: dict[str, ScalarType] = types.BY_NAME
"""The scalar types by name: ``SCALAR_TYPES["float32"]``."""


def translate(
    function: Callable[..., object] | ast.FunctionDef | Source | str,
    argument_types: Mapping[str, ArgumentType],
    *,
    constants: Mapping[str, object] | None = None,
    namespace: Mapping[str, object] | None = None,
    block_dims: tuple[int, int, int] | None = None,
    dialect: Dialect | None = None,
    name: str | None = None,
    line_directives: bool = True,
    logs_assertions: bool = False,
) -> Translation:
    """Translate a Python function into an MSL kernel.

    Args:
        function: the function, its text, or its parsed definition.
        argument_types: the type of each parameter that the launch passes.
        constants: values of the other parameters; they become part of the kernel. Numbers, tuples of constants, types,
            functions, strings and None.
        namespace: what global names of the source stand for; a function brings its own.
        block_dims: threads of a threadgroup in x, y and z, where every launch has the same.
        dialect: ``"helion"`` for what Helion's own Metal backend emits; None: decided by the names it uses.
        name: the kernel's name, where it shall not be the function's.
        line_directives: whether ``#line`` maps the text to the Python file.
        logs_assertions: whether a GPU tests assertions too, and logs those that fail, from MSL 3.2 on.

    Returns:
        The MSL, the kernel's name and its argument table.

    Raises:
        TranslationError: the function uses something that a kernel cannot have; the error points at it.

    Warns:
        DivergenceWarning: only some threads of a threadgroup seem to reach a barrier.
    """
    source = _source(function)
    try:
        return _translated(
            function,
            source,
            argument_types,
            constants or {},
            namespace,
            block_dims,
            dialect,
            name,
            line_directives,
            logs_assertions,
        )
    except RecursionError:
        cause = "an expression or a statement is nested too deeply"
        raise source.error(source.definition, cause, "assign parts of it to names") from None


def _translated(
    function: Callable[..., object] | ast.FunctionDef | Source | str,
    source: Source,
    argument_types: Mapping[str, ArgumentType],
    constants: Mapping[str, object],
    namespace: Mapping[str, object] | None,
    block_dims: tuple[int, int, int] | None,
    dialect: Dialect | None,
    name: str | None,
    line_directives: bool,
    logs_assertions: bool,
) -> Translation:
    if namespace is None:
        namespace = namespace_of(function) if callable(function) else {}
    parameters = _parameters(source, argument_types, constants)
    surveyed = survey(source.definition)
    is_helion = (dialect or dialect_of_names(surveyed.names, namespace)) == "helion"
    if is_helion:
        threads = None if block_dims is None else math.prod(block_dims)
        definition = helion_matmul.expand(source, threads)
        if definition is not source.definition:
            source = replace(source, parsed=definition, known_outline=None)
            surveyed, namespace = survey(definition), {**namespace, helion_matmul.LANGUAGE: language}
    parser_class = HelionParser if is_helion else StatementParser
    variables = infer.Variables(surveyed, keeps_literals_weak=is_helion)
    program = Program(function if callable(function) else None, source.definition.name)

    def one_pass() -> ir.Kernel:
        return parser_class(source, parameters, namespace, variables, block_dims, program).parse()

    kernel = infer.stable(variables, one_pass)
    functions = program.functions_of(kernel.body)
    if not is_helion:
        for body in (kernel.body, *(called.body for called in functions)):
            hoist_offsets(body)
        divergence.warn(kernel.body, functions, source.filename)
    if name is not None:
        kernel.name = name
    if not line_directives:
        kernel.filename = None
    msl, kernel_name = print_kernel(kernel, functions, logs_assertions)
    shared = (array.type for array in kernel.threadgroup_arrays if array.type.space == "threadgroup")
    memory = sum(kind.size_in_bytes for kind in shared)
    return Translation(msl, kernel_name, tuple(_described(argument) for argument in kernel.arguments), memory)


def _described(argument: ir.Argument) -> KernelArgument:
    assert not isinstance(argument.type, VectorType | SimdgroupMatrixType)  # of functions that a kernel calls
    dtype = argument.type if isinstance(argument.type, ScalarType) else argument.type.dtype
    return KernelArgument(
        argument.name, argument.kind, argument.parameter, argument.dimension, dtype, argument.is_written
    )


def _source(function: Callable[..., object] | ast.FunctionDef | Source | str) -> Source:
    if isinstance(function, Source):
        return function
    if isinstance(function, ast.FunctionDef):
        return Source(function)
    return source_of_text(function) if isinstance(function, str) else source_of_function(function)


def _parameters(
    source: Source, argument_types: Mapping[str, ArgumentType], constants: Mapping[str, object]
) -> dict[str, object]:
    """Return what each parameter is, in the order of the definition."""
    arguments = source.definition.args
    for refused in (arguments.vararg, arguments.kwarg):
        if refused is not None:
            raise source.error(refused, "a kernel has a fixed number of parameters", "name every parameter")
    found: dict[str, object] = {}
    for parameter in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if parameter.arg in argument_types:
            found[parameter.arg] = argument_types[parameter.arg]
        elif parameter.arg in constants:
            found[parameter.arg] = constants[parameter.arg]
        else:
            raise source.error(parameter, f"the parameter `{parameter.arg}` has no value", "pass it")
    for given in (*argument_types, *constants):
        if given not in found:
            raise source.error(source.definition, f"there is no parameter `{given}`", f"there are {', '.join(found)}")
    return found
