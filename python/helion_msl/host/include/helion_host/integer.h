// <metal_integer>.
#pragma once

#include "common.h"

namespace helion_host {

template <class T>
inline constexpr int width = sizeof(T) * 8;
template <class T>
using unsigned_t = metal::make_unsigned_t<T>;
template <class T>
inline constexpr T largest = is_signed_number<T> ? static_cast<T>(static_cast<unsigned_t<T>>(~unsigned_t<T>(0)) >> 1)
                                                 : static_cast<T>(~unsigned_t<T>(0));
template <class T>
inline constexpr T smallest = is_signed_number<T> ? static_cast<T>(~largest<T>) : T(0);

template <class T>
HELION_MSL_FUNC constexpr unsigned_t<T> absolute_difference(T x, T y) {
  using U = unsigned_t<T>;
  return static_cast<U>(x < y ? static_cast<U>(y) - static_cast<U>(x) : static_cast<U>(x) - static_cast<U>(y));
}
template <class T>
HELION_MSL_FUNC constexpr T add_saturated(T x, T y) {
  T sum{};
  return add_overflows(x, y, &sum) ? (y < T(0) ? smallest<T> : largest<T>) : sum;
}
template <class T>
HELION_MSL_FUNC constexpr T subtract_saturated(T x, T y) {
  T difference{};
  if (!subtract_overflows(x, y, &difference)) {
    return difference;
  }
  return is_signed_number<T> && y < T(0) ? largest<T> : smallest<T>;
}
// (x + y) >> 1 and (x + y + 1) >> 1, without the carry that does not fit.
template <class T>
HELION_MSL_FUNC constexpr T halved_sum(T x, T y) {
  return static_cast<T>((x & y) + ((x ^ y) >> 1));
}
template <class T>
HELION_MSL_FUNC constexpr T rounded_halved_sum(T x, T y) {
  return static_cast<T>((x | y) - ((x ^ y) >> 1));
}
template <class T>
HELION_MSL_FUNC constexpr T multiply_high_half(T x, T y) {
  if constexpr (sizeof(T) == 8) {
    return multiply_high(x, y);
  } else {
    using wide = metal::conditional_t<is_signed_number<T>, int64, uint64>;
    return static_cast<T>((static_cast<wide>(x) * static_cast<wide>(y)) >> width<T>);
  }
}
template <class T>
HELION_MSL_FUNC constexpr T multiply_high_add(T x, T y, T z) {
  using U = unsigned_t<T>;
  return static_cast<T>(static_cast<U>(static_cast<U>(multiply_high_half(x, y)) + static_cast<U>(z)));
}
// x * y + z with saturation of the exact result.
template <class T>
HELION_MSL_FUNC constexpr T multiply_add_saturated(T x, T y, T z) {
  using wide = metal::conditional_t<is_signed_number<T>, __int128, unsigned __int128>;
  const wide product = static_cast<wide>(x) * static_cast<wide>(y);
  // Products of 64-bit numbers leave room for one more 64-bit number in 128 bits, signed or not.
  const wide exact = product + static_cast<wide>(z);
  return exact > static_cast<wide>(largest<T>)    ? largest<T>
         : exact < static_cast<wide>(smallest<T>) ? smallest<T>
                                                  : static_cast<T>(exact);
}
// The lower 24 bits, sign extended for signed types; what lies above is undefined on the GPU.
template <class T>
HELION_MSL_FUNC constexpr T multiply24(T x, T y) {
  static_assert(sizeof(T) == 4, "mul24 and mad24 take 32-bit integers");
  const auto low24 = [](T v) { return static_cast<T>(static_cast<T>(static_cast<uint32>(v) << 8) >> 8); };
  return static_cast<T>(static_cast<uint32>(low24(x)) * static_cast<uint32>(low24(y)));
}
template <class T>
HELION_MSL_FUNC constexpr T multiply24_add(T x, T y, T z) {
  return static_cast<T>(static_cast<uint32>(multiply24(x, y)) + static_cast<uint32>(z));
}
template <class T>
HELION_MSL_FUNC constexpr T popcount(T x) {
  return static_cast<T>(count_ones(static_cast<unsigned_t<T>>(x)));
}
template <class T>
HELION_MSL_FUNC constexpr T clz(T x) {
  return static_cast<T>(count_leading_zeros(static_cast<unsigned_t<T>>(x)) - (64 - width<T>));
}
template <class T>
HELION_MSL_FUNC constexpr T ctz(T x) {
  return static_cast<T>(x == T(0) ? width<T> : count_trailing_zeros(static_cast<unsigned_t<T>>(x)));
}
template <class T>
HELION_MSL_FUNC constexpr T reversed(T x) {
  return static_cast<T>(reverse_bits(static_cast<uint64>(static_cast<unsigned_t<T>>(x))) >> (64 - width<T>));
}
template <class T>
HELION_MSL_FUNC constexpr T rotate(T x, T count) {
  using U = unsigned_t<T>;
  const U bits = static_cast<U>(x);
  const int left = static_cast<int>(count) & (width<T> - 1);
  return static_cast<T>(static_cast<U>((bits << left) | (bits >> ((width<T> - left) & (width<T> - 1)))));
}
// `bits` bits of x from `offset` on, sign extended for signed types; a field outside of x is undefined on the GPU and
// cut off here.
template <class T>
HELION_MSL_FUNC constexpr T extract_bits(T x, uint32 offset, uint32 bits) {
  if (bits == 0 || offset >= width<T>) {
    return T(0);
  }
  const uint32 kept = bits < width<T> - offset ? bits : width<T> - offset;
  const unsigned_t<T> upper = static_cast<unsigned_t<T>>(static_cast<unsigned_t<T>>(x) << (width<T> - offset - kept));
  return static_cast<T>(static_cast<T>(upper) >> (width<T> - kept));
}
template <class T>
HELION_MSL_FUNC constexpr T insert_bits(T base, T insert, uint32 offset, uint32 bits) {
  if (bits == 0 || offset >= width<T>) {
    return base;
  }
  using U = unsigned_t<T>;
  const uint32 kept = bits < width<T> - offset ? bits : width<T> - offset;
  const U mask = static_cast<U>(static_cast<U>(static_cast<U>(~U(0)) >> (width<T> - kept)) << offset);
  return static_cast<T>((static_cast<U>(base) & static_cast<U>(~mask)) |
                        (static_cast<U>(static_cast<U>(insert) << offset) & mask));
}

}  // namespace helion_host

