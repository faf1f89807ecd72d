// Runs one threadgroup on the calling OS thread: a fiber for each of its threads, switched where they wait for one
// another. Kernels keep threadgroup memory in thread_local variables, so a threadgroup never changes its OS thread.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>

#include "fiber.h"
#include "fiber_stacks.h"
#include "helion_host/abi.h"

namespace helion_msl {

inline constexpr std::uint32_t simd_width = HELION_HOST_SIMD_WIDTH;
inline constexpr std::uint32_t max_threads_per_threadgroup = 1024;
// Scopes (helion_host_scope_begin) that a lane can be in at once. MSL has no recursion, so this is a matter of how
// deeply the source nests ifs and loops.
inline constexpr std::uint32_t max_scope_depth = 32;

// Sets of lanes below have bit i for lane i.
struct alignas(64) Simdgroup {
  std::uint32_t lanes = 0;     // that exist: 32, or fewer in a partial last simdgroup
  std::uint32_t runnable = 0;  // may go on, and are not the one that runs
  std::uint32_t left_early = 0;
  std::uint32_t ran_to_end = 0;
  std::uint32_t at_collective = 0;
  std::uint32_t at_simdgroup_barrier = 0;
  std::uint32_t at_threadgroup_barrier = 0;
  // Of lanes that wait: where the call returns to, which identifies the place in the program.
  std::array<const void *, simd_width> sites{};
  // Of lanes at a collective.
  std::array<void *, simd_width> operands{};
  std::array<helion_host_combine, simd_width> combines{};
  // How many scopes each lane is in, and for each of them, outermost first, where in the program it begins (upper half)
  // and how many turns the lane has made in it (lower half). The smaller of two such numbers is behind the other. Where
  // a lane is in no scope it has no number: 8 KiB a simdgroup that most kernels never touch.
  std::array<std::uint32_t, simd_width> depths{};
  std::array<std::array<std::uint64_t, simd_width>, max_scope_depth> progress;

  // Lanes that a barrier waits for.
  std::uint32_t live() const { return lanes & ~(left_early | ran_to_end); }
};

// Every type of MSL may begin at such a multiple.
inline constexpr std::align_val_t threadgroup_memory_alignment{128};
struct AlignedDelete {
  void operator()(unsigned char *memory) const { ::operator delete[](memory, threadgroup_memory_alignment); }
};

// Why a threadgroup could not go on.
enum class Divergence : std::uint8_t { none, threadgroup_barrier, simdgroup_barrier };

class HostThreadgroup {
 public:
  // Not defaulted: `new HostThreadgroup()` would set all of its 300 KiB to zero first.
  HostThreadgroup() {}
  HostThreadgroup(const HostThreadgroup &) = delete;
  HostThreadgroup &operator=(const HostThreadgroup &) = delete;

  // Makes ready for threadgroups of this launch; throws LaunchError where there is no memory for stacks.
  // `cancelled` becomes true when another threadgroup of the launch has failed.
  void prepare(const helion_host_kernel &kernel, const helion_host_launch &launch, const std::atomic<bool> &cancelled);
  // Runs the threadgroup at a linear index. False when it did not come to its end, because it failed or was cancelled:
  // its threads are abandoned where they stood, and the next call starts with fresh ones.
  bool run(std::uint64_t index);
  // Why run() was false; empty where the threadgroup was cancelled.
  const std::string &failure() const { return failure_; }
  // After the last threadgroup of a launch.
  void release_memory() { stacks_.trim(); }

  // What a kernel calls, on the fiber of the thread that calls it.
  void wait_at_collective(const void *site, void *operand, helion_host_combine combine);
  std::uint32_t lane_index() const { return running_ % simd_width; }
  std::uint32_t simdgroup_lanes() const { return simdgroups_[running_ / simd_width].lanes; }
  void begin_scope(const void *site);
  void end_turn();
  void end_scope();
  void wait_at_threadgroup_barrier(const void *site);
  void wait_at_simdgroup_barrier(const void *site);
  [[noreturn]] void fail(const char *message);

  // What the report of a divergent barrier looks at.
  const helion_host_kernel &kernel() const { return *kernel_; }
  const helion_host_launch &launch() const { return *launch_; }
  const std::array<std::uint32_t, 3> &position() const { return position_; }
  std::uint32_t thread_count() const { return thread_count_; }
  std::uint32_t simdgroup_count() const { return (thread_count_ + simd_width - 1) / simd_width; }
  const Simdgroup &simdgroup(std::uint32_t index) const { return simdgroups_[index]; }
  // The simdgroup at whose barrier the threadgroup stopped, for Divergence::simdgroup_barrier.
  std::uint32_t divergent_simdgroup() const { return divergent_simdgroup_; }

 private:
  // The computation that called run(), in fibers_ behind those of the threads.
  static constexpr std::uint32_t scheduler = max_threads_per_threadgroup;

  struct Start {
    HostThreadgroup *threadgroup;
    std::uint32_t index;
  };

  static void thread_main(void *start);
  void start_fibers(std::uint32_t count);
  void abandon_fibers();
  void switch_to(std::uint32_t next);
  std::uint32_t next_thread(Simdgroup &simdgroup);
  std::uint32_t resolve(std::uint32_t simdgroup_index);
  bool resolve_simdgroup(Simdgroup &simdgroup);
  void complete_collective(Simdgroup &simdgroup);
  bool release_threadgroup_barrier();

  std::array<Fiber, max_threads_per_threadgroup + 1> fibers_{};
  std::uint32_t running_ = scheduler;  // index in fibers_
  std::uint32_t thread_count_ = 0;
  std::uint32_t fibers_started_ = 0;
  Divergence divergence_ = Divergence::none;
  std::uint32_t divergent_simdgroup_ = 0;
  bool stopped_ = false;
  const helion_host_kernel *kernel_ = nullptr;
  const helion_host_launch *launch_ = nullptr;
  const std::atomic<bool> *cancelled_ = nullptr;
  std::array<std::uint32_t, 3> position_{};
  std::array<Simdgroup, max_threads_per_threadgroup / simd_width> simdgroups_;
  std::array<Start, max_threads_per_threadgroup> starts_;
  std::string failure_;
  std::unique_ptr<unsigned char[], AlignedDelete> threadgroup_memory_;  // of the kernel's arguments
  std::uint64_t threadgroup_memory_size_ = 0;
  FiberStacks stacks_;
};

// Runs plain-loop threadgroups [begin, end) of a kernel; returns the message of helion_host_fail, if it was called.
std::optional<std::string> run_plain_threadgroups(const helion_host_kernel &kernel, const helion_host_launch &launch,
                                                  std::uint64_t begin, std::uint64_t end);

// The position of a threadgroup in its grid.
std::array<std::uint32_t, 3> threadgroup_position(const helion_host_launch &launch, std::uint64_t index);

}  // namespace helion_msl
