// Exponentials, logarithms and powers of float without branches, calls or tables, so that loops over them become vector
// instructions. They are computed in double and rounded once: within 0.51 units in the last place of the exact value,
// also in fast mode, whose freedom to reorder sums is taken back here.
#pragma once

#include "platform.h"

namespace helion_host {

// MSL's literals without a suffix are float (-cl-single-precision-constant), those of double need another type's.
consteval double wide(long double value) {
  return static_cast<double>(value);
}

namespace elementary {

inline constexpr double ln_2 = wide(0.693147180559945309417232121458L);

// 2^k * e^r for a whole k in [-200, 200] and |r| <= ln(2) / 2. The first term left out, r^9/9!, is 2e-10 at most.
HELION_MSL_FUNC double scaled_exp(double k, double r) {
#pragma clang fp contract(fast) reassociate(off)
  double sum = wide(1 / 40320.0L);
  sum = sum * r + wide(1 / 5040.0L);
  sum = sum * r + wide(1 / 720.0L);
  sum = sum * r + wide(1 / 120.0L);
  sum = sum * r + wide(1 / 24.0L);
  sum = sum * r + wide(1 / 6.0L);
  sum = sum * r + wide(0.5L);
  sum = sum * r + wide(1.0L);
  sum = sum * r + wide(1.0L);
  // The low bits of 1.5 * 2^52 + n are those of n: here of the biased exponent of 2^k.
  const double exponent = k + wide(0x1.8p52L + 1023);
  return sum * bit_cast<double>(bit_cast<uint64>(exponent) << 52);
}

// 2^x. Beyond these limits a float is infinite or zero. NaN compares false and stays.
HELION_MSL_FUNC float exp2(double x) {
#pragma clang fp contract(fast) reassociate(off)
  x = x > wide(129) ? wide(129) : x;
  x = x < wide(-151) ? wide(-151) : x;
  const double k = __builtin_rint(x);
  return static_cast<float>(scaled_exp(k, (x - k) * ln_2));
}

// The same limits for e^x.
HELION_MSL_FUNC double exp(double x) {
#pragma clang fp contract(fast) reassociate(off)
  x = x > wide(89) ? wide(89) : x;
  x = x < wide(-105) ? wide(-105) : x;
  const double k = __builtin_rint(x * wide(1.44269504088896340735992468100L));
  return scaled_exp(k, x - k * ln_2);
}

// Of a positive x, with 1 / sqrt(2) <= x / 2^exponent < sqrt(2).
struct logarithm_parts {
  double exponent;
  double log_of_rest;  // natural logarithm of x / 2^exponent
};
HELION_MSL_FUNC logarithm_parts split_logarithm(double x) {
#pragma clang fp contract(fast) reassociate(off)
  constexpr uint64 bits_of_root = 0x3fe6a09e667f3bcd;  // 1 / sqrt(2)
  constexpr uint64 bias = 2048;                        // keeps the difference positive
  const uint64 biased = (bit_cast<uint64>(x) - bits_of_root + (bias << 52)) >> 52;
  const double rest = bit_cast<double>(bit_cast<uint64>(x) - ((biased - bias) << 52));
  const double fraction = (rest - wide(1)) / (rest + wide(1));
  const double square = fraction * fraction;
  // 2 artanh(fraction). The first term left out, square^7/15, is 2e-12 at most.
  double sum = wide(2 / 13.0L);
  sum = sum * square + wide(2 / 11.0L);
  sum = sum * square + wide(2 / 9.0L);
  sum = sum * square + wide(2 / 7.0L);
  sum = sum * square + wide(2 / 5.0L);
  sum = sum * square + wide(2 / 3.0L);
  sum = sum * square + wide(2.0L);
  const double exponent = bit_cast<double>(biased | bit_cast<uint64>(wide(0x1p52L))) - wide(0x1p52L + 2048);
  return {exponent, sum * fraction};
}

// `finite` is the logarithm of x to some base, where x is positive and finite.
HELION_MSL_FUNC float logarithm_of(float x, double finite) {
  float result = static_cast<float>(finite);
  result = x == __builtin_inff() ? x : result;
  result = x == 0.0f ? -__builtin_inff() : result;
  return x >= 0.0f ? result : __builtin_nanf("");
}

}  // namespace elementary

namespace libm {

HELION_MSL_FUNC float exp(float x) {
  return static_cast<float>(elementary::exp(x));
}

HELION_MSL_FUNC float exp2(float x) {
  float limited = x > 129.0f ? 129.0f : x;
  limited = limited < -151.0f ? -151.0f : limited;
  const float k = __builtin_rintf(limited);
  return static_cast<float>(elementary::scaled_exp(k, static_cast<double>(limited - k) * elementary::ln_2));
}

HELION_MSL_FUNC float log(float x) {
#pragma clang fp contract(fast) reassociate(off)
  const elementary::logarithm_parts parts = elementary::split_logarithm(x);
  return elementary::logarithm_of(x, parts.exponent * elementary::ln_2 + parts.log_of_rest);
}

HELION_MSL_FUNC float log2(float x) {
#pragma clang fp contract(fast) reassociate(off)
  const elementary::logarithm_parts parts = elementary::split_logarithm(x);
  return elementary::logarithm_of(x, parts.log_of_rest * wide(1.44269504088896340735992468100L) + parts.exponent);
}

HELION_MSL_FUNC float log10(float x) {
#pragma clang fp contract(fast) reassociate(off)
  const elementary::logarithm_parts parts = elementary::split_logarithm(x);
  return elementary::logarithm_of(
      x, (parts.exponent * elementary::ln_2 + parts.log_of_rest) * wide(0.434294481903251827651128918917L));
}

HELION_MSL_FUNC float exp10(float x) {
  return elementary::exp2(static_cast<double>(x) * wide(3.32192809488736234787031942949L));
}

// The special cases of IEEE 754 (9.2.1): 1 where y is 0 or x is 1, also for NaN; a sign where x has one and y is odd.
HELION_MSL_FUNC float pow(float x, float y) {
#pragma clang fp contract(fast) reassociate(off)
  constexpr float largest = 0x1.fffffep127f;
  const float size = __builtin_fabsf(x);
  const elementary::logarithm_parts parts = elementary::split_logarithm(size);
  double logarithm = parts.log_of_rest * wide(1.44269504088896340735992468100L) + parts.exponent;
  logarithm = size == 0.0f ? -__builtin_inf() : logarithm;
  logarithm = size <= largest ? logarithm : size + size;
  // An infinite exponent does what the largest one does, which is even too; and 0 times it is 0, as 1 to it is 1.
  float exponent = y > largest ? largest : y;
  exponent = exponent < -largest ? -largest : exponent;
  const float power = elementary::exp2(static_cast<double>(exponent) * logarithm);
  const float half = exponent * 0.5f;
  const bool is_whole = __builtin_rintf(exponent) == exponent;
  const bool is_odd = is_whole && __builtin_rintf(half) != half;
  const uint32 sign = is_odd ? bit_cast<uint32>(x) & 0x80000000u : 0u;
  float result = bit_cast<float>(bit_cast<uint32>(power) | sign);
  result = x < 0.0f && size <= largest && !is_whole ? __builtin_nanf("") : result;
  return x == 1.0f || y == 0.0f ? 1.0f : result;
}

HELION_MSL_FUNC float tanh(float x) {
#pragma clang fp contract(fast) reassociate(off)
  const double size = __builtin_fabsf(x);
  // Above 10 it is 1 in float.
  const double doubled = size > wide(10) ? wide(20) : size + size;
  const double quotient = wide(1) - wide(2) / (elementary::exp(doubled) + wide(1));
  // Near zero the difference would cancel; the second term of the series is enough for a float there.
  const double series = size - size * size * size * wide(1 / 3.0L);
  return __builtin_copysignf(static_cast<float>(size < wide(0x1p-8L) ? series : quotient), x);
}

}  // namespace libm

}  // namespace helion_host
