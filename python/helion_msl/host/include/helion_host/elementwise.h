// How a function of scalars becomes a function of scalars and vectors: which type a call is done in, and the loop over
// the components.
//
// Metal's own headers overload every function for each type. Templates stand for these sets here, with the same
// outcome: vectors have to agree in type and spread the scalars, half is computed in float and rounded once, bfloat
// scalars are promoted to float (the library has no bfloat overloads), integers become what the other arguments are.
#pragma once

#include "vector.h"

namespace helion_host {

// ---- The type of a floating-point call ----------------------------------------------------------------------------

template <class T>
inline constexpr int floating_rank = class_of<T> == scalar_class::integer ? 0 : 2;
template <>
inline constexpr int floating_rank<float16> = 1;

template <class... A>
constexpr int floating_rank_of() {
  int rank = 0;
  ((rank = floating_rank<A> > rank ? floating_rank<A> : rank), ...);
  return rank;
}

// The vector type among A, if there is exactly one; `void` where all are scalars, nothing where they do not agree.
template <class... A>
struct common_vector;
template <>
struct common_vector<> {
  using type = void;
};
template <class A, class Rest>
struct joined_vector {};
template <class A, class Rest>
  requires(vector_size<A> == 1)
struct joined_vector<A, Rest> {
  using type = Rest;
};
template <class A>
  requires(vector_size<A> > 1)
struct joined_vector<A, void> {
  using type = metal::vec<element_t<A>, vector_size<A>>;
};
template <class A, class Rest>
  requires(vector_size<A> > 1 && __is_same(metal::vec<element_t<A>, vector_size<A>>, Rest))
struct joined_vector<A, Rest> {
  using type = Rest;
};
template <class A, class... Rest>
struct common_vector<A, Rest...> : joined_vector<A, typename common_vector<Rest...>::type> {};

template <class V, class... A>
struct floating_call_in {};
template <class... A>
  requires(number<A> && ...)
struct floating_call_in<void, A...> {
  using type = metal::conditional_t<floating_rank_of<A...>() == 1, float16, float>;
};
template <class V, class... A>
  requires(vector_size<V> > 1 && class_of<element_t<V>> == scalar_class::floating)
struct floating_call_in<V, A...> {
  using type = V;
};

// The type in which a floating-point function of arguments A... is called.
template <class... A>
struct floating_call : floating_call_in<typename common_vector<A...>::type, A...> {};
template <number A>
struct floating_call<A> {
  using type = metal::conditional_t<floating_rank<A> == 1, float16, float>;
};
template <class... A>
using floating_call_t = typename floating_call<A...>::type;
// Of a function with one argument. An integer converts to the float of the plain function, as it does in Metal, where a
// program's own template for integers is the better match.
template <class A>
struct single_floating_call : floating_call<A> {};
template <class A>
  requires(class_of<A> == scalar_class::integer)
struct single_floating_call<A> {};

// ---- The type of an integer call ----------------------------------------------------------------------------------

template <class A, class B>
struct common_integer {
  using wide = decltype(A() + B());
  static_assert(sizeof(A) != sizeof(B) || is_signed_number<A> == is_signed_number<B>,
                "integer arguments of the same width, one signed and one unsigned, are ambiguous in Metal: cast one");
  static_assert(is_signed_number<A> == is_signed_number<B> || is_signed_number<wide>,
                "a signed and a wider unsigned integer argument are ambiguous in Metal: cast one");
  using type = wide;
};
template <class A>
struct common_integer<A, A> {
  using type = A;
};

template <class... A>
struct common_integers;
template <class A>
struct common_integers<A> {
  using type = A;
};
template <class A, class B, class... Rest>
struct common_integers<A, B, Rest...> : common_integers<typename common_integer<A, B>::type, Rest...> {};

template <class V, class... A>
struct integer_call_in {};
template <class... A>
  requires((class_of<A> == scalar_class::integer) && ...)
struct integer_call_in<void, A...> : common_integers<A...> {};
template <class V, class... A>
  requires(vector_size<V> > 1 && class_of<element_t<V>> == scalar_class::integer)
struct integer_call_in<V, A...> {
  using type = V;
};
template <class... A>
struct integer_call : integer_call_in<typename common_vector<A...>::type, A...> {};
template <class... A>
using integer_call_t = typename integer_call<A...>::type;

// ---- Functions that take both -------------------------------------------------------------------------------------

template <class... A>
inline constexpr bool any_floating = ((class_of<element_t<A>> == scalar_class::floating) || ...);
template <class... A>
struct common_call : metal::conditional_t<any_floating<A...>, floating_call<A...>, integer_call<A...>> {};
template <class... A>
using common_call_t = typename common_call<A...>::type;

// ---- The loop over the components ---------------------------------------------------------------------------------

// R: type of the result; V: type of the arguments, with as many components.
template <class R, auto function, class V>
HELION_MSL_FUNC constexpr R map(const V &a) {
  if constexpr (vector_size<V> == 1) {
    return static_cast<R>(function(a));
  } else if constexpr (vector_size<V> == 2) {
    return R(function(a.x), function(a.y));
  } else if constexpr (vector_size<V> == 3) {
    return R(function(a.x), function(a.y), function(a.z));
  } else {
    return R(function(a.x), function(a.y), function(a.z), function(a.w));
  }
}
template <class R, auto function, class V>
HELION_MSL_FUNC constexpr R map(const V &a, const V &b) {
  if constexpr (vector_size<V> == 1) {
    return static_cast<R>(function(a, b));
  } else if constexpr (vector_size<V> == 2) {
    return R(function(a.x, b.x), function(a.y, b.y));
  } else if constexpr (vector_size<V> == 3) {
    return R(function(a.x, b.x), function(a.y, b.y), function(a.z, b.z));
  } else {
    return R(function(a.x, b.x), function(a.y, b.y), function(a.z, b.z), function(a.w, b.w));
  }
}
template <class R, auto function, class V, class W>
HELION_MSL_FUNC constexpr R map(const V &a, const V &b, const W &c) {
  if constexpr (vector_size<V> == 1) {
    return static_cast<R>(function(a, b, c));
  } else if constexpr (vector_size<V> == 2) {
    return R(function(a.x, b.x, c.x), function(a.y, b.y, c.y));
  } else if constexpr (vector_size<V> == 3) {
    return R(function(a.x, b.x, c.x), function(a.y, b.y, c.y), function(a.z, b.z, c.z));
  } else {
    return R(function(a.x, b.x, c.x), function(a.y, b.y, c.y), function(a.z, b.z, c.z), function(a.w, b.w, c.w));
  }
}

// The same shape as V with elements of type T.
template <class V, class T>
struct with_element {
  using type = T;
};
template <class U, int N, class T>
struct with_element<metal::vec<U, N>, T> {
  using type = metal::vec<T, N>;
};
template <class U, int N, class T>
struct with_element<metal::packed_vec<U, N>, T> {
  using type = metal::vec<T, N>;
};
template <class V, class T>
using with_element_t = typename with_element<V, T>::type;

}  // namespace helion_host

