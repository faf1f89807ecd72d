// What simdgroup functions do with the values of all threads of a threadgroup that runs in lockstep, for the commonest
// types: a kernel that compiled the templates of helion_host/lockstep.h would spend most of its compile on them.
#include <algorithm>
#include <array>
#include <cstdint>

#include "helion_host/abi.h"
#include "simdgroup_reductions.h"

namespace {

constexpr std::uint32_t width = helion_msl::simdgroup_width;
constexpr std::uint32_t max_threads = 1024;

// Sums of neighbours, then sums of neighbours among these, and so on: the order in which src/host_collectives.cpp adds
// up the lanes of one simdgroup, so that a float sum is the same to the last bit. All simdgroups at once, from one
// array to another, so that the compiler finds neighbours to do together.
template <class T, class Operation>
[[gnu::always_inline]] inline void reduce_full(T *results, const T *values, std::uint32_t count, Operation operation) {
  std::array<T, max_threads / 2> first;
  std::array<T, max_threads / 4> second;
  const T *from = values;
  for (std::uint32_t left = width; left > 1; left /= 2) {
    T *const to = from == first.data() ? second.data() : first.data();
    const std::uint32_t pairs = count / width * (left / 2);
    for (std::uint32_t i = 0; i < pairs; ++i) to[i] = operation(from[2 * i], from[2 * i + 1]);
    from = to;
  }
  for (std::uint32_t i = 0; i < count; ++i) results[i] = from[i / width];
}

// A last simdgroup that lacks lanes.
template <class T, class Operation>
[[gnu::always_inline]] inline void reduce_partial(T *results, const T *values, std::uint32_t count,
                                                  Operation operation) {
  std::array<T, width> left;
  std::copy_n(values, count, left.begin());
  std::fill_n(results, count, helion_msl::reduce_neighbours(left, count, operation));
}

template <class T, class Operation>
[[gnu::always_inline]] inline void reduce(void *results, const void *values, std::uint32_t count, Operation operation) {
  const std::uint32_t full = count / width * width;
  auto *const to = static_cast<T *>(results);
  const auto *const from = static_cast<const T *>(values);
  if (full != 0) reduce_full(to, from, full, operation);
  if (full != count) reduce_partial(to + full, from + full, count - full, operation);
}

#if defined(__x86_64__)
// The extension is made for every x86-64, whose vectors hold four floats; nearly every one has AVX2.
const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
#endif

}  // namespace

#if defined(__x86_64__)
#define HELION_MSL_REDUCTION(name, type, operation)                                                    \
  __attribute__((target("avx2"))) static void name##_with_avx2(void *results, const void *values,      \
                                                               std::uint32_t count) {                  \
    reduce<type>(results, values, count, [](type a, type b) { return static_cast<type>(operation); }); \
  }                                                                                                    \
  void helion_host_lockstep_##name(void *results, const void *values, helion_host_u32 count) {         \
    if (has_avx2) return name##_with_avx2(results, values, count);                                     \
    reduce<type>(results, values, count, [](type a, type b) { return static_cast<type>(operation); }); \
  }
#else
#define HELION_MSL_REDUCTION(name, type, operation)                                                    \
  void helion_host_lockstep_##name(void *results, const void *values, helion_host_u32 count) {         \
    reduce<type>(results, values, count, [](type a, type b) { return static_cast<type>(operation); }); \
  }
#endif

HELION_MSL_FOR_EACH_REDUCTION(HELION_MSL_REDUCTION)
HELION_MSL_REDUCTION(any, unsigned char, a | b)
HELION_MSL_REDUCTION(all, unsigned char, a &b)
