"""Statements of Python to IR: one method for each node class."""

# ruff: noqa: N802 - the visitors are named after the classes of the ast module

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, ClassVar

from . import fold, ir, values
from .counters import count_in_place
from .infer import TypeConflictError
from .messages import assert_message, print_message
from .messages import emit as emit_message
from .parse_base import MAXIMUM_BUFFERS, fields_of
from .parse_loops import LoopParser
from .types import BOOL, MAXIMUM_THREADGROUP_MEMORY, VOID, ScalarType, SimdgroupMatrixType, TupleType
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..errors import TranslationError
    from .types import Type
    from .values import Value

RETURNED = "return"  # what the value of a function is called among its variables: no Python name

REFUSED_STATEMENTS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Try: ("the GPU has no exceptions", "test for the condition with `if`"),
    ast.Raise: ("the GPU has no exceptions", "write an error code into a tensor"),
    ast.With: ("a kernel has no context managers", "write the statements of the block"),
    ast.FunctionDef: ("a kernel cannot define functions", "define it outside"),
    ast.AsyncFunctionDef: ("a kernel cannot define coroutines", "define it outside"),
    ast.AsyncFor: ("a kernel cannot wait for a coroutine", "use `for`"),
    ast.AsyncWith: ("a kernel cannot wait for a coroutine", ""),
    ast.ClassDef: ("a kernel cannot define classes", "use separate variables"),
    ast.Import: ("a kernel cannot import", "import at the top of the file"),
    ast.ImportFrom: ("a kernel cannot import", "import at the top of the file"),
    ast.Global: ("a kernel cannot change a global variable", "store into a tensor, and pass values as arguments"),
    ast.Nonlocal: ("a kernel cannot change a captured variable", "store into a tensor, and pass values as arguments"),
    ast.Delete: ("a variable cannot be deleted", "leave the statement out"),
    ast.Match: ("`match` is not supported in a kernel", "write if / elif / else"),
}


def _arms(value: ir.Expression) -> Iterator[ir.Expression]:
    """Yield what an expression may be as it is: itself, or the arms of a choice."""
    if isinstance(value, ir.Conditional):
        yield from _arms(value.body)
        yield from _arms(value.orelse)
    else:
        yield value


