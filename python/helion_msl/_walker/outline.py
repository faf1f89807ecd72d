"""The names of a function: all that has to be known of its syntax tree to find its translation again."""

from __future__ import annotations

import ast
from typing import NamedTuple


class Outline(NamedTuple):
    """The names of a function, as its text says them.

    Attributes:
        annotations: the parameters with an annotation, and its text: empty for one that is neither a string nor code.
        names: all names in the body.
        local: the parameters, and what is assigned anywhere in the function.
        chains: the names in the body that are not local, each with the attributes that are read of it: ``ml.tid``.
        has_text_annotation: whether something in the function is annotated with text, which has names of its own.
    """

    annotations: tuple[tuple[str, str], ...]
    names: frozenset[str]
    local: frozenset[str]
    chains: tuple[str, ...]
    has_text_annotation: bool


def outline_of(definition: ast.FunctionDef) -> Outline:
    """Return the names of a function."""
    names = {node.id for statement in definition.body for node in ast.walk(statement) if isinstance(node, ast.Name)}
    local = _local_names(definition)
    chains = {chain for chain in _chains(definition.body) if chain.partition(".")[0] not in local}
    return Outline(
        tuple(_annotations(definition)),
        frozenset(names),
        frozenset(local),
        tuple(sorted(chains)),
        any(isinstance(node, ast.AnnAssign) and _is_text(node.annotation) for node in ast.walk(definition)),
    )


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _parameters(definition: ast.FunctionDef) -> list[ast.arg]:
    arguments = definition.args
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def _annotations(definition: ast.FunctionDef) -> list[tuple[str, str]]:
    found = []
    for parameter in _parameters(definition):
        annotation = parameter.annotation
        if isinstance(annotation, ast.Constant):
            found.append((parameter.arg, annotation.value if isinstance(annotation.value, str) else ""))
        elif annotation is not None:
            found.append((parameter.arg, ast.unparse(annotation)))
    return found


def _local_names(definition: ast.FunctionDef) -> set[str]:
    local = {parameter.arg for parameter in _parameters(definition)}
    for node in ast.walk(definition):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            local.add(node.id)
    return local


def _chains(body: list[ast.stmt]) -> set[str]:
    """Return the names of a body, each with the attributes that are read of it."""
    found: set[str] = set()
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            attributes = [node.attr]
            inner = node.value
            while isinstance(inner, ast.Attribute):
                attributes.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name):
                found.add(".".join([inner.id, *reversed(attributes)]))
            else:
                pending.append(inner)
        else:
            pending.extend(ast.iter_child_nodes(node))
    return found
