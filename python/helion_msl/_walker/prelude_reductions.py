"""MSL helpers that combine values of several threads.

A reduction group is a run of ``span`` threads with consecutive lanes. Up to 32 it lies inside one simdgroup and is
folded by shuffles; above, it is a whole number of simdgroups, each of which leaves its part in threadgroup memory and
then folds all parts, so that every thread has the result after two barriers. The first barrier keeps a call in a loop
from overwriting parts that other threads still read.

All threads of the groups must reach the call. NaN wins in maximum and minimum; among equal extremes the lowest index.
"""

from __future__ import annotations

from .prelude_overloads import Overloads


def _of_halves(name: str, lane: str, called: str = "") -> dict[str, str]:
    """Return a shuffle of 64-bit integers; ``lane`` names its second parameter, ``called`` it where that differs."""
    return {
        kind: f"""
inline {kind} {called or name}({kind} x, uint {lane}) {{
  return as_type<{kind}>(uint2(metal::{name}(wide(x).x, ushort({lane})), metal::{name}(wide(x).y, ushort({lane}))));
}}"""
        for kind in ("long", "ulong")
    }


_SHUFFLES = {
    "wide": Overloads(
        "// Metal has no 64-bit simdgroup operations: the halves travel separately.",
        "",
        {kind: f"inline uint2 wide({kind} x) {{\n  return as_type<uint2>(x);\n}}" for kind in ("long", "ulong")},
    ),
    "simd_shuffle_xor": Overloads(
        "",
        """
template <typename T>
inline T simd_shuffle_xor(T x, uint mask) {
  return metal::simd_shuffle_xor(x, ushort(mask));
}""",
        _of_halves("simd_shuffle_xor", "mask"),
    ),
    **{
        name: Overloads("", "", _of_halves(name, "lane"))
        for name in ("simd_shuffle", "simd_shuffle_up", "simd_shuffle_down", "simd_broadcast")
    },
}

_OPERATIONS = {
    # name: (combination of `value` and `other`, identity)
    "sum": ("value + other", "T(0)"),
    "product": ("value * other", "T(1)"),
    "max": ("maximum(value, other)", "lowest(value)"),
    "min": ("minimum(value, other)", "highest(value)"),
}


def _limit(name: str, of_integers: str, of_floats: str) -> Overloads:
    """Return a function of a number that yields the lowest or the highest one of its type."""
    return Overloads(
        "",
        f"""
template <typename T>
inline T {name}(T) {{
  return metal::numeric_limits<T>::{of_integers}();
}}""",
        {
            kind: f"inline {kind} {name}({kind}) {{\n  return {value};\n}}"
            for kind, value in (
                ("float", of_floats),
                ("half", f"half({of_floats})"),
                ("bfloat", f"bfloat({of_floats})"),
            )
        },
    )


_LANE = Overloads(
    "",
    """
template <typename T>
inline T value_of_lane(T x, uint lane) {
  return metal::simd_shuffle(x, ushort(lane));
}""",
    _of_halves("simd_shuffle", "lane", "value_of_lane"),
)

_IDENTITIES = {"lowest": _limit("lowest", "lowest", "-INFINITY"), "highest": _limit("highest", "max", "INFINITY")}


def _native(name: str) -> dict[str, str]:
    """Return the overloads that Metal has an instruction for; its maximum and minimum of floats ignore NaN."""
    result = f"metal::simd_{name}(value)"
    nan_wins = f"metal::simd_any(value != value) ? NAN : {result}" if name in ("max", "min") else result
    bodies = {"float": nan_wins, "int": result, "uint": result}
    return {kind: f"inline {kind} simd_{name}({kind} value) {{\n  return {body};\n}}" for kind, body in bodies.items()}


def _of_quadgroup(name: str) -> Overloads:
    """Return the maximum or minimum of a quadgroup; Metal's of floats ignores NaN."""
    result = f"metal::quad_{name}(value)"
    nan_wins = f"metal::quad_any(value != value) ? NAN : {result}"
    bodies = {"float": nan_wins, "half": nan_wins.replace("NAN", "half(NAN)"), "int": result, "uint": result}
    return Overloads(
        "", "", {k: f"inline {k} quad_{name}({k} value) {{\n  return {body};\n}}" for k, body in bodies.items()}
    )


