// vec<T, N> and packed_vec<T, N> (Metal Shading Language Specification, "Vector Data Types").
#pragma once

#include "platform.h"
#include "scalar.h"

// The swizzles that a source uses, as S(name, index...) for each, are defined before this file is included: declaring
// all 2,000 of them would cost every compilation more than the rest of the library.
#ifndef HELION_MSL_SWIZZLES_2
#define HELION_MSL_SWIZZLES_2(S)
#endif
#ifndef HELION_MSL_SWIZZLES_3
#define HELION_MSL_SWIZZLES_3(S)
#endif
#ifndef HELION_MSL_SWIZZLES_4
#define HELION_MSL_SWIZZLES_4(S)
#endif

namespace helion_host {

// What may fill components of a vector: a number, or an object that converts to one.
template <class A>
concept component = number<A> || __is_enum(A) || (__is_class(A) && vector_size<A> == 1);

template <class A, int N>
concept vector_of = vector_size<A> == N && N > 1;

}  // namespace helion_host

namespace metal_types {

// Components x, y, ... with their second names, and the constructors that depend on how many there are.
template <class T, int N, bool packed>
struct components {
  static_assert(N >= 2 && N <= 4, "vec<T, N>: N must be 2, 3 or 4");
};

template <class T, bool packed>
struct alignas(packed ? alignof(T) : 2 * sizeof(T)) components<T, 2, packed> {
  union {
    T x, r;
  };
  union {
    T y, g;
  };

  components() = default;
  template <class A>
    requires(helion_host::number<A> || __is_enum(A))
  constexpr components(A all) : x(T(all)), y(T(all)) {}
  template <helion_host::component A, helion_host::component B>
  constexpr components(A a, B b) : x(T(a)), y(T(b)) {}
};

template <class T, bool packed>
struct alignas(packed ? alignof(T) : 4 * sizeof(T)) components<T, 3, packed> {
  union {
    T x, r;
  };
  union {
    T y, g;
  };
  union {
    T z, b;
  };

  components() = default;
  template <class A>
    requires(helion_host::number<A> || __is_enum(A))
  constexpr components(A all) : x(T(all)), y(T(all)), z(T(all)) {}
  template <helion_host::component A, helion_host::component B, helion_host::component C>
  constexpr components(A a, B b, C c) : x(T(a)), y(T(b)), z(T(c)) {}
  template <helion_host::vector_of<2> V, helion_host::component C>
  constexpr components(V v, C c) : x(T(v.x)), y(T(v.y)), z(T(c)) {}
  template <helion_host::component A, helion_host::vector_of<2> V>
  constexpr components(A a, V v) : x(T(a)), y(T(v.x)), z(T(v.y)) {}
};

template <class T, bool packed>
struct alignas(packed ? alignof(T) : 4 * sizeof(T)) components<T, 4, packed> {
  union {
    T x, r;
  };
  union {
    T y, g;
  };
  union {
    T z, b;
  };
  union {
    T w, a;
  };

  components() = default;
  template <class A>
    requires(helion_host::number<A> || __is_enum(A))
  constexpr components(A all) : x(T(all)), y(T(all)), z(T(all)), w(T(all)) {}
  template <helion_host::component A, helion_host::component B, helion_host::component C, helion_host::component D>
  constexpr components(A a, B b, C c, D d) : x(T(a)), y(T(b)), z(T(c)), w(T(d)) {}
  template <helion_host::vector_of<2> V, helion_host::component C, helion_host::component D>
  constexpr components(V v, C c, D d) : x(T(v.x)), y(T(v.y)), z(T(c)), w(T(d)) {}
  template <helion_host::component A, helion_host::vector_of<2> V, helion_host::component D>
  constexpr components(A a, V v, D d) : x(T(a)), y(T(v.x)), z(T(v.y)), w(T(d)) {}
  template <helion_host::component A, helion_host::component B, helion_host::vector_of<2> V>
  constexpr components(A a, B b, V v) : x(T(a)), y(T(b)), z(T(v.x)), w(T(v.y)) {}
  template <helion_host::vector_of<2> V, helion_host::vector_of<2> W>
  constexpr components(V v, W u) : x(T(v.x)), y(T(v.y)), z(T(u.x)), w(T(u.y)) {}
  template <helion_host::vector_of<3> V, helion_host::component D>
  constexpr components(V v, D d) : x(T(v.x)), y(T(v.y)), z(T(v.z)), w(T(d)) {}
  template <helion_host::component A, helion_host::vector_of<3> V>
  constexpr components(A a, V v) : x(T(a)), y(T(v.x)), z(T(v.y)), w(T(v.z)) {}
};

}  // namespace metal_types

