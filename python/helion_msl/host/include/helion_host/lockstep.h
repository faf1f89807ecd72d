// What the scanner writes kernels with that synchronize in simple ways (src/msl_lockstep.h): all threads of a
// threadgroup take one step after the other, each step a loop over them, and their variables are in arrays.
#pragma once

#include "place.h"
#include "simd_collective.h"

namespace helion_host {

inline constexpr uint32 max_threads = 1024;

// A variable of every thread.
template <class T>
struct lane_values {
  T values[max_threads];
  HELION_MSL_FUNC T &operator[](uint32 thread_index) { return values[thread_index]; }
  HELION_MSL_FUNC const T &operator[](uint32 thread_index) const { return values[thread_index]; }
};

// The threads of one threadgroup. The functions call `step(place, thread_index)` for each of them; nothing but
// synchronization orders the threads of a threadgroup, so clang may take them side by side.
class threadgroup_lanes {
 public:
  HELION_MSL_FUNC explicit threadgroup_lanes(const place &first) : first_(first) {}

  HELION_MSL_FUNC uint32 count() const { return first_.threads.product(); }

  template <class Step>
  HELION_MSL_FUNC void each(const Step &step) const {
    each_between(0, count(), step);
  }
  // For the threads [begin, end).
  template <class Step>
  HELION_MSL_FUNC void each_between(uint32 begin, uint32 end, const Step &step) const {
    const triple origin = first_.group * first_.threads;
    for (uint32 z = 0; z < first_.threads.z; ++z) {
      for (uint32 y = 0; y < first_.threads.y; ++y) {
        const uint32 row = (z * first_.threads.y + y) * first_.threads.x;
        const uint32 first = begin > row ? begin - row : 0;
        const uint32 last = end < row + first_.threads.x ? (end > row ? end - row : 0) : first_.threads.x;
#pragma clang loop vectorize(assume_safety) interleave(disable) unroll(disable)
        for (uint32 x = first; x < last; ++x) {
          place at = first_;
          at.local = {x, y, z};
          at.global = origin + at.local;
          at.index = row + x;
          step(at, row + x);
        }
      }
    }
  }
  template <class Step>
  HELION_MSL_FUNC auto values(const Step &step) const {
    lane_values<decltype(step(first_, 0u))> results;
    each([&](const place &at, uint32 index) __attribute__((always_inline)) { results[index] = step(at, index); });
    return results;
  }
  // The turns of a loop, from 0 on, until `step(place, thread_index, turn)` returns false. Where `may_go_together` is
  // true for all threads, they take each turn together; a thread that has come to its end gets false ever after.
  template <class Condition, class Step>
  HELION_MSL_FUNC void turns(const Condition &may_go_together, const Step &step) const {
    uint32 alone = 0;
    each([&](const place &at, uint32 index)
             __attribute__((always_inline)) { alone |= may_go_together(at, index) ? 0u : 1u; });
    const uint32 together = alone != 0 ? 1 : count();
    for (uint32 first = 0; first < count(); first += together) {
      uint32 found = 1;
      for (uint64 turn = 0; found != 0; ++turn) {
        found = 0;
        each_between(first, first + together, [&](const place &at, uint32 index) __attribute__((always_inline)) {
          found |= step(at, index, turn) ? 1u : 0u;
        });
      }
    }
  }