namespace metal {

HELION_MSL_INTEGER_2(addsat, helion_host::add_saturated)
HELION_MSL_INTEGER_2(subsat, helion_host::subtract_saturated)
HELION_MSL_INTEGER_2(hadd, helion_host::halved_sum)
HELION_MSL_INTEGER_2(rhadd, helion_host::rounded_halved_sum)
HELION_MSL_INTEGER_2(mulhi, helion_host::multiply_high_half)
HELION_MSL_INTEGER_3(madhi, helion_host::multiply_high_add)
HELION_MSL_INTEGER_3(madsat, helion_host::multiply_add_saturated)
HELION_MSL_INTEGER_2(mul24, helion_host::multiply24)
HELION_MSL_INTEGER_3(mad24, helion_host::multiply24_add)
HELION_MSL_INTEGER_1(popcount, helion_host::popcount)
HELION_MSL_INTEGER_1(clz, helion_host::clz)
HELION_MSL_INTEGER_1(ctz, helion_host::ctz)
HELION_MSL_INTEGER_1(reverse_bits, helion_host::reversed)
HELION_MSL_INTEGER_2(rotate, helion_host::rotate)

// The unsigned type of the same width: the distance of two signed numbers may exceed theirs.
template <class A, class B, class V = helion_host::integer_call_t<A, B>>
HELION_MSL_FUNC constexpr make_unsigned_t<V> absdiff(const A &x, const B &y) {
  return helion_host::map<make_unsigned_t<V>, helion_host::absolute_difference<helion_host::element_t<V>>>(V(x), V(y));
}

template <class A, class R = helion_host::integer_call_t<A>>
HELION_MSL_FUNC constexpr R extract_bits(const A &x, uint offset, uint bits) {
  R result(x);
  if constexpr (helion_host::vector_size<R> == 1) {
    return helion_host::extract_bits(result, offset, bits);
  } else {
    for (int i = 0; i < helion_host::vector_size<R>; ++i) {
      result[i] = helion_host::extract_bits(result[i], offset, bits);
    }
    return result;
  }
}
template <class A, class B, class R = helion_host::integer_call_t<A, B>>
HELION_MSL_FUNC constexpr R insert_bits(const A &base, const B &insert, uint offset, uint bits) {
  R result(base);
  const R inserted(insert);
  if constexpr (helion_host::vector_size<R> == 1) {
    return helion_host::insert_bits(result, inserted, offset, bits);
  } else {
    for (int i = 0; i < helion_host::vector_size<R>; ++i) {
      result[i] = helion_host::insert_bits(result[i], inserted[i], offset, bits);
    }
    return result;
  }
}

}  // namespace metal
