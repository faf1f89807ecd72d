"""``helion-msl`` and ``python -m helion_msl``: the command line."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from . import __version__, cache
from .errors import HelionMslError

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = {"": 0, "K": 10, "M": 20, "G": 30}
_DAY = 86400


def _bytes(text: str) -> int:
    number, unit = (text[:-1], text[-1:]) if text[-1:] in "KMG" else (text, "")
    if not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write bytes, or a number with K, M or G: 100M")
    return int(number) << _UNITS[unit]


def _days(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days")
    return int(text) * _DAY


def _size(count: int) -> str:
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << shift:
            return f"{count / (1 << shift):.1f} {unit}"
    return f"{count} bytes"


def _show(options: argparse.Namespace) -> None:
    found = cache.info()
    if options.json:
        print(json.dumps(asdict(found), indent=2))
        return
    if not found.directory:
        print("the disk cache is turned off (HELION_MSL_CACHE_DIR is empty, or there is no home directory)")
        return
    print(f"directory: {found.directory}")
    if found.refusal:
        print(f"not used: {found.refusal}")
        return
    for name, kind in found.kinds.items():
        print(f"{name:>13}: {kind.entries:6} entries, {_size(kind.bytes)}")
    print(f"{'in all':>13}: {found.entries:6} entries, {_size(found.bytes)}")
    print(f"at most {_size(found.max_bytes)}, and {found.max_age // _DAY} days after the last use")


def _report(removed: cache.Removed) -> None:
    print(f"removed {removed.entries} entries, {_size(removed.bytes)}")


def _trim(options: argparse.Namespace) -> None:
    _report(cache.trim(options.max_size, options.max_age))


def _clear(_: argparse.Namespace) -> None:
    _report(cache.clear())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="helion-msl", description="Metal kernels for PyTorch.")
    parser.add_argument("--version", action="version", version=f"helion-msl {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    about = "the disk cache of compiled kernels and translations"
    actions = commands.add_parser("cache", help=about, description=about).add_subparsers(
        required=True, metavar="action"
    )
    show = actions.add_parser("show", help="where it is, and what it holds")
    show.add_argument("--json", action="store_true", help="as JSON; sizes in bytes, ages in seconds")
    show.set_defaults(run=_show)
    trim = actions.add_parser("trim", help="remove what is too old or too much")
    trim.add_argument("--max-size", type=_bytes, metavar="SIZE", help="most that stays, such as 100M")
    trim.add_argument("--max-age", type=_days, metavar="DAYS", help="days after its last use that an entry goes")
    trim.set_defaults(run=_trim)
    actions.add_parser("clear", help="remove everything").set_defaults(run=_clear)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the status of the process."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except HelionMslError as error:
        print(f"helion-msl: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
