// <metal_atomic>: real atomics of the CPU, on memory of every address space.
#pragma once

#include "synchronization.h"

namespace helion_host {

// What an atomic<T> is stored as: Metal's atomic_bool has 4 bytes, and floats are exchanged as bits.
template <class T>
struct atomic_storage {
  using type = T;
};
template <>
struct atomic_storage<bool> {
  using type = uint32;
};
template <>
struct atomic_storage<float> {
  using type = uint32;
};

template <class T>
HELION_MSL_FUNC typename atomic_storage<T>::type to_storage(T value) {
  if constexpr (__is_same(T, float)) {
    return bit_cast<uint32>(value);
  } else {
    return static_cast<typename atomic_storage<T>::type>(value);
  }
}
template <class T>
HELION_MSL_FUNC T from_storage(typename atomic_storage<T>::type stored) {
  if constexpr (__is_same(T, float)) {
    return bit_cast<float>(stored);
  } else {
    return static_cast<T>(stored);
  }
}

// Replaces the value by function(value, operand) and returns what it was before.
template <auto function, class A, class T>
HELION_MSL_FUNC T fetch_and_apply(A *object, T operand, int order) {
  auto before = atomic_load(&object->helion_value, 0);
  while (!atomic_compare_exchange(&object->helion_value, &before,
                                  to_storage<T>(function(from_storage<T>(before), operand)), order, 0)) {
  }
  return from_storage<T>(before);
}

template <class T>
HELION_MSL_FUNC T atomic_sum(T a, T b) {
  return a + b;
}
template <class T>
HELION_MSL_FUNC T atomic_difference(T a, T b) {
  return a - b;
}
template <class T>
HELION_MSL_FUNC T atomic_minimum(T a, T b) {
  return b < a ? b : a;
}
template <class T>
HELION_MSL_FUNC T atomic_maximum(T a, T b) {
  return a < b ? b : a;
}

template <class T>
concept atomic_integer = __is_same(T, int) || __is_same(T, unsigned int) || __is_same(T, long) ||
                         __is_same(T, unsigned long) || __is_same(T, short) || __is_same(T, unsigned short);

}  // namespace helion_host

namespace metal {

template <class T>
struct atomic {
  static_assert(helion_host::atomic_integer<T> || __is_same(T, bool) || __is_same(T, float),
                "Metal has atomic<T> for int, uint, bool, float, ulong");
  typename helion_host::atomic_storage<T>::type helion_value;

  atomic() = default;
  // Reads and writes go through the functions below; only an initial value may be given.
  constexpr atomic(T value) : helion_value(helion_host::to_storage<T>(value)) {}
};
template <class T>
using _atomic = atomic<T>;

using atomic_int = atomic<int>;
using atomic_uint = atomic<uint>;
using atomic_bool = atomic<bool>;
using atomic_float = atomic<float>;
using atomic_long = atomic<long>;
using atomic_ulong = atomic<ulong>;
static_assert(sizeof(atomic_bool) == 4);

template <class T>
HELION_MSL_FUNC T atomic_load_explicit(const volatile atomic<T> *object, memory_order order) {
  return helion_host::from_storage<T>(helion_host::atomic_load(&object->helion_value, static_cast<int>(order)));
}
template <class T>
HELION_MSL_FUNC void atomic_store_explicit(volatile atomic<T> *object, type_identity_t<T> value, memory_order order) {
  helion_host::atomic_store(&object->helion_value, helion_host::to_storage<T>(value), static_cast<int>(order));
}
template <class T>
HELION_MSL_FUNC T atomic_exchange_explicit(volatile atomic<T> *object, type_identity_t<T> value, memory_order order) {
  return helion_host::from_storage<T>(
      helion_host::atomic_exchange(&object->helion_value, helion_host::to_storage<T>(value), static_cast<int>(order)));
}
template <class T>
HELION_MSL_FUNC bool atomic_compare_exchange_weak_explicit(volatile atomic<T> *object, type_identity_t<T> *expected,
                                                           type_identity_t<T> desired, memory_order success,
                                                           memory_order failure) {
  auto stored = helion_host::to_storage<T>(*expected);
  const bool exchanged =
      helion_host::atomic_compare_exchange(&object->helion_value, &stored, helion_host::to_storage<T>(desired),
                                           static_cast<int>(success), static_cast<int>(failure));
  if (!exchanged) {
    *expected = helion_host::from_storage<T>(stored);
  }
  return exchanged;
}

#define HELION_MSL_ATOMIC_ARITHMETIC(name, integer, function)                                                  \
  template <class T>                                                                                           \
    requires(helion_host::atomic_integer<T> || __is_same(T, float))                                            \
  HELION_MSL_FUNC T name(volatile atomic<T> *object, type_identity_t<T> operand, memory_order order) {         \
    if constexpr (__is_same(T, float)) {                                                                       \
      return helion_host::fetch_and_apply<helion_host::function<T>>(object, operand, static_cast<int>(order)); \
    } else {                                                                                                   \
      return helion_host::integer(&object->helion_value, operand, static_cast<int>(order));                    \
    }                                                                                                          \
  }
HELION_MSL_ATOMIC_ARITHMETIC(atomic_fetch_add_explicit, atomic_fetch_add, atomic_sum)
HELION_MSL_ATOMIC_ARITHMETIC(atomic_fetch_sub_explicit, atomic_fetch_sub, atomic_difference)
#undef HELION_MSL_ATOMIC_ARITHMETIC

#define HELION_MSL_ATOMIC_BITWISE(name, integer)                                                       \
  template <helion_host::atomic_integer T>                                                             \
  HELION_MSL_FUNC T name(volatile atomic<T> *object, type_identity_t<T> operand, memory_order order) { \
    return helion_host::integer(&object->helion_value, operand, static_cast<int>(order));              \
  }
HELION_MSL_ATOMIC_BITWISE(atomic_fetch_and_explicit, atomic_fetch_and)
HELION_MSL_ATOMIC_BITWISE(atomic_fetch_or_explicit, atomic_fetch_or)
HELION_MSL_ATOMIC_BITWISE(atomic_fetch_xor_explicit, atomic_fetch_xor)
#undef HELION_MSL_ATOMIC_BITWISE

// The fetch forms return the old value; the forms for atomic_ulong do not.
#define HELION_MSL_ATOMIC_ORDER(fetch_name, name, function)                                                  \
  template <helion_host::atomic_integer T>                                                                   \
  HELION_MSL_FUNC T fetch_name(volatile atomic<T> *object, type_identity_t<T> operand, memory_order order) { \
    return helion_host::fetch_and_apply<helion_host::function<T>>(object, operand, static_cast<int>(order)); \
  }                                                                                                          \
  template <helion_host::atomic_integer T>                                                                   \
  HELION_MSL_FUNC void name(volatile atomic<T> *object, type_identity_t<T> operand, memory_order order) {    \
    helion_host::fetch_and_apply<helion_host::function<T>>(object, operand, static_cast<int>(order));        \
  }
HELION_MSL_ATOMIC_ORDER(atomic_fetch_min_explicit, atomic_min_explicit, atomic_minimum)
HELION_MSL_ATOMIC_ORDER(atomic_fetch_max_explicit, atomic_max_explicit, atomic_maximum)
#undef HELION_MSL_ATOMIC_ORDER

}  // namespace metal
