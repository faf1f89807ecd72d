// Arithmetic of integers where C++ leaves the result undefined and Metal does not. Division by zero stays an error of
// the launch (platform.h).
#pragma once

#include "platform.h"

namespace helion_host {

template <bool has_64_bits>
struct wrapping {
  using type = uint32;
};
template <>
struct wrapping<true> {
  using type = uint64;
};
// The type in which integers as wide as T add up and multiply without overflow. Not T itself where that is narrow: C++
// would compute in int, which the product of two ushorts exceeds.
template <class T>
using wrapping_t = typename wrapping<sizeof(T) == 8>::type;

template <class T>
HELION_MSL_FUNC constexpr T wrapped_sum(T a, T b) {
  if constexpr (__is_integral(T)) {
    return static_cast<T>(static_cast<wrapping_t<T>>(a) + static_cast<wrapping_t<T>>(b));
  } else {
    return static_cast<T>(a + b);
  }
}
template <class T>
HELION_MSL_FUNC constexpr T wrapped_product(T a, T b) {
  if constexpr (__is_integral(T)) {
    return static_cast<T>(static_cast<wrapping_t<T>>(a) * static_cast<wrapping_t<T>>(b));
  } else {
    return static_cast<T>(a * b);
  }
}

// R is the type of the result, which C++'s promotions give. The lowest integer divided by -1 wraps around: Metal calls
// the result unspecified, and an x86 processor would raise a signal that ends the process.
template <class R>
HELION_MSL_FUNC constexpr R quotient(R a, R b) {
  if constexpr (__is_integral(R) && R(-1) < R(0)) {
    return b == R(-1) ? static_cast<R>(wrapping_t<R>(0) - static_cast<wrapping_t<R>>(a)) : static_cast<R>(a / b);
  } else {
    return static_cast<R>(a / b);
  }
}
template <class R>
HELION_MSL_FUNC constexpr R remainder(R a, R b) {
  if constexpr (R(-1) < R(0)) {
    return b == R(-1) ? R(0) : static_cast<R>(a % b);
  } else {
    return static_cast<R>(a % b);
  }
}

// Metal Shading Language Specification, "Scalar and Vector Operators": a shift count is taken modulo the width of the
// shifted type.
template <class R, class Count>
HELION_MSL_FUNC constexpr int shift_count(Count count) {
  return static_cast<int>(static_cast<unsigned>(count) & static_cast<unsigned>(sizeof(R) * 8 - 1));
}
template <class R, class Count>
HELION_MSL_FUNC constexpr R shifted_left(R a, Count count) {
  return static_cast<R>(a << shift_count<R>(count));
}
template <class R, class Count>
HELION_MSL_FUNC constexpr R shifted_right(R a, Count count) {
  return static_cast<R>(a >> shift_count<R>(count));
}

}  // namespace helion_host
