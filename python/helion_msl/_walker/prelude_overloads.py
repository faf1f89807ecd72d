"""MSL helpers that have another definition for some types."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Overloads(NamedTuple):
    """The definitions of one helper.

    Attributes:
        comment: what stands above them.
        generic: the template for all types that have no definition of their own; empty where there is none.
        by_type: the definitions for one type each, by what MSL calls it.
    """

    comment: str
    generic: str
    by_type: Mapping[str, str]

    def text(self, kinds: Collection[str]) -> str:
        """Return the definitions that calls with these types need."""
        generic = self.generic if any(kind not in self.by_type for kind in kinds) else ""
        found = [generic, *(definition for kind, definition in self.by_type.items() if kind in kinds)]
        return "\n".join(part.strip() for part in (self.comment, *found) if part)
