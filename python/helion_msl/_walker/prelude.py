"""MSL helper functions that printed kernels call; a kernel carries those it uses, and what they use.

Operands of a helper have the same type, and floating-point helpers take float: the parser converts. Where a helper has
overloads (:class:`.prelude_overloads.Overloads`), a kernel carries those for the types that it calls it with.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from .matmul_simdgroup import SNIPPETS as _MATMUL
from .prelude_atomics import SNIPPETS as _ATOMICS
from .prelude_matrices import SNIPPETS as _MATRICES
from .prelude_overloads import Overloads
from .prelude_reductions import SNIPPETS as _REDUCTIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NAMESPACE = "helion_msl::"
ASSERT = "HELION_MSL_ASSERT"
PRINT = "HELION_MSL_PRINT"

# The host engine defines __HELION_MSL_HOST__; os_log is part of MSL from 3.2 on.
_MACROS = {
    ASSERT: """
// Python's assert: the host engine ends the launch with the message; a GPU does not test.
#if defined(__HELION_MSL_HOST__)
#define HELION_MSL_ASSERT(test, ...) ((test) ? void() : helion_host::fail(__VA_ARGS__))
#elif defined(HELION_MSL_LOGS_ASSERTIONS) && __METAL_VERSION__ >= 320
#include <metal_logging>
#define HELION_MSL_ASSERT(test, ...) ((test) ? void() : metal::os_log_default.log_error(__VA_ARGS__))
#else
#define HELION_MSL_ASSERT(test, ...) void()
#endif""",
    PRINT: """
// Python's print: a line of the process's output on the host engine, of the system's log from MSL 3.2 on.
#if defined(__HELION_MSL_HOST__)
#define HELION_MSL_PRINT(...) helion_host::print(__VA_ARGS__)
#elif __METAL_VERSION__ >= 320
#include <metal_logging>
#define HELION_MSL_PRINT(...) metal::os_log_default.log(__VA_ARGS__)
#else
#define HELION_MSL_PRINT(...) void()
#endif""",
}

_ARITHMETIC: dict[str, str | Overloads] = {
    "divide": """
// C++'s integer division. Zero divisors give 0: lanes that are masked off divide by what they did not load. The
// lowest number divided by -1 overflows to itself; both trap on some processors.
template <typename T>
inline T divide(T a, T b) {
  if (b == T(0)) {
    return T(0);
  }
  return b < T(0) && b + T(1) == T(0) ? T(0ul - ulong(a)) : a / b;
}""",
    "remainder": """
template <typename T>
inline T remainder(T a, T b) {
  return b == T(0) || (b < T(0) && b + T(1) == T(0)) ? T(0) : a % b;
}""",
    "floor_divide": Overloads(
        "// Python's `//`.",
        """
template <typename T>
inline T floor_divide(T a, T b) {
  T quotient = divide(a, b);
  return remainder(a, b) != T(0) && (a < T(0)) != (b < T(0)) ? quotient - T(1) : quotient;
}""",
        {
            "float": """
inline float floor_divide(float a, float b) {
  if (b == 0.0f) {
    return a / b;
  }
  float rest = metal::fmod(a, b);
  float quotient = (a - rest) / b;
  if (rest != 0.0f && (rest < 0.0f) != (b < 0.0f)) {
    quotient -= 1.0f;
  }
  if (quotient == 0.0f) {
    return metal::copysign(0.0f, a / b);
  }
  float whole = metal::floor(quotient);
  return quotient - whole > 0.5f ? whole + 1.0f : whole;
}"""
        },
    ),
    "floor_remainder": Overloads(
        "// Python's `%`: the sign is the divisor's.",
        """
template <typename T>
inline T floor_remainder(T a, T b) {
  T rest = remainder(a, b);
  return rest != T(0) && (rest < T(0)) != (b < T(0)) ? rest + b : rest;
}""",
        {
            "float": """
inline float floor_remainder(float a, float b) {
  float rest = metal::fmod(a, b);
  if (rest == 0.0f) {
    return metal::copysign(rest, b);
  }
  return (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
}"""
        },
    ),
    "power": """
template <typename T, typename N>
inline T power(T base, N exponent) {
  T result = T(1);
  while (exponent > 0) {
    if ((exponent & 1) != 0) {
      result *= base;
    }
    exponent >>= 1;
    // A square that nobody needs may overflow.
    if (exponent > 0) {
      base *= base;
    }
  }
  return result;
}""",
    "shift_left": """
// Python's `<<` in the bits of the type: nothing is left beyond its width.
template <typename T>
inline T shift_left(T x, int count) {
  return count < int(sizeof(T)) * 8 ? x << count : T(0);
}""",
    "shift_right": """
template <typename T>
inline T shift_right(T x, int count) {
  return count < int(sizeof(T)) * 8 ? x >> count : T(0);
}""",
    "compare": """
// -1, 0 or 1 for two integers that no common type holds.
inline int compare(long a, ulong b) {
  if (a < 0L || ulong(a) < b) {
    return -1;
  }
  return ulong(a) == b ? 0 : 1;
}""",
    "maximum": """
// NaN where either operand is NaN.
template <typename T>
inline T maximum(T a, T b) {
  return a > b || a != a ? a : b;
}""",
    "minimum": """
template <typename T>
inline T minimum(T a, T b) {
  return a < b || a != a ? a : b;
}""",
    "larger": """
// Python's max(a, b).
template <typename T>
inline T larger(T a, T b) {
  return b > a ? b : a;
}""",
    "smaller": """
// Python's min(a, b).
template <typename T>
inline T smaller(T a, T b) {
  return b < a ? b : a;
}""",
    "sign": """
template <typename T>
inline T sign(T x) {
  return x > T(0) ? T(1) : x < T(0) ? T(-1) : T(0);
}""",
}

