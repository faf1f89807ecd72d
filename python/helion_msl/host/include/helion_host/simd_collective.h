// What the simdgroup and quadgroup functions are made of: one value of each active lane goes in, one comes out.
#pragma once

#include "abi.h"
#include "common.h"
#include "vector_operators.h"

namespace helion_host {

inline constexpr uint32 simd_width = HELION_HOST_SIMD_WIDTH;

// What a program gets that reads a lane which is not there. Such values are undefined on the GPU, so they are made to
// be noticed: NaN for floats, 0xDEADBEEF cut or repeated for integers.
template <class T>
HELION_MSL_FUNC T poison() {
  if constexpr (vector_size<T> > 1) {
    return T(poison<element_t<T>>());
  } else if constexpr (__is_same(T, bool)) {
    return false;
  } else if constexpr (__is_same(T, float)) {
    return bit_cast<float>(0x7fdeadbeu);
  } else if constexpr (class_of<T> == scalar_class::floating) {
    return bit_cast<T>(static_cast<uint16>(0x7fad));
  } else if constexpr (class_of<T> == scalar_class::integer) {
    return static_cast<T>(sizeof(T) == 1 ? 0xadu : sizeof(T) == 2 ? 0xdeadu : 0xdeadbeefdeadbeefu);
  } else {
    T value;
    for (size_t i = 0; i < sizeof(T); ++i) {
      reinterpret_cast<unsigned char *>(&value)[i] = 0xad;
    }
    return value;
  }
}

// The operands of one operation, as `combine` of abi.h gets them.
template <class Operand>
struct lanes {
  void *const *operands;
  uint32 active;

  bool has(uint32 lane) const { return lane < simd_width && (active >> lane & 1u) != 0; }
  Operand &operator[](uint32 lane) const { return *static_cast<Operand *>(operands[lane]); }
};

// Runs `function(lanes<Operand>)` once for all active lanes, and returns in each of them when it has run. Inlined, so
// that every call in a program is a call site of its own.
template <auto function, class Operand>
HELION_MSL_FUNC void collective(Operand &operand) {
  HELION_HOST_ONE_CALL_SITE();
  helion_host_simd_collective(&operand, [](void *const *operands, helion_host_u32 active, helion_host_u32) {
    function(lanes<Operand>{operands, active});
  });
}

// The lane of the calling thread. Waits for nobody.
HELION_MSL_FUNC uint32 lane_index() {
  return helion_host_lane_index();
}

// The same with what the engine has ready.
template <class Operand>
HELION_MSL_FUNC void ready_collective(Operand &operand, helion_host_combine combine) {
  HELION_HOST_ONE_CALL_SITE();
  helion_host_simd_collective(&operand, combine);
}

// Returns when all active lanes have come here.
HELION_MSL_FUNC void wait_for_active_lanes() {
  uint32 nothing;
  ready_collective(nothing, helion_host_wait_only);
}

// ---- Reductions over the whole active set or over each quad -------------------------------------------------------

// Lanes in a group: 32 for simdgroup functions, 4 for quadgroup functions.
template <uint32 group>
HELION_MSL_FUNC uint32 group_mask(uint32 first) {
  return group == 32 ? ~0u : ((1u << group) - 1u) << first;
}

// Neighbours first, as the hardware does: the error of a float sum grows with the depth of the tree.
template <uint32 group, auto operation, class T>
void reduce_lanes(lanes<T> all) {
  for (uint32 first = 0; first < simd_width; first += group) {
    T values[group];
    uint32 count = 0;
    for (uint32 lane = first; lane < first + group; ++lane) {
      if (all.has(lane)) {
        values[count++] = all[lane];
      }
    }
    if (count == 0) {
      continue;
    }
    for (; count > 1; count = (count + 1) / 2) {
      for (uint32 i = 0; i + 1 < count; i += 2) {
        values[i / 2] = operation(values[i], values[i + 1]);
      }
      if (count % 2 != 0) {
        values[count / 2] = values[count - 1];
      }
    }
    for (uint32 lane = first; lane < first + group; ++lane) {
      if (all.has(lane)) {
        all[lane] = values[0];
      }
    }
  }
}
template <uint32 group, auto operation, class T>
HELION_MSL_FUNC T reduce(T value) {
  collective<reduce_lanes<group, operation, T>>(value);
  return value;
}

// What the engine has ready for a reduction over a simdgroup, by type; null: nothing.
template <class Function>
struct ready_reduction_of {
  Function of_float;
  Function of_int;
  Function of_uint;

