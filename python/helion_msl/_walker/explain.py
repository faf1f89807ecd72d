"""What a kernel became, for people: its Python and its MSL side by side, its arguments, what it is specialized for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .types import ScalarType, TensorType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .source import Source
    from .translation import Translation

_DIRECTIVE = re.compile(r"#line (\d+)")
_WIDEST = 72  # columns of the Python side


def explain(
    source: Source,
    translation: Translation,
    parameters: Mapping[str, object],
    block_dims: tuple[int, int, int] | None,
) -> str:
    """Return the report on one specialization.

    Args:
        source: the kernel's Python.
        translation: what it became.
        parameters: for each parameter its type, or the value that became part of the kernel.
        block_dims: threads of a threadgroup, where they are part of the kernel.
    """
    threads = " x ".join(map(str, block_dims)) if block_dims else "any number of"
    buffers = len(translation.arguments)
    report = [
        f"kernel {translation.name}: {buffers} buffer{'s' if buffers != 1 else ''},"
        f" {translation.threadgroup_memory} bytes of threadgroup memory, {threads} threads in a threadgroup",
        "",
        "Specialized for",
        *_table([(name, _described(value)) for name, value in parameters.items()]),
        "",
        "Arguments",
        *_table(_arguments(translation)),
        "",
        *_side_by_side(source, translation),
    ]
    return "\n".join(line.rstrip() for line in report) + "\n"


def _described(value: object) -> str:
    if isinstance(value, TensorType):
        return f"{value}, {_layout(value)}{', offsets of 64 bits' if value.is_large else ''}"
    return f"a number of type {value}" if isinstance(value, ScalarType) else f"the constant {value!r}"


def _layout(tensor: TensorType) -> str:
    if tensor.strides is None:
        return "contiguous"
    strides = ", ".join("any" if stride is None else str(stride) for stride in tensor.strides)
    return f"strides ({strides})"


def _arguments(translation: Translation) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("buffer", "name", "type", "access", "holds")]
    for index, argument in enumerate(translation.arguments):
        is_tensor = argument.kind == "tensor"
        holds = {
            "tensor": "the tensor's elements",
            "scalar": "the number",
            "size": f"size {argument.dimension} of a tensor",
            "stride": f"stride {argument.dimension} of a tensor, in elements",
        }[argument.kind]
        access = "written" if argument.is_written else "read"
        kind = f"{argument.dtype.msl}{'*' if is_tensor else ''}"
        rows.append((str(index), argument.name, kind, access, holds))
    return rows


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return ["  nothing"]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _side_by_side(source: Source, translation: Translation) -> list[str]:
    """Return two columns; each line of the kernel's MSL stands beside the line of Python that it comes from."""
    lines = translation.msl.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("kernel void"))
    if start and lines[start - 1].startswith("[["):
        start -= 1
    end = next((index for index in range(start, len(lines)) if lines[index].endswith("{")), start) + 1
    pairs: list[tuple[int, str]] = [(source.line(source.definition), line) for line in lines[start:end]]
    number = 0
    for line in lines[end:]:
        directive = _DIRECTIVE.match(line)
        if directive is not None:
            number = int(directive[1])
            continue
        is_comment = not line.strip() or line.lstrip().startswith("//")  # the Python side has it
        if not is_comment:
            pairs.append((number if line.strip() != "}" else 0, line))
        number += 1 if number else 0
    last = len(source.lines) + source.first_line - 1
    left = [text.rstrip()[:_WIDEST] for text in source.lines]
    width = max((len(text) for text in left), default=0)
    report = [f"{'Python'.ljust(width + 6)} | MSL"]
    following = source.first_line
    for place, text in pairs:
        here = ""
        while source.first_line <= following <= min(place, last):
            here = f"{following:4}  {left[following - source.first_line]}"
            if following < place:
                report.append(f"{here.ljust(width + 6)} |")
            following += 1
        report.append(f"{(here if following == place + 1 else '').ljust(width + 6)} | {text}")
    report += [
        f"{following_line:4}  {left[following_line - source.first_line]}".ljust(width + 6) + " |"
        for following_line in range(following, last + 1)
    ]
    functions = [line for line in lines[:start] if not _DIRECTIVE.match(line)]
    first = next((index for index, line in enumerate(functions) if line.startswith(("static inline", "struct "))), None)
    return report if first is None else [*report, "", "Functions that it calls", *functions[first:]]
