"""Questions about IR: what a node is made of, whether it may move, what is known of its value."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from ..types import BOOL, ScalarType
from .nodes import (
    AddressOf,
    ArgumentRead,
    AssignExpression,
    Binary,
    Call,
    Cast,
    Component,
    Conditional,
    Constant,
    Field,
    FunctionCall,
    Load,
    Pointer,
    Position,
    Read,
    Sequence,
    Swizzle,
    Symbol,
    TensorReference,
    ThreadgroupArrayReference,
    TupleExpression,
    Unary,
    VectorStore,
)
from .statements import Assert, Assign, Evaluate, For, If, Once, Print, Return, Store, StoreComponents, While

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .nodes import Expression, Variable
    from .statements import Statement


def _load_operands(node: Load) -> tuple[Expression, ...]:
    if node.mask is None:
        return node.element.indices
    other = () if node.other is None else (node.other,)
    return (node.mask, *node.element.indices, *other)


_Operands: TypeAlias = "Callable[[Any], tuple[Expression, ...]] | None"


class _OperandsByClass(dict[type, _Operands]):
    """How the operands of each class of nodes are found, None where it has none; a subclass has those of its base."""

    def __missing__(self, kind: type) -> _Operands:
        found = self[kind] = next(self[base] for base in kind.__mro__[1:] if base in self)
        return found


# ``attrgetter`` with several names returns a tuple.
_OPERANDS = _OperandsByClass(
    {
        Constant: None,
        Read: None,
        ArgumentRead: None,
        Position: None,
        TensorReference: None,
        ThreadgroupArrayReference: None,
        Symbol: None,
        Binary: attrgetter("left", "right"),
        Unary: lambda node: (node.operand,),
        Cast: lambda node: (node.operand,),
        Field: lambda node: (node.operand,),
        Swizzle: lambda node: (node.operand,),
        Component: attrgetter("operand", "index"),
        VectorStore: lambda node: (*node.element.indices, node.value),
        Load: _load_operands,
        AddressOf: attrgetter("element.indices"),
        Call: attrgetter("arguments"),
        FunctionCall: attrgetter("arguments"),
        TupleExpression: attrgetter("items"),
        Conditional: attrgetter("test", "body", "orelse"),
        Pointer: lambda node: (node.offset,),
        AssignExpression: lambda node: (node.value,),
        Sequence: attrgetter("first", "second"),
    }
)
_SIMPLE = frozenset({Constant, Read, ArgumentRead, Position})
# Of these only the operands can have an effect, or depend on the order of evaluation.
_SILENT = frozenset(
    {Binary, Unary, Cast, Field, Swizzle, Component, TupleExpression, Conditional, Pointer, Sequence, AddressOf}
)
_ACTING = (Call, FunctionCall, VectorStore)


def operands(node: Expression) -> tuple[Expression, ...]:
    """Return the expressions that a node is made of, in the order in which Python evaluates them."""
    operands_of = _OPERANDS[type(node)]
    return () if operands_of is None else operands_of(node)


def walk(node: Expression) -> list[Expression]:
    """Return a node and everything below it, in the order of the text."""
    found: list[Expression] = []
    pending = [node]
    while pending:
        part = pending.pop()
        found.append(part)
        operands_of = _OPERANDS[type(part)]
        if operands_of is not None:
            pending += operands_of(part)[::-1]
    return found


def _acts(part: Expression) -> bool:
    return isinstance(part, _ACTING) and part.has_effect


def _contains(node: Expression, is_wanted: Callable[[Expression], bool]) -> bool:
    """Whether a question holds for a node, or for one below it, that is not silent."""
    pending = [node]
    while pending:
        part = pending.pop()
        operands_of = _OPERANDS[type(part)]
        if operands_of is not None:
            if type(part) not in _SILENT and is_wanted(part):
                return True
            pending += operands_of(part)
    return False


def has_effect(node: Expression) -> bool:
    """Whether evaluating the expression twice, or not at all, would change what the program does."""
    return _contains(node, _has_own_effect)


def _has_own_effect(part: Expression) -> bool:
    return _acts(part) or type(part) is AssignExpression


def is_ordered(node: Expression) -> bool:
    """Whether it matters when the expression is evaluated; keeping a value in a temporary does not count."""
    return _contains(node, _is_ordered_itself)


def _is_ordered_itself(part: Expression) -> bool:
    return _acts(part) or (isinstance(part, AssignExpression) and not part.variable.is_temporary)


def assigns(node: Expression, variable: Variable) -> bool:
    """Whether evaluating the expression assigns a variable."""
    return any(isinstance(part, AssignExpression) and part.variable is variable for part in walk(node))


def reads_memory(node: Expression) -> bool:
    """Whether another statement may change the value of the expression though no variable changes."""
    return _contains(node, _reads_memory_itself)


def _reads_memory_itself(part: Expression) -> bool:
    return type(part) is Load or _acts(part) or (isinstance(part, FunctionCall) and part.function.reads_memory)


def is_simple(node: Expression) -> bool:
    """Whether an expression may stand in the text twice: a name or a number."""
    while type(node) is Cast:
        node = node.operand
    return type(node) in _SIMPLE


_COUNTS = frozenset({"threads_per_threadgroup", "threadgroups_per_grid", "simdgroups_per_threadgroup"})


def is_positive(node: Expression) -> bool:
    """Whether an integer expression is known to be 1 or more, overflow aside."""
    match node:
        case Constant():
            return node.value > 0
        case Position():
            return node.kind in _COUNTS
        case Cast():
            return is_positive(node.operand) and not _may_wrap(node)
        case Binary() if node.operator == "*":
            return is_positive(node.left) and is_positive(node.right)
        case Binary() if node.operator == "+":
            parts = (node.left, node.right)
            return any(map(is_positive, parts)) and all(map(is_non_negative, parts))
        case _:
            return False


def _may_wrap(node: Cast) -> bool:
    """Whether an integer may not fit the type that it is converted to."""
    source, target = node.operand.type, node.type
    if not isinstance(source, ScalarType) or not isinstance(target, ScalarType) or type(node.operand) is Constant:
        return False
    return not source.is_float and target.is_integer and source.maximum > target.maximum


def is_non_negative(node: Expression) -> bool:
    """Whether an integer expression is known to be 0 or more, overflow aside."""
    match node:
        case Constant():
            return node.value >= 0
        case Read():
            node.variable.is_sign_used = True
            return node.variable.is_non_negative
        case Position():
            return True
        case ArgumentRead():
            return node.is_non_negative or getattr(node.type, "kind", "") == "uint"
        case Cast():
            if getattr(node.type, "kind", "") == "uint":
                return True
            return getattr(node.type, "is_integer", False) and is_non_negative(node.operand) and not _may_wrap(node)
        case Binary() if node.operator in ("+", "*", "/", "%", ">>", "|"):
            return is_non_negative(node.left) and is_non_negative(node.right)
        case Binary() if node.operator == "&":
            return is_non_negative(node.left) or is_non_negative(node.right)
        case Conditional():
            return is_non_negative(node.body) and is_non_negative(node.orelse)
        case Call() if node.function == "metal::abs":
            return True
        case FunctionCall() if node.function.is_non_negative:
            return True
        case _:
            scalar = node.type
            return scalar is BOOL or getattr(scalar, "kind", "") == "uint"


# ---- Questions about statements ------------------------------------------------------------------------------------


_BLOCKS: dict[type, Callable[[Any], tuple[list[Statement], ...]]] = {
    If: attrgetter("body", "orelse"),
    For: lambda statement: (statement.body,),
    While: lambda statement: (statement.body,),
    Once: lambda statement: (statement.body,),
}


def blocks(statement: Statement) -> tuple[list[Statement], ...]:
    """Return the blocks inside a statement."""
    found = _BLOCKS.get(type(statement))
    return found(statement) if found is not None else ()


def _store_operands(statement: Store) -> tuple[Expression, ...]:
    mask = (statement.mask,) if statement.mask is not None else ()
    return (*mask, *statement.element.indices, statement.value)


_EXPRESSIONS: dict[type, Callable[[Any], tuple[Expression, ...]]] = {
    Assign: lambda statement: (statement.value,),
    Evaluate: lambda statement: (statement.value,),
    Return: lambda statement: (statement.value,),
    Store: _store_operands,
    # The other components stay: it reads the variable.
    StoreComponents: lambda statement: (Read(statement.variable, statement.variable.type), statement.value),
    If: lambda statement: (statement.test,),
    While: lambda statement: (statement.test,),
    For: attrgetter("start", "stop", "step"),
    Assert: lambda statement: (statement.test, *statement.message.values),
    Print: lambda statement: statement.message.values,
}


def expressions(statement: Statement) -> tuple[Expression, ...]:
    """Return the expressions that stand directly in a statement."""
    found = _EXPRESSIONS.get(type(statement))
    return found(statement) if found is not None else ()


def walk_statements(body: list[Statement]) -> list[Statement]:
    """Return all statements of a block and of the blocks inside it, in the order of the text."""
    found: list[Statement] = []
    for statement in body:
        found.append(statement)
        inner = _BLOCKS.get(type(statement))
        if inner is not None:
            for block in inner(statement):
                found += walk_statements(block)
    return found


def walk_expressions(body: list[Statement]) -> Iterator[Expression]:
    """Yield all expressions of a block."""
    for statement in walk_statements(body):
        for expression in expressions(statement):
            yield from walk(expression)


def changes_anything(body: list[Statement]) -> bool:
    """Whether statements write memory, exchange values between threads, print or assert."""
    if any(isinstance(statement, Store | Assert | Print) for statement in walk_statements(body)):
        return True
    return any(
        isinstance(part, Call | FunctionCall | VectorStore) and part.has_effect for part in walk_expressions(body)
    )
