// <metal_limits>: numeric_limits.
#pragma once

#include "constants.h"

namespace helion_host {

template <class T>
struct integer_limits {
  static constexpr bool is_specialized = true;
  static constexpr bool is_signed = is_signed_number<T>;
  static constexpr bool is_integer = true;
  static constexpr bool is_exact = true;
  static constexpr bool has_infinity = false;
  static constexpr bool has_quiet_NaN = false;
  static constexpr bool has_signaling_NaN = false;
  static constexpr bool is_iec559 = false;
  static constexpr bool is_bounded = true;
  static constexpr bool is_modulo = !is_signed;
  static constexpr int radix = 2;
  static constexpr int digits = __is_same(T, bool) ? 1 : int(sizeof(T) * 8) - is_signed;
  static constexpr int digits10 = digits * 301 / 1000;
  static constexpr int max_digits10 = 0;
  static constexpr T max() {
    if constexpr (__is_same(T, bool)) {
      return true;
    } else {
      using U = metal::make_unsigned_t<T>;
      return static_cast<T>(static_cast<U>(~U(0)) >> is_signed);
    }
  }
  static constexpr T min() { return is_signed ? static_cast<T>(-max() - 1) : T(0); }
  static constexpr T lowest() { return min(); }
  static constexpr T epsilon() { return T(0); }
  static constexpr T infinity() { return T(0); }
  static constexpr T quiet_NaN() { return T(0); }
};

// An IEEE 754 format with `mantissa` stored bits in a word of type Word.
template <class T, class Word, int mantissa, int maximum_exponent, int decimal_digits, int decimal_exponent>
struct floating_limits {
  static constexpr Word exponent_mask =
      static_cast<Word>((static_cast<Word>(~Word(0)) >> 1) & ~((Word(1) << mantissa) - 1));
  static constexpr Word one = static_cast<Word>(Word(maximum_exponent - 1) << mantissa);

  static constexpr bool is_specialized = true;
  static constexpr bool is_signed = true;
  static constexpr bool is_integer = false;
  static constexpr bool is_exact = false;
  static constexpr bool has_infinity = true;
  static constexpr bool has_quiet_NaN = true;
  static constexpr bool has_signaling_NaN = true;
  static constexpr bool is_iec559 = true;
  static constexpr bool is_bounded = true;
  static constexpr bool is_modulo = false;
  static constexpr int radix = 2;
  static constexpr int digits = mantissa + 1;
  static constexpr int digits10 = mantissa * 301 / 1000;
  static constexpr int max_digits10 = decimal_digits;
  static constexpr int max_exponent = maximum_exponent;
  static constexpr int min_exponent = 3 - maximum_exponent;
  static constexpr int max_exponent10 = decimal_exponent;
  static constexpr int min_exponent10 = maximum_exponent == 16 ? -4 : -37;
  static constexpr T from_bits(Word bits) { return bit_cast<T>(bits); }
  static constexpr T max() { return from_bits(static_cast<Word>(exponent_mask - 1)); }
  static constexpr T lowest() { return -max(); }
  static constexpr T min() { return from_bits(static_cast<Word>(Word(1) << mantissa)); }
  static constexpr T denorm_min() { return from_bits(1); }
  static constexpr T epsilon() { return from_bits(static_cast<Word>(one - (Word(mantissa) << mantissa))); }
  static constexpr T round_error() { return from_bits(static_cast<Word>(one - (Word(1) << mantissa))); }
  static constexpr T infinity() { return from_bits(exponent_mask); }
  static constexpr T quiet_NaN() { return from_bits(static_cast<Word>(exponent_mask | Word(1) << (mantissa - 1))); }
  static constexpr T signaling_NaN() { return from_bits(static_cast<Word>(exponent_mask | 1)); }
};

}  // namespace helion_host

namespace metal {

template <class T>
struct numeric_limits {
  static constexpr bool is_specialized = false;
};
template <helion_host::number T>
  requires(helion_host::class_of<T> == helion_host::scalar_class::integer)
struct numeric_limits<T> : helion_host::integer_limits<remove_cv_t<T>> {};
template <>
struct numeric_limits<float> : helion_host::floating_limits<float, uint, 23, 128, 9, 38> {};
template <>
struct numeric_limits<half> : helion_host::floating_limits<half, ushort, 10, 16, 5, 4> {};
template <>
struct numeric_limits<bfloat> : helion_host::floating_limits<bfloat, ushort, 7, 128, 4, 38> {};
template <class T>
struct numeric_limits<const T> : numeric_limits<T> {};
template <class T>
struct numeric_limits<volatile T> : numeric_limits<T> {};

}  // namespace metal