 private:
  place first_;
};

// A threadgroup variable begins as whatever its memory holds, which is not the compiler's to choose.
template <class T>
HELION_MSL_FUNC void share(T &variable) {
  hide_contents(&variable);
}

// Whether a loop variable of type T that starts at `first`, and goes up by `step` as long as it is below `bound`, gets
// there without wrapping around, however many turns the other threads make.
template <class T, class Bound, class Step>
HELION_MSL_FUNC bool goes_up(T first, Bound bound, Step step) {
  constexpr int64 most = static_cast<int64>(~0ul >> (66 - 8 * sizeof(T)));
  const auto begin = static_cast<int64>(first), end = static_cast<int64>(bound), distance = static_cast<int64>(step);
  return begin >= 0 && begin <= most && end >= 0 && distance > 0 && distance <= most && end <= most - distance;
}
// Its value in turn `turn`.
template <class T, class Step>
HELION_MSL_FUNC T in_turn(T first, Step step, uint64 turn) {
  return static_cast<T>(static_cast<uint64>(first) + static_cast<uint64>(step) * turn);
}

// ---- Simdgroup operations -------------------------------------------------------------------------------------------

// Runs what waiting lanes run together (simd_collective.h) for each simdgroup.
template <auto function, class Operand>
HELION_MSL_FUNC void collective_in_lockstep(const threadgroup_lanes &threads, lane_values<Operand> &operands) {
  const uint32 count = threads.count();
  for (uint32 first = 0; first < count; first += simd_width) {
    void *addresses[simd_width] = {};
    const uint32 present = count - first < simd_width ? count - first : simd_width;
    for (uint32 lane = 0; lane < present; ++lane) addresses[lane] = &operands[first + lane];
    function(lanes<Operand>{addresses, present == simd_width ? ~0u : (1u << present) - 1});
  }
}

// A last simdgroup that lacks lanes.
template <auto operation, class T>
HELION_MSL_NOINLINE void reduce_partial_simdgroup(T *results, const T *values, uint32 count) {
  void *addresses[simd_width] = {};
  for (uint32 lane = 0; lane < count; ++lane) {
    results[lane] = values[lane];
    addresses[lane] = &results[lane];
  }
  reduce_lanes<simd_width, operation>(lanes<T>{addresses, (1u << count) - 1});
}

// The sums of neighbours, then the sums of neighbours among these, and so on: the order of reduce_lanes, so that a
// float sum is the same to the last bit. What the first lane of each simdgroup gets is right; the others compute along,
// which needs no shuffles.
template <auto operation, class T>
HELION_MSL_NOINLINE HELION_HOST_PLAIN_LOOP void reduce_full_simdgroups(T *results, const T *values, uint32 count) {
  // From one to the other and back: clang takes a maximum in place for a masked store.
  T sums[2][max_threads + simd_width / 2];
  for (uint32 i = 0; i < simd_width / 2; ++i) sums[0][count + i] = sums[1][count + i] = values[0];
  for (uint32 i = 0; i < count; ++i) sums[0][i] = values[i];
  uint32 current = 0;
  for (uint32 width = 1; width < simd_width; width *= 2) {
    const T *const from = sums[current];
    T *const to = sums[current ^= 1];
#pragma clang loop vectorize(assume_safety) interleave(disable)
    for (uint32 i = 0; i < count; ++i) to[i] = operation(from[i], from[i + width]);
  }
  for (uint32 first = 0; first < count; first += simd_width) {
    for (uint32 lane = 0; lane < simd_width; ++lane) results[first + lane] = sums[current][first];
  }
}
// `ready`: what the engine has ready for it; null: nothing.
template <auto operation, helion_host_reduction ready, class T>
HELION_MSL_FUNC lane_values<T> reduce_in_lockstep(const threadgroup_lanes &threads, const lane_values<T> &values) {
  lane_values<T> results;
  const uint32 count = threads.count(), full = count / simd_width * simd_width;
  if constexpr (ready != nullptr) {
    ready(&results[0], &values[0], count);
  } else {
    if (full != 0) reduce_full_simdgroups<operation>(&results[0], &values[0], full);
    if (full != count) reduce_partial_simdgroup<operation>(&results[full], &values[full], count - full);
  }
  return results;
}

using ready_in_lockstep = ready_reduction_of<helion_host_reduction>;
inline constexpr ready_in_lockstep lockstep_lane_sum{helion_host_lockstep_sum_float32, helion_host_lockstep_sum_uint32,
                                                     helion_host_lockstep_sum_uint32};
inline constexpr ready_in_lockstep lockstep_lane_product{
    helion_host_lockstep_product_float32, helion_host_lockstep_product_uint32, helion_host_lockstep_product_uint32};
inline constexpr ready_in_lockstep lockstep_lane_maximum{
    helion_host_lockstep_maximum_float32, helion_host_lockstep_maximum_int32, helion_host_lockstep_maximum_uint32};
inline constexpr ready_in_lockstep lockstep_lane_minimum{
    helion_host_lockstep_minimum_float32, helion_host_lockstep_minimum_int32, helion_host_lockstep_minimum_uint32};
inline constexpr ready_in_lockstep lockstep_lane_and{nullptr, helion_host_lockstep_and_uint32,
                                                     helion_host_lockstep_and_uint32};
inline constexpr ready_in_lockstep lockstep_lane_or{nullptr, helion_host_lockstep_or_uint32,
                                                    helion_host_lockstep_or_uint32};
inline constexpr ready_in_lockstep lockstep_lane_xor{nullptr, helion_host_lockstep_xor_uint32,
                                                     helion_host_lockstep_xor_uint32};

#define HELION_MSL_REDUCTION(name, operation)                                                           \
  template <class T>                                                                                    \
  HELION_MSL_FUNC lane_values<T> name(const threadgroup_lanes &threads, const lane_values<T> &values) { \
    return reduce_in_lockstep<operation<T>, lockstep_##operation.find<T>()>(threads, values);           \
  }
HELION_MSL_REDUCTION(lockstep_simd_sum, lane_sum)
HELION_MSL_REDUCTION(lockstep_simd_product, lane_product)
HELION_MSL_REDUCTION(lockstep_simd_and, lane_and)
HELION_MSL_REDUCTION(lockstep_simd_or, lane_or)
HELION_MSL_REDUCTION(lockstep_simd_xor, lane_xor)
HELION_MSL_REDUCTION(lockstep_simd_max, lane_maximum)
HELION_MSL_REDUCTION(lockstep_simd_min, lane_minimum)
#undef HELION_MSL_REDUCTION

template <class T>
HELION_MSL_FUNC lane_values<bool> votes_of(const threadgroup_lanes &threads, const lane_values<T> &values) {
  lane_values<bool> votes;
  for (uint32 i = 0; i < threads.count(); ++i) votes[i] = static_cast<bool>(values[i]);
  return votes;
}
template <class T>
HELION_MSL_FUNC lane_values<bool> lockstep_simd_any(const threadgroup_lanes &threads, const lane_values<T> &values) {
  const lane_values<bool> votes = votes_of(threads, values);
  lane_values<bool> results;
  helion_host_lockstep_any(&results[0], &votes[0], threads.count());
  return results;
}
template <class T>
HELION_MSL_FUNC lane_values<bool> lockstep_simd_all(const threadgroup_lanes &threads, const lane_values<T> &values) {
  const lane_values<bool> votes = votes_of(threads, values);
  lane_values<bool> results;
  helion_host_lockstep_all(&results[0], &votes[0], threads.count());
  return results;
}

template <shuffle_kind kind, class T, class Amount>
HELION_MSL_FUNC lane_values<T> shuffle_in_lockstep(const threadgroup_lanes &threads, const lane_values<T> &values,
                                                   const lane_values<Amount> &amounts) {
  lane_values<shuffle_operand<T>> operands;
  const uint32 count = threads.count();
  for (uint32 i = 0; i < count; ++i) {
    operands[i] = {values[i], values[i], static_cast<uint16>(amounts[i])};
  }
  collective_in_lockstep<relative_shuffle_lanes<simd_width, kind, T>>(threads, operands);
  lane_values<T> results;
  for (uint32 i = 0; i < count; ++i) results[i] = operands[i].result;
  return results;
}
#define HELION_MSL_SHUFFLE(name, kind)                                                                \
  template <class T, class Amount>                                                                    \
  HELION_MSL_FUNC lane_values<T> name(const threadgroup_lanes &threads, const lane_values<T> &values, \
                                      const lane_values<Amount> &amounts) {                           \
    return shuffle_in_lockstep<shuffle_kind::kind>(threads, values, amounts);                         \
  }
HELION_MSL_SHUFFLE(lockstep_simd_broadcast, index)
HELION_MSL_SHUFFLE(lockstep_simd_shuffle, index)
HELION_MSL_SHUFFLE(lockstep_simd_shuffle_up, up)
HELION_MSL_SHUFFLE(lockstep_simd_shuffle_down, down)
HELION_MSL_SHUFFLE(lockstep_simd_shuffle_xor, exclusive_or)
#undef HELION_MSL_SHUFFLE

}  // namespace helion_host