_FUNCTIONS = {
    "hypot": """
// The length of (x, y) without squares that overflow.
inline float hypot(float x, float y) {
  float larger_side = metal::fmax(metal::abs(x), metal::abs(y));
  if (larger_side == INFINITY || larger_side == 0.0f || x != x || y != y) {
    return larger_side == INFINITY ? INFINITY : x + y;
  }
  float ratio = metal::fmin(metal::abs(x), metal::abs(y)) / larger_side;
  return larger_side * metal::precise::sqrt(metal::fma(ratio, ratio, 1.0f));
}""",
    "philox": """
// Philox 4x32-10 (Salmon et al., 2011): the key is the seed, the counter the offset.
inline uint4 philox(long seed, long offset) {
  uint4 words = uint4(as_type<uint2>(offset), 0u, 0u);
  uint2 key = as_type<uint2>(seed);
  for (int i = 0; i < 10; ++i) {
    uint2 high = uint2(metal::mulhi(0xD2511F53u, words.x), metal::mulhi(0xCD9E8D57u, words.z));
    words = uint4(high.y ^ words.y ^ key.x, 0xCD9E8D57u * words.z, high.x ^ words.w ^ key.y, 0xD2511F53u * words.x);
    key += uint2(0x9E3779B9u, 0xBB67AE85u);
  }
  return words;
}""",
    "randint": """
inline uint randint(long seed, long offset) {
  return philox(seed, offset).x;
}""",
    "rand": """
inline float rand(long seed, long offset) {
  return float(philox(seed, offset).x >> 8) * 0x1p-24f;
}""",
    "randn": """
// Box and Muller: the radius from one word, the angle from another.
inline float randn(long seed, long offset) {
  uint4 words = philox(seed, offset);
  float radius = metal::precise::sqrt(-2.0f * metal::precise::log(float((words.x >> 8) + 1u) * 0x1p-24f));
  return radius * metal::precise::cospi(float(words.y >> 8) * 0x1p-23f);
}""",
    "sigmoid": """
inline float sigmoid(float x) {
  return 1.0f / (1.0f + metal::precise::exp(-x));
}""",
    "expm1": """
// exp(x) - 1 without cancellation: the error of u = exp(x) is undone by dividing by log(u) (W. Kahan).
inline float expm1(float x) {
  float u = metal::precise::exp(x);
  if (u == 1.0f) {
    return x;
  }
  float rest = u - 1.0f;
  return rest == -1.0f || u == INFINITY ? rest : rest * (x / metal::precise::log(u));
}""",
    "log1p": """
// log(1 + x) without cancellation, by the same correction.
inline float log1p(float x) {
  float u = 1.0f + x;
  if (u == 1.0f || u == INFINITY) {
    return x;
  }
  return metal::precise::log(u) * (x / (u - 1.0f));
}""",
    "erfc": """
// exp(x * x) * erfc(x) for x from 1 on: a polynomial in 1 / (1 + x / 2), relative error 3e-7.
inline float scaled_erfc(float x) {
  float u = 1.0f / (1.0f + 0.5f * x);
  float p = 0.08207209f;
  p = metal::fma(p, u, -0.18890665f);
  p = metal::fma(p, u, 0.03045216f);
  p = metal::fma(p, u, 0.1011661f);
  p = metal::fma(p, u, 0.1600031f);
  p = metal::fma(p, u, 0.25239614f);
  p = metal::fma(p, u, 0.28109136f);
  p = metal::fma(p, u, 0.28218964f);
  p = metal::fma(p, u, -3.7009945e-06f);
  float square = x * x;
  return p * metal::precise::exp(-square) * (1.0f - metal::fma(x, x, -square));
}
// erf(x) for x between -1 and 1: x times a polynomial in x * x, relative error 2e-7.
inline float central_erf(float x) {
  float t = x * x;
  float p = 7.847259e-05f;
  p = metal::fma(p, t, -0.0008008189f);
  p = metal::fma(p, t, 0.005188099f);
  p = metal::fma(p, t, -0.026853692f);
  p = metal::fma(p, t, 0.112835824f);
  p = metal::fma(p, t, -0.37612626f);
  p = metal::fma(p, t, 1.1283791f);
  return x * p;
}
inline float erfc(float x) {
  float size = metal::abs(x);
  if (size < 1.0f) {
    return 1.0f - central_erf(x);
  }
  float tail = size > 10.5f ? 0.0f : scaled_erfc(size);
  return x != x ? x : x < 0.0f ? 2.0f - tail : tail;
}""",
    "erf": """
inline float erf(float x) {
  float size = metal::abs(x);
  if (size < 1.0f) {
    return central_erf(x);
  }
  return x != x ? x : metal::copysign(1.0f - (size > 4.0f ? 0.0f : scaled_erfc(size)), x);
}""",
}

