// <metal_type_traits>.
#pragma once

#include "platform.h"

namespace metal {

template <class T, T v>
struct integral_constant {
  static constexpr T value = v;
  using value_type = T;
  using type = integral_constant;
  constexpr operator T() const noexcept { return v; }
  constexpr T operator()() const noexcept { return v; }
};
template <bool b>
using bool_constant = integral_constant<bool, b>;
using true_type = bool_constant<true>;
using false_type = bool_constant<false>;

template <bool condition, class T = void>
struct enable_if {};
template <class T>
struct enable_if<true, T> {
  using type = T;
};
template <bool condition, class T = void>
using enable_if_t = typename enable_if<condition, T>::type;

template <bool condition, class T, class F>
struct conditional {
  using type = T;
};
template <class T, class F>
struct conditional<false, T, F> {
  using type = F;
};
template <bool condition, class T, class F>
using conditional_t = typename conditional<condition, T, F>::type;

template <class T>
struct type_identity {
  using type = T;
};
template <class T>
using type_identity_t = typename type_identity<T>::type;

// ---- Transformations ----------------------------------------------------------------------------------------------

#define HELION_MSL_TRANSFORMATION(name, pattern, result) \
  template <class T>                                     \
  struct name {                                          \
    using type = T;                                      \
  };                                                     \
  template <class T>                                     \
  struct name<pattern> {                                 \
    using type = result;                                 \
  };                                                     \
  template <class T>                                     \
  using name##_t = typename name<T>::type;

HELION_MSL_TRANSFORMATION(remove_const, const T, T)
HELION_MSL_TRANSFORMATION(remove_volatile, volatile T, T)
HELION_MSL_TRANSFORMATION(remove_extent, T[], T)
#undef HELION_MSL_TRANSFORMATION

template <class T, decltype(sizeof(0)) n>
struct remove_extent<T[n]> {
  using type = T;
};
template <class T>
struct remove_cv {
  using type = remove_const_t<remove_volatile_t<T>>;
};
template <class T>
using remove_cv_t = typename remove_cv<T>::type;

template <class T>
struct remove_reference {
  using type = T;
};
template <class T>
struct remove_reference<T &> {
  using type = T;
};
template <class T>
struct remove_reference<T &&> {
  using type = T;
};
template <class T>
using remove_reference_t = typename remove_reference<T>::type;
template <class T>
using remove_cvref_t = remove_cv_t<remove_reference_t<T>>;

template <class T>
struct remove_pointer {
  using type = T;
};
template <class T>
struct remove_pointer<T *> {
  using type = T;
};
template <class T>
struct remove_pointer<T *const> {
  using type = T;
};
template <class T>
using remove_pointer_t = typename remove_pointer<T>::type;

// Address spaces are erased, but for `constant`, which stays as `const`.
template <class T>
struct remove_addrspace {
  using type = T;
};
template <class T>
using remove_addrspace_t = typename remove_addrspace<T>::type;

template <class T>
using add_const_t = const T;
template <class T>
struct add_const {
  using type = const T;
};
template <class T>
using add_volatile_t = volatile T;
template <class T>
using add_cv_t = const volatile T;
template <class T>
struct add_lvalue_reference {
  using type = T &;
};
template <class T>
using add_lvalue_reference_t = typename add_lvalue_reference<T>::type;
template <class T>
struct add_rvalue_reference {
  using type = T &&;
};
template <class T>
using add_rvalue_reference_t = typename add_rvalue_reference<T>::type;
template <class T>
struct add_pointer {
  using type = remove_reference_t<T> *;
};
template <class T>
using add_pointer_t = typename add_pointer<T>::type;

template <class T>
T &&declval() noexcept;

template <class T>
struct decay {
  using type = __decay(T);
};
template <class T>
using decay_t = typename decay<T>::type;
template <class T>
struct underlying_type {
  using type = __underlying_type(T);
};
template <class T>
using underlying_type_t = typename underlying_type<T>::type;

// ---- Properties ---------------------------------------------------------------------------------------------------

#define HELION_MSL_TRAIT(name, ...)             \
  template <class T>                            \
  inline constexpr bool name##_v = __VA_ARGS__; \
  template <class T>                            \
  struct name : bool_constant<name##_v<T>> {};
#define HELION_MSL_TRAIT_2(name, ...)           \
  template <class T, class U>                   \
  inline constexpr bool name##_v = __VA_ARGS__; \
  template <class T, class U>                   \
  struct name : bool_constant<name##_v<T, U>> {};

HELION_MSL_TRAIT_2(is_same, __is_same(T, U))
HELION_MSL_TRAIT_2(is_convertible, __is_convertible(T, U))
HELION_MSL_TRAIT_2(is_base_of, __is_base_of(T, U))
HELION_MSL_TRAIT_2(is_assignable, __is_assignable(T, U))
HELION_MSL_TRAIT(is_void, __is_void(T))
HELION_MSL_TRAIT(is_array, __is_array(T))
HELION_MSL_TRAIT(is_pointer, __is_pointer(T))
HELION_MSL_TRAIT(is_lvalue_reference, __is_lvalue_reference(T))
HELION_MSL_TRAIT(is_rvalue_reference, __is_rvalue_reference(T))
HELION_MSL_TRAIT(is_reference, __is_reference(T))
HELION_MSL_TRAIT(is_function, __is_function(T))
HELION_MSL_TRAIT(is_enum, __is_enum(T))
HELION_MSL_TRAIT(is_class, __is_class(T))
HELION_MSL_TRAIT(is_union, __is_union(T))
HELION_MSL_TRAIT(is_const, __is_const(T))
HELION_MSL_TRAIT(is_volatile, __is_volatile(T))
HELION_MSL_TRAIT(is_trivial, __is_trivially_constructible(T) && __is_trivially_copyable(T))
HELION_MSL_TRAIT(is_trivially_copyable, __is_trivially_copyable(T))
HELION_MSL_TRAIT(is_standard_layout, __is_standard_layout(T))
HELION_MSL_TRAIT(is_default_constructible, __is_constructible(T))
HELION_MSL_TRAIT(is_copy_constructible, __is_constructible(T, const T &))
template <class T, class... A>
inline constexpr bool is_constructible_v = __is_constructible(T, A...);
template <class T, class... A>
struct is_constructible : bool_constant<is_constructible_v<T, A...>> {};

#undef HELION_MSL_TRAIT_2

template <class... B>
struct conjunction : bool_constant<(B::value && ...)> {};
template <class... B>
struct disjunction : bool_constant<(B::value || ...)> {};
template <class B>
struct negation : bool_constant<!B::value> {};
template <class... B>
inline constexpr bool conjunction_v = (B::value && ...);
template <class... B>
inline constexpr bool disjunction_v = (B::value || ...);
template <class B>
inline constexpr bool negation_v = !B::value;
// Names of Apple's own header that published kernels use.
template <class... B>
using _conjunction = conjunction<B...>;
template <class... B>
using _disjunction = disjunction<B...>;
template <class B>
using _not = negation<B>;

}  // namespace metal
