"""What the annotation of a parameter says."""

from __future__ import annotations

from .. import language


def is_constexpr(annotation: object) -> bool:
    """Whether an annotation says that a parameter's value becomes part of the kernel."""
    if isinstance(annotation, str):
        return annotation.rsplit(".", maxsplit=1)[-1] == language.constexpr.__name__
    return annotation is language.constexpr