def _reductions() -> dict[str, str | Overloads]:
    snippets: dict[str, str | Overloads] = {}
    for name, (combination, identity) in _OPERATIONS.items():
        snippets[f"segment_{name}"] = f"""
// Over groups of `span` lanes, a power of two up to 32.
template <typename T>
inline T segment_{name}(T value, uint span) {{
  for (uint distance = span / 2; distance > 0; distance /= 2) {{
    T other = simd_shuffle_xor(value, distance);
    value = {combination};
  }}
  return value;
}}"""
        snippets[f"simd_{name}"] = Overloads(
            "",
            f"""
template <typename T>
inline T simd_{name}(T value) {{
  return segment_{name}(value, 32);
}}""",
            _native(name),
        )
        snippets[f"simd_active_{name}"] = Overloads(
            "",
            f"""
// Over the lanes that are here: a shuffle from any other is undefined.
template <typename T>
inline T simd_active_{name}(T value) {{
  uint lanes = simd_ballot(true);
  if (lanes == 0xffffffffu) {{
    return segment_{name}(value, 32);
  }}
  T own = value;
  value = value_of_lane(own, metal::ctz(lanes));
  for (lanes &= lanes - 1; lanes != 0; lanes &= lanes - 1) {{
    T other = value_of_lane(own, metal::ctz(lanes));
    value = {combination};
  }}
  return value;
}}""",
            {},
        )
        snippets[f"threadgroup_{name}"] = f"""
// Over groups of `span` threads, a multiple of 32 up to 1024; `parts` holds span / 32 values for this group, `index`
// counts the threads of the group.
template <typename T>
inline T threadgroup_{name}(threadgroup T* parts, T value, uint index, uint span) {{
  T part = simd_{name}(value);
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  if (index % 32 == 0) {{
    parts[index / 32] = part;
  }}
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  return simd_{name}(index % 32 < span / 32 ? parts[index % 32] : {identity});
}}"""
    return snippets


_EXTREMES = {
    # name: whether `value` with `index` beats `other` with `other_index`
    "argmax": (">", "lowest(value)"),
    "argmin": ("<", "highest(value)"),
}


def _index_reductions() -> dict[str, str]:
    snippets = {}
    for name, (sign, identity) in _EXTREMES.items():
        snippets[f"{name}_precedes"] = f"""
// Whether the first pair stands before the second: NaN first, then the more extreme value, then the lower index.
template <typename T, typename I>
inline bool {name}_precedes(T a, I a_index, T b, I b_index) {{
  bool a_is_nan = a != a;
  bool b_is_nan = b != b;
  if (a_is_nan || b_is_nan) {{
    return a_is_nan && (!b_is_nan || a_index < b_index);
  }}
  return a {sign} b || (a == b && a_index < b_index);
}}"""
        snippets[f"{name}_step"] = f"""
template <typename T, typename I>
inline void {name}_step(thread T& value, thread I& index, uint span) {{
  for (uint distance = span / 2; distance > 0; distance /= 2) {{
    T other = simd_shuffle_xor(value, distance);
    I other_index = simd_shuffle_xor(index, distance);
    if ({name}_precedes(other, other_index, value, index)) {{
      value = other;
      index = other_index;
    }}
  }}
}}"""
        snippets[f"segment_{name}"] = f"""
template <typename T, typename I>
inline I segment_{name}(T value, I index, uint span) {{
  {name}_step(value, index, span);
  return index;
}}"""
        snippets[f"simd_{name}"] = f"""
template <typename T, typename I>
inline I simd_{name}(T value, I index) {{
  return segment_{name}(value, index, 32);
}}"""
        snippets[f"threadgroup_{name}"] = f"""
template <typename T, typename I>
inline I threadgroup_{name}(
    threadgroup T* parts, threadgroup I* indices, T value, I index, uint thread_index, uint span) {{
  {name}_step(value, index, 32);
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  if (thread_index % 32 == 0) {{
    parts[thread_index / 32] = value;
    indices[thread_index / 32] = index;
  }}
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  uint lane = thread_index % 32;
  bool has_part = lane < span / 32;
  T best = has_part ? parts[lane] : {identity};
  I best_index = has_part ? indices[lane] : metal::numeric_limits<I>::max();
  {name}_step(best, best_index, 32);
  return best_index;
}}"""
    return snippets


_BALLOT = {
    "simd_ballot": """
inline uint simd_ballot(bool condition) {
  return uint(ulong(metal::simd_ballot(condition)));
}"""
}

_QUAD = {f"quad_{name}": _of_quadgroup(name) for name in ("max", "min")}

SNIPPETS = {
    **_QUAD,
    **_SHUFFLES,
    "value_of_lane": _LANE,
    **_BALLOT,
    **_IDENTITIES,
    **_reductions(),
    **_index_reductions(),
}
