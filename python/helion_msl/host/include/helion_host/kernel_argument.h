// What the type of a kernel's parameter says about the argument that belongs to it.
#pragma once

#include "abi.h"
#include "platform.h"
#include "scalar.h"

namespace metal {
template <class T>
struct atomic;
}  // namespace metal

namespace helion_host {

template <class T>
constexpr helion_host_scalar integer_scalar() {
  constexpr bool is_signed = T(-1) < T(0);
  switch (sizeof(T)) {
    case 1:
      return is_signed ? helion_host_int8 : helion_host_uint8;
    case 2:
      return is_signed ? helion_host_int16 : helion_host_uint16;
    case 4:
      return is_signed ? helion_host_int32 : helion_host_uint32;
    case 8:
      return is_signed ? helion_host_int64 : helion_host_uint64;
    default:
      return helion_host_opaque;
  }
}

template <class T>
constexpr helion_host_scalar scalar_of() {
  if constexpr (__is_same(T, bool)) {
    return helion_host_bool;
  } else if constexpr (__is_same(T, float)) {
    return helion_host_float32;
  } else if constexpr (__is_same(T, float16)) {
    return helion_host_float16;
  } else if constexpr (__is_same(T, metal::bfloat)) {
    return helion_host_bfloat16;
  } else if constexpr (__is_integral(T)) {
    return integer_scalar<T>();
  } else if constexpr (__is_enum(T)) {
    return scalar_of<__underlying_type(T)>();
  } else {
    return helion_host_opaque;
  }
}

// The type of the values in memory: that of an atomic's value, and T itself for all others.
template <class T>
struct stored {
  using type = T;
};

template <class T>
struct stored<metal::atomic<T>> {
  using type = T;
};
template <>
struct stored<metal::atomic<bool>> {
  using type = uint32;  // atomic_bool has 4 bytes
};

// Parameters of kernels are pointers and references; anything else needs an attribute of its own.
template <class Parameter>
struct argument_traits {
  static_assert(
      sizeof(Parameter) == 0,
      "a parameter passed by value needs an attribute such as [[thread_position_in_grid]]; declare a value that "
      "the caller supplies as `constant T &`");
};
template <class T>
struct argument_traits<T *> {
  using element = T;
  static constexpr bool is_reference = false;
  HELION_MSL_FUNC static T *value(void *address) { return static_cast<T *>(address); }
};
template <class T>
struct argument_traits<T &> {
  using element = __remove_all_extents(T);
  static constexpr bool is_reference = !__is_array(T);
  HELION_MSL_FUNC static T &value(void *address) { return *static_cast<metal::remove_reference_t<T> *>(address); }
};

template <class Parameter>
HELION_MSL_FUNC Parameter argument_value(void *address) {
  return argument_traits<metal::remove_cv_t<Parameter>>::value(address);
}

template <class T>
constexpr helion_host_u32 size_of() {
  if constexpr (__is_void(T)) {
    return 1;
  } else {
    return sizeof(T);
  }
}

template <class T>
constexpr helion_host_u32 alignment_of() {
  if constexpr (__is_void(T)) {
    return 1;
  } else {
    return alignof(T);
  }
}

template <class Parameter>
constexpr helion_host_argument describe_argument(const char *name, helion_host_u32 index) {
  using traits = argument_traits<metal::remove_cv_t<Parameter>>;
  using element = typename traits::element;
  using value = typename stored<metal::remove_cv_t<element>>::type;
  return {
      .name = name,
      .index = index,
      .scalar = scalar_of<element_t<value>>(),
      .lanes = static_cast<helion_host_u32>(vector_size<value>),
      .element_size = size_of<element>(),
      .alignment = alignment_of<element>(),
      .is_reference = traits::is_reference,
      .is_writable = !__is_const(element),
      .is_threadgroup_memory = 0,
  };
}

}  // namespace helion_host
