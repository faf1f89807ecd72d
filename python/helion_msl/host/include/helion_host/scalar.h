// Scalar types (Metal Shading Language Specification, "Scalar Data Types") and what is known of them.
#pragma once

#include "bfloat.h"
#include "platform.h"
#include "traits.h"

using uchar = unsigned char;
using ushort = unsigned short;
using uint = unsigned int;
using ulong = unsigned long;
using half = helion_host::float16;
using bfloat = metal::bfloat;

using int8_t = signed char;
using int16_t = short;
using int32_t = int;
using int64_t = long;
using uint8_t = unsigned char;
using uint16_t = unsigned short;
using uint32_t = unsigned int;
using uint64_t = unsigned long;
using size_t = decltype(sizeof(0));
using ptrdiff_t = decltype(static_cast<char *>(nullptr) - static_cast<char *>(nullptr));
using intptr_t = long;
using uintptr_t = unsigned long;

static_assert(sizeof(long) == 8, "Metal's long has 64 bits: the host has to be LP64");
static_assert(static_cast<char>(-1) < 0, "Metal's char is signed: compile with -fsigned-char");

namespace metal {

using ::half;
using ::int16_t;
using ::int32_t;
using ::int64_t;
using ::int8_t;
using ::intptr_t;
using ::ptrdiff_t;
using ::size_t;
using ::uchar;
using ::uint;
using ::uint16_t;
using ::uint32_t;
using ::uint64_t;
using ::uint8_t;
using ::uintptr_t;
using ::ulong;
using ::ushort;

}  // namespace metal

namespace metal_types {
template <class T, int N>
struct vec;
template <class T, int N>
struct packed_vec;
}  // namespace metal_types

namespace metal {
using metal_types::packed_vec;
using metal_types::vec;
}  // namespace metal

namespace helion_host {

// The element type and the number of components: T and 1 for everything that is no vector.
template <class T>
struct vector_shape {
  using element = T;
  static constexpr int size = 1;
};
template <class T, int N>
struct vector_shape<metal::vec<T, N>> {
  using element = T;
  static constexpr int size = N;
};
template <class T, int N>
struct vector_shape<metal::packed_vec<T, N>> {
  using element = T;
  static constexpr int size = N;
};
template <class T>
using element_t = typename vector_shape<T>::element;
template <class T>
inline constexpr int vector_size = vector_shape<T>::size;

enum class scalar_class : unsigned char { none, integer, floating };

template <class T>
inline constexpr scalar_class class_of = __is_integral(T)         ? scalar_class::integer
                                         : __is_floating_point(T) ? scalar_class::floating
                                                                  : scalar_class::none;
template <>
inline constexpr scalar_class class_of<float16> = scalar_class::floating;
template <>
inline constexpr scalar_class class_of<metal::bfloat> = scalar_class::floating;
template <class T>
inline constexpr scalar_class class_of<const T> = class_of<T>;
template <class T>
inline constexpr scalar_class class_of<volatile T> = class_of<T>;
template <class T>
inline constexpr scalar_class class_of<const volatile T> = class_of<T>;

template <class T>
inline constexpr bool is_number = class_of<T> != scalar_class::none;
template <class T>
inline constexpr bool is_signed_number = class_of<T> == scalar_class::floating;
template <class T>
  requires(class_of<T> == scalar_class::integer)
inline constexpr bool is_signed_number<T> = T(-1) < T(0);

template <class T>
concept number = is_number<T>;

}  // namespace helion_host

namespace metal {

// As in Apple's header, these look at the element type of a vector; is_scalar tells the two apart.
HELION_MSL_TRAIT(is_integral,
                 helion_host::class_of<helion_host::element_t<remove_cv_t<T>>> == helion_host::scalar_class::integer)
HELION_MSL_TRAIT(is_floating_point,
                 helion_host::class_of<helion_host::element_t<remove_cv_t<T>>> == helion_host::scalar_class::floating)
HELION_MSL_TRAIT(is_arithmetic, helion_host::is_number<helion_host::element_t<remove_cv_t<T>>>)
HELION_MSL_TRAIT(is_fundamental, is_arithmetic_v<T> || is_void_v<T>)
HELION_MSL_TRAIT(is_signed, helion_host::is_signed_number<helion_host::element_t<remove_cv_t<T>>>)
HELION_MSL_TRAIT(is_unsigned,
                 is_integral_v<T> && !helion_host::is_signed_number<helion_host::element_t<remove_cv_t<T>>>)
HELION_MSL_TRAIT(is_scalar, helion_host::is_number<T> || is_enum_v<T> || is_pointer_v<T>)
HELION_MSL_TRAIT(is_vector, (helion_host::vector_size<remove_cv_t<T>> > 1))
#undef HELION_MSL_TRAIT

template <class T>
struct make_scalar {
  using type = helion_host::element_t<remove_cv_t<T>>;
};
template <class T>
using make_scalar_t = typename make_scalar<T>::type;

// The integer of the same size, for scalars and element by element for vectors.
template <class T>
struct make_signed {
  using type = conditional_t<sizeof(T) == 1, signed char,
                             conditional_t<sizeof(T) == 2, short, conditional_t<sizeof(T) == 4, int, long>>>;
};
template <>
struct make_signed<char> {
  using type = char;
};
template <>
struct make_signed<unsigned char> {
  using type = char;
};
template <class T>
struct make_unsigned {
  using type = conditional_t<
      sizeof(T) == 1, unsigned char,
      conditional_t<sizeof(T) == 2, unsigned short, conditional_t<sizeof(T) == 4, unsigned int, unsigned long>>>;
};
template <class T, int N>
struct make_signed<vec<T, N>> {
  using type = vec<typename make_signed<T>::type, N>;
};
template <class T, int N>
struct make_unsigned<vec<T, N>> {
  using type = vec<typename make_unsigned<T>::type, N>;
};
template <class T>
using make_signed_t = typename make_signed<T>::type;
template <class T>
using make_unsigned_t = typename make_unsigned<T>::type;

}  // namespace metal

template <class To, class From>
HELION_MSL_FUNC constexpr To as_type(const From &from) {
  return helion_host::bit_cast<To>(from);
}
