// What the engine has ready of simdgroup reductions, for the lanes of one simdgroup (host_collectives.cpp) and for all
// threads in lockstep (host_lockstep_reductions.cpp): both give the same to the last bit.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "helion_host/abi.h"

namespace helion_msl {

inline constexpr std::uint32_t simdgroup_width = HELION_HOST_SIMD_WIDTH;

// Neighbours first, as the hardware does: the error of a float sum grows with the depth of the tree.
template <class T, class Operation>
[[gnu::always_inline]] inline T reduce_neighbours(std::array<T, simdgroup_width> &values, std::uint32_t count,
                                                  Operation operation) {
  for (; count > 1; count = (count + 1) / 2) {
    for (std::uint32_t i = 0; i + 1 < count; i += 2) values[i / 2] = operation(values[i], values[i + 1]);
    if (count % 2 != 0) values[count / 2] = values[count - 1];
  }
  return values[0];
}

// The argument that is no NaN, where one is. In two steps, neither of which needs a branch.
[[gnu::always_inline]] inline float maximum(float a, float b) {
  const float greater = a < b ? b : a;
  return a != a ? b : greater;
}
[[gnu::always_inline]] inline float minimum(float a, float b) {
  const float smaller = b < a ? b : a;
  return a != a ? b : smaller;
}

}  // namespace helion_msl

// `define(name, type, operation)` for each. Sums and products of signed integers have the same bits; they wrap around.
// clang-format off
#define HELION_MSL_FOR_EACH_REDUCTION(define)             \
  define(sum_float32, float, a + b)                       \
  define(product_float32, float, a * b)                   \
  define(maximum_float32, float, helion_msl::maximum(a, b)) \
  define(minimum_float32, float, helion_msl::minimum(a, b)) \
  define(sum_uint32, std::uint32_t, a + b)                \
  define(product_uint32, std::uint32_t, a * b)            \
  define(and_uint32, std::uint32_t, a & b)                \
  define(or_uint32, std::uint32_t, a | b)                 \
  define(xor_uint32, std::uint32_t, a ^ b)                \
  define(maximum_uint32, std::uint32_t, std::max(a, b))   \
  define(minimum_uint32, std::uint32_t, std::min(a, b))   \
  define(maximum_int32, std::int32_t, std::max(a, b))     \
  define(minimum_int32, std::int32_t, std::min(a, b))
// clang-format on
