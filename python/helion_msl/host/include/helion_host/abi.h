// The binary interface between a kernel compiled for the CPU and the host engine that runs it.
//
// Both sides include this file: the extension when it is built, and every kernel when clang compiles it at run
// time. It uses nothing but fixed-width integers and pointers, so that neither side needs the other's library.
#pragma once

#if defined(__cplusplus)
#define HELION_HOST_EXTERN_C extern "C"
#else
#define HELION_HOST_EXTERN_C
#endif

typedef unsigned char helion_host_u8;
typedef unsigned int helion_host_u32;
typedef unsigned long long helion_host_u64;

// Changes whenever a layout below changes; a library with another number is not loaded.
#define HELION_HOST_ABI_VERSION 8u

// Lanes of a simdgroup on every Apple GPU (Metal Feature Set Tables, "SIMD-group width").
#define HELION_HOST_SIMD_WIDTH 32u

// The stacks that threads of run_thread have: this many bytes apart, those of a simdgroup in the order of its lanes
// from a multiple of all of them on. So a thread finds its lane from any address on its stack, without a call, and
// clang sees that the lane never changes.
#define HELION_HOST_STACK_SIZE 262144u

// ---- What a kernel library exports: one `helion_host_library` named "helion_host_library" ------------------------

// Element type of a buffer or of an inline constant. `helion_host_opaque` stands for structs and everything else
// whose bytes the engine passes through without a check.
enum helion_host_scalar {
  helion_host_opaque = 0,
  helion_host_bool,
  helion_host_int8,
  helion_host_uint8,
  helion_host_int16,
  helion_host_uint16,
  helion_host_int32,
  helion_host_uint32,
  helion_host_int64,
  helion_host_uint64,
  helion_host_float16,
  helion_host_bfloat16,
  helion_host_float32,
};

// One argument of a kernel that the caller supplies: a `[[buffer(n)]]`, or the size of a `[[threadgroup(n)]]`. Those
// follow the buffers.
struct helion_host_argument {
  const char *name;
  helion_host_u32 index;         // n of [[buffer(n)]]
  helion_host_u32 scalar;        // enum helion_host_scalar
  helion_host_u32 lanes;         // 1 for scalars, 2 to 4 for vectors of `scalar`
  helion_host_u32 element_size;  // sizeof of the type pointed or referred to, in bytes
  helion_host_u32 alignment;     // alignof of the same: packed vectors have that of their scalar
  helion_host_u32 is_reference;  // declared as a reference: exactly one element is read
  helion_host_u32 is_writable;   // 0 for `const` and `constant`
  helion_host_u32 is_threadgroup_memory;
};

// The grid of one launch. Counts are of threadgroups and of threads in a threadgroup, as in
// dispatchThreadgroups:threadsPerThreadgroup:.
struct helion_host_launch {
  // One address for each helion_host_argument, in that order; for threadgroup memory its offset in the block that each
  // threadgroup has of it.
  void *const *arguments;
  helion_host_u32 threadgroups_per_grid[3];
  helion_host_u32 threads_per_threadgroup[3];
  helion_host_u64 threadgroup_memory_size;  // bytes of that block
};

// The place of one thread in its launch.
struct helion_host_thread {
  helion_host_u32 threadgroup_position[3];
  helion_host_u32 thread_position[3];  // in the threadgroup
  helion_host_u32 thread_index;        // thread_position in linear order, x fastest
  unsigned char *threadgroup_memory;   // the block for arguments that are threadgroup memory
};

struct helion_host_kernel {
  const char *name;
  const struct helion_host_argument *arguments;
  helion_host_u32 argument_count;
  // [[max_total_threads_per_threadgroup]], or 0 where the kernel does not say.
  helion_host_u32 max_total_threads_per_threadgroup;
  // [[required_threads_per_threadgroup]], or zeros.
  helion_host_u32 required_threads_per_threadgroup[3];
  // Identifies the kernel's function in `threadgroup_variables`.
  const void *function;
  // Runs one thread, on a stack of its own; null for a kernel that runs in lockstep. Returns 1 when the thread ran to
  // the end of the kernel and 0 when it left by an early `return`.
  helion_host_u32 (*run_thread)(const struct helion_host_launch *, const struct helion_host_thread *);
  // Runs the threadgroups [begin, end) in linear order, x fastest, as plain loops. Null for a kernel whose threads need
  // stacks, because they may wait for each other anywhere.
  void (*run_threadgroups)(const struct helion_host_launch *, helion_host_u64 begin, helion_host_u64 end);
  // Called on an OS thread's own stack before run_thread: allocates the thread_local variables that are the kernel's
  // threadgroup memory, which must not happen in the middle of a threadgroup. Null where there is run_threadgroups.
  void (*enter_os_thread)(void);
};

// One `threadgroup` variable declared in a kernel.
struct helion_host_threadgroup_variable {
  const void *function;  // helion_host_kernel.function of the kernel that declares it
  helion_host_u64 size;  // bytes
};

struct helion_host_library {
  helion_host_u32 abi_version;
  helion_host_u32 kernel_count;
  const struct helion_host_kernel *kernels;
  const struct helion_host_threadgroup_variable *threadgroup_variables_begin;
  const struct helion_host_threadgroup_variable *threadgroup_variables_end;
};

// ---- What the engine exports to kernel libraries ------------------------------------------------------------------

