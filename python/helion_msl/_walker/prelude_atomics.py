"""MSL helpers for the atomic operations that Metal does not have: on floats, and comparing exchanges that never fail.

Floats are exchanged as their bits, in the memory of a uint. Overloads for both address spaces have the same body.
"""

from __future__ import annotations

_SPACES = ("device", "threadgroup")
_ORDERS = "metal::memory_order_relaxed, metal::memory_order_relaxed"

# What becomes of the `old` value.
_FLOATS = {
    "atomic_add": "old + value",
    "atomic_sub": "old - value",
    "atomic_max": "maximum(old, value)",
    "atomic_min": "minimum(old, value)",
}


def _of_floats(name: str, change: str) -> str:
    """Return a loop that ends when no other thread has come between reading and writing."""
    return "\n".join(
        f"""
inline float {name}({space} metal::atomic_uint* object, float value) {{
  uint bits = metal::atomic_load_explicit(object, metal::memory_order_relaxed);
  while (true) {{
    float old = as_type<float>(bits);
    uint changed = as_type<uint>({change});
    if (changed == bits || metal::atomic_compare_exchange_weak_explicit(object, &bits, changed, {_ORDERS})) {{
      return old;
    }}
  }}
}}""".strip()
        for space in _SPACES
    )


def _compare_exchange() -> str:
    """Return the exchange that fails for no other reason than another value: Metal's may."""
    return "\n".join(
        f"""
inline {kind} atomic_compare_exchange({space} metal::atomic_{kind}* object, {kind} expected, {kind} value) {{
  {kind} held = expected;
  while (!metal::atomic_compare_exchange_weak_explicit(object, &held, value, {_ORDERS}) && held == expected) {{
  }}
  return held;
}}""".strip()
        for kind in ("int", "uint")
        for space in _SPACES
    )


SNIPPETS = {
    **{name: _of_floats(name, change) for name, change in _FLOATS.items()},
    "atomic_compare_exchange": _compare_exchange(),
}
