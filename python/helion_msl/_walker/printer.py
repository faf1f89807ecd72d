"""IR to MSL. Nothing is decided here: the text follows from the nodes, and parentheses from C++'s precedence.

The text comes out of five primitives: :meth:`Printer.line`, :meth:`Printer.block`, :meth:`Printer.text`,
:meth:`Printer.pair` and :meth:`Printer.commas`.
"""

# ruff: noqa: N802 - the methods are named after the classes of the intermediate representation

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import ir, matmul_simdgroup, prelude
from .matmul import AccumulatorType, Matmul
from .names import Names
from .scopes import declare, remove_unread
from .types import (
    BFLOAT16,
    BOOL,
    FLOAT16,
    FLOAT32,
    INT32,
    INT64,
    UINT32,
    UINT64,
    PointerType,
    ScalarType,
    TensorType,
    integer_type_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .types import Type

# ISO/IEC 14882, [expr]: higher binds tighter.
COMMA, ASSIGNMENT, TERNARY, OR, AND, BIT_OR, BIT_XOR, BIT_AND, EQUALITY, RELATION, SHIFT, SUM, PRODUCT, UNARY, ATOM = (
    range(15)
)
PRECEDENCE = {
    "||": OR,
    "&&": AND,
    "|": BIT_OR,
    "^": BIT_XOR,
    "&": BIT_AND,
    "==": EQUALITY,
    "!=": EQUALITY,
    "<": RELATION,
    "<=": RELATION,
    ">": RELATION,
    ">=": RELATION,
    "<<": SHIFT,
    ">>": SHIFT,
    "+": SUM,
    "-": SUM,
    "*": PRODUCT,
    "/": PRODUCT,
    "%": PRODUCT,
}
# Mixed without parentheses these are legal, misread by people and warned about by clang.
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_LOOSE = frozenset({"|", "^", "&", "<<", ">>"})

_POSITION_NAMES: dict[ir.PositionKind, tuple[str, str]] = {
    "threadgroup_position_in_grid": ("uint3", "tgid"),
    "thread_position_in_threadgroup": ("uint3", "tid"),
    "thread_position_in_grid": ("uint3", "gid"),
    "threads_per_threadgroup": ("uint3", "threads_per_threadgroup"),
    "threadgroups_per_grid": ("uint3", "threadgroups_per_grid"),
    "simdgroup_index_in_threadgroup": ("uint", "simd_group"),
    "thread_index_in_simdgroup": ("uint", "simd_lane"),
    "simdgroups_per_threadgroup": ("uint", "simdgroups_per_threadgroup"),
    "thread_index_in_threadgroup": ("uint", "thread_index"),
}
_INDENT = "  "


def number_text(value: ir.Number, scalar: ScalarType) -> str:
    """Return a number as a literal of exactly one type: the shortest that reads back as the same value."""
    if scalar is BOOL:
        return "true" if value else "false"
    if scalar.is_float:
        return _float_text(float(value), scalar)
    whole = int(value)
    if scalar.bits < 32:
        return f"{scalar.msl}({whole})"
    suffix = {INT32: "", UINT32: "u", INT64: "L", UINT64: "UL"}[scalar]
    # -2147483648 is a minus before a number that is no int.
    return f"({whole + 1}{suffix} - 1)" if scalar.kind == "int" and whole == scalar.minimum else f"{whole}{suffix}"


def _is_single(text: str, single: float) -> bool:
    """Whether a decimal reads as this float32; with nine digits every one does."""
    try:
        return bool(struct.unpack("f", struct.pack("f", float(text)))[0] == single)
    except OverflowError:
        return False


def _float_text(value: float, scalar: ScalarType) -> str:
    if value != value:
        text = "NAN"
    elif value in (float("inf"), float("-inf")):
        text = "INFINITY" if value > 0 else "-INFINITY"
    else:
        try:
            rounded = struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:
            return _float_text(float("inf") if value > 0 else float("-inf"), scalar)
        digits = next(text for text in (f"{value:.{count}g}" for count in range(6, 10)) if _is_single(text, rounded))
        text = digits if any(mark in digits for mark in ".e") else digits + ".0"
        text += "f"
    return text if scalar is FLOAT32 else f"{scalar.msl}({text})"


def _widens(source: Type, target: ScalarType) -> bool:
    """Whether C++'s usual arithmetic conversions bring an operand to ``target``, beside one that has it."""
    if not isinstance(source, ScalarType) or source is BFLOAT16 or target in (FLOAT16, BFLOAT16):
        return False
    if target is FLOAT32:
        return True
    if source.is_float or source is target:
        return False
    if target is INT64:
        return source.bits <= 32
    return source.kind != "int" and source.bits <= 32 if target.kind == "uint" else source.is_narrow


class Printer:
    """Prints one kernel."""

    def __init__(self, kernel: ir.Kernel) -> None:
        self._kernel = kernel
        self._names = Names()
        self._lines: list[str] = []
        self._depth = 1
        self._python_line = 0  # what the compiler takes the next line of text for; 0: not in the source
        self._constants: dict[str, tuple[str, ScalarType, ir.Number]] = {}
        self._positions: dict[ir.PositionKind, str] = {}
        self._helpers: set[str] = set()
        remove_unread(kernel.body)
        self._declarations = declare(kernel.body)
        self.name = self._names.unique(kernel.name)
        self._argument_names = {id(argument): self._names.unique(argument.name) for argument in kernel.arguments}
        self._array_names = {id(array): self._names.unique(array.name) for array in kernel.threadgroup_arrays}
        self._variable_names = self._name_variables()

    def _name_variables(self) -> dict[int, str]:
        names: dict[int, str] = {}
        shared: dict[str, str] = {}
        for variable in sorted(self._declarations.variables, key=lambda variable: variable.is_temporary):
            if variable.is_loop_owned:
                if variable.name not in shared:
                    shared[variable.name] = self._names.unique(variable.name)
                names[id(variable)] = shared[variable.name]
            else:
                names[id(variable)] = self._names.unique(variable.name)
        return names

    def print(self) -> str:
        """Return the whole MSL source."""
        self._block(self._kernel.body)
        body = self._lines
        head = ["#include <metal_stdlib>", *prelude.includes(self._helpers), ""]
        helpers = prelude.text(self._helpers)
        if helpers:
            head += [helpers, ""]
        return "\n".join([*head, *self._signature(), *self._top(), *body, "}", ""])

    # ---- Primitives ------------------------------------------------------------------------------------------------

    def line(self, text: str, python_line: int = 0) -> None:
        """Write one line, which stands for a line of the Python source."""
        if python_line and self._kernel.filename is not None:
            self._go_to(python_line)
        self._lines.append(f"{_INDENT * self._depth}{text}")
        self._python_line += 1 if self._python_line else 0

    def _go_to(self, python_line: int) -> None:
        """Make the compiler take the next line for a line of the source: by the comments between, or by ``#line``."""
        between = range(self._python_line, python_line)
        if self._python_line and 0 < len(between) <= 12 and all(line in self._kernel.comments for line in between):
            for line in between:
                comment = self._kernel.comments[line].encode("ascii", "replace").decode().rstrip("\\ ").lstrip("# ")
                self._lines.append(f"{_INDENT * self._depth}// {comment}" if comment else "")
        elif self._python_line != python_line:
            name = self._kernel.filename or ""
            quoted = name.replace("\\", "/").replace('"', "'").encode("ascii", "replace").decode()
            self._lines.append(f"#line {python_line}" + ("" if self._python_line else f' "{quoted}"'))
        self._python_line = python_line

    @contextmanager
    def block(self, head: str, python_line: int) -> Iterator[None]:
        """Write a head with braces around what is written inside."""
        self.line(f"{head} {{", python_line)
        self._depth += 1
        yield
        self._depth -= 1
        self.line("}")

    def text(self, node: ir.Expression, precedence: int = COMMA) -> str:
        """Return an expression, in parentheses where it binds less tightly than what surrounds it."""
        method = getattr(self, f"_text_{type(node).__name__}")
        text, own = method(node)
        return f"({text})" if own < precedence else text

    def pair(self, left: ir.Expression, right: ir.Expression) -> tuple[ir.Expression, ir.Expression]:
        """Return two operands of one type without the casts that C++ makes anyway."""
        bare_left, bare_right = self._uncast(left), self._uncast(right)
        if bare_left is not left and bare_right is not right:
            # Together narrow integers compute as int; of other pairs one side must carry the type.
            return (bare_left, bare_right) if left.type is INT32 else (bare_left, right)
        return bare_left, bare_right

    @staticmethod
    def _uncast(node: ir.Expression) -> ir.Expression:
        is_implied = isinstance(node, ir.Cast) and _widens(node.operand.type, node.type)
        return node.operand if isinstance(node, ir.Cast) and is_implied else node

    def commas(self, nodes: Sequence[ir.Expression]) -> str:
        """Return expressions separated by commas."""
        return ", ".join(self.text(node, ASSIGNMENT) for node in nodes)

    # ---- Around the body -------------------------------------------------------------------------------------------

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
            parameters.append(f"{_POSITION_NAMES[kind][0]} {name} [[{kind}]]")
        lines = []
        if self._kernel.block_dims is not None:
            x, y, z = self._kernel.block_dims
            lines.append(f"[[max_total_threads_per_threadgroup({x * y * z})]]")
        if not parameters:
            return [*lines, f"kernel void {self.name}() {{"]
        joined = (",\n" + _INDENT * 2).join(parameters)
        return [*lines, f"kernel void {self.name}(", f"{_INDENT * 2}{joined}) {{"]

    def _top(self) -> list[str]:
        lines = []
        for name, scalar, value in self._constants.values():
            lines.append(f"{_INDENT}constexpr {scalar.msl} {name} = {number_text(value, scalar)};")
        for array in self._kernel.threadgroup_arrays:
            sizes = "".join(f"[{size}]" for size in array.type.shape)
            lines.append(f"{_INDENT}threadgroup {array.type.dtype.msl} {self._array_names[id(array)]}{sizes};")
        return lines

    # ---- Statements ------------------------------------------------------------------------------------------------

    def _block(self, statements: list[ir.Statement]) -> None:
        for index, statement in enumerate(statements):
            for variable in self._declarations.before.get((id(statements), index), ()):
                self.line(f"{self._declarator(variable)};", statement.line)
            getattr(self, f"_print_{type(statement).__name__}")(statement)

    def _declarator(self, variable: ir.Variable) -> str:
        kind = variable.type
        name = self._variable_names[id(variable)]
        if isinstance(kind, PointerType):
            return f"{kind.space} {kind.dtype.msl}* {name}"
        if isinstance(kind, AccumulatorType):
            return f"{self._accumulator(kind)} {name}"
        assert isinstance(kind, ScalarType)
        return f"{kind.msl} {name}"

    def _print_Assign(self, node: ir.Assign) -> None:
        declares = id(node) in self._declarations.with_assignment
        target = self._declarator(node.variable) if declares else self._variable_names[id(node.variable)]
        self.line(f"{target} = {self._initializer(node.value)};", node.line)

    def _initializer(self, node: ir.Expression) -> str:
        """Return a value as the right side of an assignment, where C++ widens by itself."""
        if isinstance(node, ir.Position):
            return self._position(node)
        bare = self._uncast(node)
        source = bare.type
        if bare is not node and isinstance(source, ScalarType) and (source is FLOAT16 or node.type is not FLOAT32):
            return self.text(bare, ASSIGNMENT)
        return self.text(node, ASSIGNMENT)

    def _print_Store(self, node: ir.Store) -> None:
        assignment = f"{self._element(node.element)} = {self._initializer(node.value)};"
        if node.mask is not None:
            assignment = f"if ({self.text(node.mask)}) {assignment}"
        self.line(assignment, node.line)

    def _print_Evaluate(self, node: ir.Evaluate) -> None:
        self.line(f"{self.text(node.value)};", node.line)

    def _print_If(self, node: ir.If) -> None:
        if not node.body:
            with self.block(f"if (!{self.text(node.test, UNARY)})", node.line):
                self._block(node.orelse)
            return
        self.line(f"if ({self.text(node.test)}) {{", node.line)
        while True:
            self._indented(node.body)
            following = node.orelse
            if not following:
                break
            nested = following[0]
            declared = self._declarations.before.get((id(following), 0))
            if len(following) == 1 and isinstance(nested, ir.If) and nested.body and not declared:
                self.line(f"}} else if ({self.text(nested.test)}) {{", nested.line)
                node = nested
                continue
            self.line("} else {")
            self._indented(following)
            break
        self.line("}")

    def _indented(self, statements: list[ir.Statement]) -> None:
        self._depth += 1
        self._block(statements)
        self._depth -= 1

    def _print_For(self, node: ir.For) -> None:
        name = self._variable_names[id(node.counter)]
        assert isinstance(node.counter.type, ScalarType)
        start = self._initializer(node.start)
        stop, step = self.text(node.stop, SHIFT), self.text(node.step, SHIFT)
        if isinstance(node.step, ir.Constant):
            size = abs(node.step.value)
            rises = node.step.value > 0
            test = f"{name} {'<' if rises else '>'} {stop}"
            sign = "+" if rises else "-"
            move = f"{sign}{sign}{name}" if size == 1 else f"{name} {sign}= {number_text(size, node.counter.type)}"
            if size != 1 and rises and node.step.name:
                move = f"{name} += {step}"
        elif ir.is_positive(node.step):
            test, move = f"{name} < {stop}", f"{name} += {self._initializer(node.step)}"
        else:
            test = f"({step} > 0 && {name} < {stop}) || ({step} < 0 && {name} > {stop})"
            move = f"{name} += {step}"
        with self.block(f"for ({node.counter.type.msl} {name} = {start}; {test}; {move})", node.line):
            self._block(node.body)

    def _print_While(self, node: ir.While) -> None:
        with self.block(f"while ({self.text(node.test)})", node.line):
            self._block(node.body)

    def _print_Jump(self, node: ir.Jump) -> None:
        self.line(f"{node.keyword};", node.line)

    # ---- Expressions: each returns the text and how tightly it binds -----------------------------------------------

    def _text_Constant(self, node: ir.Constant) -> tuple[str, int]:
        if node.name is not None and self._keeps_name(node):
            entry = self._constants.get(node.name)
            if entry is None:
                entry = self._constants[node.name] = (self._names.unique(node.name), node.type, node.value)
            if entry[2] == node.value and entry[1] is node.type:
                return entry[0], ATOM
        text = number_text(node.value, node.type)
        return text, UNARY if text.startswith("-") else ATOM

    @staticmethod
    def _keeps_name(node: ir.Constant) -> bool:
        if isinstance(node.value, bool):
            return node.type is BOOL
        return node.type is (FLOAT32 if isinstance(node.value, float) else integer_type_of(node.value))

    def _text_Read(self, node: ir.Read) -> tuple[str, int]:
        return self._variable_names[id(node.variable)], ATOM

    def _text_ArgumentRead(self, node: ir.ArgumentRead) -> tuple[str, int]:
        return self._argument_names[id(node.argument)], ATOM

    def _text_TensorReference(self, node: ir.TensorReference) -> tuple[str, int]:
        return self._argument_names[id(node.argument)], ATOM

    def _text_ThreadgroupArrayReference(self, node: ir.ThreadgroupArrayReference) -> tuple[str, int]:
        return self._array_names[id(node.array)], ATOM

    def _text_Symbol(self, node: ir.Symbol) -> tuple[str, int]:
        return node.name, ATOM

    def _text_Pointer(self, node: ir.Pointer) -> tuple[str, int]:
        base = self.text(node.base)
        if isinstance(node.offset, ir.Constant) and node.offset.value == 0:
            return base, ATOM
        return f"{base} + {self.text(node.offset, SUM + 1)}", SUM

    def _position(self, node: ir.Position) -> str:
        name = self._positions.get(node.kind)
        if name is None:
            name = self._positions[node.kind] = self._names.unique(_POSITION_NAMES[node.kind][1])
        return name if node.axis is None else f"{name}.{'xyz'[node.axis]}"

    def _text_Position(self, node: ir.Position) -> tuple[str, int]:
        return f"{node.type.msl}({self._position(node)})", ATOM

    def _text_Unary(self, node: ir.Unary) -> tuple[str, int]:
        text = self.text(self._uncast(node.operand) if node.type is INT32 else node.operand, UNARY)
        # `--x` is a decrement.
        return f"{node.operator}({text})" if text.startswith(node.operator) else node.operator + text, UNARY

    def _text_Binary(self, node: ir.Binary) -> tuple[str, int]:
        own = PRECEDENCE[node.operator]
        is_shift = node.operator in ("<<", ">>")
        left, right = node.left, node.right
        if isinstance(left, ir.Position) and isinstance(right, ir.Constant) and node.type is BOOL and right.value >= 0:
            # As unsigned numbers they compare alike, where the constant is not negative.
            return f"{self._position(left)} {node.operator} {self.text(right, own + 1)}", own
        if not is_shift:
            left, right = self.pair(left, right)
        return f"{self._operand(left, node, own)} {node.operator} {self._operand(right, node, own + 1)}", own

    def _operand(self, node: ir.Expression, parent: ir.Binary, precedence: int) -> str:
        if isinstance(node, ir.Binary):
            is_other = node.operator != parent.operator
            is_comparison = node.operator in _COMPARISONS and parent.operator in _COMPARISONS
            is_and_in_or = (parent.operator, node.operator) == ("||", "&&")
            if is_comparison or is_and_in_or or (is_other and parent.operator in _LOOSE):
                precedence = ATOM
        return self.text(node, precedence)

    def _text_Conditional(self, node: ir.Conditional) -> tuple[str, int]:
        body, orelse = self.pair(node.body, node.orelse)
        test = self.text(node.test, OR)
        return f"{test} ? {self.text(body, OR)} : {self.text(orelse, TERNARY)}", TERNARY

    def _text_Cast(self, node: ir.Cast) -> tuple[str, int]:
        inner = node.operand
        if isinstance(inner, ir.Position):
            return f"{node.type.msl}({self._position(inner)})", ATOM
        return f"{node.type.msl}({self.text(inner)})", ATOM

    def _text_Call(self, node: ir.Call) -> tuple[str, int]:
        if node.function.startswith(prelude.NAMESPACE) or node.function.startswith("c10::"):
            self._helpers.add(node.function)
        if node.function.endswith(")"):
            return node.function, ATOM
        return f"{node.function}({self.commas(node.arguments)})", ATOM

    def _accumulator(self, kind: AccumulatorType) -> str:
        self._helpers.add(matmul_simdgroup.NAME)
        return matmul_simdgroup.type_text(kind)

    def _text_Matmul(self, node: Matmul) -> tuple[str, int]:
        assert node.accumulator is not None
        if node.function == "zero":
            return f"{self._accumulator(node.accumulator)}()", ATOM
        function = matmul_simdgroup.FUNCTIONS[node.function]
        self._helpers.add(function)
        simdgroup = self._position(ir.Position("simdgroup_index_in_threadgroup", None))
        return f"{function}({self.commas(node.arguments)}, {simdgroup})", ATOM

    def _text_Load(self, node: ir.Load) -> tuple[str, int]:
        element = self._element(node.element)
        if node.mask is None or node.other is None:
            return element, ATOM
        return f"{self.text(node.mask, OR)} ? {element} : {self.text(node.other, TERNARY)}", TERNARY

    def _element(self, node: ir.Element) -> str:
        indices = "".join(f"[{self._index(index)}]" for index in node.indices)
        return self.text(node.base) + indices

    def _index(self, node: ir.Expression) -> str:
        return self._position(node) if isinstance(node, ir.Position) else self.text(node)

    def _text_AddressOf(self, node: ir.AddressOf) -> tuple[str, int]:
        return f"({node.type.space} {node.pointee}*)&{self._element(node.element)}", UNARY

    def _text_AssignExpression(self, node: ir.AssignExpression) -> tuple[str, int]:
        return f"{self._variable_names[id(node.variable)]} = {self.text(node.value, ASSIGNMENT)}", ASSIGNMENT

    def _text_Sequence(self, node: ir.Sequence) -> tuple[str, int]:
        return f"{self.text(node.first, ASSIGNMENT)}, {self.text(node.second, ASSIGNMENT)}", COMMA - 1


def print_kernel(kernel: ir.Kernel) -> tuple[str, str]:
    """Return the MSL of a kernel and the name it has there."""
    printer = Printer(kernel)
    return printer.print(), printer.name
