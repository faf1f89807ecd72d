// Operators of vectors: component by component, with scalars spread over the components.
#pragma once

#include "vector.h"

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

// Metal takes a shift count modulo the width of the shifted type.
template <class T>
HELION_MSL_FUNC constexpr int shift_count(T count) {
  return static_cast<int>(count) & static_cast<int>(sizeof(T) * 8 - 1);
}

}  // namespace helion_host

namespace metal {

#define HELION_MSL_COMPONENTWISE(R, V, expression)                                  \
  if constexpr (helion_host::vector_size<V> == 2) {                                 \
    return R(expression(x), expression(y));                                         \
  } else if constexpr (helion_host::vector_size<V> == 3) {                          \
    return R(expression(x), expression(y), expression(z));                          \
  } else {                                                                          \
    return R(expression(x), expression(y), expression(z), expression(w));           \
  }

#define HELION_MSL_BINARY(op, result, expression)                                                  \
  template <class A, class B, class V = helion_host::vector_operation_t<A, B>>                     \
  HELION_MSL_FUNC constexpr result operator op(const A &a, const B &b) {                           \
    const V left(a), right(b);                                                                     \
    HELION_MSL_COMPONENTWISE(result, V, expression)                                                \
  }
#define HELION_MSL_ASSIGNMENT(op)                                                                  \
  template <helion_host::vector A, class B, class V = helion_host::vector_operation_t<A, B>>       \
  HELION_MSL_FUNC constexpr A &operator op##=(A &a, const B &b) {                                  \
    return a = a op b;                                                                             \
  }

#define HELION_MSL_C(c) left.c + right.c
HELION_MSL_BINARY(+, V, HELION_MSL_C)
HELION_MSL_ASSIGNMENT(+)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c - right.c
HELION_MSL_BINARY(-, V, HELION_MSL_C)
HELION_MSL_ASSIGNMENT(-)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c *right.c
HELION_MSL_BINARY(*, V, HELION_MSL_C)
HELION_MSL_ASSIGNMENT(*)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c / right.c
HELION_MSL_BINARY(/, V, HELION_MSL_C)
HELION_MSL_ASSIGNMENT(/)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c % right.c
HELION_MSL_BINARY(%, V, HELION_MSL_C)
HELION_MSL_ASSIGNMENT(%)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c &right.c
HELION_MSL_BINARY(&, V, HELION_MSL_C)
HELION_MSL_ASSIGNMENT(&)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c | right.c
HELION_MSL_BINARY(|, V, HELION_MSL_C)
HELION_MSL_ASSIGNMENT(|)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c ^ right.c
HELION_MSL_BINARY(^, V, HELION_MSL_C)
HELION_MSL_ASSIGNMENT(^)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c << helion_host::shift_count(right.c)
HELION_MSL_BINARY(<<, V, HELION_MSL_C)
HELION_MSL_ASSIGNMENT(<<)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c >> helion_host::shift_count(right.c)
HELION_MSL_BINARY(>>, V, HELION_MSL_C)
HELION_MSL_ASSIGNMENT(>>)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c == right.c
HELION_MSL_BINARY(==, helion_host::comparison_t<V>, HELION_MSL_C)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c != right.c
HELION_MSL_BINARY(!=, helion_host::comparison_t<V>, HELION_MSL_C)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c < right.c
HELION_MSL_BINARY(<, helion_host::comparison_t<V>, HELION_MSL_C)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c <= right.c
HELION_MSL_BINARY(<=, helion_host::comparison_t<V>, HELION_MSL_C)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c > right.c
HELION_MSL_BINARY(>, helion_host::comparison_t<V>, HELION_MSL_C)
#undef HELION_MSL_C
#define HELION_MSL_C(c) left.c >= right.c
HELION_MSL_BINARY(>=, helion_host::comparison_t<V>, HELION_MSL_C)
#undef HELION_MSL_C
#define HELION_MSL_C(c) static_cast<bool>(left.c) & static_cast<bool>(right.c)
HELION_MSL_BINARY(&&, helion_host::comparison_t<V>, HELION_MSL_C)
#undef HELION_MSL_C
#define HELION_MSL_C(c) static_cast<bool>(left.c) | static_cast<bool>(right.c)
HELION_MSL_BINARY(||, helion_host::comparison_t<V>, HELION_MSL_C)
#undef HELION_MSL_C

#define HELION_MSL_UNARY(op, result)                             \
  template <helion_host::vector A>                               \
  HELION_MSL_FUNC constexpr result operator op(const A &a) {     \
    HELION_MSL_COMPONENTWISE(result, A, HELION_MSL_C)            \
  }
#define HELION_MSL_C(c) +a.c
HELION_MSL_UNARY(+, helion_host::unpacked_t<A>)
#undef HELION_MSL_C
#define HELION_MSL_C(c) -a.c
HELION_MSL_UNARY(-, helion_host::unpacked_t<A>)
#undef HELION_MSL_C
#define HELION_MSL_C(c) ~a.c
HELION_MSL_UNARY(~, helion_host::unpacked_t<A>)
#undef HELION_MSL_C
#define HELION_MSL_C(c) !a.c
HELION_MSL_UNARY(!, helion_host::comparison_t<A>)
#undef HELION_MSL_C

#undef HELION_MSL_UNARY
#undef HELION_MSL_BINARY
#undef HELION_MSL_ASSIGNMENT
#undef HELION_MSL_COMPONENTWISE

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

}  // namespace metal
