// <metal_math>. `precise` and `fast` are the same functions here: those of the C library or of elementary.h, which are
// at least as accurate as Metal asks of either.
#pragma once

#include "common.h"
#include "constants.h"
#include "elementary.h"

namespace helion_host {

HELION_MSL_FUNC float divide(float x, float y) {
  return x / y;
}
HELION_MSL_FUNC float fdim(float x, float y) {
  return is_nan(x) ? x : is_nan(y) ? y : x > y ? x - y : 0.0f;
}
// Less than one also where x is a negative number too small to change 1.
HELION_MSL_FUNC float fract(float x) {
  const float fraction = x - libm::floor(x);
  return fraction < 1.0f || is_nan(fraction) ? fraction : 0x1.fffffep-1f;
}
HELION_MSL_FUNC float rsqrt(float x) {
  return 1.0f / libm::sqrt(x);
}

// sin(pi x) and cos(pi x): the argument is reduced without rounding to at most 1/4 of a half turn.
struct quarter_turn {
  float angle;        // radians, at most pi/4 in magnitude
  unsigned quadrant;  // quarter turns to add, modulo 4
};
HELION_MSL_FUNC quarter_turn reduce_half_turns(float x) {
  const float turns = x - 2.0f * libm::rint(x * 0.5f);
  const float quarters = libm::rint(turns * 2.0f);
  return {(turns - quarters * 0.5f) * M_PI_F, static_cast<unsigned>(static_cast<int>(quarters))};
}
HELION_MSL_FUNC float sinpi(float x) {
  const quarter_turn turn = reduce_half_turns(x);
  const float value = (turn.quadrant & 1u) != 0 ? libm::cos(turn.angle) : libm::sin(turn.angle);
  const float result = (turn.quadrant & 2u) != 0 ? -value : value;
  // Whole numbers give a zero with the sign of the argument (IEEE 754, 9.2.1).
  return result == 0.0f ? libm::copysign(0.0f, x) : result;
}
HELION_MSL_FUNC float cospi(float x) {
  const quarter_turn turn = reduce_half_turns(x);
  const float value = (turn.quadrant & 1u) != 0 ? libm::sin(turn.angle) : libm::cos(turn.angle);
  const float result = ((turn.quadrant + 1u) & 2u) != 0 ? -value : value;
  return result == 0.0f ? 0.0f : result;
}
HELION_MSL_FUNC float tanpi(float x) {
  return sinpi(x) / cospi(x);
}

HELION_MSL_FUNC float fused(float x, float y, float z) {
  return libm::fma(x, y, z);
}
// The product of two halves is exact in float. The sum is rounded to odd there, which keeps what the final rounding to
// half needs to know, so the whole is rounded once.
HELION_MSL_FUNC float16 fused(float16 x, float16 y, float16 z) {
  const float product = static_cast<float>(x) * static_cast<float>(y);
  const float addend = static_cast<float>(z);
  const float sum = product + addend;
  const float shadow = sum - product;
  const float error = (product - (sum - shadow)) + (addend - shadow);
  uint32 bits = bit_cast<uint32>(sum);
  if (error != 0.0f && !is_nan(error) && (bits & 1u) == 0) {
    bits += (error > 0.0f) == (sum > 0.0f) ? 1u : ~0u;
  }
  return static_cast<float16>(bit_cast<float>(bits));
}
template <class T>
HELION_MSL_FUNC T fma(T x, T y, T z) {
  if constexpr (__is_same(T, metal::bfloat)) {
    return T(libm::fma(x, y, z));
  } else {
    return fused(x, y, z);
  }
}

// The neighbour of x towards y, by stepping the bits.
template <class T>
HELION_MSL_FUNC T nextafter(T x, T y) {
  if constexpr (__is_same(T, float)) {
    return libm::nextafter(x, y);
  } else {
    if (is_nan(x) || is_nan(y)) {
      return x + y;
    }
    if (x == y) {
      return y;
    }
    const uint16 bits = bit_cast<uint16>(x);
    if ((bits & 0x7fffu) == 0) {
      return bit_cast<T>(static_cast<uint16>((bit_cast<uint16>(y) & 0x8000u) | 1u));
    }
    const bool away_from_zero = (x < y) == ((bits & 0x8000u) == 0);
    return bit_cast<T>(static_cast<uint16>(away_from_zero ? bits + 1 : bits - 1));
  }
}

HELION_MSL_FUNC float powr(float x, float y) {
  // pow for x >= 0: NaN below, and where IEEE 754's powr has it.
  return x < 0.0f || (x == 1.0f && (y - y) != 0.0f) || (y == 0.0f && (x == 0.0f || (x - x) != 0.0f)) || is_nan(y)
             ? NAN
             : libm::pow(x, y);
}

}  // namespace helion_host

