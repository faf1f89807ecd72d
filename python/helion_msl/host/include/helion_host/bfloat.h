// bfloat: the upper 16 bits of a float.
//
// A class and not the compiler's type, for two reasons. x86's own conversion (VCVTNEPS2BF16) turns denormals into
// zeros, and without that instruction every conversion is a call; rounding written in integers is exact and
// vectorizes. And the implicit conversions are Metal's: to float and from integers, nothing else.
#pragma once

#include "platform.h"

// The types that are part of Metal's language, not of its library, live in a namespace without functions but operators:
// calls with arguments of theirs must not find the library's functions by argument-dependent lookup, as they do not on
// the GPU. Programs see them as metal::bfloat, metal::vec, ...
namespace metal_types {

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
  // To nearest, ties to even; every NaN becomes the quiet one. Half of the last place is added to all but those that
  // lie in the middle and are even below it: in vector registers one step less than adding 0x7fff and the last bit.
  static constexpr unsigned short round(float value) {
    const unsigned word = helion_host::bit_cast<unsigned>(value);
    const unsigned rounded = (word & 0x1ffffu) == 0x8000u ? word : word + 0x8000u;
    return static_cast<unsigned short>(value != value ? 0x7fc0u : rounded >> 16);
  }
};

static_assert(sizeof(bfloat) == 2 && alignof(bfloat) == 2);

}  // namespace metal_types

namespace metal {
using metal_types::bfloat;
}

namespace helion_host {

// The type of an arithmetic operation that bfloat takes part in: bfloat with integers, float with the other floats.
template <class A, class B>
struct bfloat_operation {};
template <class B>
  requires(__is_integral(B) || __is_same(B, metal::bfloat))
struct bfloat_operation<metal::bfloat, B> {
  using type = metal::bfloat;
};
template <class A>
  requires(__is_integral(A))
struct bfloat_operation<A, metal::bfloat> {
  using type = metal::bfloat;
};
template <class B>
  requires(__is_floating_point(B) || __is_same(B, float16))
struct bfloat_operation<metal::bfloat, B> {
  using type = float;
};
template <class A>
  requires(__is_floating_point(A) || __is_same(A, float16))
struct bfloat_operation<A, metal::bfloat> {
  using type = float;
};

// The value of an operand as that type sees it.
template <class R, class A>
HELION_MSL_FUNC constexpr float bfloat_operand(A a) {
  return static_cast<float>(static_cast<R>(a));
}

}  // namespace helion_host

namespace metal_types {

#define HELION_MSL_BFLOAT_ARITHMETIC(op)                                                           \
  template <class A, class B, class R = typename helion_host::bfloat_operation<A, B>::type>        \
  constexpr R operator op(A a, B b) {                                                              \
    return static_cast<R>(helion_host::bfloat_operand<R>(a) op helion_host::bfloat_operand<R>(b)); \
  }                                                                                                \
  template <class B, class = typename helion_host::bfloat_operation<bfloat, B>::type>              \
  constexpr bfloat &operator op## = (bfloat & a, B b) {                                            \
    return a = static_cast<bfloat>(a op b);                                                        \
  }
HELION_MSL_BFLOAT_ARITHMETIC(+)
HELION_MSL_BFLOAT_ARITHMETIC(-)
HELION_MSL_BFLOAT_ARITHMETIC(*)
HELION_MSL_BFLOAT_ARITHMETIC(/)
#undef HELION_MSL_BFLOAT_ARITHMETIC

#define HELION_MSL_BFLOAT_COMPARISON(op)                                                    \
  template <class A, class B, class R = typename helion_host::bfloat_operation<A, B>::type> \
  constexpr bool operator op(A a, B b) {                                                    \
    return helion_host::bfloat_operand<R>(a) op helion_host::bfloat_operand<R>(b);          \
  }
HELION_MSL_BFLOAT_COMPARISON(==)
HELION_MSL_BFLOAT_COMPARISON(!=)
HELION_MSL_BFLOAT_COMPARISON(<)
HELION_MSL_BFLOAT_COMPARISON(<=)
HELION_MSL_BFLOAT_COMPARISON(>)
HELION_MSL_BFLOAT_COMPARISON(>=)
#undef HELION_MSL_BFLOAT_COMPARISON

template <class A>
  requires(__is_same(A, bfloat))
constexpr A operator+(A x) {
  return x;
}
template <class A>
  requires(__is_same(A, bfloat))
constexpr A operator-(A x) {
  return A::from_bits(x.bits ^ 0x8000u);
}
template <class A>
  requires(__is_same(A, bfloat))
constexpr A &operator++(A &x) {
  return x += 1;
}
template <class A>
  requires(__is_same(A, bfloat))
constexpr A &operator--(A &x) {
  return x -= 1;
}
template <class A>
  requires(__is_same(A, bfloat))
constexpr A operator++(A &x, int) {
  const A before = x;
  x += 1;
  return before;
}
template <class A>
  requires(__is_same(A, bfloat))
constexpr A operator--(A &x, int) {
  const A before = x;
  x -= 1;
  return before;
}

}  // namespace metal_types
