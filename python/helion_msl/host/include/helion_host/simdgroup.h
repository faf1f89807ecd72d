// <metal_simdgroup>. Sums and products of 64-bit integers, and operations on bfloat, which some GPUs do not have, work
// here too.
#pragma once

#include "common.h"
#include "simd_collective.h"
#include "vector_operators.h"

namespace metal {

class simd_vote {
 public:
  using vote_t = ulong;

  simd_vote() = default;
  explicit constexpr simd_vote(vote_t votes) : votes_(static_cast<uint>(votes)) {}
  constexpr simd_vote(uint votes, uint voters) : votes_(votes), voters_(voters) {}

  explicit constexpr operator vote_t() const { return votes_; }
  // Whether every thread of the simdgroup, or any of them, voted true.
  constexpr bool all() const { return (votes_ & voters_) == voters_; }
  constexpr bool any() const { return votes_ != 0; }

 private:
  uint votes_ = 0;
  uint voters_ = ~0u;
};

// ---- Votes --------------------------------------------------------------------------------------------------------

HELION_MSL_FUNC simd_vote simd_ballot(bool predicate) {
  const helion_host::ballot_operand ballot = helion_host::ballot(predicate);
  return simd_vote(ballot.votes, ballot.active);
}
HELION_MSL_FUNC simd_vote simd_active_threads_mask() {
  return simd_ballot(true);
}
HELION_MSL_FUNC bool simd_all(bool predicate) {
  return simd_ballot(predicate).all();
}
HELION_MSL_FUNC bool simd_any(bool predicate) {
  return simd_ballot(predicate).any();
}
HELION_MSL_FUNC bool simd_is_first() {
  const helion_host::ballot_operand ballot = helion_host::ballot(true);
  return (ballot.active & ((1u << ballot.lane) - 1u)) == 0;
}
// Helper threads exist in fragment functions only.
HELION_MSL_FUNC bool simd_is_helper_thread() {
  return false;
}

// ---- Reductions and prefix operations -----------------------------------------------------------------------------

#define HELION_MSL_SIMD_REDUCTION(name, operation)                                  \
  template <class T>                                                                \
  HELION_MSL_FUNC T name(T data) {                                                  \
    constexpr helion_host_combine ready = helion_host::ready_##operation.find<T>(); \
    if constexpr (ready != nullptr) {                                               \
      helion_host::ready_collective(data, ready);                                   \
      return data;                                                                  \
    } else {                                                                        \
      return helion_host::reduce<32, helion_host::operation<T>>(data);              \
    }                                                                               \
  }
HELION_MSL_SIMD_REDUCTION(simd_sum, lane_sum)
HELION_MSL_SIMD_REDUCTION(simd_product, lane_product)
HELION_MSL_SIMD_REDUCTION(simd_and, lane_and)
HELION_MSL_SIMD_REDUCTION(simd_or, lane_or)
HELION_MSL_SIMD_REDUCTION(simd_xor, lane_xor)
HELION_MSL_SIMD_REDUCTION(simd_max, lane_maximum)
HELION_MSL_SIMD_REDUCTION(simd_min, lane_minimum)
#undef HELION_MSL_SIMD_REDUCTION

template <class T>
HELION_MSL_FUNC T simd_prefix_inclusive_sum(T data) {
  return helion_host::inclusive_scan<32, helion_host::lane_sum<T>>(data);
}
template <class T>
HELION_MSL_FUNC T simd_prefix_inclusive_product(T data) {
  return helion_host::inclusive_scan<32, helion_host::lane_product<T>>(data);
}
template <class T>
HELION_MSL_FUNC T simd_prefix_exclusive_sum(T data) {
  return helion_host::exclusive_scan<32, helion_host::lane_sum<T>>(data, T(0));
}
template <class T>
HELION_MSL_FUNC T simd_prefix_exclusive_product(T data) {
  return helion_host::exclusive_scan<32, helion_host::lane_product<T>>(data, T(1));
}

// ---- Broadcasts and shuffles --------------------------------------------------------------------------------------

template <class T>
HELION_MSL_FUNC T simd_broadcast(T data, ushort broadcast_lane_id) {
  return helion_host::shuffle<32, helion_host::shuffle_kind::index>(data, broadcast_lane_id);
}
template <class T>
HELION_MSL_FUNC T simd_broadcast_first(T data) {
  return helion_host::broadcast_first<32>(data);
}
template <class T>
HELION_MSL_FUNC T simd_shuffle(T data, ushort simd_lane_id) {
  return helion_host::shuffle<32, helion_host::shuffle_kind::index>(data, simd_lane_id);
}
template <class T>
HELION_MSL_FUNC T simd_shuffle_up(T data, ushort delta) {
  return helion_host::shuffle<32, helion_host::shuffle_kind::up>(data, delta);
}
template <class T>
HELION_MSL_FUNC T simd_shuffle_down(T data, ushort delta) {
  return helion_host::shuffle<32, helion_host::shuffle_kind::down>(data, delta);
}
template <class T>
HELION_MSL_FUNC T simd_shuffle_xor(T data, ushort mask) {
  return helion_host::shuffle<32, helion_host::shuffle_kind::exclusive_or>(data, mask);
}
template <class T>
HELION_MSL_FUNC T simd_shuffle_rotate_up(T data, ushort delta) {
  return helion_host::shuffle<32, helion_host::shuffle_kind::rotate_up>(data, delta);
}
template <class T>
HELION_MSL_FUNC T simd_shuffle_rotate_down(T data, ushort delta) {
  return helion_host::shuffle<32, helion_host::shuffle_kind::rotate_down>(data, delta);
}
template <class T>
HELION_MSL_FUNC T simd_shuffle_and_fill_up(T data, type_identity_t<T> filling_data, ushort delta, ushort modulo = 32) {
  return helion_host::fill_shuffle<32, true>(data, filling_data, delta, modulo);
}
template <class T>
HELION_MSL_FUNC T simd_shuffle_and_fill_down(T data, type_identity_t<T> filling_data, ushort delta,
                                             ushort modulo = 32) {
  return helion_host::fill_shuffle<32, false>(data, filling_data, delta, modulo);
}

}  // namespace metal
