// <metal_compute>: barriers, fences, and the flags they take.
#pragma once

#include "abi.h"
#include "scalar.h"

namespace metal {

enum class mem_flags : uint {
  mem_none = 0,
  mem_device = 1,
  mem_threadgroup = 2,
  mem_texture = 4,
  mem_threadgroup_imageblock = 8,
  mem_object_data = 16,
};
constexpr mem_flags operator|(mem_flags a, mem_flags b) {
  return static_cast<mem_flags>(static_cast<uint>(a) | static_cast<uint>(b));
}
constexpr mem_flags operator&(mem_flags a, mem_flags b) {
  return static_cast<mem_flags>(static_cast<uint>(a) & static_cast<uint>(b));
}
constexpr mem_flags &operator|=(mem_flags &a, mem_flags b) {
  return a = a | b;
}

// The numbers of C's memory orders.
enum memory_order : int {
  memory_order_relaxed = 0,
  memory_order_acquire = 2,
  memory_order_release = 3,
  memory_order_acq_rel = 4,
  memory_order_seq_cst = 5,
};

enum thread_scope : int {
  thread_scope_thread = 0,
  thread_scope_simdgroup = 1,
  thread_scope_threadgroup = 2,
  thread_scope_device = 3,
};
enum memory_scope : int {
  memory_scope_simdgroup = 1,
  memory_scope_threadgroup = 2,
  memory_scope_device = 3,
};

HELION_MSL_FUNC void threadgroup_barrier(mem_flags flags) {
  HELION_HOST_ONE_CALL_SITE();
  helion_host_threadgroup_barrier(static_cast<helion_host_u32>(flags));
}
template <class Scope>
HELION_MSL_FUNC void threadgroup_barrier(mem_flags flags, Scope) {
  HELION_HOST_ONE_CALL_SITE();
  helion_host_threadgroup_barrier(static_cast<helion_host_u32>(flags));
}
HELION_MSL_FUNC void simdgroup_barrier(mem_flags flags) {
  HELION_HOST_ONE_CALL_SITE();
  helion_host_simdgroup_barrier(static_cast<helion_host_u32>(flags));
}
template <class Scope>
HELION_MSL_FUNC void simdgroup_barrier(mem_flags flags, Scope) {
  HELION_HOST_ONE_CALL_SITE();
  helion_host_simdgroup_barrier(static_cast<helion_host_u32>(flags));
}

HELION_MSL_FUNC void atomic_thread_fence(mem_flags, memory_order order, thread_scope = thread_scope_device) {
  helion_host::atomic_fence(static_cast<int>(order));
}

}  // namespace metal
