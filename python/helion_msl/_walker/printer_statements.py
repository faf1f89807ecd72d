"""Statements of IR to MSL.

The text comes out of two primitives, :meth:`StatementPrinter.line` and :meth:`StatementPrinter.block`, which keep it on
the lines of the Python source by ``#line`` directives.
"""

# ruff: noqa: N802 - the methods are named after the classes of the intermediate representation

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

from . import ir, prelude
from .literals import number_text, string_text
from .printer_expressions import ASSIGNMENT, SHIFT, UNARY, ExpressionPrinter, Shared
from .scopes import declare, drop_unread, remove_copies
from .types import FLOAT16, FLOAT32, ScalarType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INDENT = "  "
_AUGMENTED = frozenset({"+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"})


class StatementPrinter(ExpressionPrinter):
    """Prints the body of one function or kernel."""

    def __init__(self, function: ir.Function | ir.Kernel, shared: Shared) -> None:
        super().__init__(shared)
        self._function = function
        self._lines: list[str] = []
        self._depth = 1
        self._python_line = 0  # what the compiler takes the next line of text for; 0: not in the source
        uses = drop_unread(function.body)
        self._argument_names = {id(argument): self._names.unique(argument.name) for argument in function.arguments}
        changed = remove_copies(function) if isinstance(function, ir.Function) else {}
        self._variable_names = {variable: self._argument_names[argument] for variable, argument in changed.items()}
        self._declarations = declare(function.body, uses, self._variable_names)
        self._array_names = {id(array): self._names.unique(array.name) for array in function.threadgroup_arrays}
        self._name_variables()

    def _name_variables(self) -> None:
        names = self._variable_names
        shared: dict[str, str] = {}
        for variable in sorted(self._declarations.variables, key=lambda variable: variable.is_temporary):
            if variable.is_loop_owned:
                if variable.name not in shared:
                    shared[variable.name] = self._names.unique(variable.name)
                names[id(variable)] = shared[variable.name]
            else:
                names[id(variable)] = self._names.unique(variable.name)

    def body(self) -> list[str]:
        """Return the lines between the braces."""
        self._block(self._function.body)
        return [*self._top(), *self._lines]

    def _top(self) -> list[str]:
        lines = []
        for name, scalar, value in self._constants.values():
            lines.append(f"{INDENT}constexpr {scalar.msl} {name} = {number_text(value, scalar)};")
        for array in self._function.threadgroup_arrays:
            if isinstance(self._function, ir.Kernel):
                sizes = "".join(f"[{size}]" for size in array.type.shape)
                space = "threadgroup " if array.type.space == "threadgroup" else ""
                lines.append(f"{INDENT}{space}{array.type.dtype.msl} {self._array_names[id(array)]}{sizes};")
        return lines

    # ---- Primitives ------------------------------------------------------------------------------------------------

    def line(self, text: str, python_line: int = 0) -> None:
        """Write one line, which stands for a line of the Python source; statements of one line share one."""
        if python_line and self._function.filename is not None:
            if self._python_line == python_line + 1 and self._continues(text):
                self._lines[-1] += f" {text}"
                return
            self._go_to(python_line)
        self._lines.append(f"{INDENT * self._depth}{text}")
        self._python_line += 1 if self._python_line else 0

    def _continues(self, text: str) -> bool:
        """Whether a statement fits behind the one before."""
        last = self._lines[-1]
        is_level = last.startswith(INDENT * self._depth) and not last.startswith(INDENT * self._depth + " ")
        return is_level and last.endswith(";") and text.endswith(";") and len(last) + len(text) < 100

    def _go_to(self, python_line: int) -> None:
        """Make the compiler take the next line for a line of the source: by the comments between, or by ``#line``."""
        between = range(self._python_line, python_line)
        if self._python_line and 0 < len(between) <= 12 and all(line in self._function.comments for line in between):
            for line in between:
                comment = self._function.comments[line].encode("ascii", "replace").decode().rstrip("\\ ").lstrip("# ")
                self._lines.append(f"{INDENT * self._depth}// {comment}" if comment else "")
        elif self._python_line != python_line:
            name = self._function.filename or ""
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

    # ---- Statements ------------------------------------------------------------------------------------------------

    def _block(self, statements: list[ir.Statement]) -> None:
        for index, statement in enumerate(statements):
            for variable in self._declarations.before.get((id(statements), index), ()):
                self.line(f"{self._declarator(variable)};", statement.line)
            _PRINTERS[type(statement)](self, statement)

    def _declarator(self, variable: ir.Variable) -> str:
        return f"{self.shared.type_name(variable.type)} {self._variable_names[id(variable)]}"

    def _print_Assign(self, node: ir.Assign) -> None:
        name = self._variable_names[id(node.variable)]
        if id(node) in self._declarations.with_assignment:
            self.line(f"{self._declarator(node.variable)} = {self._initializer(node.value)};", node.line)
        else:
            self.line(f"{self._assignment(name, node.value, node.variable.type)};", node.line)

    def _assignment(self, target: str, value: ir.Expression, kind: object) -> str:
        """Return an assignment: one that changes its target with an operator names it once."""
        if isinstance(value, ir.Binary) and value.operator in _AUGMENTED and value.type == kind == value.left.type:
            left, right = value.left, value.right
            if not ir.has_effect(left) and self.text(left) == target:
                bare = self.pair(left, right)[1] if value.operator not in ("<<", ">>") else right
                return f"{target} {value.operator}= {self.text(bare, ASSIGNMENT)}"
        return f"{target} = {self._initializer(value)}"

    def _initializer(self, node: ir.Expression) -> str:
        """Return a value as the right side of an assignment, where C++ widens by itself."""
        if isinstance(node, ir.Position):
            return self._position(node)
        bare = self._uncast(node)
        source = bare.type
        if bare is not node and isinstance(source, ScalarType) and (source is FLOAT16 or node.type is not FLOAT32):
            return self.text(bare, ASSIGNMENT)
        return self.text(node, ASSIGNMENT)

    def _print_StoreComponents(self, node: ir.StoreComponents) -> None:
        target = f"{self._variable_names[id(node.variable)]}.{node.places}"
        self.line(f"{self._assignment(target, node.value, node.value.type)};", node.line)

    def _print_Store(self, node: ir.Store) -> None:
        assignment = f"{self._assignment(self._element(node.element), node.value, node.element.base.type.dtype)};"
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
        counter = self._declarator(node.counter) if id(node) in self._declarations.with_assignment else name
        with self.block(f"for ({counter} = {start}; {test}; {move})", node.line):
            self._block(node.body)

    def _print_While(self, node: ir.While) -> None:
        with self.block(f"while ({self.text(node.test)})", node.line):
            self._block(node.body)

    def _print_Jump(self, node: ir.Jump) -> None:
        self.line(f"{node.keyword};", node.line)

    def _print_Once(self, node: ir.Once) -> None:
        self.line("do {", node.line)
        self._indented(node.body)
        self.line("} while (false);")

    def _print_Return(self, node: ir.Return) -> None:
        self.line(f"return {self._initializer(node.value)};", node.line)

    def _print_Assert(self, node: ir.Assert) -> None:
        self.shared.use(prelude.ASSERT)
        test = self._macro_argument(node.test)
        self.line(f"{prelude.ASSERT}({', '.join([test, *self._message(node.message)])});", node.line)

    def _print_Print(self, node: ir.Print) -> None:
        self.shared.use(prelude.PRINT)
        self.line(f"{prelude.PRINT}({', '.join(self._message(node.message))});", node.line)

    def _message(self, message: ir.Message) -> list[str]:
        return [string_text(message.format), *map(self._macro_argument, message.values)]

    def _macro_argument(self, node: ir.Expression) -> str:
        text = self.text(node, ASSIGNMENT)
        # To a macro, commas in braces part its arguments.
        return f"({text})" if "{" in text else text


_PRINTERS: dict[type, Callable[[StatementPrinter, Any], None]] = {
    kind: getattr(StatementPrinter, f"_print_{kind.__name__}") for kind in get_args(ir.Statement)
}
