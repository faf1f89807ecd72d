"""Integer programs for Helion kernels: functions of two tiles that compute with what PyTorch has for integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

TYPES = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)
Function: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"

# What becomes of one or two values `a` and `b` and a constant `c` of the type of `a`.
_OPERATIONS = {
    "binary": [
        *("{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} & {b}", "{a} | {b}", "{a} ^ {b}", "{a} << {b}", "{a} >> {b}"),
        # An odd number divides, also -1 the lowest one.
        *("{a} // ({b} | 1)", "{a} % ({b} | 1)", "torch.fmod({a}, {b} | 1)"),
        *("torch.maximum({a}, {b})", "torch.minimum({a}, {b})"),
        *("torch.where({a} < {c}, {a}, {b})", "torch.where({a} == {b}, {a} + {b}, {a} - {b})"),
    ],
    "unary": [
        *("{a} + {c}", "{a} - {c}", "{c} - {a}", "{a} * {c}", "{a} ^ {c}", "{a} << {n}", "{a} >> {n}"),
        *("-{a}", "~{a}", "torch.abs({a})", "torch.square({a})", "torch.clamp({a}, min={c})"),
    ],
}


@st.composite
def sources(draw: st.DrawFn, types: tuple[torch.dtype, torch.dtype], most: int = 8) -> str:
    """Draw the text of a function of two tiles, whose every line works on what earlier ones left."""
    names, dtypes = ["x", "y"], [*types]
    lines = []
    for number in range(draw(st.integers(1, most))):
        places = st.integers(0, len(names) - 1)
        first, second = draw(st.just(len(names) - 1) | places), draw(places)
        kind = draw(st.sampled_from(["binary", "binary", "unary", "unary", "convert"]))
        limits = torch.iinfo(dtypes[first])
        constant = draw(st.integers(limits.min, limits.max) | st.integers(max(limits.min, -9), 9))
        if kind == "convert":
            dtype = draw(st.sampled_from(TYPES))
            text = f"{names[first]}.to({dtype})"
        else:
            dtype = torch.promote_types(dtypes[first], dtypes[second]) if kind == "binary" else dtypes[first]
            text = draw(st.sampled_from(_OPERATIONS[kind]))
            count = draw(st.integers(0, limits.bits - 1))
            text = text.format(a=names[first], b=names[second], c=f"({constant})", n=count)
        names.append(f"v{number}")
        dtypes.append(dtype)
        lines.append(f"    {names[-1]} = {text}\n")
    # Helion replaces the globals of functions that it calls.
    return f"def function(x, y):\n    import torch\n{''.join(lines)}    return {names[-1]}\n"


def function_of(source: str) -> Function:
    """Return the function that a text defines."""
    scope: dict[str, Function] = {}
    exec(source, scope)
    return scope["function"]


def values_of(dtype: torch.dtype, seed: int, count: int = 201) -> torch.Tensor:
    """Return values over the whole range of a type, its ends and small ones among them."""
    limits = torch.iinfo(dtype)
    generator = torch.Generator().manual_seed(seed)
    bits = torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator)
    special = [0, 1, 2, 7, limits.bits - 1, limits.bits, limits.max, limits.max - 1, limits.min, limits.min + 1]
    small = torch.randint(-70 if limits.min else 0, 70, (40,), generator=generator)
    numbers = torch.cat([torch.tensor(special), small, bits])[:count].to(dtype)
    return numbers[torch.randperm(count, generator=generator)]