  template <class T>
  constexpr Function find() const {
    return __is_same(T, float) ? of_float : __is_same(T, int) ? of_int : __is_same(T, uint) ? of_uint : nullptr;
  }
};
using ready_reduction = ready_reduction_of<helion_host_combine>;
inline constexpr ready_reduction ready_lane_sum{helion_host_sum_float32, helion_host_sum_uint32,
                                                helion_host_sum_uint32};
inline constexpr ready_reduction ready_lane_product{helion_host_product_float32, helion_host_product_uint32,
                                                    helion_host_product_uint32};
inline constexpr ready_reduction ready_lane_maximum{helion_host_maximum_float32, helion_host_maximum_int32,
                                                    helion_host_maximum_uint32};
inline constexpr ready_reduction ready_lane_minimum{helion_host_minimum_float32, helion_host_minimum_int32,
                                                    helion_host_minimum_uint32};
inline constexpr ready_reduction ready_lane_and{nullptr, helion_host_and_uint32, helion_host_and_uint32};
inline constexpr ready_reduction ready_lane_or{nullptr, helion_host_or_uint32, helion_host_or_uint32};
inline constexpr ready_reduction ready_lane_xor{nullptr, helion_host_xor_uint32, helion_host_xor_uint32};

template <uint32 group, auto operation, class T>
void inclusive_scan_lanes(lanes<T> all) {
  for (uint32 first = 0; first < simd_width; first += group) {
    const T *total = nullptr;
    for (uint32 lane = first; lane < first + group; ++lane) {
      if (all.has(lane)) {
        if (total != nullptr) {
          all[lane] = operation(*total, all[lane]);
        }
        total = &all[lane];
      }
    }
  }
}
template <uint32 group, auto operation, class T>
HELION_MSL_FUNC T inclusive_scan(T value) {
  collective<inclusive_scan_lanes<group, operation, T>>(value);
  return value;
}

// `total` starts as the identity in every lane.
template <class T>
struct exclusive_operand {
  T value;
  T total;
};
template <uint32 group, auto operation, class T>
void exclusive_scan_lanes(lanes<exclusive_operand<T>> all) {
  for (uint32 first = 0; first < simd_width; first += group) {
    const exclusive_operand<T> *before = nullptr;
    for (uint32 lane = first; lane < first + group; ++lane) {
      if (all.has(lane)) {
        if (before != nullptr) {
          all[lane].total = operation(before->total, before->value);
        }
        before = &all[lane];
      }
    }
  }
}
template <uint32 group, auto operation, class T>
HELION_MSL_FUNC T exclusive_scan(T value, T identity) {
  exclusive_operand<T> operand{value, identity};
  collective<exclusive_scan_lanes<group, operation, T>>(operand);
  return operand.total;
}

// ---- Shuffles -----------------------------------------------------------------------------------------------------

// Each lane says how far away, or where, the lane is that it reads.
template <class T>
struct shuffle_operand {
  T value;
  T result;
  uint32 amount;
};

// What up and down would fetch from outside of the group stays what it was ("leaves the lower delta lanes unchanged").
enum class shuffle_kind { index, up, down, exclusive_or, rotate_up, rotate_down };

template <uint32 group, shuffle_kind kind, class T>
void relative_shuffle_lanes(lanes<shuffle_operand<T>> all) {
  constexpr uint32 last = group - 1;
  for (uint32 lane = 0; lane < simd_width; ++lane) {
    if (!all.has(lane)) {
      continue;
    }
    const uint32 amount = all[lane].amount, place = lane & last, base = lane & ~last;
    uint32 source = 0;
    if constexpr (kind == shuffle_kind::index) {
      source = amount;
    } else if constexpr (kind == shuffle_kind::up) {
      source = place >= amount ? place - amount : place;
    } else if constexpr (kind == shuffle_kind::down) {
      source = place + amount <= last ? place + amount : place;
    } else if constexpr (kind == shuffle_kind::exclusive_or) {
      source = place ^ amount;
    } else if constexpr (kind == shuffle_kind::rotate_up) {
      source = (place - amount) & last;
    } else {
      source = (place + amount) & last;
    }
    all[lane].result = source <= last && all.has(base + source) ? all[base + source].value : poison<T>();
  }
}
template <class T>
inline constexpr bool has_32_bits = __is_same(T, float) || __is_same(T, int) || __is_same(T, uint);

// In the order of shuffle_kind.
inline constexpr helion_host_combine ready_shuffles[] = {
    helion_host_shuffle_index_32, helion_host_shuffle_up_32,        helion_host_shuffle_down_32,
    helion_host_shuffle_xor_32,   helion_host_shuffle_rotate_up_32, helion_host_shuffle_rotate_down_32};

template <uint32 group, shuffle_kind kind, class T>
HELION_MSL_FUNC T shuffle(T value, uint32 amount) {
  if constexpr (group == simd_width && has_32_bits<T>) {
    shuffle_operand<T> operand{value, poison<T>(), amount};
    static_assert(sizeof operand == sizeof(helion_host_shuffle));
    ready_collective(operand, ready_shuffles[static_cast<int>(kind)]);
    return operand.result;
  } else {
    shuffle_operand<T> operand{value, value, amount};
    collective<relative_shuffle_lanes<group, kind, T>>(operand);
    return operand.result;
  }
}

template <class T>
struct fill_operand {
  T value;
  T filling;
  T result;
  uint32 delta;
  uint32 modulo;
};
// Within each run of `modulo` lanes, what is shifted in comes from the other end of `filling`.
template <uint32 group, bool up, class T>
void fill_shuffle_lanes(lanes<fill_operand<T>> all) {
  for (uint32 lane = 0; lane < simd_width; ++lane) {
    if (!all.has(lane)) {
      continue;
    }
    fill_operand<T> &own = all[lane];
    const uint32 modulo = own.modulo, place = lane % modulo, base = lane - place;
    const bool inside = up ? place >= own.delta : place + own.delta < modulo;
    const uint32 source = base + (place + (up ? modulo - own.delta % modulo : own.delta)) % modulo;
    if (!all.has(source)) {
      own.result = poison<T>();
    } else {
      own.result = inside ? all[source].value : all[source].filling;
    }
  }
}
template <uint32 group, bool up, class T>
HELION_MSL_FUNC T fill_shuffle(T value, T filling, uint32 delta, uint32 modulo) {
  fill_operand<T> operand{value, filling, value, delta, modulo == 0 || modulo > group ? group : modulo};
  collective<fill_shuffle_lanes<group, up, T>>(operand);
  return operand.result;
}

template <uint32 group, class T>
void broadcast_first_lanes(lanes<T> all) {
  for (uint32 first = 0; first < simd_width; first += group) {
    const uint32 members = all.active & group_mask<group>(first);
    if (members == 0) {
      continue;
    }
    const T value = all[static_cast<uint32>(count_trailing_zeros(members))];
    for (uint32 lane = first; lane < first + group; ++lane) {
      if (all.has(lane)) {
        all[lane] = value;
      }
    }
  }
}
template <uint32 group, class T>
HELION_MSL_FUNC T broadcast_first(T value) {
  if constexpr (group == simd_width && has_32_bits<T>) {
    ready_collective(value, helion_host_broadcast_first_32);
  } else {
    collective<broadcast_first_lanes<group, T>>(value);
  }
  return value;
}

// ---- Votes --------------------------------------------------------------------------------------------------------

using ballot_operand = helion_host_ballot_operand;
HELION_MSL_FUNC ballot_operand ballot(bool vote) {
  ballot_operand operand{vote ? 1u : 0u, 0, 0};
  ready_collective(operand, helion_host_ballot);
  return operand;
}

// ---- Operations ---------------------------------------------------------------------------------------------------

// Integers wrap around, also in the lanes whose results nobody asks for (lockstep.h).
template <class T>
HELION_MSL_FUNC T lane_sum(T a, T b) {
  return map<T, wrapped_sum<element_t<T>>>(a, b);
}
template <class T>
HELION_MSL_FUNC T lane_product(T a, T b) {
  return map<T, wrapped_product<element_t<T>>>(a, b);
}
template <class T>
HELION_MSL_FUNC T lane_maximum(T a, T b) {
  return static_cast<T>(metal::max(a, b));
}
template <class T>
HELION_MSL_FUNC T lane_minimum(T a, T b) {
  return static_cast<T>(metal::min(a, b));
}
template <class T>
HELION_MSL_FUNC T lane_and(T a, T b) {
  return static_cast<T>(a & b);
}
template <class T>
HELION_MSL_FUNC T lane_or(T a, T b) {
  return static_cast<T>(a | b);
}
template <class T>
HELION_MSL_FUNC T lane_xor(T a, T b) {
  return static_cast<T>(a ^ b);
}

}  // namespace helion_host
