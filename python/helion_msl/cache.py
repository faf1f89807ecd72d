"""The disk cache of compiled kernels and translations: what it holds, and making it smaller.

``helion-msl cache`` does the same from a shell. Kernels in memory are another cache, which
:func:`helion_msl.cache_info` and :func:`helion_msl.clear_cache` are about.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import _C
from .errors import ArgumentError


@dataclass(frozen=True)
class KindInfo:
    """How much there is of one kind.

    Attributes:
        entries: how many.
        bytes: what they take on disk, in whole blocks.
    """

    entries: int
    bytes: int


@dataclass(frozen=True)
class DiskCacheInfo:
    """State of the disk cache.

    Attributes:
        directory: where it is; empty where it is turned off.
        refusal: why the directory is not used, or empty.
        max_bytes: most that is kept.
        max_age: seconds after its last use that an entry goes.
        kinds: what there is: ``"host"``, ``"metal"``, ``"preprocessed"``, ``"translations"``, ``"headers"``,
            ``"fingerprints"``, ``"requests"``, ``"outlines"``.
    """

    directory: str
    refusal: str
    max_bytes: int
    max_age: int
    kinds: dict[str, KindInfo]

    @property
    def entries(self) -> int:
        """How many entries there are."""
        return sum(kind.entries for kind in self.kinds.values())

    @property
    def bytes(self) -> int:
        """What they take on disk."""
        return sum(kind.bytes for kind in self.kinds.values())


@dataclass(frozen=True)
class Removed:
    """What :func:`trim` or :func:`clear` removed: how many entries, and the bytes that they took on disk."""

    entries: int
    bytes: int


def info() -> DiskCacheInfo:
    """Return the state of the disk cache.

    Raises:
        HelionMslError: ``HELION_MSL_CACHE_MAX_SIZE`` or ``HELION_MSL_CACHE_MAX_AGE`` has no meaning.
    """
    found = _C.disk_cache_info()
    kinds = {kind: KindInfo(*amount) for kind, amount in found["kinds"].items()}
    return DiskCacheInfo(found["directory"], found["refusal"], found["max_bytes"], found["max_age_seconds"], kinds)


def trim(max_bytes: int | None = None, max_age: int | None = None) -> Removed:
    """Remove what is too old, and then what was used longest ago until the rest fits.

    Args:
        max_bytes: most that stays; None: what the environment says, 512 MiB by default.
        max_age: seconds after its last use that an entry goes; None: what the environment says, 90 days by default.

    Raises:
        ArgumentError: a limit is negative.
        HelionMslError: the environment's limits have no meaning.
    """
    limits = _C.disk_cache_info()
    chosen_bytes = limits["max_bytes"] if max_bytes is None else max_bytes
    chosen_age = limits["max_age_seconds"] if max_age is None else max_age
    if chosen_bytes < 0 or chosen_age < 0:
        raise ArgumentError(f"the limits of the disk cache are not negative: {chosen_bytes} bytes, {chosen_age} s")
    # No entry is older than that; and the native side counts in nanoseconds.
    return Removed(*_C.disk_cache_trim(min(chosen_bytes, 1 << 63), min(chosen_age, 100_000 * 86400)))


def clear() -> Removed:
    """Remove all entries; programs that use them go on."""
    return Removed(*_C.disk_cache_clear())