// Families of functions. `scalar` is a function of float for the floating ones and a template over the element type
// for the others. The most common types have plain functions, which win over templates that a program defines under the
// same name, as all of Metal's do.
#define HELION_MSL_FLOATING_1(name, scalar)                                         \
  HELION_MSL_FUNC constexpr float name(float x) {                                   \
    return scalar(x);                                                               \
  }                                                                                 \
  template <class A, class R = typename helion_host::single_floating_call<A>::type> \
  HELION_MSL_FUNC constexpr R name(const A &x) {                                    \
    return helion_host::map<R, scalar>(R(x));                                       \
  }
#define HELION_MSL_FLOATING_2(name, scalar)                                 \
  HELION_MSL_FUNC constexpr float name(float x, float y) {                  \
    return scalar(x, y);                                                    \
  }                                                                         \
  template <class A, class B, class R = helion_host::floating_call_t<A, B>> \
  HELION_MSL_FUNC constexpr R name(const A &x, const B &y) {                \
    return helion_host::map<R, scalar>(R(x), R(y));                         \
  }
#define HELION_MSL_FLOATING_3(name, scalar)                                             \
  HELION_MSL_FUNC constexpr float name(float x, float y, float z) {                     \
    return scalar(x, y, z);                                                             \
  }                                                                                     \
  template <class A, class B, class C, class R = helion_host::floating_call_t<A, B, C>> \
  HELION_MSL_FUNC constexpr R name(const A &x, const B &y, const C &z) {                \
    return helion_host::map<R, scalar>(R(x), R(y), R(z));                               \
  }
