// Division, remainder and shifts as Metal has them, for scalars: the scanner writes `a << helion_host::metal_rules <<
// b` for `a << b` (src/msl_operators.cpp). An operator takes the left operand and the rules, and what comes of that
// takes the right operand, so that the precedence of the two is C++'s.
#pragma once

#include "integer_arithmetic.h"
#include "scalar.h"

namespace helion_host {

struct metal_rules_t {};
inline constexpr metal_rules_t metal_rules;

// Numbers travel by value, as in an expression: a reference would need a definition of a constant.
template <class A>
concept passed_by_value = number<A> || __is_enum(A) || __is_pointer(A);

template <class A>
struct left_operand {
  A value;
};
template <class B>
struct right_operand {
  B value;
};

template <class A>
concept integer_operand = __is_integral(A) || (__is_enum(A) && __is_convertible_to(A, long));

#define HELION_MSL_INTEGER_OPERATOR(op, function)                                                     \
  template <class A, class B>                                                                         \
  HELION_MSL_FUNC constexpr decltype(auto) function##_by_rules(const A &a, const B &b) {              \
    if constexpr (integer_operand<metal::remove_cv_t<A>> && integer_operand<metal::remove_cv_t<B>>) { \
      return function<decltype(a op b)>(a, b);                                                        \
    } else {                                                                                          \
      return a op b;                                                                                  \
    }                                                                                                 \
  }                                                                                                   \
  template <passed_by_value A>                                                                        \
  HELION_MSL_FUNC constexpr left_operand<A> operator op(A a, metal_rules_t) {                         \
    return {a};                                                                                       \
  }                                                                                                   \
  template <class A>                                                                                  \
    requires(!passed_by_value<A>)                                                                     \
  HELION_MSL_FUNC constexpr left_operand<const A &> operator op(const A &a, metal_rules_t) {          \
    return {a};                                                                                       \
  }                                                                                                   \
  template <class A, passed_by_value B>                                                               \
  HELION_MSL_FUNC constexpr decltype(auto) operator op(left_operand<A> a, B b) {                      \
    return function##_by_rules(a.value, b);                                                           \
  }                                                                                                   \
  template <class A, class B>                                                                         \
    requires(!passed_by_value<B>)                                                                     \
  HELION_MSL_FUNC constexpr decltype(auto) operator op(left_operand<A> a, const B &b) {               \
    return function##_by_rules(a.value, b);                                                           \
  }                                                                                                   \
  template <integer_operand B>                                                                        \
  HELION_MSL_FUNC constexpr right_operand<B> operator op## = (metal_rules_t, B b) {                   \
    return {b};                                                                                       \
  }                                                                                                   \
  /* Anything but an integer is assigned with as it is. */                                            \
  template <class B>                                                                                  \
    requires(!integer_operand<B>)                                                                     \
  HELION_MSL_FUNC constexpr const B &operator op## = (metal_rules_t, const B &b) {                    \
    return b;                                                                                         \
  }                                                                                                   \
  template <class A, class B>                                                                         \
  HELION_MSL_FUNC constexpr A &operator op## = (A & a, right_operand<B> b) {                          \
    if constexpr (integer_operand<metal::remove_cv_t<A>>) {                                           \
      a = static_cast<A>(function##_by_rules(a, b.value));                                            \
    } else {                                                                                          \
      a op## = b.value;                                                                               \
    }                                                                                                 \
    return a;                                                                                         \
  }                                                                                                   \
  /* A swizzle is assigned to as `v.set(v.get() op b)`. */                                            \
  template <class A, class B>                                                                         \
  HELION_MSL_FUNC constexpr decltype(auto) operator op(const A &a, right_operand<B> b) {              \
    return function##_by_rules(a, b.value);                                                           \
  }
HELION_MSL_INTEGER_OPERATOR(/, quotient)
HELION_MSL_INTEGER_OPERATOR(%, remainder)
HELION_MSL_INTEGER_OPERATOR(<<, shifted_left)
HELION_MSL_INTEGER_OPERATOR(>>, shifted_right)
#undef HELION_MSL_INTEGER_OPERATOR

}  // namespace helion_host