class StatementParser(LoopParser):
    """Turns the statements of a function into IR."""

    refused: ClassVar[dict[type[ast.AST], tuple[str, str]]] = {**LoopParser.refused, **REFUSED_STATEMENTS}

    def parse(self) -> ir.Kernel:
        """Run one pass over a kernel."""
        self._parse_body(is_function=False)
        definition = self.source.definition
        if len(self.arguments) > MAXIMUM_BUFFERS:
            raise self.error(
                definition,
                f"the kernel needs {len(self.arguments)} buffers, sizes and strides included, and Metal has"
                f" {MAXIMUM_BUFFERS}",
                "pass fewer tensors, or make numbers constants: n: ml.constexpr",
            )
        arrays = self.all_arrays
        size = sum(array.type.size_in_bytes for array in arrays if array.type.space == "threadgroup")
        if size > MAXIMUM_THREADGROUP_MEMORY:
            raise self.error(
                definition,
                f"the threadgroup arrays take {size} bytes together, a threadgroup has {MAXIMUM_THREADGROUP_MEMORY}",
                "use smaller blocks",
            )
        return ir.Kernel(
            definition.name,
            self.arguments,
            self._body,
            arrays,
            self.block_dims,
            self.source.short_filename,
            self.source.comments(),
        )

    def parse_function(self) -> ir.Function:
        """Run one pass over a function that a kernel calls."""
        self._parse_body(is_function=True)
        returns_value = self.variables.is_known(RETURNED)
        if returns_value and self.assigned is not None:
            line = self.variables.line_of(RETURNED)
            raise self.error(
                self.source.definition,
                f"`{self.source.definition.name}` returns a value on line {line}, and nothing at its end",
                "end it with a return",
            )
        return ir.Function(
            self.source.definition.name,
            self.arguments,
            self._body,
            self._result_type(RETURNED) if returns_value else VOID,
            self.all_arrays,
            is_non_negative=returns_value
            and self.variables.tuple_length(RETURNED) is None
            and self.variables.is_non_negative(RETURNED),
            has_effect=ir.changes_anything(self._body),
            returned=[
                value.argument
                for statement in ir.walk_statements(self._body)
                if isinstance(statement, ir.Return)
                for value in _arms(statement.value)
                if isinstance(value, ir.ArgumentRead)
            ],
            reads_memory=any(map(ir.reads_memory, ir.walk_expressions(self._body))),
            copies=self._copies,
            filename=self.source.short_filename,
            comments=self.source.comments(),
        )

    def _parse_body(self, is_function: bool) -> None:
        definition = self.source.definition
        self.loops = []
        self.copies_counter = False
        self._is_function = is_function
        self._returned_nothing = 0  # the line of a `return` without a value
        self._body = []
        for name, value in self.parameters.items():
            if name in self.variables.local_names:
                self._copy_parameter(name, value)
        self._copies = list(self._body)
        self.block(definition.body, into=self._body)
        if self.copies_counter:
            count_in_place(self._body)

    def _result_type(self, key: str) -> Type:
        count = self.variables.tuple_length(key)
        if count is None:
            return self.variables.type_of(key)
        return TupleType(tuple(self._result_type(f"{key}.{index}") for index in range(count)))

    def _copy_parameter(self, name: str, value: Value) -> None:
        """Give a parameter that the function assigns a variable of its own: arguments are read-only."""
        if isinstance(value, TupleValue) and not any(isinstance(item, PythonObject) for item in value.items):
            self._assign(self.source.definition, name, value)
        elif values.is_number(value):
            typed = fold.convert(value, value.type) if isinstance(value.type, ScalarType) else value
            self._assign(self.source.definition, name, typed)

    # ---- Branches and jumps ----------------------------------------------------------------------------------------

    def visit_If(self, node: ast.If) -> None:
        """``if``; a test that is known at translation leaves only the branch taken."""
        test = self.condition(node.test)
        if isinstance(test, ir.Constant):
            for statement in node.body if test.value else node.orelse:
                if self.assigned is not None:
                    self.statement(statement)
            return
        before = set(self.assigned or ())
        self.assigned = before | self.assigned_when_true
        body = self.block(node.body)
        after_body, self.assigned = self.assigned, before
        orelse = self.block(node.orelse)
        self.assigned = self.join_assigned(after_body, self.assigned)
        if body or orelse:
            self.emit(ir.If(test, body, orelse, self.source.line(node)))
        elif ir.has_effect(test):
            self.emit(ir.Evaluate(test, self.source.line(node)))

    def visit_Return(self, node: ast.Return) -> None:
        """End the function; a kernel returns nothing."""
        value = self.assigned_value(node.value, []) if node.value is not None else PythonObject(None)
        if values.is_expression(value) and value.type is VOID:
            self.emit(ir.Evaluate(value, self.source.line(node)))
            value = PythonObject(None)
        is_nothing = value == PythonObject(None)
        if not is_nothing and not self._is_function:
            raise self.error(node, "a kernel returns nothing", "store the result into a tensor that is an argument")
        if is_nothing:
            self._return_nothing(node)
        elif self._returned_nothing:
            raise self._two_results(node, "a value", "nothing", self._returned_nothing)
        else:
            self.emit(ir.Return(self._result_of(node, value), self.source.line(node)))
        self.assigned = None

    def _result_of(self, node: ast.Return, value: Value) -> ir.Expression:
        if not values.is_expression(value) or not isinstance(value.type, TupleType):
            return self._result(node, RETURNED, value)
        if self._result(node, RETURNED, fields_of(value)).type == value.type:
            return value
        return self._result(node, RETURNED, self.unpacked(node, value))

    def _return_nothing(self, node: ast.Return) -> None:
        if self._is_function and self.variables.is_known(RETURNED):
            raise self._two_results(node, "nothing", "a value", self.variables.line_of(RETURNED))
        self._returned_nothing = self.source.line(node)
        self.emit(ir.Jump("return", self.source.line(node)))

    def _two_results(self, node: ast.AST, here: object, there: object, line: int) -> TranslationError:
        name = self.source.definition.name
        return self.error(
            node, f"`{name}` returns {there} on line {line} and {here} here", "return the same kind of value everywhere"
        )

    def _result(self, node: ast.Return, key: str, value: Value) -> ir.Expression:
        """Return a value converted to what the function returns at all its places."""
        if values.is_expression(value) and isinstance(value.type, TupleType):
            value = fields_of(value)
        try:
            if isinstance(value, TupleValue):
                self.variables.assign_tuple(key, len(value.items), self.source.line(node))
                items = [self._result(node, f"{key}.{index}", item) for index, item in enumerate(value.items)]
                return ir.TupleExpression(tuple(items), TupleType(tuple(item.type for item in items)))
            if isinstance(value, ir.TensorReference) and not value.type.rank:
                value = self.as_scalar(node, value)  # type: ignore[arg-type]
            is_matrix = values.is_expression(value) and isinstance(value.type, SimdgroupMatrixType)
            if not values.is_number(value) and not is_matrix:
                raise self.error(
                    node, f"a function of a kernel cannot return {values.describe(value)}", "return numbers"
                )
            return self.variables.assign(key, value, self.source.line(node))[1]  # type: ignore[arg-type]
        except TypeConflictError as error:
            raise self._two_results(node, error.assigned, error.held, error.line) from None

    def visit_Pass(self, node: ast.Pass) -> None:
        """Do nothing."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """Check a condition where the engine can."""
        test = self.condition(node.test)
        line = self.source.line(node)
        if isinstance(test, ir.Constant) and test.value:
            return
        message = assert_message(self, node)
        if all(value.type is not BOOL for value in message.values):
            self.emit(ir.Assert(test, message, line))
            return
        outer, self._body = self._body, []
        emit_message(self, node, message, lambda spelled: ir.Assert(ir.Constant(False, BOOL), spelled, line))
        failed, self._body = self._body, outer
        self.emit(ir.If(fold.logical_not(test), failed, [], line))

    def visit_Expr(self, node: ast.Expr) -> None:
        """Evaluate an expression for its effect; strings are documentation, and ``print`` prints."""
        if isinstance(node.value, ast.Call) and self.value(node.value.func) == PythonObject(print):
            line = self.source.line(node)
            emit_message(self, node, print_message(self, node.value), lambda message: ir.Print(message, line))
            return
        if isinstance(node.value, ast.Constant) and node.value.value is Ellipsis:
            return
        value = self.value(node.value)
        if isinstance(value, PythonObject) and (value.value is None or isinstance(value.value, str)):
            return
        if values.is_expression(value) and not isinstance(value, ir.TensorReference):
            if ir.has_effect(value):
                self.emit(ir.Evaluate(value, self.source.line(node)))
            return
        raise self.error(node, f"{values.describe(value)} does nothing as a statement")
