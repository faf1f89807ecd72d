// <metal_quadgroup>: the functions of a simdgroup within each run of four lanes.
#pragma once

#include "simd_collective.h"

namespace metal {

class quad_vote {
 public:
  using vote_t = uint;

  quad_vote() = default;
  explicit constexpr quad_vote(vote_t votes) : votes_(votes) {}
  constexpr quad_vote(uint votes, uint voters) : votes_(votes), voters_(voters) {}

  explicit constexpr operator vote_t() const { return votes_; }
  constexpr bool all() const { return (votes_ & voters_) == voters_; }
  constexpr bool any() const { return votes_ != 0; }

 private:
  uint votes_ = 0;
  uint voters_ = 0xfu;
};

HELION_MSL_FUNC quad_vote quad_ballot(bool predicate) {
  const helion_host::ballot_operand ballot = helion_host::ballot(predicate);
  const uint quad = ballot.lane & ~3u;
  return quad_vote(ballot.votes >> quad & 0xfu, ballot.active >> quad & 0xfu);
}
HELION_MSL_FUNC quad_vote quad_active_threads_mask() {
  return quad_ballot(true);
}
HELION_MSL_FUNC bool quad_all(bool predicate) {
  return quad_ballot(predicate).all();
}
HELION_MSL_FUNC bool quad_any(bool predicate) {
  return quad_ballot(predicate).any();
}
HELION_MSL_FUNC bool quad_is_first() {
  const helion_host::ballot_operand ballot = helion_host::ballot(true);
  const uint quad = ballot.lane & ~3u;
  return (ballot.active >> quad & ((1u << (ballot.lane - quad)) - 1u)) == 0;
}
HELION_MSL_FUNC bool quad_is_helper_thread() {
  return false;
}

#define HELION_MSL_QUAD_REDUCTION(name, operation)                  \
  template <class T>                                                \
  HELION_MSL_FUNC T name(T data) {                                  \
    return helion_host::reduce<4, helion_host::operation<T>>(data); \
  }
HELION_MSL_QUAD_REDUCTION(quad_sum, lane_sum)
HELION_MSL_QUAD_REDUCTION(quad_product, lane_product)
HELION_MSL_QUAD_REDUCTION(quad_and, lane_and)
HELION_MSL_QUAD_REDUCTION(quad_or, lane_or)
HELION_MSL_QUAD_REDUCTION(quad_xor, lane_xor)
HELION_MSL_QUAD_REDUCTION(quad_max, lane_maximum)
HELION_MSL_QUAD_REDUCTION(quad_min, lane_minimum)
#undef HELION_MSL_QUAD_REDUCTION

template <class T>
HELION_MSL_FUNC T quad_prefix_inclusive_sum(T data) {
  return helion_host::inclusive_scan<4, helion_host::lane_sum<T>>(data);
}
template <class T>
HELION_MSL_FUNC T quad_prefix_inclusive_product(T data) {
  return helion_host::inclusive_scan<4, helion_host::lane_product<T>>(data);
}
template <class T>
HELION_MSL_FUNC T quad_prefix_exclusive_sum(T data) {
  return helion_host::exclusive_scan<4, helion_host::lane_sum<T>>(data, T(0));
}
template <class T>
HELION_MSL_FUNC T quad_prefix_exclusive_product(T data) {
  return helion_host::exclusive_scan<4, helion_host::lane_product<T>>(data, T(1));
}

template <class T>
HELION_MSL_FUNC T quad_broadcast(T data, ushort broadcast_lane_id) {
  return helion_host::shuffle<4, helion_host::shuffle_kind::index>(data, broadcast_lane_id);
}
template <class T>
HELION_MSL_FUNC T quad_broadcast_first(T data) {
  return helion_host::broadcast_first<4>(data);
}
template <class T>
HELION_MSL_FUNC T quad_shuffle(T data, ushort quad_lane_id) {
  return helion_host::shuffle<4, helion_host::shuffle_kind::index>(data, quad_lane_id);
}
template <class T>
HELION_MSL_FUNC T quad_shuffle_up(T data, ushort delta) {
  return helion_host::shuffle<4, helion_host::shuffle_kind::up>(data, delta);
}
template <class T>
HELION_MSL_FUNC T quad_shuffle_down(T data, ushort delta) {
  return helion_host::shuffle<4, helion_host::shuffle_kind::down>(data, delta);
}
template <class T>
HELION_MSL_FUNC T quad_shuffle_xor(T data, ushort mask) {
  return helion_host::shuffle<4, helion_host::shuffle_kind::exclusive_or>(data, mask);
}
template <class T>
HELION_MSL_FUNC T quad_shuffle_rotate_up(T data, ushort delta) {
  return helion_host::shuffle<4, helion_host::shuffle_kind::rotate_up>(data, delta);
}
template <class T>
HELION_MSL_FUNC T quad_shuffle_rotate_down(T data, ushort delta) {
  return helion_host::shuffle<4, helion_host::shuffle_kind::rotate_down>(data, delta);
}
template <class T>
HELION_MSL_FUNC T quad_shuffle_and_fill_up(T data, type_identity_t<T> filling_data, ushort delta, ushort modulo = 4) {
  return helion_host::fill_shuffle<4, true>(data, filling_data, delta, modulo);
}
template <class T>
HELION_MSL_FUNC T quad_shuffle_and_fill_down(T data, type_identity_t<T> filling_data, ushort delta, ushort modulo = 4) {
  return helion_host::fill_shuffle<4, false>(data, filling_data, delta, modulo);
}

}  // namespace metal
