// <metal_geometric>: sums over the components are done in float for half, and rounded once.
#pragma once

#include "math.h"
#include "vector_operators.h"

namespace helion_host {

template <class V>
concept floating_vector = vector_size<V> > 1 && class_of<element_t<V>> == scalar_class::floating;

template <class V>
HELION_MSL_FUNC constexpr float dot(const V &a, const V &b) {
  float sum = static_cast<float>(a.x) * static_cast<float>(b.x) + static_cast<float>(a.y) * static_cast<float>(b.y);
  if constexpr (vector_size<V> >= 3) {
    sum += static_cast<float>(a.z) * static_cast<float>(b.z);
  }
  if constexpr (vector_size<V> == 4) {
    sum += static_cast<float>(a.w) * static_cast<float>(b.w);
  }
  return sum;
}

// The vector type of a geometric call: the arguments have to agree in it.
template <class... A>
  requires(floating_vector<A> && ...)
using geometric_t = typename common_vector<A...>::type;

}  // namespace helion_host

namespace metal {

template <class A, class B, class V = helion_host::geometric_t<A, B>>
HELION_MSL_FUNC constexpr helion_host::element_t<V> dot(const A &a, const B &b) {
  return static_cast<helion_host::element_t<V>>(helion_host::dot<V>(a, b));
}
template <class A, class V = helion_host::geometric_t<A>>
HELION_MSL_FUNC constexpr helion_host::element_t<V> length_squared(const A &a) {
  return static_cast<helion_host::element_t<V>>(helion_host::dot<V>(a, a));
}
template <class A, class V = helion_host::geometric_t<A>>
HELION_MSL_FUNC helion_host::element_t<V> length(const A &a) {
  return static_cast<helion_host::element_t<V>>(helion_host::libm::sqrt(helion_host::dot<V>(a, a)));
}
template <class A, class B, class V = helion_host::geometric_t<A, B>>
HELION_MSL_FUNC constexpr helion_host::element_t<V> distance_squared(const A &a, const B &b) {
  return length_squared(a - b);
}
template <class A, class B, class V = helion_host::geometric_t<A, B>>
HELION_MSL_FUNC helion_host::element_t<V> distance(const A &a, const B &b) {
  return length(a - b);
}
template <class A, class V = helion_host::geometric_t<A>>
HELION_MSL_FUNC V normalize(const A &a) {
  using T = helion_host::element_t<V>;
  const float scale = helion_host::rsqrt(helion_host::dot<V>(a, a));
  V result(a);
  for (int i = 0; i < helion_host::vector_size<V>; ++i) {
    result[i] = static_cast<T>(static_cast<float>(result[i]) * scale);
  }
  return result;
}
template <class A, class B, class V = helion_host::geometric_t<A, B>>
  requires(helion_host::vector_size<V> == 3)
HELION_MSL_FUNC constexpr V cross(const A &a, const B &b) {
  return V(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
// Faces the normal n against the incident vector i, as seen from the reference normal.
template <class A, class B, class C, class V = helion_host::geometric_t<A, B, C>>
HELION_MSL_FUNC constexpr V faceforward(const A &n, const B &i, const C &reference) {
  return helion_host::dot<V>(i, reference) < 0.0f ? V(n) : -V(n);
}
template <class A, class B, class V = helion_host::geometric_t<A, B>>
HELION_MSL_FUNC constexpr V reflect(const A &i, const B &n) {
  return V(i) - helion_host::element_t<V>(2) * dot(n, i) * V(n);
}
template <class A, class B, class V = helion_host::geometric_t<A, B>>
HELION_MSL_FUNC V refract(const A &i, const B &n, type_identity_t<helion_host::element_t<V>> eta) {
  const float cosine = helion_host::dot<V>(n, i);
  const float ratio = static_cast<float>(eta);
  const float k = 1.0f - ratio * ratio * (1.0f - cosine * cosine);
  if (k < 0.0f) {
    return V(0);
  }
  using T = helion_host::element_t<V>;
  return V(i) * eta - V(n) * static_cast<T>(ratio * cosine + helion_host::libm::sqrt(k));
}

}  // namespace metal

#define HELION_MSL_MATH_MODE \
  using metal::distance;     \
  using metal::length;       \
  using metal::normalize;

namespace metal {
namespace fast {
HELION_MSL_MATH_MODE
}
namespace precise {
HELION_MSL_MATH_MODE
}
}  // namespace metal
#undef HELION_MSL_MATH_MODE