#define HELION_MSL_INTEGER_1(name, scalar)                               \
  template <class A, class R = helion_host::integer_call_t<A>>           \
  HELION_MSL_FUNC constexpr R name(const A &x) {                         \
    return helion_host::map<R, scalar<helion_host::element_t<R>>>(R(x)); \
  }
#define HELION_MSL_INTEGER_2(name, scalar)                                     \
  template <class A, class B, class R = helion_host::integer_call_t<A, B>>     \
  HELION_MSL_FUNC constexpr R name(const A &x, const B &y) {                   \
    return helion_host::map<R, scalar<helion_host::element_t<R>>>(R(x), R(y)); \
  }
#define HELION_MSL_INTEGER_3(name, scalar)                                             \
  template <class A, class B, class C, class R = helion_host::integer_call_t<A, B, C>> \
  HELION_MSL_FUNC constexpr R name(const A &x, const B &y, const C &z) {               \
    return helion_host::map<R, scalar<helion_host::element_t<R>>>(R(x), R(y), R(z));   \
  }
#define HELION_MSL_COMMON_1(name, scalar)                                \
  HELION_MSL_FUNC constexpr float name(float x) {                        \
    return scalar<float>(x);                                             \
  }                                                                      \
  HELION_MSL_FUNC constexpr int name(int x) {                            \
    return scalar<int>(x);                                               \
  }                                                                      \
  HELION_MSL_FUNC constexpr uint name(uint x) {                          \
    return scalar<uint>(x);                                              \
  }                                                                      \
  template <class A, class R = helion_host::common_call_t<A>>            \
  HELION_MSL_FUNC constexpr R name(const A &x) {                         \
    return helion_host::map<R, scalar<helion_host::element_t<R>>>(R(x)); \
  }
#define HELION_MSL_COMMON_2(name, scalar)                                      \
  HELION_MSL_FUNC constexpr float name(float x, float y) {                     \
    return scalar<float>(x, y);                                                \
  }                                                                            \
  HELION_MSL_FUNC constexpr int name(int x, int y) {                           \
    return scalar<int>(x, y);                                                  \
  }                                                                            \
  HELION_MSL_FUNC constexpr uint name(uint x, uint y) {                        \
    return scalar<uint>(x, y);                                                 \
  }                                                                            \
  template <class A, class B, class R = helion_host::common_call_t<A, B>>      \
  HELION_MSL_FUNC constexpr R name(const A &x, const B &y) {                   \
    return helion_host::map<R, scalar<helion_host::element_t<R>>>(R(x), R(y)); \
  }
#define HELION_MSL_COMMON_3(name, scalar)                                             \
  HELION_MSL_FUNC constexpr float name(float x, float y, float z) {                   \
    return scalar<float>(x, y, z);                                                    \
  }                                                                                   \
  HELION_MSL_FUNC constexpr int name(int x, int y, int z) {                           \
    return scalar<int>(x, y, z);                                                      \
  }                                                                                   \
  HELION_MSL_FUNC constexpr uint name(uint x, uint y, uint z) {                       \
    return scalar<uint>(x, y, z);                                                     \
  }                                                                                   \
  template <class A, class B, class C, class R = helion_host::common_call_t<A, B, C>> \
  HELION_MSL_FUNC constexpr R name(const A &x, const B &y, const C &z) {              \
    return helion_host::map<R, scalar<helion_host::element_t<R>>>(R(x), R(y), R(z));  \
  }
