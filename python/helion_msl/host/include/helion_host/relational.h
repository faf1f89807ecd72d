// <metal_relational>.
#pragma once

#include "elementwise.h"

namespace helion_host {

template <class T>
struct float_bits {
  using word = uint16;
  static constexpr word infinity = __is_same(T, float16) ? 0x7c00 : 0x7f80;
  static constexpr word smallest_normal = __is_same(T, float16) ? 0x0400 : 0x0080;
  static constexpr word sign = 0x8000;
};
template <>
struct float_bits<float> {
  using word = uint32;
  static constexpr word infinity = 0x7f800000u;
  static constexpr word smallest_normal = 0x00800000u;
  static constexpr word sign = 0x80000000u;
};

// By the bits, so that no mode of the compiler that assumes there are no NaNs can answer for them.
template <class T>
HELION_MSL_FUNC constexpr typename float_bits<T>::word magnitude_bits(T x) {
  return bit_cast<typename float_bits<T>::word>(x) & static_cast<typename float_bits<T>::word>(~float_bits<T>::sign);
}
// No mode of this engine assumes that there are no NaNs, and a float compares with itself in one instruction where it
// is; its bits would have to leave its register. A float of 16 bits would be converted first.
template <class T>
HELION_MSL_FUNC constexpr bool isnan(T x) {
  if constexpr (__is_same(T, float)) {
    return x != x;
  } else {
    return magnitude_bits(x) > float_bits<T>::infinity;
  }
}
template <class T>
HELION_MSL_FUNC constexpr bool isinf(T x) {
  return magnitude_bits(x) == float_bits<T>::infinity;
}
template <class T>
HELION_MSL_FUNC constexpr bool isfinite(T x) {
  return magnitude_bits(x) < float_bits<T>::infinity;
}
template <class T>
HELION_MSL_FUNC constexpr bool isnormal(T x) {
  return isfinite(x) && magnitude_bits(x) >= float_bits<T>::smallest_normal;
}
template <class T>
HELION_MSL_FUNC constexpr bool signbit(T x) {
  return (bit_cast<typename float_bits<T>::word>(x) & float_bits<T>::sign) != 0;
}
template <class T>
HELION_MSL_FUNC constexpr bool isunordered(T x, T y) {
  return isnan(x) || isnan(y);
}
template <class T>
HELION_MSL_FUNC constexpr bool isordered(T x, T y) {
  return !isunordered(x, y);
}

template <class R>
using relation_t = with_element_t<R, bool>;

}  // namespace helion_host

namespace metal {

#define HELION_MSL_RELATION_1(name)                                                                          \
  template <class A, class V = helion_host::floating_call_t<A>>                                              \
  HELION_MSL_FUNC constexpr helion_host::relation_t<V> name(const A &x) {                                    \
    return helion_host::map<helion_host::relation_t<V>, helion_host::name<helion_host::element_t<V>>>(V(x)); \
  }
#define HELION_MSL_RELATION_2(name)                                                                                \
  template <class A, class B, class V = helion_host::floating_call_t<A, B>>                                        \
  HELION_MSL_FUNC constexpr helion_host::relation_t<V> name(const A &x, const B &y) {                              \
    return helion_host::map<helion_host::relation_t<V>, helion_host::name<helion_host::element_t<V>>>(V(x), V(y)); \
  }
HELION_MSL_RELATION_1(isfinite)
HELION_MSL_RELATION_1(isinf)
HELION_MSL_RELATION_1(isnan)
HELION_MSL_RELATION_1(isnormal)
HELION_MSL_RELATION_1(signbit)
HELION_MSL_RELATION_2(isordered)
HELION_MSL_RELATION_2(isunordered)
#undef HELION_MSL_RELATION_1
#undef HELION_MSL_RELATION_2

HELION_MSL_FUNC constexpr bool all(bool x) {
  return x;
}
HELION_MSL_FUNC constexpr bool all(vec<bool, 2> v) {
  return v.x && v.y;
}
HELION_MSL_FUNC constexpr bool all(vec<bool, 3> v) {
  return v.x && v.y && v.z;
}
HELION_MSL_FUNC constexpr bool all(vec<bool, 4> v) {
  return v.x && v.y && v.z && v.w;
}
HELION_MSL_FUNC constexpr bool any(bool x) {
  return x;
}
HELION_MSL_FUNC constexpr bool any(vec<bool, 2> v) {
  return v.x || v.y;
}
HELION_MSL_FUNC constexpr bool any(vec<bool, 3> v) {
  return v.x || v.y || v.z;
}
HELION_MSL_FUNC constexpr bool any(vec<bool, 4> v) {
  return v.x || v.y || v.z || v.w;
}

}  // namespace metal

namespace helion_host {

// The type of select(a, b, c): that of a call of both where they differ.
template <class A, class B>
struct selection : metal::conditional_t<any_floating<A, B>, floating_call<A, B>, integer_call<A, B>> {};
template <class A>
struct selection<A, A> {
  using type = A;
};

template <class T>
HELION_MSL_FUNC constexpr T select(T otherwise, T chosen, bool condition) {
  return condition ? chosen : otherwise;
}
// For conditions that are integers Metal looks at the most significant bit of a component.
template <class T>
HELION_MSL_FUNC constexpr bool is_chosen(T condition) {
  if constexpr (__is_same(T, bool)) {
    return condition;
  } else {
    return (condition >> (sizeof(T) * 8 - 1)) != 0;
  }
}

}  // namespace helion_host

namespace metal {

// b where the condition holds, a elsewhere. A scalar condition is true or false, as everywhere in C++; a vector of
// integers counts by its sign bits.
template <class A, class B, class C, class R = typename helion_host::selection<A, B>::type>
HELION_MSL_FUNC constexpr R select(const A &a, const B &b, const C &condition) {
  if constexpr (helion_host::vector_size<C> == 1) {
    return static_cast<bool>(condition) ? R(b) : R(a);
  } else {
    static_assert(helion_host::vector_size<C> == helion_host::vector_size<R>,
                  "select(a, b, c): c must have as many components as a and b");
    using T = helion_host::element_t<R>;
    const vec<bool, helion_host::vector_size<C>> chosen =
        helion_host::map<vec<bool, helion_host::vector_size<C>>, helion_host::is_chosen<helion_host::element_t<C>>>(
            condition);
    return helion_host::map<R, helion_host::select<T>>(R(a), R(b), chosen);
  }
}

}  // namespace metal

// `not` is a word of C++; Metal's function of that name is what `!` does on vectors.
