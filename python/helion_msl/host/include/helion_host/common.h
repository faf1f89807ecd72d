// <metal_common>, and the functions that <metal_math> and <metal_integer> share: min, max, clamp, abs, ...
#pragma once

#include "elementwise.h"

namespace helion_host {

template <class T>
HELION_MSL_FUNC constexpr bool is_nan(T x) {
  return x != x;
}

// "Returns y if x < y, otherwise x"; for floats, the other argument where one is NaN.
template <class T>
HELION_MSL_FUNC constexpr T maximum(T x, T y) {
  if constexpr (class_of<T> == scalar_class::floating) {
    return x < y || is_nan(x) ? y : x;
  } else {
    return x < y ? y : x;
  }
}
template <class T>
HELION_MSL_FUNC constexpr T minimum(T x, T y) {
  if constexpr (class_of<T> == scalar_class::floating) {
    return y < x || is_nan(x) ? y : x;
  } else {
    return y < x ? y : x;
  }
}
template <class T>
HELION_MSL_FUNC constexpr T maximum3(T x, T y, T z) {
  return maximum(x, maximum(y, z));
}
template <class T>
HELION_MSL_FUNC constexpr T minimum3(T x, T y, T z) {
  return minimum(x, minimum(y, z));
}
template <class T>
HELION_MSL_FUNC constexpr T median3(T x, T y, T z) {
  return maximum(minimum(x, y), minimum(maximum(x, y), z));
}
template <class T>
HELION_MSL_FUNC constexpr T clamp(T x, T low, T high) {
  return minimum(maximum(x, low), high);
}
template <class T>
HELION_MSL_FUNC constexpr T absolute(T x) {
  if constexpr (__is_same(T, float)) {
    return bit_cast<float>(bit_cast<uint32>(x) & 0x7fffffffu);
  } else if constexpr (class_of<T> == scalar_class::floating) {
    return bit_cast<T>(static_cast<uint16>(bit_cast<uint16>(x) & 0x7fffu));
  } else if constexpr (is_signed_number<T>) {
    // In unsigned arithmetic, so that the most negative number stays itself.
    using U = metal::make_unsigned_t<T>;
    return static_cast<T>(x < 0 ? static_cast<U>(0) - static_cast<U>(x) : static_cast<U>(x));
  } else {
    return x;
  }
}

HELION_MSL_FUNC constexpr float saturate(float x) {
  return minimum(maximum(x, 0.0f), 1.0f);
}
HELION_MSL_FUNC constexpr float sign(float x) {
  return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : is_nan(x) ? 0.0f : x;
}
HELION_MSL_FUNC constexpr float step(float edge, float x) {
  return x < edge ? 0.0f : 1.0f;
}
HELION_MSL_FUNC constexpr float smoothstep(float edge0, float edge1, float x) {
  const float t = saturate((x - edge0) / (edge1 - edge0));
  return t * t * (3.0f - 2.0f * t);
}
HELION_MSL_FUNC constexpr float mix(float x, float y, float a) {
  return x + (y - x) * a;
}

}  // namespace helion_host

namespace metal {

HELION_MSL_COMMON_1(abs, helion_host::absolute)
HELION_MSL_COMMON_2(max, helion_host::maximum)
HELION_MSL_COMMON_2(min, helion_host::minimum)
HELION_MSL_COMMON_3(max3, helion_host::maximum3)
HELION_MSL_COMMON_3(min3, helion_host::minimum3)
HELION_MSL_COMMON_3(median3, helion_host::median3)
HELION_MSL_COMMON_3(clamp, helion_host::clamp)

HELION_MSL_FLOATING_3(mix, helion_host::mix)
HELION_MSL_FLOATING_1(saturate, helion_host::saturate)
HELION_MSL_FLOATING_1(sign, helion_host::sign)
HELION_MSL_FLOATING_3(smoothstep, helion_host::smoothstep)
HELION_MSL_FLOATING_2(step, helion_host::step)

}  // namespace metal