namespace helion_host {

// Component `index` of any vector type.
template <int index, class V>
HELION_MSL_FUNC constexpr auto &component_of(V &v) {
  if constexpr (index == 0) {
    return v.x;
  } else if constexpr (index == 1) {
    return v.y;
  } else if constexpr (index == 2) {
    return v.z;
  } else {
    return v.w;
  }
}

template <int N, int... indices>
constexpr bool swizzle_fits() {
  return ((indices < N) && ...);
}
template <int... indices>
constexpr bool swizzle_repeats() {
  unsigned seen = 0;
  bool repeats = false;
  ((repeats |= (seen >> indices & 1u) != 0, seen |= 1u << indices), ...);
  return repeats;
}

}  // namespace helion_host

// One swizzle. The accessors are templates so that only those that are used are compiled, and a component that the
// vector does not have is an error only where it is used.
#define HELION_MSL_SWIZZLE(size, name, ...)                                                                            \
  HELION_MSL_PROPERTY(helion_get_##name, helion_put_##name) metal::vec<T, size> name;                                  \
  template <int = 0>                                                                                                   \
  constexpr metal::vec<T, size> helion_get_##name() const {                                                            \
    static_assert(helion_host::swizzle_fits<N, __VA_ARGS__>(), "swizzle ." #name ": the vector has fewer components"); \
    return helion_host::get_swizzle<metal::vec<T, size>, __VA_ARGS__>(*this);                                          \
  }                                                                                                                    \
  template <int = 0>                                                                                                   \
  constexpr void helion_put_##name(metal::vec<T, size> value) {                                                        \
    static_assert(helion_host::swizzle_fits<N, __VA_ARGS__>(), "swizzle ." #name ": the vector has fewer components"); \
    static_assert(!helion_host::swizzle_repeats<__VA_ARGS__>(),                                                        \
                  "swizzle ." #name ": a component that is named twice cannot be assigned to");                        \
    helion_host::put_swizzle<__VA_ARGS__>(*this, value);                                                               \
  }
#define HELION_MSL_SWIZZLE_2(name, i, j) HELION_MSL_SWIZZLE(2, name, i, j)
#define HELION_MSL_SWIZZLE_3(name, i, j, k) HELION_MSL_SWIZZLE(3, name, i, j, k)
#define HELION_MSL_SWIZZLE_4(name, i, j, k, l) HELION_MSL_SWIZZLE(4, name, i, j, k, l)

#define HELION_MSL_VECTOR_MEMBERS                                     \
  using value_type = T;                                               \
  HELION_MSL_SWIZZLES_2(HELION_MSL_SWIZZLE_2)                         \
  HELION_MSL_SWIZZLES_3(HELION_MSL_SWIZZLE_3)                         \
  HELION_MSL_SWIZZLES_4(HELION_MSL_SWIZZLE_4)                         \
  HELION_MSL_FUNC constexpr T &operator[](size_t index) {             \
    return helion_host::component_at<T>(*this, index);                \
  }                                                                   \
  HELION_MSL_FUNC constexpr const T &operator[](size_t index) const { \
    return helion_host::component_at<const T>(*this, index);          \
  }

namespace helion_host {

template <class T, class V>
HELION_MSL_FUNC constexpr T &component_at(V &v, size_t index) {
  if (is_constant_evaluated()) {
    if constexpr (vector_size<metal::remove_const_t<V>> == 4) {
      if (index == 3) {
        return v.w;
      }
    }
    if constexpr (vector_size<metal::remove_const_t<V>> >= 3) {
      if (index == 2) {
        return v.z;
      }
    }
    return index == 0 ? v.x : v.y;
  }
  return (&v.x)[index];
}

template <class R, int... indices, class V>
HELION_MSL_FUNC constexpr R get_swizzle(const V &v) {
  return R(component_of<indices>(v)...);
}
template <int i, int j, int... more, class V, class W>
HELION_MSL_FUNC constexpr void put_swizzle(V &v, const W &value) {
  component_of<i>(v) = value.x;
  component_of<j>(v) = value.y;
  if constexpr (sizeof...(more) > 0) {
    constexpr int rest[] = {more...};
    component_of<rest[0]>(v) = value.z;
    if constexpr (sizeof...(more) > 1) {
      component_of<rest[1]>(v) = value.w;
    }
  }
}

}  // namespace helion_host

// Objects in volatile memory, which `coherent` buffers are. Templates: an assignment operator of its own would take
// away that a vector is trivially copyable, and so would a constructor.
#if defined(HELION_MSL_USES_volatile) || !defined(HELION_MSL_SELECTS)
#define HELION_MSL_VOLATILE_MEMBERS(V)                \
  template <class U>                                  \
    requires(__is_same(U, V))                         \
  constexpr V(const volatile U &v) : V(convert(v)) {} \
  template <class U>                                  \
    requires(__is_same(U, V))                         \
  constexpr void operator=(const U &v) volatile {     \
    this->x = v.x;                                    \
    this->y = v.y;                                    \
    if constexpr (N > 2) this->z = v.z;               \
    if constexpr (N > 3) this->w = v.w;               \
  }
#else
#define HELION_MSL_VOLATILE_MEMBERS(V)
#endif

namespace metal_types {

template <class T, int N>
struct vec : components<T, N, false> {
  using components<T, N, false>::components;
  vec() = default;
  // Between element types only where the program says so.
  template <class U>
    requires(!__is_same(T, U))
  explicit constexpr vec(const vec<U, N> &v) : vec(convert(v)) {}
  template <class U>
  explicit(!__is_same(T, U)) constexpr vec(const packed_vec<U, N> &v) : vec(convert(v)) {}
  HELION_MSL_VOLATILE_MEMBERS(vec)
  HELION_MSL_VECTOR_MEMBERS

 private:
  template <class V>
  static constexpr vec convert(const V &v) {
    if constexpr (N == 2) {
      return vec(v.x, v.y);
    } else if constexpr (N == 3) {
      return vec(v.x, v.y, v.z);
    } else {
      return vec(v.x, v.y, v.z, v.w);
    }
  }
};

// The same components without padding: aligned as T, so that packed_float3 has 12 bytes.
template <class T, int N>
struct packed_vec : components<T, N, true> {
  using components<T, N, true>::components;
  packed_vec() = default;
  template <class U>
  explicit(!__is_same(T, U)) constexpr packed_vec(const vec<U, N> &v) : packed_vec(convert(v)) {}
  template <class U>
    requires(!__is_same(T, U))
  explicit constexpr packed_vec(const packed_vec<U, N> &v) : packed_vec(convert(v)) {}
  HELION_MSL_VOLATILE_MEMBERS(packed_vec)
  HELION_MSL_VECTOR_MEMBERS

 private:
  template <class V>
  static constexpr packed_vec convert(const V &v) {
    if constexpr (N == 2) {
      return packed_vec(v.x, v.y);
    } else if constexpr (N == 3) {
      return packed_vec(v.x, v.y, v.z);
    } else {
      return packed_vec(v.x, v.y, v.z, v.w);
    }
  }
};

}  // namespace metal_types

#undef HELION_MSL_VECTOR_MEMBERS
#undef HELION_MSL_VOLATILE_MEMBERS
