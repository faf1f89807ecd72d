"""Assignments of Python to IR, and the blocks that hold them."""

# ruff: noqa: N802 - the visitors are named after the classes of the ast module

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from . import fold, ir, operators, sequences, values, vectors
from .infer import TypeConflictError
from .matmul import AccumulatorType
from .parse_base import fields_of, leaves_of
from .parse_expressions import ExpressionParser
from .types import (
    VOID,
    PointerType,
    ScalarType,
    SimdgroupMatrixType,
    TupleType,
    VectorType,
)
from .values import PythonObject, TupleValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..errors import TranslationError
    from .values import Value


_INSIDE = (ast.Attribute, ast.Subscript)
_NAMING = (ir.Read, ir.AssignExpression)
_HELD = (ScalarType, VectorType, SimdgroupMatrixType, PointerType, AccumulatorType)  # by a variable


class _Target(NamedTuple):
    """What one target of a tuple assigns: names, and elements of memory or not."""

    names: set[str]
    is_element: bool


def _target_of(node: ast.expr) -> _Target:
    if isinstance(node, ast.Name):
        return _Target({node.id}, is_element=False)
    names, is_element = set(), False
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            names.add(part.id)
        elif isinstance(part, _INSIDE) and isinstance(part.ctx, ast.Store):
            is_element = True
            if isinstance(part.value, ast.Name):
                # The components of a vector change its value.
                names.add(part.value.id)
    return _Target(names, is_element)


def _is_bound_to_its_place(value: ir.Expression) -> bool:
    """Whether storing an element first may change the value, or computing the value may change which element it is."""
    return ir.reads_memory(value) or ir.has_effect(value)


def _may_follow(value: ir.Expression, other: ir.Expression) -> bool:
    """Whether nothing tells that an expression is evaluated after one that stands behind it."""
    if ir.has_effect(value):
        return False
    if not ir.has_effect(other):
        return True
    reads = (part.variable for part in ir.walk(value) if isinstance(part, ir.Read))
    return not ir.reads_memory(value) and not any(ir.assigns(other, variable) for variable in reads)


