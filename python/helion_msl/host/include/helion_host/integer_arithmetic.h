// Division, remainder and shifts of integers where C++ leaves the result undefined. Division by zero stays an error of
// the launch (platform.h).
#pragma once

#include "platform.h"

namespace helion_host {

// R is the type of the result, which C++'s promotions give. The lowest integer divided by -1 wraps around, as the sum
// of two integers does; an x86 processor would raise a signal that ends the process.
template <class R>
HELION_MSL_FUNC constexpr R quotient(R a, R b) {
  if constexpr (__is_integral(R) && R(-1) < R(0)) {
    return b == R(-1) ? static_cast<R>(R(0) - a) : static_cast<R>(a / b);
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
