// What the commonest simdgroup functions do with the values of all lanes, for numbers of 32 bits: the same as the
// templates of helion_host/simd_collective.h, which every kernel that uses one would have to compile.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "helion_host/abi.h"
#include "simdgroup_reductions.h"

namespace {

constexpr std::uint32_t width = helion_msl::simdgroup_width;

template <class Visit>
[[gnu::always_inline]] inline void for_each_lane(std::uint32_t active, Visit visit) {
  for (std::uint32_t lanes = active; lanes != 0; lanes &= lanes - 1) {
    visit(static_cast<std::uint32_t>(std::countr_zero(lanes)));
  }
}

// ---- Reductions -----------------------------------------------------------------------------------------------------

// As a tree of scalars: gathered into an array, the values would be written as scalars and read as vectors at once,
// which processors cannot forward.
template <class T, std::uint32_t begin, std::uint32_t count, class Operation>
[[gnu::always_inline]] inline T reduce_all(void *const *operands, Operation operation) {
  if constexpr (count == 1) {
    return *static_cast<const T *>(operands[begin]);
  } else {
    const T left = reduce_all<T, begin, count / 2>(operands, operation);
    return operation(left, reduce_all<T, begin + count / 2, count / 2>(operands, operation));
  }
}

template <class T, class Operation>
[[gnu::always_inline]] inline void reduce(void *const *operands, std::uint32_t active, Operation operation) {
  if (active == ~0u) {
    const T result = reduce_all<T, 0, width>(operands, operation);
    for (std::uint32_t lane = 0; lane < width; ++lane) *static_cast<T *>(operands[lane]) = result;
    return;
  }
  std::array<T, width> values;
  std::uint32_t count = 0;
  for_each_lane(active, [&](std::uint32_t lane) { values[count++] = *static_cast<const T *>(operands[lane]); });
  const T result = helion_msl::reduce_neighbours(values, count, operation);
  for_each_lane(active, [&](std::uint32_t lane) { *static_cast<T *>(operands[lane]) = result; });
}

// ---- Shuffles -------------------------------------------------------------------------------------------------------

template <class Source>
[[gnu::always_inline]] inline void shuffle(void *const *operands, std::uint32_t active, Source source_of) {
  for_each_lane(active, [&](std::uint32_t lane) {
    helion_host_shuffle &own = *static_cast<helion_host_shuffle *>(operands[lane]);
    const std::uint32_t source = source_of(lane, own.amount);
    if (source < width && (active >> source & 1u) != 0) {
      own.result = static_cast<const helion_host_shuffle *>(operands[source])->value;
    }
  });
}

}  // namespace

#define HELION_MSL_REDUCTION(name, type, operation)                                         \
  void helion_host_##name(void *const *operands, helion_host_u32 active, helion_host_u32) { \
    reduce<type>(operands, active, [](type a, type b) { return operation; });               \
  }
HELION_MSL_FOR_EACH_REDUCTION(HELION_MSL_REDUCTION)

// What up and down would fetch from outside of the simdgroup stays what it was.
#define HELION_MSL_SHUFFLE(name, source)                                                        \
  void helion_host_##name(void *const *operands, helion_host_u32 active, helion_host_u32) {     \
    shuffle(operands, active, [](std::uint32_t lane, std::uint32_t amount) { return source; }); \
  }
HELION_MSL_SHUFFLE(shuffle_index_32, (static_cast<void>(lane), amount))
HELION_MSL_SHUFFLE(shuffle_up_32, lane >= amount ? lane - amount : lane)
HELION_MSL_SHUFFLE(shuffle_down_32, lane + amount < width ? lane + amount : lane)
HELION_MSL_SHUFFLE(shuffle_xor_32, lane ^ amount)
HELION_MSL_SHUFFLE(shuffle_rotate_up_32, (lane - amount) % width)
HELION_MSL_SHUFFLE(shuffle_rotate_down_32, (lane + amount) % width)

void helion_host_broadcast_first_32(void *const *operands, helion_host_u32 active, helion_host_u32) {
  const auto value = *static_cast<const std::uint32_t *>(operands[std::countr_zero(active)]);
  for_each_lane(active, [&](std::uint32_t lane) { *static_cast<std::uint32_t *>(operands[lane]) = value; });
}

void helion_host_ballot(void *const *operands, helion_host_u32 active, helion_host_u32) {
  std::uint32_t votes = 0;
  for_each_lane(active, [&](std::uint32_t lane) {
    votes |= static_cast<std::uint32_t>(static_cast<const helion_host_ballot_operand *>(operands[lane])->votes != 0)
             << lane;
  });
  for_each_lane(active, [&](std::uint32_t lane) {
    *static_cast<helion_host_ballot_operand *>(operands[lane]) = {votes, active, lane};
  });
}

void helion_host_wait_only(void *const *, helion_host_u32, helion_host_u32) {}