class AssignmentParser(ExpressionParser):
    """Blocks of statements, and the statements that assign."""

    _body: list[ir.Statement]

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
        self.visitors[type(node)](self, node)

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
            case ast.Attribute():
                self._store_components(target, value)
            case _:
                self.refuse(target)

    def _assign(self, node: ast.AST, name: str, value: Value) -> None:
        if isinstance(value, ir.ThreadgroupArrayReference):
            self._name_array(node, name, value)
            return
        value = self.unpacked(node, value)
        if isinstance(value, PythonObject):
            value = sequences.as_tuple(self, value) or value
        if isinstance(value, TupleValue):
            self._assign_tuple(node, name, value)
            return
        self._refuse_aliases(node, name, value)
        if not values.is_expression(value) or not isinstance(value.type, _HELD):
            raise self.error(node, *self._not_assignable(name, value))
        variable, converted = self.assign_name(node, name, value)
        self.emit(ir.Assign(variable, converted, self.source.line(node)))

    @staticmethod
    def _not_assignable(name: str, value: Value) -> tuple[str, str]:
        if values.is_expression(value) and value.type is VOID:
            return "this call returns nothing", "write it as a statement of its own"
        if isinstance(value, ir.TensorReference):
            return f"`{name}` cannot hold a tensor", "use the parameter's own name, and read elements: x[i]"
        return f"`{name}` cannot hold {values.describe(value)}", "a variable of a kernel holds a number"

    def _assign_tuple(self, node: ast.AST, name: str, value: TupleValue) -> None:
        """Assign a tuple to a name: each item becomes a variable."""
        try:
            self.variables.assign_tuple(name, len(value.items), self.source.line(node))
        except TypeConflictError as error:
            raise self._conflict(node, name, error) from None
        keys = [f"{name}.{index}" for index in range(len(value.items))]
        changed = [(key, item) for key, item in zip(keys, value.items, strict=True) if not self._holds(key, item)]
        targets = [_Target({key}, is_element=False) for key, _ in changed]
        items = self._at_once(node, [item for _, item in changed], targets)
        for (key, _), item in zip(changed, items, strict=True):
            if isinstance(item, PythonObject):
                raise self.error(
                    node,
                    f"a tuple with {values.describe(item)} in it cannot be a variable",
                    "write it where it is used",
                )
            self._assign(node, key, item)
        if self.assigned is not None:
            self.assigned.add(name)

    def _holds(self, key: str, item: Value) -> bool:
        """Whether an item is what its variable holds already, as in `t = (t[0], 1)`."""
        return isinstance(item, ir.Read) and self.variables.is_variable(key, item.variable)

    # ---- Components of vectors -------------------------------------------------------------------------------------

    def _variable_of(self, node: ast.expr, attribute: ast.AST) -> ir.Variable:
        """Return the variable whose components are assigned.

        Raises:
            TranslationError: it is no variable of this function that holds a vector.
        """
        vector = self.value(node) if isinstance(node, ast.Name) else None
        if isinstance(vector, ir.ArgumentRead) and isinstance(vector.type, VectorType):
            raise self.error(attribute, "this would change the vector of the caller", "copy it first: v = ml.float4(v)")
        if not isinstance(vector, ir.Read) or not isinstance(vector.type, VectorType):
            raise self.error(
                attribute, "a kernel cannot set attributes", "assign to a variable, an element or a vector's component"
            )
        return vector.variable

    def _store_components(self, target: ast.Attribute, value: Value) -> None:
        variable = self._variable_of(target.value, target)
        assert isinstance(variable.type, VectorType)
        self.store_places(target, variable, vectors.places_of(self, target, variable.type), value)

    def store_places(self, node: ast.expr, variable: ir.Variable, places: str, value: Value) -> None:
        """Append the assignment of some components."""
        assert isinstance(variable.type, VectorType)
        element = variable.type.element
        if len(set(places)) != len(places):
            raise self.error(node, "a component is assigned twice", "name each once")
        number = value if vectors.is_vector(value) else self.as_scalar(node, value)
        assert values.is_expression(number)
        size = number.type.size if isinstance(number.type, VectorType) else 1
        if size not in (1, len(places)) or (size == 1 and isinstance(number.type, VectorType)):
            raise self.error(node, f"{size} components are assigned to {len(places)}", "name as many")
        source = number.type.element if isinstance(number.type, VectorType) else operators.scalar_type(number)
        if source.is_float and not element.is_float:
            raise self.error(
                node, f"a {number.type} is stored into components of {element}", f"convert it: ml.{element}(value)"
            )
        if isinstance(number.type, VectorType):
            number = vectors.convert(number, VectorType(element, size))
        else:
            number = fold.convert(number, element)
        self.emit(ir.StoreComponents(variable, places, number, self.source.line(node)))

    def _refuse_aliases(self, node: ast.AST, name: str, value: Value) -> None:
        """Refuse a second name for a vector whose components are assigned: in Python both would change."""
        if isinstance(value, ir.Read) and isinstance(value.type, SimdgroupMatrixType):
            raise self.error(node, "two names for one simdgroup matrix", "use its own name")
        if not values.is_expression(value) or not isinstance(value.type, VectorType):
            return
        changed = self.variables.survey.changed_inside
        arms: tuple[ir.Expression, ...] = (value,)
        if isinstance(value, ir.Conditional):
            arms = (value.body, value.orelse)
        elif isinstance(value, ir.FunctionCall):
            pairs = zip(value.function.arguments, value.arguments, strict=True)
            arms = tuple(passed for argument, passed in pairs if argument in value.function.returned)
        for arm in arms:
            other = arm.variable.name if isinstance(arm, ir.Read) and not arm.variable.is_temporary else name
            if other != name and (other in changed or name in changed):
                raise self.error(
                    node,
                    f"`{name}` and `{other}` would be one vector, and its components are assigned",
                    f"copy it: {name} = ml.{value.type}({other if arm is value else '...'})",
                )

    def unpacked(self, node: ast.AST, value: Value) -> Value:
        """Return the tuple that a call returns as its items, computed in front of the current statement."""
        if not values.is_expression(value) or not isinstance(value.type, TupleType):
            return value
        read = value if isinstance(value, ir.Read) else self._temporary(node, value)
        return fields_of(read)

    def _conflict(self, node: ast.AST, name: str, error: TypeConflictError) -> TranslationError:
        return self.error(
            node,
            f"`{name}` is {error.held} on line {error.line} and becomes {error.assigned} here",
            "use two names",
        )

    def assign_name(self, node: ast.AST, name: str, value: ir.Expression) -> tuple[ir.Variable, ir.Expression]:
        """Record an assignment to a name; return its variable, and the value converted to the variable's type."""
        self._check_pin(node, name, value)
        if name in self.threadgroup_arrays:
            raise self.error(node, f"`{name}` is a threadgroup array, and cannot become a number", "use another name")
        self._refuse_tensor(node, name)
        try:
            variable, converted = self.variables.assign(name, value, self.source.line(node))
        except TypeConflictError as error:
            raise self._conflict(node, name, error) from None
        if self.assigned is not None:
            self.assigned.add(name)
        return variable, converted

    def _refuse_tensor(self, node: ast.AST, name: str) -> None:
        """Refuse to assign to the name of a tensor."""
        tensor = self.parameters.get(name)
        if isinstance(tensor, ir.TensorReference):
            place = {0: "()", 1: "i"}.get(tensor.type.rank, "i, j")
            raise self.error(
                node,
                f"`{name}` is a tensor, and cannot become a number",
                f"use another name, or store into {name}[{place}]",
            )

    def _check_pin(self, node: ast.AST, name: str, value: ir.Expression) -> None:
        pinned = self.variables.pinned_type(name)
        if pinned is None:
            return
        held, given = (kind.element if isinstance(kind, VectorType) else kind for kind in (pinned, value.type))
        sizes = [kind.size if isinstance(kind, VectorType) else 1 for kind in (pinned, value.type)]
        loses_fraction = (
            isinstance(given, ScalarType) and isinstance(held, ScalarType) and given.is_float > held.is_float
        )
        if sizes[0] != sizes[1] or loses_fraction:
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
        if values.is_expression(base) and isinstance(base.type, VectorType):
            variable = self._variable_of(target.value, target)
            index = self.constant_integer(target.slice, "the index of an assigned component")
            self.store_places(target, variable, "xyzw"[vectors.place_of(self, target, base.type, index)], value)
            return
        if not isinstance(base, ir.MEMORY):
            raise self.error(target, f"{values.describe(base)} has no elements to assign", "store into a tensor")
        number = self.as_scalar(target, value)
        if isinstance(number, ir.Constant):
            self._refuse_overflow(target, number, base.type.dtype)
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

    def _refuse_overflow(self, node: ast.AST, constant: ir.Constant, dtype: ScalarType) -> None:
        """Refuse a constant that no element of the type holds; negative ones name the bits of unsigned types."""
        lowest = dtype.minimum if dtype.kind != "uint" else -(dtype.maximum // 2) - 1
        value = constant.value
        if dtype.is_integer and constant.is_weak and value == value and not lowest <= value <= dtype.maximum:
            raise self.error(
                node, f"{value} does not fit elements of {dtype}", f"ml.{dtype}({value}) keeps the lowest bits of it"
            )

    def store(self, node: ast.AST, element: ir.Element, value: ir.Expression, mask: ir.Expression | None) -> None:
        """Append a store, and note that the tensor is written."""
        if isinstance(element.base, ir.TensorReference):
            element.base.argument.is_written = True
        if mask is not None and fold.is_constant(mask, True):
            mask = None
        self.emit(ir.Store(element, fold.convert(value, element.base.type.dtype), mask, self.source.line(node)))

    def _unpack(self, target: ast.Tuple | ast.List, value: Value) -> None:
        unpacked = sequences.as_tuple(self, self.unpacked(target, value))
        if unpacked is None:
            raise self.error(target, f"{values.describe(value)} cannot be unpacked", "write a tuple on the right side")
        items = self._spread(target, unpacked.items)
        targets = [_target_of(part) for part in target.elts]
        for element, item in zip(target.elts, self._at_once(target, items, targets), strict=True):
            self.assign_target(element.value if isinstance(element, ast.Starred) else element, item)

    def _spread(self, target: ast.Tuple | ast.List, items: tuple[Value, ...]) -> tuple[Value, ...]:
        """Return one value for each target; a starred one takes a tuple of those that the others leave."""
        starred = [index for index, part in enumerate(target.elts) if isinstance(part, ast.Starred)]
        rest = len(items) - len(target.elts) + 1
        if not starred:
            if rest != 1:
                raise self.error(target, f"{len(target.elts)} targets for {len(items)} values", "write one for each")
            return items
        if rest < 0:
            raise self.error(target, f"{len(target.elts) - 1} targets and more for {len(items)} values", "write fewer")
        first = starred[0]
        return (*items[:first], TupleValue(items[first : first + rest]), *items[first + rest :])

    def _at_once(self, node: ast.AST, items: Sequence[Value], targets: Sequence[_Target]) -> list[Value]:
        """Return values for targets that are assigned one after another, as if all were computed before the first is.

        A value that an earlier assignment may change is kept in a temporary, and so is each before it that would be
        computed too late then. The others are left to their own assignment.
        """
        items = [self._loaded(node, item) for item in items]
        leaves = leaves_of(items)
        kept: set[int] = set()
        written: set[str] = set()
        are_elements_written = False
        for item, target in zip(items, targets, strict=True):
            for leaf in leaves_of((item,)) if written or are_elements_written else ():
                if self._uses(leaf, written) or (are_elements_written and _is_bound_to_its_place(leaf)):
                    kept.add(id(leaf))
            written |= {part for name in target.names for part in self.variables.names_of(name)}
            are_elements_written = are_elements_written or target.is_element
        if not kept:
            return items
        later: list[ir.Expression] = []
        for leaf in reversed(leaves):
            if id(leaf) in kept or not all(_may_follow(leaf, other) for other in later):
                kept.add(id(leaf))
                later.append(leaf)
        return [self._with_temporaries(node, item, kept) for item in items]

    def _loaded(self, node: ast.AST, item: Value) -> Value:
        """Return an item with the values of the tensors in it that are one number."""
        if isinstance(item, TupleValue):
            return TupleValue(tuple(self._loaded(node, part) for part in item.items))
        is_number = isinstance(item, ir.TensorReference) and not item.type.rank
        return self.as_scalar(node, item) if is_number else item  # type: ignore[arg-type]

    def _with_temporaries(self, node: ast.AST, item: Value, kept: set[int]) -> Value:
        if isinstance(item, TupleValue):
            return TupleValue(tuple(self._with_temporaries(node, part, kept) for part in item.items))
        return self._temporary(node, item) if id(item) in kept else item  # type: ignore[arg-type]

    @staticmethod
    def _uses(value: ir.Expression, names: set[str]) -> bool:
        """Whether evaluating an expression reads or assigns a variable of Python by one of these names."""
        return any(
            isinstance(part, _NAMING) and part.variable.name in names and not part.variable.is_temporary
            for part in ir.walk(value)
        )

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

    def _annotation(self, node: ast.expr) -> ScalarType | VectorType:
        from .binding import scalar_type_of

        named = self.value(node)
        found = scalar_type_of(named) or vectors.vector_type_of(named)
        if found is None:
            raise self.error(
                node, f"`{ast.unparse(node)}` is no type of a variable", "write int, float, ml.float16 or ml.float4"
            )
        return found

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """``target += value``."""
        if isinstance(node.target, ast.Name):
            self._refuse_tensor(node.target, node.target.id)
            value = self.binary(node, node.op, self.number(node.target), self.number(node.value))
            self._assign(node.target, node.target.id, value)
            return
        if isinstance(node.target, ast.Attribute):
            changed = self.binary(node, node.op, self.number(node.target), self.number(node.value))
            self._store_components(node.target, changed)
            return
        assert isinstance(node.target, ast.Subscript)
        base = self.value(node.target.value)
        if vectors.is_vector(base):
            self._store(node.target, self.binary(node, node.op, self.number(node.target), self.number(node.value)))
            return
        if not isinstance(base, ir.MEMORY):
            raise self.error(node, f"{values.describe(base)} has no elements to assign", "store into a tensor")
        element = self.element(node.target, base)
        value = self.scalar(node.value)
        changes = ir.is_ordered(value)
        element.indices = tuple(
            self._temporary(node, index)
            if ir.reads_memory(index) or ir.has_effect(index) or (changes and not isinstance(index, ir.Constant))
            else index
            for index in element.indices
        )
        old = fold.load(element, None, None)
        number = self.binary(node, node.op, old, value)
        if isinstance(number.type, ScalarType) and number.type.is_float and not base.type.dtype.is_float:
            raise self.error(
                node,
                f"a {number.type} is stored into elements of {base.type.dtype}",
                "write the assignment out, and convert: x[i] = int(...)",
            )
        self.store(node, element, number, None)
