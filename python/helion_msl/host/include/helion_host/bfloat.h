// bfloat: the upper 16 bits of a float.
//
// A class and not the compiler's type, for two reasons. x86's own conversion (VCVTNEPS2BF16) turns denormals into
// zeros, and without that instruction every conversion is a call; rounding written in integers is exact and
// vectorizes. And the implicit conversions are Metal's: to float and from integers, nothing else.
#pragma once

#include "platform.h"

namespace metal {

struct bfloat {
  unsigned short bits;

  bfloat() = default;
  template <class S>
    requires(__is_integral(S))
  constexpr bfloat(S value) : bits(round(static_cast<float>(value))) {}
  template <class S>
    requires(__is_floating_point(S) || __is_same(S, helion_host::float16) || __is_enum(S))
  explicit constexpr bfloat(S value) : bits(round(static_cast<float>(value))) {}

  static constexpr bfloat from_bits(unsigned short bits) { return helion_host::bit_cast<bfloat>(bits); }

  // A template, so that no conversion to float and on to an integer happens behind the program's back.
  template <class S>
    requires(__is_integral(S) || __is_floating_point(S) || __is_same(S, helion_host::float16))
  explicit(!__is_same(S, float)) constexpr operator S() const {
    return static_cast<S>(helion_host::bit_cast<float>(static_cast<unsigned>(bits) << 16));
  }

 private:
  // To nearest, ties to even; every NaN becomes the quiet one.
  static constexpr unsigned short round(float value) {
    const unsigned word = helion_host::bit_cast<unsigned>(value);
    const unsigned rounded = (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
    return static_cast<unsigned short>((word & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
  }
};

static_assert(sizeof(bfloat) == 2 && alignof(bfloat) == 2);

constexpr bfloat operator+(bfloat x) { return x; }
constexpr bfloat operator-(bfloat x) { return bfloat::from_bits(x.bits ^ 0x8000u); }

}  // namespace metal

namespace helion_host {

// The type of an arithmetic operation between bfloat and S: bfloat with integers, float with the other floats.
template <class S>
struct bfloat_and {};
template <class S>
  requires(__is_integral(S))
struct bfloat_and<S> {
  using type = metal::bfloat;
};
template <class S>
  requires(__is_floating_point(S) || __is_same(S, float16))
struct bfloat_and<S> {
  using type = float;
};

}  // namespace helion_host

namespace metal {

#define HELION_MSL_BFLOAT_ARITHMETIC(op)                                                                   \
  constexpr bfloat operator op(bfloat a, bfloat b) {                                                       \
    return bfloat(static_cast<float>(a) op static_cast<float>(b));                                         \
  }                                                                                                        \
  template <class S>                                                                                       \
  constexpr typename helion_host::bfloat_and<S>::type operator op(bfloat a, S b) {                         \
    using result = typename helion_host::bfloat_and<S>::type;                                              \
    return static_cast<result>(static_cast<float>(a) op static_cast<float>(static_cast<result>(b)));       \
  }                                                                                                        \
  template <class S>                                                                                       \
  constexpr typename helion_host::bfloat_and<S>::type operator op(S a, bfloat b) {                         \
    using result = typename helion_host::bfloat_and<S>::type;                                              \
    return static_cast<result>(static_cast<float>(static_cast<result>(a)) op static_cast<float>(b));       \
  }                                                                                                        \
  template <class S>                                                                                       \
  constexpr bfloat &operator op##=(bfloat &a, S b) {                                                       \
    return a = static_cast<bfloat>(a op b);                                                                \
  }
HELION_MSL_BFLOAT_ARITHMETIC(+)
HELION_MSL_BFLOAT_ARITHMETIC(-)
HELION_MSL_BFLOAT_ARITHMETIC(*)
HELION_MSL_BFLOAT_ARITHMETIC(/)
#undef HELION_MSL_BFLOAT_ARITHMETIC

#define HELION_MSL_BFLOAT_COMPARISON(op)                                                                         \
  constexpr bool operator op(bfloat a, bfloat b) { return static_cast<float>(a) op static_cast<float>(b); }      \
  template <class S>                                                                                             \
  constexpr decltype(typename helion_host::bfloat_and<S>::type(), bool()) operator op(bfloat a, S b) {           \
    return static_cast<float>(a) op static_cast<float>(static_cast<typename helion_host::bfloat_and<S>::type>(b)); \
  }                                                                                                              \
  template <class S>                                                                                             \
  constexpr decltype(typename helion_host::bfloat_and<S>::type(), bool()) operator op(S a, bfloat b) {           \
    return static_cast<float>(static_cast<typename helion_host::bfloat_and<S>::type>(a)) op static_cast<float>(b); \
  }
HELION_MSL_BFLOAT_COMPARISON(==)
HELION_MSL_BFLOAT_COMPARISON(!=)
HELION_MSL_BFLOAT_COMPARISON(<)
HELION_MSL_BFLOAT_COMPARISON(<=)
HELION_MSL_BFLOAT_COMPARISON(>)
HELION_MSL_BFLOAT_COMPARISON(>=)
#undef HELION_MSL_BFLOAT_COMPARISON

constexpr bfloat &operator++(bfloat &x) { return x = x + 1; }
constexpr bfloat &operator--(bfloat &x) { return x = x - 1; }
constexpr bfloat operator++(bfloat &x, int) {
  const bfloat before = x;
  ++x;
  return before;
}
constexpr bfloat operator--(bfloat &x, int) {
  const bfloat before = x;
  --x;
  return before;
}

}  // namespace metal