// A call of one of these functions stands for one place in the program, and which lanes are active there is a
// property of that place. `convergent` keeps LLVM from copying a call into branches, `nomerge` from joining the calls
// of two branches into one (LLVM Language Reference, function attributes).
#if defined(__clang__)
#define HELION_HOST_CONVERGENT __attribute__((convergent, nomerge))
// Code generators for CPUs forget both, and would copy the block that a call stands in to the ends of the branches
// before it. They never copy inline assembly that is convergent, as all is under -fconvergent-functions, nor what
// shares its block: it stands before each call.
#define HELION_HOST_ONE_CALL_SITE() __asm__ volatile("")
#else
#define HELION_HOST_CONVERGENT
#define HELION_HOST_ONE_CALL_SITE()
#endif
#define HELION_HOST_EXPORT HELION_HOST_EXTERN_C HELION_HOST_CONVERGENT __attribute__((visibility("default")))

// Combines the operands of the active lanes in place. `operands` has 32 entries, null for lanes that are not active;
// bit i of `active` is set for lane i; `lanes` counts the lanes that the simdgroup has (32 but in a partial last one).
typedef void (*helion_host_combine)(void *const *operands, helion_host_u32 active, helion_host_u32 lanes);

// Waits until the active set of this call is known (every lane of the simdgroup that has not finished waits
// somewhere), runs `combine` once for all of the set, and returns in every one of its lanes.
HELION_HOST_EXPORT void helion_host_simd_collective(void *operand, helion_host_combine combine);

// An operand of the shuffles below: the bits of a number. `result` comes in as what a lane gets that reads one which is
// not there; `amount` says how far away, or where, the lane is that is read.
struct helion_host_shuffle {
  helion_host_u32 value;
  helion_host_u32 result;
  helion_host_u32 amount;
};
// An operand of the ballot: goes in with the vote of one lane, comes out with all votes and the lanes that voted, and
// which of them this is.
struct helion_host_ballot_operand {
  helion_host_u32 votes;
  helion_host_u32 active;
  helion_host_u32 lane;
};

// What the engine has ready to combine with, for operands of 32 bits (src/host_collectives.cpp): compiling it would
// take most of the time that a small kernel with one of them takes.
#define HELION_HOST_READY(name)                                                                                        \
  HELION_HOST_EXTERN_C __attribute__((visibility("default"))) void name(void *const *operands, helion_host_u32 active, \
                                                                        helion_host_u32 lanes)
HELION_HOST_READY(helion_host_sum_float32);
HELION_HOST_READY(helion_host_product_float32);
HELION_HOST_READY(helion_host_maximum_float32);
HELION_HOST_READY(helion_host_minimum_float32);
HELION_HOST_READY(helion_host_sum_uint32);
HELION_HOST_READY(helion_host_product_uint32);
HELION_HOST_READY(helion_host_and_uint32);
HELION_HOST_READY(helion_host_or_uint32);
HELION_HOST_READY(helion_host_xor_uint32);
HELION_HOST_READY(helion_host_maximum_uint32);
HELION_HOST_READY(helion_host_minimum_uint32);
HELION_HOST_READY(helion_host_maximum_int32);
HELION_HOST_READY(helion_host_minimum_int32);
HELION_HOST_READY(helion_host_shuffle_index_32);
HELION_HOST_READY(helion_host_shuffle_up_32);
HELION_HOST_READY(helion_host_shuffle_down_32);
HELION_HOST_READY(helion_host_shuffle_xor_32);
HELION_HOST_READY(helion_host_shuffle_rotate_up_32);
HELION_HOST_READY(helion_host_shuffle_rotate_down_32);
HELION_HOST_READY(helion_host_broadcast_first_32);
HELION_HOST_READY(helion_host_ballot);
HELION_HOST_READY(helion_host_wait_only);

// The same for the values of all `count` threads of a threadgroup in lockstep, a simdgroup after the other: each thread
// gets the result of its simdgroup. `results` and `values` are arrays of the type, and apart.
typedef void (*helion_host_reduction)(void *results, const void *values, helion_host_u32 count);
#define HELION_HOST_READY_IN_LOCKSTEP(name)                                                                \
  HELION_HOST_EXTERN_C __attribute__((visibility("default"))) void name(void *results, const void *values, \
                                                                        helion_host_u32 count)
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_sum_float32);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_product_float32);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_maximum_float32);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_minimum_float32);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_sum_uint32);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_product_uint32);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_and_uint32);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_or_uint32);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_xor_uint32);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_maximum_uint32);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_minimum_uint32);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_maximum_int32);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_minimum_int32);
// Of bytes that are 0 or 1.
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_any);
HELION_HOST_READY_IN_LOCKSTEP(helion_host_lockstep_all);

// What no wait changes for a thread.
#define HELION_HOST_EXPORT_CONSTANT HELION_HOST_EXTERN_C __attribute__((visibility("default"), const))
// The lane of the simdgroup that calls.
HELION_HOST_EXPORT_CONSTANT helion_host_u32 helion_host_lane_index(void);
// The lanes that its simdgroup has, waiting or not: bit i for lane i.
HELION_HOST_EXPORT_CONSTANT helion_host_u32 helion_host_simdgroup_lanes(void);
// An `if` or a loop that lanes may leave at different times is a scope. Nobody waits at its end, or at the end of a
// turn of a loop; but at the next operation a lane waits for those that are still inside, or in an earlier turn.
// `begin` is told apart by the address that it returns to.
HELION_HOST_EXPORT void helion_host_scope_begin(void);
HELION_HOST_EXPORT void helion_host_scope_turn(void);
HELION_HOST_EXPORT void helion_host_scope_end(void);
// Wait for all live threads of the threadgroup, or of the simdgroup. `flags` are metal::mem_flags.
HELION_HOST_EXPORT void helion_host_threadgroup_barrier(helion_host_u32 flags);
HELION_HOST_EXPORT void helion_host_simdgroup_barrier(helion_host_u32 flags);
// Ends the launch with an error that carries `message`; does not return.
HELION_HOST_EXPORT __attribute__((noreturn)) void helion_host_fail(const char *message);
