"""Names that MSL can take: reserved words are stepped aside, every name is used for one thing only."""

from __future__ import annotations

import re

from .types import SCALAR_TYPES

# C++17 (ISO/IEC 14882, [lex.key]) with its alternative tokens, which are operators.
_CPP_KEYWORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class compl
concept const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype default delete do
double dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace
new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires return
short signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef
typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq main std
"""
# Metal Shading Language Specification: address spaces, function qualifiers, types and namespaces.
_MSL_KEYWORDS = """
as_type constant device fragment half intersection kernel mesh metal object object_data patch_control_point ray_data
sampler simd tensor texture thread threadgroup threadgroup_imageblock bfloat uchar ushort uint ulong ptrdiff_t size_t
int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t intptr_t uintptr_t vertex visible stitchable
imageblock address_space c10 helion_msl helion_host atomic_int atomic_uint atomic_float atomic_bool atomic_ulong
"""
# Macros of <metal_stdlib> and of the C headers that clang predefines or a host includes.
_MACROS = """
INFINITY NAN HUGE_VALF HUGE_VALH HUGE_VAL MAXFLOAT MAXHALF assert offsetof NULL EOF errno linux unix signbit isnan
isinf isfinite isnormal fpclassify isgreater isless isunordered complex I NDEBUG TRUE FALSE
"""
_VECTOR_NAME = re.compile(r"(packed_)?(bool|u?char|u?short|u?int|u?long|half|bfloat|float)([234])(x[234])?")
_MACRO_NAME = re.compile(
    r"(M|FLT|HALF|BFLT|DBL|LDBL|FP|SCHAR|UCHAR|CHAR|SHRT|USHRT|INT|UINT|LONG|ULONG|LLONG)_[A-Z0-9_]+"
)

RESERVED = frozenset((_CPP_KEYWORDS + _MSL_KEYWORDS + _MACROS).split()) | {scalar.msl for scalar in SCALAR_TYPES}


def is_reserved(name: str) -> bool:
    """Whether MSL, its standard library or the preprocessor give the name a meaning."""
    return (
        name in RESERVED
        or "__" in name
        or (name[-1] in "234" and _VECTOR_NAME.fullmatch(name) is not None)
        or (name.isupper() and _MACRO_NAME.fullmatch(name) is not None)
    )


def _ascii(name: str) -> str:
    """Spell a Python identifier in ASCII: run-time Metal compilers read sources as ASCII."""
    if name.isascii():
        return name
    return "".join(character if character.isascii() else f"u{ord(character):04X}" for character in name)


def _free(name: str) -> str:
    """Return a name that is not reserved: nothing that begins like this is."""
    return f"v_{name}" if is_reserved(name) else name


class Names:
    """Hands out names that are legal in MSL and different from one another, deterministically."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def inside(self) -> Names:
        """Return the names of a scope inside this one: what is taken here is taken there."""
        inner = Names()
        inner._taken = set(self._taken)
        return inner

    def unique(self, wanted: str) -> str:
        """Return ``wanted``, or the nearest name to it that is free, and take it."""
        base = _ascii(wanted)
        name, number = base, 0
        if is_reserved(base):
            base = re.sub("_{2,}", "_", base).strip("_") + "_"
            name = _free(base)
        while name in self._taken:
            number += 1
            name = _free(f"{base.rstrip('_')}_{number}")
        self._taken.add(name)
        return name
