// Operators of vectors: component by component, with scalars spread over the components.
#pragma once

#include "elementwise.h"
#include "integer_arithmetic.h"

namespace helion_host {

// Whether a scalar S takes part in arithmetic with vectors of T: an integer vector takes no fractions.
template <class S, class T>
concept spreads_to = number<S> && (class_of<T> == scalar_class::floating || class_of<S> == scalar_class::integer);

// The vector type that a binary operation is done in; none where the operands do not fit each other.
template <class A, class B>
struct vector_operation {};
template <class T, int N>
struct vector_operation<metal::vec<T, N>, metal::vec<T, N>> {
  using type = metal::vec<T, N>;
};
template <class T, int N>
struct vector_operation<metal::vec<T, N>, metal::packed_vec<T, N>> {
  using type = metal::vec<T, N>;
};
template <class T, int N>
struct vector_operation<metal::packed_vec<T, N>, metal::vec<T, N>> {
  using type = metal::vec<T, N>;
};
template <class T, int N>
struct vector_operation<metal::packed_vec<T, N>, metal::packed_vec<T, N>> {
  using type = metal::vec<T, N>;
};
template <class T, int N, spreads_to<T> S>
struct vector_operation<metal::vec<T, N>, S> {
  using type = metal::vec<T, N>;
};
template <class T, int N, spreads_to<T> S>
struct vector_operation<S, metal::vec<T, N>> {
  using type = metal::vec<T, N>;
};
template <class T, int N, spreads_to<T> S>
struct vector_operation<metal::packed_vec<T, N>, S> {
  using type = metal::vec<T, N>;
};
template <class T, int N, spreads_to<T> S>
struct vector_operation<S, metal::packed_vec<T, N>> {
  using type = metal::vec<T, N>;
};
template <class A, class B>
using vector_operation_t = typename vector_operation<A, B>::type;

template <class A>
concept vector = vector_size<A> > 1;
template <vector A>
using unpacked_t = metal::vec<element_t<A>, vector_size<A>>;
template <class V>
using comparison_t = metal::vec<bool, vector_size<V>>;

}  // namespace helion_host

namespace helion_host {

// The operators as functions of one component. Integers narrower than int stay what they are.
#define HELION_MSL_OPERATION(name, R, expression) \
  template <class T>                              \
  HELION_MSL_FUNC constexpr R name(T a, T b) {    \
    return static_cast<R>(expression);            \
  }
HELION_MSL_OPERATION(add, T, a + b)
HELION_MSL_OPERATION(subtract, T, a - b)
HELION_MSL_OPERATION(bit_and, T, a &b)
HELION_MSL_OPERATION(bit_or, T, a | b)
HELION_MSL_OPERATION(bit_xor, T, a ^ b)
HELION_MSL_OPERATION(shift_left, T, a << shift_count<T>(b))
HELION_MSL_OPERATION(shift_right, T, a >> shift_count<T>(b))
HELION_MSL_OPERATION(equal, bool, a == b)
HELION_MSL_OPERATION(not_equal, bool, a != b)
HELION_MSL_OPERATION(less, bool, a < b)
HELION_MSL_OPERATION(less_equal, bool, a <= b)
HELION_MSL_OPERATION(greater, bool, a > b)
HELION_MSL_OPERATION(greater_equal, bool, a >= b)
HELION_MSL_OPERATION(logical_and, bool, static_cast<bool>(a) & static_cast<bool>(b))
HELION_MSL_OPERATION(logical_or, bool, static_cast<bool>(a) | static_cast<bool>(b))
#undef HELION_MSL_OPERATION

// The product of two ushorts is one too; C++ would compute it as an int, which it can exceed.
template <class T>
HELION_MSL_FUNC constexpr T multiply(T a, T b) {
  if constexpr (__is_same(T, uint16)) {
    return wrapped_product(a, b);
  } else {
    return static_cast<T>(a * b);
  }
}
template <class T>
HELION_MSL_FUNC constexpr T identity(T a) {
  return a;
}
template <class T>
HELION_MSL_FUNC constexpr T negated(T a) {
  return static_cast<T>(-a);
}
template <class T>
HELION_MSL_FUNC constexpr T complement(T a) {
  return static_cast<T>(~a);
}
template <class T>
HELION_MSL_FUNC constexpr bool logical_not(T a) {
  return !a;
}

}  // namespace helion_host

