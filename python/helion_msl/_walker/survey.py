"""What the parser must know of a function before it reads it: names assigned where, loops that own their variable."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Fields that hold no names a survey looks for, in all classes of the tree.
_NAMELESS = frozenset({"ctx", "op", "ops", "kind", "type_comment"})


class _Children(dict[type[ast.AST], "tuple[str, ...]"]):
    """The fields of each class in which other nodes stand."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        fields = tuple(name for name in kind._fields if name not in _NAMELESS)
        self[kind] = fields
        return fields


_CHILDREN = _Children()


@dataclass(slots=True)
class Loop:
    """One ``for`` or ``while``.

    Attributes:
        assigned: names that its body assigns.
        has_break: whether a ``break`` leaves it.
        has_continue: whether a ``continue`` stands in it.
    """

    assigned: set[str] = field(default_factory=set)
    has_break: bool = False
    has_continue: bool = False


@dataclass(slots=True)
class Survey:
    """One walk over a function.

    Attributes:
        assigned: names assigned anywhere, which Python takes for local variables.
        names: all names it uses.
        changed_inside: names whose components it assigns, as in `v.x = 1` and `v[0] = 1`.
        loops: the loops, by the id of their node.
        owned: ids of the ``for`` loops whose variables nothing uses but loops over the same names. Such a loop may
            count in its target itself: that the variable survives the loop, and that the body may change it without
            changing the count, cannot be observed.
    """

    assigned: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    changed_inside: set[str] = field(default_factory=set)
    loops: dict[int, Loop] = field(default_factory=dict)
    owned: set[int] = field(default_factory=set)


def survey(definition: ast.FunctionDef) -> Survey:
    """Walk a function's body once."""
    surveyor = _Surveyor()
    surveyor.each(definition.body)
    found = surveyor.found
    for loop, names in surveyor.loops_over.items():
        if not surveyor.observed.intersection(names):
            found.owned.add(loop)
    return found


def _target_names(target: ast.expr) -> list[str]:
    """Return the names of a loop's target; empty where it has anything else in it."""
    if isinstance(target, ast.Name):
        return [target.id]
    if not isinstance(target, ast.Tuple | ast.List):
        return []
    parts = [_target_names(part) for part in target.elts]
    return [name for names in parts for name in names] if all(parts) else []


class _Surveyor:
    def __init__(self) -> None:
        self.found = Survey()
        self.loops_over: dict[int, list[str]] = {}
        # Names used outside of the bodies of loops over them, or assigned inside.
        self.observed: set[str] = set()
        self._inside: list[Loop] = []
        self._counting: list[str] = []

    def each(self, nodes: Sequence[ast.AST]) -> None:
        """Survey several nodes, in their order."""
        for node in nodes:
            self.visit(node)

    def visit(self, node: ast.AST) -> None:
        """Survey one node."""
        method = self._METHODS.get(type(node))
        if method is not None:
            method(self, node)
        else:
            self._children(node)

    def _children(self, node: ast.AST) -> None:
        for name in _CHILDREN[type(node)]:
            child = getattr(node, name, None)
            if isinstance(child, list):
                self.each([item for item in child if isinstance(item, ast.AST)])
            elif isinstance(child, ast.AST):
                self.visit(child)

    # ---- The classes that most nodes of a kernel have, which the general way would take most of a survey's time for

    def _assignment(self, node: ast.Assign) -> None:
        self.each(node.targets)
        self.visit(node.value)

    def _augmented(self, node: ast.AugAssign) -> None:
        self.visit(node.target)
        self.visit(node.value)

    def _binary(self, node: ast.BinOp) -> None:
        self.visit(node.left)
        self.visit(node.right)

    def _compare(self, node: ast.Compare) -> None:
        self.visit(node.left)
        self.each(node.comparators)

    def _call(self, node: ast.Call) -> None:
        self.visit(node.func)
        self.each(node.args)
        self.each(node.keywords)

    def _constant(self, _: ast.Constant) -> None:
        pass

    # ---- The classes that a survey is about

    def _while(self, node: ast.While) -> None:
        self.visit(node.test)
        self._body(node, node.body)
        self.each(node.orelse)

    def _break(self, _: ast.Break) -> None:
        if self._inside:
            self._inside[-1].has_break = True

    def _continue(self, _: ast.Continue) -> None:
        if self._inside:
            self._inside[-1].has_continue = True

    def _name(self, node: ast.Name) -> None:
        name = node.id
        self.found.names.add(name)
        if type(node.ctx) is not ast.Load:
            self.found.assigned.add(name)
            self.observed.add(name)
            for loop in self._inside:
                loop.assigned.add(name)
        elif name not in self._counting:
            self.observed.add(name)

    def _attribute(self, node: ast.Attribute) -> None:
        self._change(node)
        self.visit(node.value)

    def _subscript(self, node: ast.Subscript) -> None:
        self._change(node)
        self.visit(node.value)
        self.visit(node.slice)

    def _change(self, node: ast.Attribute | ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name):
            self.found.changed_inside.add(node.value.id)
            for loop in self._inside:
                loop.assigned.add(node.value.id)

    def _for(self, node: ast.For) -> None:
        self.visit(node.iter)
        names = _target_names(node.target)
        for name in names:
            self.found.assigned.add(name)
            for loop in self._inside:
                loop.assigned.add(name)
            if name in self._counting:
                self.observed.add(name)
        if names:
            self.loops_over[id(node)] = names
        else:
            self.visit(node.target)
        self._counting += names
        self._body(node, node.body)
        del self._counting[len(self._counting) - len(names) :]
        self.each(node.orelse)

    def _body(self, node: ast.For | ast.While, body: list[ast.stmt]) -> None:
        loop = self.found.loops[id(node)] = Loop()
        self._inside.append(loop)
        self.each(body)
        self._inside.pop()

    _METHODS: ClassVar[dict[type, Callable[[_Surveyor, Any], None]]] = {
        ast.Assign: _assignment,
        ast.AugAssign: _augmented,
        ast.BinOp: _binary,
        ast.Compare: _compare,
        ast.Call: _call,
        ast.Constant: _constant,
        ast.Name: _name,
        ast.Attribute: _attribute,
        ast.Subscript: _subscript,
        ast.For: _for,
        ast.While: _while,
        ast.Break: _break,
        ast.Continue: _continue,
    }