namespace metal {

HELION_MSL_FLOATING_1(acos, helion_host::libm::acos)
HELION_MSL_FLOATING_1(acosh, helion_host::libm::acosh)
HELION_MSL_FLOATING_1(asin, helion_host::libm::asin)
HELION_MSL_FLOATING_1(asinh, helion_host::libm::asinh)
HELION_MSL_FLOATING_1(atan, helion_host::libm::atan)
HELION_MSL_FLOATING_1(atanh, helion_host::libm::atanh)
HELION_MSL_FLOATING_1(ceil, helion_host::libm::ceil)
HELION_MSL_FLOATING_1(cos, helion_host::libm::cos)
HELION_MSL_FLOATING_1(cosh, helion_host::libm::cosh)
HELION_MSL_FLOATING_1(cospi, helion_host::cospi)
HELION_MSL_FLOATING_1(exp, helion_host::libm::exp)
HELION_MSL_FLOATING_1(exp10, helion_host::libm::exp10)
HELION_MSL_FLOATING_1(exp2, helion_host::libm::exp2)
HELION_MSL_FLOATING_1(fabs, helion_host::libm::fabs)
HELION_MSL_FLOATING_1(floor, helion_host::libm::floor)
HELION_MSL_FLOATING_1(log, helion_host::libm::log)
HELION_MSL_FLOATING_1(log10, helion_host::libm::log10)
HELION_MSL_FLOATING_1(log2, helion_host::libm::log2)
HELION_MSL_FLOATING_1(rint, helion_host::libm::rint)
HELION_MSL_FLOATING_1(round, helion_host::libm::round)
HELION_MSL_FLOATING_1(rsqrt, helion_host::rsqrt)
HELION_MSL_FLOATING_1(sin, helion_host::libm::sin)
HELION_MSL_FLOATING_1(sinh, helion_host::libm::sinh)
HELION_MSL_FLOATING_1(sinpi, helion_host::sinpi)
HELION_MSL_FLOATING_1(sqrt, helion_host::libm::sqrt)
HELION_MSL_FLOATING_1(tan, helion_host::libm::tan)
HELION_MSL_FLOATING_1(tanh, helion_host::libm::tanh)
HELION_MSL_FLOATING_1(tanpi, helion_host::tanpi)
HELION_MSL_FLOATING_1(trunc, helion_host::libm::trunc)

HELION_MSL_FLOATING_2(atan2, helion_host::libm::atan2)
HELION_MSL_FLOATING_2(copysign, helion_host::libm::copysign)
HELION_MSL_FLOATING_2(divide, helion_host::divide)
HELION_MSL_FLOATING_2(fdim, helion_host::fdim)
HELION_MSL_FLOATING_2(fmax, helion_host::maximum<float>)
HELION_MSL_FLOATING_2(fmin, helion_host::minimum<float>)
HELION_MSL_FLOATING_2(fmod, helion_host::libm::fmod)
HELION_MSL_FLOATING_2(pow, helion_host::libm::pow)
HELION_MSL_FLOATING_2(powr, helion_host::powr)

HELION_MSL_FLOATING_3(fmax3, helion_host::maximum3<float>)
HELION_MSL_FLOATING_3(fmin3, helion_host::minimum3<float>)
HELION_MSL_FLOATING_3(fmedian3, helion_host::median3<float>)

HELION_MSL_FUNC float fma(float x, float y, float z) {
  return helion_host::libm::fma(x, y, z);
}
// In the type of the call itself: float would round twice, or step too far.
template <class A, class B, class C, class R = helion_host::floating_call_t<A, B, C>>
HELION_MSL_FUNC R fma(const A &x, const B &y, const C &z) {
  return helion_host::map<R, helion_host::fma<helion_host::element_t<R>>>(R(x), R(y), R(z));
}
template <class A, class B, class R = helion_host::floating_call_t<A, B>>
HELION_MSL_FUNC R nextafter(const A &x, const B &y) {
  return helion_host::map<R, helion_host::nextafter<helion_host::element_t<R>>>(R(x), R(y));
}
HELION_MSL_FUNC float fract(float x) {
  return helion_host::fract(x);
}
// half has a largest number below one of its own.
template <class A, class R = helion_host::floating_call_t<A>>
HELION_MSL_FUNC R fract(const A &x) {
  const R fraction = helion_host::map<R, helion_host::fract>(R(x));
  if constexpr (__is_same(helion_host::element_t<R>, float)) {
    return fraction;
  } else {
    using T = helion_host::element_t<R>;
    const T largest = __is_same(T, half) ? T(0x1.ffcp-1f) : T(0x1.fep-1f);
    return min(fraction, R(largest));
  }
}

// ---- Functions with an integer or a second result -----------------------------------------------------------------

template <class A, class R = helion_host::floating_call_t<A>>
HELION_MSL_FUNC helion_host::with_element_t<R, int> ilogb(const A &x) {
  return helion_host::map<helion_host::with_element_t<R, int>, helion_host::libm::ilogb>(R(x));
}

template <class A, class R = helion_host::floating_call_t<A>>
HELION_MSL_FUNC R ldexp(const A &x, const helion_host::with_element_t<R, int> &exponent) {
  R result(x);
  if constexpr (helion_host::vector_size<R> == 1) {
    result = static_cast<R>(helion_host::libm::ldexp(result, exponent));
  } else {
    for (int i = 0; i < helion_host::vector_size<R>; ++i) {
      result[i] = static_cast<helion_host::element_t<R>>(helion_host::libm::ldexp(result[i], exponent[i]));
    }
  }
  return result;
}

template <class A, class R = helion_host::floating_call_t<A>>
HELION_MSL_FUNC R frexp(const A &x, helion_host::with_element_t<R, int> &exponent) {
  R result(x);
  if constexpr (helion_host::vector_size<R> == 1) {
    result = static_cast<R>(helion_host::libm::frexp(result, &exponent));
  } else {
    for (int i = 0; i < helion_host::vector_size<R>; ++i) {
      result[i] = static_cast<helion_host::element_t<R>>(helion_host::libm::frexp(result[i], &exponent[i]));
    }
  }
  return result;
}

template <class A, class R = helion_host::floating_call_t<A>>
HELION_MSL_FUNC R sincos(const A &x, type_identity_t<R> &cosine) {
  cosine = cos(x);
  return sin(x);
}

template <class A, class R = helion_host::floating_call_t<A>>
HELION_MSL_FUNC R modf(const A &x, type_identity_t<R> &whole) {
  const R value(x);
  whole = trunc(value);
  if constexpr (helion_host::vector_size<R> == 1) {
    // The fraction of an infinity is zero, and every fraction has the sign of x.
    return copysign(value == whole ? R(0) : R(value - whole), value);
  } else {
    R fraction;
    for (int i = 0; i < helion_host::vector_size<R>; ++i) {
      const auto component = value[i];
      fraction[i] = copysign(
          component == whole[i] ? helion_host::element_t<R>(0) : helion_host::element_t<R>(component - whole[i]),
          component);
    }
    return fraction;
  }
}

}  // namespace metal

