"""IR to MSL: a whole source, with the helpers, structs and functions that its kernel needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import ir, prelude
from .names import Names
from .printer_expressions import POSITION_NAMES, Shared
from .printer_statements import INDENT, StatementPrinter
from .types import TensorType

if TYPE_CHECKING:
    from collections.abc import Sequence


class _KernelPrinter(StatementPrinter):
    """Prints one kernel."""

    def __init__(self, kernel: ir.Kernel, shared: Shared, name: str) -> None:
        super().__init__(kernel, shared)
        self._kernel = kernel
        self._name = name

    def print(self) -> list[str]:
        """Return the kernel's lines."""
        body = self.body()
        return [*self._signature(), *body, "}"]

    def _signature(self) -> list[str]:
        parameters = []
        for index, argument in enumerate(self._kernel.arguments):
            name = self._argument_names[id(argument)]
            if isinstance(argument.type, TensorType):
                access = "device" if argument.is_written else "device const"
                parameters.append(f"{access} {argument.type.dtype.msl}* {name} [[buffer({index})]]")
            else:
                parameters.append(f"constant {argument.type.msl}& {name} [[buffer({index})]]")
        for kind, name in self._positions.items():
            parameters.append(f"{POSITION_NAMES[kind][0]} {name} [[{kind}]]")
        lines = []
        if self._kernel.block_dims is not None:
            x, y, z = self._kernel.block_dims
            lines.append(f"[[max_total_threads_per_threadgroup({x * y * z})]]")
        if not parameters:
            return [*lines, f"kernel void {self._name}() {{"]
        joined = (",\n" + INDENT * 2).join(parameters)
        return [*lines, f"kernel void {self._name}(", f"{INDENT * 2}{joined}) {{"]


class _FunctionPrinter(StatementPrinter):
    """Prints one function that the kernel calls."""

    def __init__(self, function: ir.Function, shared: Shared) -> None:
        super().__init__(function, shared)
        self._called = function

    def print(self) -> list[str]:
        """Return the function's lines; what it needs of its callers is noted for them."""
        body = self.body()
        self.shared.positions[id(self._called)] = list(self._positions)
        return [*self._signature(), *body, "}", ""]

    def _signature(self) -> list[str]:
        parameters = []
        for argument in self._called.arguments:
            name = self._argument_names[id(argument)]
            if isinstance(argument.type, TensorType):
                access = "device" if argument.is_written else "device const"
                parameters.append(f"{access} {argument.type.dtype.msl}* {name}")
            else:
                parameters.append(f"{self.shared.type_name(argument.type)} {name}")
        for array in self._called.threadgroup_arrays:
            sizes = "".join(f"[{size}]" for size in array.type.shape)
            name = self._array_names[id(array)]
            parameters.append(f"{array.type.space} {array.type.dtype.msl} (&{name}){sizes}")
        parameters += [f"{POSITION_NAMES[kind][0]} {name}" for kind, name in self._positions.items()]
        head = f"static inline {self.shared.type_name(self._called.result)} {self.shared.functions[id(self._called)]}("
        line = f"{head}{', '.join(parameters)}) {{"
        if len(line) <= 120:
            return [line]
        joined = (",\n" + INDENT * 2).join(parameters)
        return [head, f"{INDENT * 2}{joined}) {{"]


def print_kernel(
    kernel: ir.Kernel, functions: Sequence[ir.Function] = (), logs_assertions: bool = False
) -> tuple[str, str]:
    """Return the MSL of a kernel and the name it has there.

    Args:
        kernel: what is printed.
        functions: those that it calls, directly or not, each after those that it calls.
        logs_assertions: whether a GPU tests assertions too.
    """
    shared = Shared(Names())
    name = shared.names.unique(kernel.name)
    for function in functions:
        shared.functions[id(function)] = shared.names.unique(function.name)
    # Structs are named where they are used first: printed last, they stand in front.
    lines = [line for function in functions for line in _FunctionPrinter(function, shared).print()]
    lines += _KernelPrinter(kernel, shared, name).print()
    head = ["#include <metal_stdlib>", *prelude.includes(shared.helpers), ""]
    if logs_assertions and prelude.ASSERT in shared.helpers:
        head.append("#define HELION_MSL_LOGS_ASSERTIONS 1")
    helpers = prelude.text(shared.helpers)
    if helpers:
        head += [helpers, ""]
    return "\n".join([*head, *shared.struct_lines(), *lines, ""]), name
