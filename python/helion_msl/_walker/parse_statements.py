"""Statements of Python to IR: one method for each node class."""

# ruff: noqa: N802 - the visitors are named after the classes of the ast module

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, ClassVar

from . import fold, ir, operators, values
from .infer import TypeConflictError
from .matmul import AccumulatorType
from .parse_base import MAXIMUM_BUFFERS
from .parse_expressions import ExpressionParser
from .types import BOOL, INT32, INT64, VOID, PointerType, ScalarType, promote
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from .values import Value

REFUSED_STATEMENTS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Try: ("the GPU has no exceptions", "test for the condition with `if`"),
    ast.Raise: ("the GPU has no exceptions", "write an error code into a tensor"),
    ast.With: ("a kernel has no context managers", "write the statements of the block"),
    ast.Assert: ("an assertion cannot stop a GPU", "write an error code into a tensor, or assert on the host"),
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


class StatementParser(ExpressionParser):
    """Turns the statements of a function into IR."""

    refused: ClassVar[dict[type[ast.AST], tuple[str, str]]] = {**ExpressionParser.refused, **REFUSED_STATEMENTS}

    def parse(self) -> ir.Kernel:
        """Run one pass over the function."""
        definition = self.source.definition
        self._breaks: list[list[set[str] | None]] = []
        self._completion_flags: list[ir.Variable | None] = []
        self._body: list[ir.Statement] = []
        self._loop_depth = 0
        for name, value in self.parameters.items():
            if name in self.variables.local_names:
                self._copy_parameter(name, value)
        self.block(definition.body, into=self._body)
        if len(self.arguments) > MAXIMUM_BUFFERS:
            raise self.error(
                definition,
                f"the kernel needs {len(self.arguments)} buffers, sizes and strides included, and Metal has"
                f" {MAXIMUM_BUFFERS}",
                "pass fewer tensors, or make numbers constants: n: ml.constexpr",
            )
        return ir.Kernel(
            definition.name,
            self.arguments,
            self._body,
            list(self.threadgroup_arrays.values()),
            self.block_dims,
            self.source.short_filename,
            self.source.comments(),
        )

    def _copy_parameter(self, name: str, value: Value) -> None:
        """Give a parameter that the function assigns a variable of its own: arguments are read-only."""
        if self._is_number(value):
            assert values.is_expression(value)
            typed = fold.convert(value, value.type) if isinstance(value.type, ScalarType) else value
            self._assign(self.source.definition, name, typed)

    def block(self, statements: list[ast.stmt], into: list[ir.Statement] | None = None) -> list[ir.Statement]:
        """Return the IR of a list of statements; what follows a jump is left out."""
        outer, self._body = self._body, into if into is not None else []
        for statement in statements:
            if self.assigned is None:
                break
            self.statement(statement)
        built, self._body = self._body, outer
        return built

    def statement(self, node: ast.stmt) -> None:
        """Append the IR of one statement to the current block."""
        method: Callable[[ast.AST], None] | None = getattr(self, f"visit_{type(node).__name__}", None)
        if method is None:
            self.refuse(node)
        else:
            method(node)

    def emit(self, statement: ir.Statement) -> None:
        """Append a statement to the current block."""
        self._body.append(statement)

    # ---- Assignments -----------------------------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        """``a = b = value``, with names, elements or tuples as targets."""
        value = self.assigned_value(node.value, node.targets)
        if len(node.targets) > 1 and values.is_expression(value) and not ir.is_simple(value):
            value = self._temporary(node, value)
        for target in node.targets:
            self.assign_target(target, value)

    def assigned_value(self, node: ast.expr, targets: list[ast.expr]) -> Value:
        """Return the right side of an assignment."""
        del targets
        value = self.value(node)
        return self.as_scalar(node, value) if isinstance(value, ir.TensorReference) and not value.type.rank else value

    def _temporary(self, node: ast.AST, value: ir.Expression) -> ir.Expression:
        """Assign a value to a new variable in front of the current statement."""
        if isinstance(value.type, ScalarType):
            value = fold.convert(value, value.type)
        variable = ir.Variable("value", value.type, self.source.line(node), is_temporary=True)
        variable.is_non_negative = ir.is_non_negative(value)
        self.emit(ir.Assign(variable, value, variable.line))
        return ir.Read(variable, variable.type)

    def assign_target(self, target: ast.expr, value: Value) -> None:
        """Assign a value to one target."""
        match target:
            case ast.Name():
                self._assign(target, target.id, value)
            case ast.Subscript():
                self._store(target, value)
            case ast.Tuple() | ast.List():
                self._unpack(target, value)
            case ast.Starred():
                self.refuse(target)
            case _:
                raise self.error(target, "a kernel cannot set attributes", "assign to a variable or an element")

    def _assign(self, node: ast.AST, name: str, value: Value) -> None:
        if isinstance(value, ir.ThreadgroupArrayReference):
            self._name_array(node, name, value)
            return
        if not values.is_expression(value) or not isinstance(value.type, ScalarType | PointerType | AccumulatorType):
            raise self.error(node, *self._not_assignable(name, value))
        variable, converted = self.assign_name(node, name, value)
        self.emit(ir.Assign(variable, converted, self.source.line(node)))

    @staticmethod
    def _not_assignable(name: str, value: Value) -> tuple[str, str]:
        if values.is_expression(value) and value.type is VOID:
            return "this call returns nothing", "write it as a statement of its own"
        if isinstance(value, TupleValue):
            return f"`{name}` cannot hold a tuple", f"give each item its name: `{name}_0, {name}_1 = ...`"
        if isinstance(value, ir.TensorReference):
            return f"`{name}` cannot hold a tensor", "use the parameter's own name, and read elements: x[i]"
        return f"`{name}` cannot hold {values.describe(value)}", "a variable of a kernel holds a number"

    def assign_name(self, node: ast.AST, name: str, value: ir.Expression) -> tuple[ir.Variable, ir.Expression]:
        """Record an assignment to a name; return its variable, and the value converted to the variable's type."""
        self._check_pin(node, name, value)
        if name in self.threadgroup_arrays:
            raise self.error(node, f"`{name}` is a threadgroup array, and cannot become a number", "use another name")
        if isinstance(self.parameters.get(name), ir.TensorReference):
            raise self.error(
                node, f"`{name}` is a tensor, and cannot become a number", f"use another name, or store into {name}[i]"
            )
        try:
            variable, converted = self.variables.assign(name, value, self.source.line(node))
        except TypeConflictError as error:
            raise self.error(
                node,
                f"`{name}` is {error.held} on line {error.line} and becomes {error.assigned} here",
                "use two names",
            ) from None
        if self.assigned is not None:
            self.assigned.add(name)
        return variable, converted

    def _check_pin(self, node: ast.AST, name: str, value: ir.Expression) -> None:
        pinned = self.variables.pinned_type(name)
        if pinned is not None and isinstance(value.type, ScalarType) and value.type.is_float and not pinned.is_float:
            raise self.error(
                node, f"`{name}` is annotated {pinned}, and this is a {value.type}", f"convert it: ml.{pinned}(value)"
            )

    def _name_array(self, node: ast.AST, name: str, value: ir.ThreadgroupArrayReference) -> None:
        known = self.threadgroup_arrays.get(name)
        if known is not None and known is not value.array:
            raise self.error(node, f"`{name}` already is a threadgroup array", "use another name")
        if self.variables.is_known(name):
            raise self.error(node, f"`{name}` is a number elsewhere, and cannot become a threadgroup array")
        value.array.name = name
        self.threadgroup_arrays[name] = value.array
        if self.assigned is not None:
            self.assigned.add(name)

    def _store(self, target: ast.Subscript, value: Value) -> None:
        base = self.value(target.value)
        if not isinstance(base, ir.TensorReference | ir.ThreadgroupArrayReference):
            raise self.error(target, f"{values.describe(base)} has no elements to assign", "store into a tensor")
        number = self.as_scalar(target, value)
        loses_fraction = operators.scalar_type(number).is_float and not base.type.dtype.is_float
        if loses_fraction and not (isinstance(number, ir.Constant) and float(number.value).is_integer()):
            raise self.error(
                target,
                f"a {number.type} is stored into elements of {base.type.dtype}",
                f"say how to round: int(value) drops the fraction, ml.{base.type.dtype}(value) converts",
            )
        element = self.element(target, base)
        if any(ir.has_effect(index) for index in element.indices) and not ir.is_simple(number):
            # Python computes the value first.
            number = self._temporary(target, number)
        self.store(target, element, number, None)

    def store(self, node: ast.AST, element: ir.Element, value: ir.Expression, mask: ir.Expression | None) -> None:
        """Append a store, and note that the tensor is written."""
        if isinstance(element.base, ir.TensorReference):
            element.base.argument.is_written = True
        if mask is not None and fold.is_constant(mask, True):
            mask = None
        self.emit(ir.Store(element, fold.convert(value, element.base.type.dtype), mask, self.source.line(node)))

    def _unpack(self, target: ast.Tuple | ast.List, value: Value) -> None:
        if not isinstance(value, TupleValue):
            raise self.error(target, f"{values.describe(value)} cannot be unpacked", "write a tuple on the right side")
        if len(target.elts) != len(value.items):
            raise self.error(target, f"{len(target.elts)} targets for {len(value.items)} values")
        written: set[str] = set()
        items = list(value.items)
        for index, item in enumerate(items):
            later_reads = values.is_expression(item) and (
                ir.reads_memory(item) or ir.has_effect(item) or self._reads(item, written)
            )
            if later_reads and values.is_expression(item) and isinstance(item.type, ScalarType):
                items[index] = self._temporary(target, item)
            written |= {node.id for node in ast.walk(target.elts[index]) if isinstance(node, ast.Name)}
        for element, item in zip(target.elts, items, strict=True):
            self.assign_target(element, item)

    @staticmethod
    def _reads(value: ir.Expression, names: set[str]) -> bool:
        return any(isinstance(part, ir.Read) and part.variable.name in names for part in ir.walk(value))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """``name: type = value``: the type is fixed."""
        if not isinstance(node.target, ast.Name):
            raise self.error(node, "only a name can be annotated", "leave the annotation out")
        annotated = self._annotation(node.annotation)
        try:
            self.variables.pin(node.target.id, annotated, self.source.line(node))
        except TypeConflictError as error:
            raise self.error(
                node, f"`{error.name}` is {error.held} on line {error.line} and {error.assigned} here", "use two names"
            ) from None
        if node.value is not None:
            self._assign(node.target, node.target.id, self.assigned_value(node.value, [node.target]))

    def _annotation(self, node: ast.expr) -> ScalarType:
        from .binding import scalar_type_of

        found = scalar_type_of(self.value(node))
        if found is None:
            raise self.error(
                node, f"`{ast.unparse(node)}` is no type of a variable", "write int, float, bool or ml.float16"
            )
        return found

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """``target += value``."""
        if isinstance(node.target, ast.Name):
            name = ast.Name(node.target.id, ast.Load())
            left = self.scalar(ast.copy_location(name, node.target))
            value = self.binary(node, node.op, left, self.scalar(node.value))
            self._assign(node.target, node.target.id, value)
            return
        if not isinstance(node.target, ast.Subscript):
            raise self.error(node, "a kernel cannot set attributes", "assign to a variable or an element")
        base = self.value(node.target.value)
        if not isinstance(base, ir.TensorReference | ir.ThreadgroupArrayReference):
            raise self.error(node, f"{values.describe(base)} has no elements to assign", "store into a tensor")
        element = self.element(node.target, base)
        element.indices = tuple(
            self._temporary(node, index) if ir.reads_memory(index) or ir.has_effect(index) else index
            for index in element.indices
        )
        old = fold.load(element, None, None)
        number = self.binary(node, node.op, old, self.scalar(node.value))
        if isinstance(number.type, ScalarType) and number.type.is_float and not base.type.dtype.is_float:
            raise self.error(
                node,
                f"a {number.type} is stored into elements of {base.type.dtype}",
                "write the assignment out, and convert: x[i] = int(...)",
            )
        self.store(node, element, number, None)

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

    def visit_Break(self, node: ast.Break) -> None:
        """Leave the innermost loop."""
        self._breaks[-1].append(set(self.assigned) if self.assigned is not None else None)
        flag = self._completion_flags[-1]
        if flag is not None:
            self.emit(ir.Assign(flag, ir.Constant(False, BOOL, False), self.source.line(node)))
        self.emit(ir.Jump("break", self.source.line(node)))
        self.assigned = None

    def visit_Continue(self, node: ast.Continue) -> None:
        """Go on with the next round of the innermost loop."""
        self.emit(ir.Jump("continue", self.source.line(node)))
        self.assigned = None

    def visit_Return(self, node: ast.Return) -> None:
        """End the thread; a kernel returns nothing."""
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            raise self.error(node, "a kernel returns nothing", "store the result into a tensor that is an argument")
        self.emit(ir.Jump("return", self.source.line(node)))
        self.assigned = None

    def visit_Pass(self, node: ast.Pass) -> None:
        """Do nothing."""

    def visit_Expr(self, node: ast.Expr) -> None:
        """Evaluate an expression for its effect; strings are documentation."""
        value = self.value(node.value)
        if isinstance(value, PythonObject) and (value.value is None or isinstance(value.value, str)):
            return
        if values.is_expression(value) and not isinstance(value, ir.TensorReference):
            if ir.has_effect(value):
                self.emit(ir.Evaluate(value, self.source.line(node)))
            return
        raise self.error(node, f"{values.describe(value)} does nothing as a statement")

    # ---- Loops -----------------------------------------------------------------------------------------------------

    def visit_While(self, node: ast.While) -> None:
        """``while`` with an optional ``else``."""
        before = set(self.assigned or ())
        test = self.condition(node.test)
        if isinstance(test, ir.Constant) and not test.value:
            for statement in node.orelse:
                self.statement(statement)
            return
        never_ends = isinstance(test, ir.Constant)
        with_test = set(self.assigned or ())
        self.assigned = with_test | self.assigned_when_true
        body, breaks, flag = self._loop_body(node)
        self.emit(ir.While(test, body, self.source.line(node)))
        self.assigned = None if never_ends else with_test | before
        self._loop_else(node, flag)
        self.assigned = self.join_assigned(self.assigned, *breaks)

    def _loop_body(
        self, node: ast.For | ast.While
    ) -> tuple[list[ir.Statement], list[set[str] | None], ir.Variable | None]:
        """Return a loop's body, the names assigned at each ``break`` in it, and the flag that its ``else`` tests."""
        flag = None
        if node.orelse and self.variables.survey.loops[id(node)].has_break:
            flag = ir.Variable("completed", BOOL, self.source.line(node), is_temporary=True)
            self.emit(ir.Assign(flag, ir.Constant(True, BOOL, False), flag.line))
        self._breaks.append([])
        self._completion_flags.append(flag)
        body = self.block(node.body)
        self._completion_flags.pop()
        return body, self._breaks.pop(), flag

    def _loop_else(self, node: ast.For | ast.While, flag: ir.Variable | None) -> None:
        """Parse the ``else`` of a loop: it runs where no ``break`` did."""
        if not node.orelse:
            return
        if flag is None:
            for statement in node.orelse:
                if self.assigned is not None:
                    self.statement(statement)
            return
        body = self.block(node.orelse)
        self.emit(ir.If(ir.Read(flag, BOOL), body, [], self.source.line(node.orelse[0])))

    def visit_For(self, node: ast.For) -> None:
        """``for`` over a range."""
        if not isinstance(node.target, ast.Name):
            raise self.error(node.target, "a loop counts in one variable", "write `for i in range(n)`")
        bounds = self.range_bounds(node)
        if bounds is None:
            raise self.error(node.iter, "a loop runs over a range", "write `for i in range(n)` and read x[i]")
        self._counted_loop(node, node.target.id, *bounds)

    def range_bounds(self, node: ast.For) -> tuple[ir.Expression, ir.Expression, ir.Expression] | None:
        """Return start, stop and step of ``range(...)``; None for anything else."""
        call = node.iter
        if not isinstance(call, ast.Call) or not self.is_range(self.value(call.func)):
            return None
        if call.keywords:
            raise self.error(call, "range takes no keyword arguments")
        if not 1 <= len(call.args) <= 3:
            raise self.error(call, f"range takes 1 to 3 arguments, not {len(call.args)}")
        numbers = [self.integer(argument, "a bound of range") for argument in call.args]
        start = numbers[0] if len(numbers) > 1 else fold.integer(0)
        stop = numbers[1] if len(numbers) > 1 else numbers[0]
        step = numbers[2] if len(numbers) > 2 else fold.integer(1)
        if fold.is_constant(step, 0):
            raise self.error(call.args[2], "the step of a range is 0", "count with a step that is not 0")
        return start, stop, step

    def is_range(self, function: Value) -> bool:
        """Whether a value is the builtin ``range``."""
        return isinstance(function, PythonObject) and function.value is range

    def _counted_loop(
        self, node: ast.For, name: str, start: ir.Expression, stop: ir.Expression, step: ir.Expression
    ) -> None:
        changed = self.variables.survey.loops[id(node)].assigned
        stop, step = self._fixed(node, stop, changed), self._fixed(node, step, changed)
        counter_type = self._counter_type(start, stop, step)
        start, stop, step = (fold.convert(bound, counter_type) for bound in (start, stop, step))
        owned = id(node) in self.variables.survey.owned
        before = set(self.assigned or ())
        rises = ir.is_positive(step)
        non_negative = (ir.is_non_negative(start) and rises) or self._falls_to_zero(stop, step)
        line = self.source.line(node)
        counter = self.variables.counter(node, name, counter_type, non_negative, line)
        counter.is_loop_owned = owned
        if owned:
            self.variables.shadow(name, counter)
            if self.assigned is not None:
                self.assigned.add(name)
        header: list[ir.Statement] = []
        if not owned:
            variable, value = self.assign_name(node.target, name, ir.Read(counter, counter_type))
            header.append(ir.Assign(variable, value, line))
        body, breaks, flag = self._loop_body(node)
        after_body = self.assigned
        if owned:
            self.variables.unshadow()
        self.emit(ir.For(counter, start, stop, step, header + body, line))
        self.assigned = self._assigned_after(node, before, after_body, breaks, (start, stop, step))
        if owned and self.assigned is not None:
            self.assigned.discard(name)
        if node.orelse:
            self._loop_else(node, flag)
            self.assigned = self.join_assigned(self.assigned, *breaks) if breaks else self.assigned

    def _assigned_after(
        self,
        node: ast.For,
        before: set[str],
        after_body: set[str] | None,
        breaks: list[set[str] | None],
        bounds: tuple[ir.Expression, ir.Expression, ir.Expression],
    ) -> set[str] | None:
        """Return the names assigned after a loop: those of its body too, where it runs at least once."""
        runs = all(isinstance(bound, ir.Constant) for bound in bounds) and len(
            range(*(int(bound.value) for bound in bounds if isinstance(bound, ir.Constant)))
        )
        has_continue = self.variables.survey.loops[id(node)].has_continue
        if not runs or has_continue or after_body is None:
            return set(before)
        return self.join_assigned(after_body, *breaks)

    def _fixed(self, node: ast.For, bound: ir.Expression, changed: set[str]) -> ir.Expression:
        """Return a bound that keeps its value while the loop runs, as Python evaluates it once."""
        if ir.reads_memory(bound) or ir.has_effect(bound) or self._reads(bound, changed):
            return self._temporary(node, bound)
        return bound

    def _counter_type(self, *bounds: ir.Expression) -> ScalarType:
        scalar = self.index_type
        for bound in bounds:
            kind = operators.scalar_type(bound)
            if not (isinstance(bound, ir.Constant) and bound.is_weak and kind is INT32):
                scalar = promote(scalar, kind)
        # Counting past the last value must not overflow.
        limits = [int(bound.value) for bound in bounds[1:] if isinstance(bound, ir.Constant)]
        return INT64 if len(limits) == 2 and not INT32.minimum <= sum(limits) <= INT32.maximum else scalar

    @staticmethod
    def _falls_to_zero(stop: ir.Expression, step: ir.Expression) -> bool:
        falls = isinstance(step, ir.Constant) and step.value < 0
        return falls and isinstance(stop, ir.Constant) and stop.value >= -1