// metal::fast and metal::precise, name by name, because a program may add overloads of its own to either namespace.
#define HELION_MSL_MATH_MODE \
  using metal::abs;          \
  using metal::acos;         \
  using metal::acosh;        \
  using metal::asin;         \
  using metal::asinh;        \
  using metal::atan;         \
  using metal::atan2;        \
  using metal::atanh;        \
  using metal::ceil;         \
  using metal::clamp;        \
  using metal::copysign;     \
  using metal::cos;          \
  using metal::cosh;         \
  using metal::cospi;        \
  using metal::divide;       \
  using metal::exp;          \
  using metal::exp10;        \
  using metal::exp2;         \
  using metal::fabs;         \
  using metal::fdim;         \
  using metal::floor;        \
  using metal::fma;          \
  using metal::fmax;         \
  using metal::fmax3;        \
  using metal::fmedian3;     \
  using metal::fmin;         \
  using metal::fmin3;        \
  using metal::fmod;         \
  using metal::fract;        \
  using metal::frexp;        \
  using metal::ilogb;        \
  using metal::ldexp;        \
  using metal::log;          \
  using metal::log10;        \
  using metal::log2;         \
  using metal::max;          \
  using metal::max3;         \
  using metal::median3;      \
  using metal::min;          \
  using metal::min3;         \
  using metal::mix;          \
  using metal::modf;         \
  using metal::nextafter;    \
  using metal::pow;          \
  using metal::powr;         \
  using metal::rint;         \
  using metal::round;        \
  using metal::rsqrt;        \
  using metal::saturate;     \
  using metal::sign;         \
  using metal::sin;          \
  using metal::sincos;       \
  using metal::sinh;         \
  using metal::sinpi;        \
  using metal::smoothstep;   \
  using metal::sqrt;         \
  using metal::step;         \
  using metal::tan;          \
  using metal::tanh;         \
  using metal::tanpi;        \
  using metal::trunc;

namespace metal {
namespace fast {
HELION_MSL_MATH_MODE
}
namespace precise {
HELION_MSL_MATH_MODE
}
}  // namespace metal
#undef HELION_MSL_MATH_MODE
