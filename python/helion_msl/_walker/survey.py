"""What the parser must know of a function before it reads it: names assigned where, loops that own their variable."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field


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
        loops: the loops, by the id of their node.
        owned: ids of the ``for`` loops whose variables nothing uses but loops over the same names. Such a loop may
            count in its target itself: that the variable survives the loop, and that the body may change it without
            changing the count, cannot be observed.
    """

    assigned: set[str] = field(default_factory=set)
    loops: dict[int, Loop] = field(default_factory=dict)
    owned: set[int] = field(default_factory=set)


def survey(definition: ast.FunctionDef) -> Survey:
    """Walk a function once."""
    surveyor = _Surveyor()
    surveyor.statements(definition.body)
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

    def statements(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.visit(statement)

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            self._name(node)
        elif isinstance(node, ast.For):
            self._for(node)
        elif isinstance(node, ast.While):
            self.visit(node.test)
            self._body(node, node.body)
            self.statements(node.orelse)
        elif isinstance(node, ast.Break | ast.Continue):
            if self._inside:
                loop = self._inside[-1]
                loop.has_break = loop.has_break or isinstance(node, ast.Break)
                loop.has_continue = loop.has_continue or isinstance(node, ast.Continue)
        elif not isinstance(node, ast.Constant):
            for name in node._fields:
                child = getattr(node, name, None)
                if isinstance(child, ast.AST):
                    self.visit(child)
                elif isinstance(child, list):
                    for item in child:
                        if isinstance(item, ast.AST):
                            self.visit(item)

    def _name(self, node: ast.Name) -> None:
        name = node.id
        if not isinstance(node.ctx, ast.Load):
            self.found.assigned.add(name)
            self.observed.add(name)
            for loop in self._inside:
                loop.assigned.add(name)
        elif name not in self._counting:
            self.observed.add(name)

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
        self.statements(node.orelse)

    def _body(self, node: ast.For | ast.While, body: list[ast.stmt]) -> None:
        loop = self.found.loops[id(node)] = Loop()
        self._inside.append(loop)
        self.statements(body)
        self._inside.pop()