namespace metal_types {

#define HELION_MSL_ARITHMETIC(op, name)                                                       \
  template <class A, class B, class V = helion_host::vector_operation_t<A, B>>                \
  HELION_MSL_FUNC constexpr V operator op(const A &a, const B &b) {                           \
    return helion_host::map<V, helion_host::name<helion_host::element_t<V>>>(V(a), V(b));     \
  }                                                                                           \
  template <helion_host::vector A, class B, class V = helion_host::vector_operation_t<A, B>>  \
  HELION_MSL_FUNC constexpr A &operator op## = (A & a, const B &b) {                          \
    return a = helion_host::map<V, helion_host::name<helion_host::element_t<V>>>(V(a), V(b)); \
  }
#define HELION_MSL_COMPARISON(op, name)                                                                              \
  template <class A, class B, class V = helion_host::vector_operation_t<A, B>>                                       \
  HELION_MSL_FUNC constexpr helion_host::comparison_t<V> operator op(const A &a, const B &b) {                       \
    return helion_host::map<helion_host::comparison_t<V>, helion_host::name<helion_host::element_t<V>>>(V(a), V(b)); \
  }
#define HELION_MSL_UNARY(op, result, name)                                                            \
  template <helion_host::vector A>                                                                    \
  HELION_MSL_FUNC constexpr helion_host::result<A> operator op(const A &a) {                          \
    return helion_host::map<helion_host::result<A>, helion_host::name<helion_host::element_t<A>>>(a); \
  }
HELION_MSL_ARITHMETIC(+, add)
HELION_MSL_ARITHMETIC(-, subtract)
HELION_MSL_ARITHMETIC(*, multiply)
HELION_MSL_ARITHMETIC(/, quotient)
HELION_MSL_ARITHMETIC(%, remainder)
HELION_MSL_ARITHMETIC(&, bit_and)
HELION_MSL_ARITHMETIC(|, bit_or)
HELION_MSL_ARITHMETIC(^, bit_xor)
HELION_MSL_ARITHMETIC(<<, shift_left)
HELION_MSL_ARITHMETIC(>>, shift_right)
HELION_MSL_COMPARISON(==, equal)
HELION_MSL_COMPARISON(!=, not_equal)
HELION_MSL_COMPARISON(<, less)
HELION_MSL_COMPARISON(<=, less_equal)
HELION_MSL_COMPARISON(>, greater)
HELION_MSL_COMPARISON(>=, greater_equal)
HELION_MSL_COMPARISON(&&, logical_and)
HELION_MSL_COMPARISON(||, logical_or)
HELION_MSL_UNARY(+, unpacked_t, identity)
HELION_MSL_UNARY(-, unpacked_t, negated)
HELION_MSL_UNARY(~, unpacked_t, complement)
HELION_MSL_UNARY(!, comparison_t, logical_not)
#undef HELION_MSL_ARITHMETIC
#undef HELION_MSL_COMPARISON
#undef HELION_MSL_UNARY

template <helion_host::vector A>
HELION_MSL_FUNC constexpr A &operator++(A &a) {
  return a += 1;
}
template <helion_host::vector A>
HELION_MSL_FUNC constexpr A &operator--(A &a) {
  return a -= 1;
}
template <helion_host::vector A>
HELION_MSL_FUNC constexpr A operator++(A &a, int) {
  const A before = a;
  a += 1;
  return before;
}
template <helion_host::vector A>
HELION_MSL_FUNC constexpr A operator--(A &a, int) {
  const A before = a;
  a -= 1;
  return before;
}

}  // namespace metal_types
