// What the compiler gives beyond standard C++20, in one place: another C++ compiler for another device takes these
// headers by replacing this file.
#pragma once

#include "abi.h"

// Every function of the library is inlined into its caller: kernels are small, and each textual call of a simdgroup
// operation has to be a call site of its own (see abi.h).
#define HELION_MSL_FUNC inline __attribute__((always_inline))
// For what is long, waits for nobody, and would be inlined many times.
#define HELION_MSL_NOINLINE __attribute__((noinline))

// Around plain kernels, in which `if (i < count)` becomes a mask: AVX2's masked stores take some 20 times as long as
// AVX-512's (AMD Zen), where it has them at all. src/host_compiler.cpp says why not everywhere.
#if defined(HELION_HOST_AVX512)
#define HELION_HOST_PLAIN_LOOP __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#else
#define HELION_HOST_PLAIN_LOOP
#endif

// A data member that is read and written through member functions; swizzles are built on it. Needs -fdeclspec.
#define HELION_MSL_PROPERTY(getter, putter) __declspec(property(get = getter, put = putter))

namespace helion_host {

using int8 = signed char;
using uint8 = unsigned char;
using int16 = short;
using uint16 = unsigned short;
using int32 = int;
using uint32 = unsigned int;
// LP64: `long` has 64 bits, as in Metal. Asserted in scalar.h.
using int64 = long;
using uint64 = unsigned long;
using float16 = _Float16;

template <class To, class From>
HELION_MSL_FUNC constexpr To bit_cast(const From &from) {
  static_assert(sizeof(To) == sizeof(From), "as_type<T>(x): T and x must have the same size");
  return __builtin_bit_cast(To, from);
}

// ---- Loops ----------------------------------------------------------------------------------------------------------

// Calls `turn(0)`, `turn(1)`, ... `turn(count - 1)`, which are independent of each other.
template <class Turn>
HELION_MSL_FUNC void each_turn(uint32 count, const Turn &turn) {
#pragma clang loop vectorize(assume_safety)
  for (uint32 i = 0; i < count; ++i) turn(i);
}

// The same for turns that read and write halves or bfloats and compute floats of them. By itself clang takes as many
// turns at once as an AVX-512 register holds numbers of 16 bits, and spends a third of the instructions on halving and
// joining registers.
template <class Turn>
HELION_MSL_FUNC void each_turn_on_small_floats(uint32 count, const Turn &turn) {
#if defined(HELION_HOST_AVX512)
  const uint32 whole = count & ~31u;
#pragma clang loop vectorize(assume_safety) vectorize_width(16) interleave_count(2)
  for (uint32 i = 0; i < whole; ++i) turn(i);
#pragma clang loop vectorize(assume_safety) vectorize_width(8) interleave(disable)
  for (uint32 i = whole; i < count; ++i) turn(i);
#else
  each_turn(count, turn);
#endif
}

HELION_MSL_FUNC constexpr bool is_constant_evaluated() {
  return __builtin_is_constant_evaluated();
}

HELION_MSL_FUNC void copy_bytes(void *to, const void *from, uint64 count) {
  __builtin_memcpy(to, from, count);
}

// An address on the stack of the function that this is inlined into.
HELION_MSL_FUNC uint64 stack_address() {
  return reinterpret_cast<uint64>(__builtin_frame_address(0));
}

// From here on clang knows nothing of what is at the address.
HELION_MSL_FUNC void hide_contents(void *address) {
  __asm__ volatile("" : : "r"(address) : "memory");
}

// ---- Vectors of the processor ---------------------------------------------------------------------------------------

using float8 = float __attribute__((ext_vector_type(8)));

// a * b + c, rounded once where the processor can.
HELION_MSL_FUNC float8 multiply_add(float a, float8 b, float8 c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_elementwise_fma(float8(a), b, c);
#else
  return a * b + c;
#endif
}

// ---- Bits ---------------------------------------------------------------------------------------------------------

HELION_MSL_FUNC constexpr int count_ones(uint64 x) {
  return __builtin_popcountll(x);
}
HELION_MSL_FUNC constexpr int count_leading_zeros(uint64 x) {
  return x == 0 ? 64 : __builtin_clzll(x);
}
HELION_MSL_FUNC constexpr int count_trailing_zeros(uint64 x) {
  return x == 0 ? 64 : __builtin_ctzll(x);
}
HELION_MSL_FUNC constexpr uint64 reverse_bits(uint64 x) {
  return __builtin_bitreverse64(x);
}
HELION_MSL_FUNC constexpr uint64 multiply_high(uint64 a, uint64 b) {
  return static_cast<uint64>((static_cast<unsigned __int128>(a) * b) >> 64);
}
HELION_MSL_FUNC constexpr int64 multiply_high(int64 a, int64 b) {
  return static_cast<int64>((static_cast<__int128>(a) * b) >> 64);
}
template <class T>
HELION_MSL_FUNC constexpr bool add_overflows(T a, T b, T *sum) {
  return __builtin_add_overflow(a, b, sum);
}
template <class T>
HELION_MSL_FUNC constexpr bool subtract_overflows(T a, T b, T *difference) {
  return __builtin_sub_overflow(a, b, difference);
}

// ---- Atomics ------------------------------------------------------------------------------------------------------

// `order` is a memory_order of Metal, whose numbers are C's.
template <class T>
HELION_MSL_FUNC T atomic_load(const volatile T *object, int order) {
  return __atomic_load_n(object, order);
}
template <class T>
HELION_MSL_FUNC void atomic_store(volatile T *object, T value, int order) {
  __atomic_store_n(object, value, order);
}
template <class T>
HELION_MSL_FUNC T atomic_exchange(volatile T *object, T value, int order) {
  return __atomic_exchange_n(object, value, order);
}
template <class T>
HELION_MSL_FUNC bool atomic_compare_exchange(volatile T *object, T *expected, T desired, int success, int failure) {
  return __atomic_compare_exchange_n(object, expected, desired, true, success, failure);
}
template <class T>
HELION_MSL_FUNC T atomic_fetch_add(volatile T *object, T value, int order) {
  return __atomic_fetch_add(object, value, order);
}
template <class T>
HELION_MSL_FUNC T atomic_fetch_sub(volatile T *object, T value, int order) {
  return __atomic_fetch_sub(object, value, order);
}
template <class T>
HELION_MSL_FUNC T atomic_fetch_and(volatile T *object, T value, int order) {
  return __atomic_fetch_and(object, value, order);
}
template <class T>
HELION_MSL_FUNC T atomic_fetch_or(volatile T *object, T value, int order) {
  return __atomic_fetch_or(object, value, order);
}
template <class T>
HELION_MSL_FUNC T atomic_fetch_xor(volatile T *object, T value, int order) {
  return __atomic_fetch_xor(object, value, order);
}
HELION_MSL_FUNC void atomic_fence(int order) {
  __atomic_thread_fence(order);
}

// ---- Single-precision math: names of the C library that the process has loaded ------------------------------------

#define HELION_HOST_MATH_1(name, builtin) \
  HELION_MSL_FUNC float name(float x) {   \
    return builtin(x);                    \
  }
#define HELION_HOST_MATH_2(name, builtin)        \
  HELION_MSL_FUNC float name(float x, float y) { \
    return builtin(x, y);                        \
  }

namespace libm {
HELION_HOST_MATH_1(acos, __builtin_acosf)
HELION_HOST_MATH_1(acosh, __builtin_acoshf)
HELION_HOST_MATH_1(asin, __builtin_asinf)
HELION_HOST_MATH_1(asinh, __builtin_asinhf)
HELION_HOST_MATH_1(atan, __builtin_atanf)
HELION_HOST_MATH_1(atanh, __builtin_atanhf)
HELION_HOST_MATH_1(ceil, __builtin_ceilf)
HELION_HOST_MATH_1(cos, __builtin_cosf)
HELION_HOST_MATH_1(cosh, __builtin_coshf)
HELION_HOST_MATH_1(fabs, __builtin_fabsf)
HELION_HOST_MATH_1(floor, __builtin_floorf)
HELION_HOST_MATH_1(rint, __builtin_rintf)
HELION_HOST_MATH_1(round, __builtin_roundf)
HELION_HOST_MATH_1(sin, __builtin_sinf)
HELION_HOST_MATH_1(sinh, __builtin_sinhf)
HELION_HOST_MATH_1(sqrt, __builtin_sqrtf)
HELION_HOST_MATH_1(tan, __builtin_tanf)
HELION_HOST_MATH_1(trunc, __builtin_truncf)
HELION_HOST_MATH_2(atan2, __builtin_atan2f)
HELION_HOST_MATH_2(copysign, __builtin_copysignf)
HELION_HOST_MATH_2(fmod, __builtin_fmodf)
HELION_HOST_MATH_2(nextafter, __builtin_nextafterf)
HELION_MSL_FUNC float fma(float x, float y, float z) {
  return __builtin_fmaf(x, y, z);
}
HELION_MSL_FUNC float ldexp(float x, int exponent) {
  return __builtin_ldexpf(x, exponent);
}
HELION_MSL_FUNC float frexp(float x, int *exponent) {
  return __builtin_frexpf(x, exponent);
}
HELION_MSL_FUNC int ilogb(float x) {
  return __builtin_ilogbf(x);
}
}  // namespace libm

#undef HELION_HOST_MATH_1
#undef HELION_HOST_MATH_2

}  // namespace helion_host

// What clang calls before a division of integers by zero, under -fsanitize=integer-divide-by-zero: the GPU goes on with
// an undefined number, an x86 processor raises a signal that would end the process.
extern "C" __attribute__((weak, visibility("hidden"), noreturn, cold)) void __ubsan_handle_divrem_overflow_abort(
    void *, unsigned long, unsigned long) {
  helion_host_fail("an integer was divided by zero, which is undefined in Metal");
}

// x86 without F16C converts half through two functions of the compiler's run-time library, which a process need not
// have loaded. The backend inserts the calls after inlining, so the definitions are kept even when nothing names them.
#if defined(__x86_64__) && !defined(__F16C__)
#include "half_conversion.h"
#endif
