"""Which of the two input languages a function is written in, told without loading the parser of either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

Dialect = Literal["python", "helion"]

ROOTS = frozenset(
    {"metal", "c10", "helion_red", "tl", "tgid", "tid", "static_cast", "as_type", "decltype", "_simd_group"}
)
"""What the names of Helion's own Metal backend begin with."""

MARKERS = ROOTS - {"metal", "tl", "tid"} | {"tgid"}
"""Those of them that nothing else is called, where nothing defines them."""

THREADGROUP_ARRAY_PREFIX = "_METAL_TG_BUF_"
"""Behind it, in the globals of a function of Helion's: the name of a threadgroup array that it declares."""


def dialect_of_names(names: AbstractSet[str], namespace: Mapping[str, object]) -> Dialect:
    """Return the dialect of a function that uses these names."""
    return "helion" if any(name not in namespace for name in names & MARKERS) else "python"