# In the order in which they are printed: what is used stands before what uses it.
_SNIPPETS: dict[str, str | Overloads] = {
    **_ARITHMETIC,
    **_FUNCTIONS,
    **_REDUCTIONS,
    **_MATMUL,
    **_MATRICES,
    **_ATOMICS,
}
_REQUIRED_BY_NAME = {"central_erf": "erfc", "scaled_erfc": "erfc"}


def text(used: Mapping[str, Collection[str]]) -> str:
    """Return helpers and all that they need, in a namespace; empty for none.

    Args:
        used: by the qualified name of a helper, the types that it is called with, as MSL calls them.
    """
    macros = [_MACROS[name].strip() for name in _MACROS if name in used]
    wanted = _wanted({name.removeprefix(NAMESPACE): used[name] for name in used if name.startswith(NAMESPACE)})
    if not wanted:
        return "\n".join(macros)
    snippets = [_definition(name, wanted[name]).strip() for name in _SNIPPETS if name in wanted]
    return "\n".join([*macros, "namespace helion_msl {", *snippets, "}  // namespace helion_msl"])


def _wanted(used: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """Return the types for which each helper is needed, directly or by another one."""
    wanted: dict[str, set[str]] = {}
    # A helper may be called with nothing that has a scalar type.
    pending = [(name, kind) for name, kinds in used.items() for kind in kinds or ("",)]
    while pending:
        name, kind = pending.pop()
        kinds = wanted.setdefault(name, set())
        if kind not in kinds:
            kinds.add(kind)
            pending += [(needed, kind) for needed in _needs(_definition(name, (kind,)))]
    return wanted


def _definition(name: str, kinds: Collection[str]) -> str:
    snippet = _SNIPPETS[name]
    return snippet if isinstance(snippet, str) else snippet.text(kinds)


@cache
def _needs(definition: str) -> frozenset[str]:
    """Return the helpers that a definition calls."""
    code = re.sub("//.*", "", definition)
    defined = set(re.findall(r"^inline [\w ]+ (\w+)\(", code, re.MULTILINE))
    words = set(re.findall(r"(?<!metal::)\b(\w+)(?=[(<])", code)) - defined
    words |= {snippet for word, snippet in _REQUIRED_BY_NAME.items() if word in words}
    return frozenset(words.intersection(_SNIPPETS))


def includes(used: Collection[str]) -> list[str]:
    """Return the `#include` lines for the functions of PyTorch's headers among these names."""
    special = any(name.startswith("c10::") for name in used)
    return ["#include <c10/metal/utils.h>", "#include <c10/metal/special_math.h>"] if special else []
