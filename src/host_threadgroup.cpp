#include "host_threadgroup.h"

#include <algorithm>
#include <compare>
#include <csetjmp>
#include <functional>
#include <new>
#include <utility>

#include "host_divergence.h"

namespace helion_msl {

namespace {

// A direct offset from the thread pointer where the platform has it: the general way to reach a thread_local of a
// shared library is a call, on the hot path of every barrier.
#if defined(__ELF__)
#define HELION_MSL_INITIAL_EXEC __attribute__((tls_model("initial-exec")))
#else
#define HELION_MSL_INITIAL_EXEC
#endif

struct PlainLoop {
  std::jmp_buf leave;
  std::string message;
};

// What runs on this OS thread: the threadgroup of a kernel with fibers, or the loop of a plain one.
thread_local HELION_MSL_INITIAL_EXEC HostThreadgroup *current_threadgroup = nullptr;
thread_local HELION_MSL_INITIAL_EXEC PlainLoop *current_plain_loop = nullptr;

}  // namespace

std::array<std::uint32_t, 3> threadgroup_position(const helion_host_launch &launch, std::uint64_t index) {
  const std::uint64_t width = launch.threadgroups_per_grid[0];
  const std::uint64_t height = launch.threadgroups_per_grid[1];
  return {static_cast<std::uint32_t>(index % width), static_cast<std::uint32_t>(index / width % height),
          static_cast<std::uint32_t>(index / width / height)};
}

void HostThreadgroup::prepare(const helion_host_kernel &kernel, const helion_host_launch &launch,
                              const std::atomic<bool> &cancelled) {
  kernel_ = &kernel;
  launch_ = &launch;
  cancelled_ = &cancelled;
  const auto &threads = launch.threads_per_threadgroup;
  thread_count_ = threads[0] * threads[1] * threads[2];
  kernel.enter_os_thread();
  if (threadgroup_memory_size_ < launch.threadgroup_memory_size) {
    threadgroup_memory_.reset(new (threadgroup_memory_alignment) unsigned char[launch.threadgroup_memory_size]());
    threadgroup_memory_size_ = launch.threadgroup_memory_size;
  }
  stacks_.reserve(thread_count_);
  start_fibers(thread_count_);
  describe_thread_stack(fibers_[scheduler]);
}

void HostThreadgroup::start_fibers(std::uint32_t count) {
  for (; fibers_started_ < count; ++fibers_started_) {
    const std::uint32_t index = fibers_started_;
    starts_[index] = {this, index};
    start_fiber(fibers_[index], stacks_.top(index), stacks_.size(index), &thread_main, &starts_[index]);
  }
}

bool HostThreadgroup::run(std::uint64_t index) {
  position_ = threadgroup_position(*launch_, index);
  for (std::uint32_t first = 0; first < thread_count_; first += simd_width) {
    Simdgroup &simdgroup = simdgroups_[first / simd_width];
    const std::uint32_t lanes = std::min(simd_width, thread_count_ - first);
    simdgroup.lanes = lanes == simd_width ? ~0u : (1u << lanes) - 1;
    simdgroup.runnable = simdgroup.lanes;
    simdgroup.left_early = simdgroup.ran_to_end = 0;
    simdgroup.depths = {};
  }
  divergence_ = Divergence::none;
  stopped_ = false;
  failure_.clear();

  HostThreadgroup *const outer = current_threadgroup;
  current_threadgroup = this;
  simdgroups_[0].runnable &= ~1u;
  running_ = 0;
  switch_fiber(fibers_[scheduler], fibers_[0]);
  current_threadgroup = outer;

  if (stopped_) abandon_fibers();
  return !stopped_;
}

void HostThreadgroup::abandon_fibers() {
  // The report reads the state that the threads stopped in; only then is it forgotten.
  if (divergence_ != Divergence::none) failure_ = report_divergence(*this, divergence_);
  simdgroups_ = {};
  fibers_started_ = 0;
  start_fibers(thread_count_);
}

// ---- On the fibers of the threads ----------------------------------------------------------------------------------

[[gnu::always_inline]] inline void HostThreadgroup::switch_to(std::uint32_t next) {
  const std::uint32_t previous = running_;
  running_ = next;
  // Hundreds of stacks do not fit the first-level cache, and threads mostly run in their order.
  const auto soon = reinterpret_cast<std::uintptr_t>(fibers_[(next + 2) % max_threads_per_threadgroup].stack_pointer);
  __builtin_prefetch(reinterpret_cast<const void *>(soon));
  __builtin_prefetch(reinterpret_cast<const void *>(soon + 64));
  switch_fiber(fibers_[previous], fibers_[next]);
}

[[gnu::always_inline]] inline std::uint32_t HostThreadgroup::next_thread(Simdgroup &simdgroup) {
  if (simdgroup.runnable == 0) [[unlikely]]
    return resolve(running_ / simd_width);
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(simdgroup.runnable));
  simdgroup.runnable &= simdgroup.runnable - 1;
  return (running_ & ~(simd_width - 1)) | lane;
}

// The life of a fiber: one thread after the other, of the threadgroups that follow each other in run().
void HostThreadgroup::thread_main(void *start) {
  HostThreadgroup &threadgroup = *static_cast<Start *>(start)->threadgroup;
  const std::uint32_t index = static_cast<Start *>(start)->index;
#if HELION_MSL_ASAN
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
  Simdgroup &simdgroup = threadgroup.simdgroups_[index / simd_width];
  const std::uint32_t lane = 1u << index % simd_width;
  for (;;) {
    const helion_host_launch &launch = *threadgroup.launch_;
    const std::uint32_t width = launch.threads_per_threadgroup[0];
    const std::uint32_t row = index / width;
    const std::uint32_t height = launch.threads_per_threadgroup[1];
    const auto &position = threadgroup.position_;
    const helion_host_thread thread{{position[0], position[1], position[2]},
                                    {index % width, row % height, row / height},
                                    index,
                                    threadgroup.threadgroup_memory_.get()};
    const bool to_end = threadgroup.kernel_->run_thread(&launch, &thread) != 0;
    (to_end ? simdgroup.ran_to_end : simdgroup.left_early) |= lane;
    threadgroup.switch_to(threadgroup.next_thread(simdgroup));
  }
}

[[gnu::always_inline]] inline void HostThreadgroup::wait_at_collective(const void *site, void *operand,
                                                                       helion_host_combine combine) {
  Simdgroup &simdgroup = simdgroups_[running_ / simd_width];
  const std::uint32_t lane = running_ % simd_width;
  simdgroup.sites[lane] = site;
  simdgroup.operands[lane] = operand;
  simdgroup.combines[lane] = combine;
  simdgroup.at_collective |= 1u << lane;
  switch_to(next_thread(simdgroup));
}

[[gnu::always_inline]] inline void HostThreadgroup::begin_scope(const void *site) {
  Simdgroup &simdgroup = simdgroups_[running_ / simd_width];
  const std::uint32_t lane = running_ % simd_width;
  const std::uint32_t depth = simdgroup.depths[lane]++;
  if (depth == max_scope_depth) [[unlikely]]
    fail("more than 32 ifs and loops with simdgroup operations are nested in each other; move some of them out");
  // A library of kernels is much smaller than 4 GiB, so its places differ in as many bits, and their order is told by
  // their distance from any of them.
  const auto base = reinterpret_cast<std::uintptr_t>(kernel_->function);
  const auto place = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(site) - base) ^ 0x80000000u;
  simdgroup.progress[depth][lane] = std::uint64_t{place} << 32;
}

[[gnu::always_inline]] inline void HostThreadgroup::end_turn() {
  Simdgroup &simdgroup = simdgroups_[running_ / simd_width];
  const std::uint32_t lane = running_ % simd_width;
  ++simdgroup.progress[simdgroup.depths[lane] - 1][lane];
}

[[gnu::always_inline]] inline void HostThreadgroup::end_scope() {
  --simdgroups_[running_ / simd_width].depths[running_ % simd_width];
}

[[gnu::always_inline]] inline void HostThreadgroup::wait_at_threadgroup_barrier(const void *site) {
  Simdgroup &simdgroup = simdgroups_[running_ / simd_width];
  const std::uint32_t lane = running_ % simd_width;
  simdgroup.sites[lane] = site;
  simdgroup.at_threadgroup_barrier |= 1u << lane;
  switch_to(next_thread(simdgroup));
}

[[gnu::always_inline]] inline void HostThreadgroup::wait_at_simdgroup_barrier(const void *site) {
  Simdgroup &simdgroup = simdgroups_[running_ / simd_width];
  const std::uint32_t lane = running_ % simd_width;
  simdgroup.sites[lane] = site;
  simdgroup.at_simdgroup_barrier |= 1u << lane;
  switch_to(next_thread(simdgroup));
}

// Chooses who runs when no lane of a simdgroup can: a lane of the same one, as long as waiting lanes there complete
// each other, then one of the next; the barrier when all simdgroups have come to it. Returns `scheduler` when the
// threadgroup has finished or cannot go on.
[[gnu::noinline]] std::uint32_t HostThreadgroup::resolve(std::uint32_t simdgroup_index) {
  const std::uint32_t count = simdgroup_count();
  for (std::uint32_t index = simdgroup_index;;) {
    Simdgroup &simdgroup = simdgroups_[index];
    if (simdgroup.runnable == 0 && !resolve_simdgroup(simdgroup)) {
      divergent_simdgroup_ = index;
      stopped_ = true;
      return scheduler;
    }
    if (simdgroup.runnable != 0) {
      const auto lane = static_cast<std::uint32_t>(std::countr_zero(simdgroup.runnable));
      simdgroup.runnable &= simdgroup.runnable - 1;
      return index * simd_width + lane;
    }
    if (++index == count) {
      if (!release_threadgroup_barrier()) return scheduler;
      index = 0;
    }
  }
}

// Lets waiting lanes go on if any can. False for a simdgroup barrier that not all of its lanes reach.
bool HostThreadgroup::resolve_simdgroup(Simdgroup &simdgroup) {
  if (simdgroup.at_collective != 0) {
    complete_collective(simdgroup);
    return true;
  }
  if (simdgroup.at_simdgroup_barrier == 0) return true;
  const std::uint32_t waiting = simdgroup.at_simdgroup_barrier;
  bool together = waiting == simdgroup.live() && simdgroup.ran_to_end == 0;
  const void *site = simdgroup.sites[static_cast<std::uint32_t>(std::countr_zero(waiting))];
  for (std::uint32_t lanes = waiting; lanes != 0; lanes &= lanes - 1) {
    together &= simdgroup.sites[static_cast<std::uint32_t>(std::countr_zero(lanes))] == site;
  }
  if (!together) {
    divergence_ = Divergence::simdgroup_barrier;
    return false;
  }
  simdgroup.at_simdgroup_barrier = 0;
  simdgroup.runnable = waiting;
  return true;
}

template <class T>
[[gnu::always_inline]] inline bool all_equal(const std::array<T, simd_width> &values) {
  std::uintptr_t difference = 0;
  for (const T value : values) difference |= std::uintptr_t(value) ^ std::uintptr_t(values[0]);
  return difference == 0;
}

// Whether all 32 lanes wait at the same collective, in the same turns of all loops around it.
[[gnu::always_inline]] inline bool all_together(const Simdgroup &simdgroup) {
  if (simdgroup.at_collective != ~0u || !all_equal(simdgroup.sites) || !all_equal(simdgroup.depths)) return false;
  for (std::uint32_t level = 0; level < simdgroup.depths[0]; ++level) {
    if (!all_equal(simdgroup.progress[level])) return false;
  }
  return true;
}

// Orders two lanes at collectives by who has to go on first: a lane that is behind the other, in turns or in the
// program, catches up, and one inside of a scope that the other has left, or not entered, comes out. Of lanes in the
// same scopes (in the branches of an `if`, or in what stands in no scope) the lower address goes first. Equal lanes are
// at the same collective together.
std::strong_ordering order(const Simdgroup &simdgroup, std::uint32_t left, std::uint32_t right) {
  const std::uint32_t left_depth = simdgroup.depths[left], right_depth = simdgroup.depths[right];
  for (std::uint32_t level = 0; level < std::min(left_depth, right_depth); ++level) {
    const auto order = simdgroup.progress[level][left] <=> simdgroup.progress[level][right];
    if (order != 0) return order;
  }
  if (left_depth != right_depth) return right_depth <=> left_depth;
  return std::compare_three_way()(simdgroup.sites[left], simdgroup.sites[right]);
}

// The lanes at the collective that goes first.
std::uint32_t first_collective(const Simdgroup &simdgroup) {
  auto first = static_cast<std::uint32_t>(std::countr_zero(simdgroup.at_collective));
  std::uint32_t active = 0;
  for (std::uint32_t lanes = simdgroup.at_collective; lanes != 0; lanes &= lanes - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(lanes));
    const auto lane_order = order(simdgroup, lane, first);
    if (lane_order < 0) {
      first = lane;
      active = 0;
    }
    if (lane_order <= 0) active |= 1u << lane;
  }
  return active;
}

void HostThreadgroup::complete_collective(Simdgroup &simdgroup) {
  if (all_together(simdgroup)) [[likely]] {
    simdgroup.at_collective = 0;
    simdgroup.runnable = ~0u;
    return simdgroup.combines[0](simdgroup.operands.data(), ~0u, simd_width);
  }
  const std::uint32_t active = first_collective(simdgroup);
  simdgroup.at_collective &= ~active;
  simdgroup.runnable = active;
  std::array<void *, simd_width> operands{};
  for (std::uint32_t lanes = active; lanes != 0; lanes &= lanes - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(lanes));
    operands[lane] = simdgroup.operands[lane];
  }
  const helion_host_combine combine = simdgroup.combines[static_cast<std::uint32_t>(std::countr_zero(active))];
  combine(operands.data(), active, static_cast<helion_host_u32>(std::popcount(simdgroup.lanes)));
}

// All live threads wait at threadgroup barriers. False when there are none, or when the barrier is not the same one.
bool HostThreadgroup::release_threadgroup_barrier() {
  const std::uint32_t count = simdgroup_count();
  const void *site = nullptr;
  bool together = true;
  std::uint32_t ran_to_end = 0;
  for (std::uint32_t index = 0; index < count; ++index) {
    const Simdgroup &simdgroup = simdgroups_[index];
    ran_to_end |= simdgroup.ran_to_end;
    for (std::uint32_t lanes = simdgroup.at_threadgroup_barrier; lanes != 0; lanes &= lanes - 1) {
      const void *own = simdgroup.sites[static_cast<std::uint32_t>(std::countr_zero(lanes))];
      if (site == nullptr) site = own;
      together &= own == site;
    }
  }
  if (site == nullptr) return false;
  if (!together || ran_to_end != 0) {
    divergence_ = Divergence::threadgroup_barrier;
    stopped_ = true;
    return false;
  }
  if (cancelled_->load(std::memory_order_relaxed)) {
    stopped_ = true;
    return false;
  }
  for (std::uint32_t index = 0; index < count; ++index) {
    simdgroups_[index].runnable = std::exchange(simdgroups_[index].at_threadgroup_barrier, 0);
  }
  return true;
}

void HostThreadgroup::fail(const char *message) {
  try {
    failure_ = name_threadgroup(*kernel_, position_) + ": " + message;
  } catch (const std::bad_alloc &) {
    failure_ = "out of memory";  // short enough to be stored in place
  }
  stopped_ = true;
  switch_to(scheduler);
  __builtin_unreachable();
}

// ---- Plain loops ---------------------------------------------------------------------------------------------------

std::optional<std::string> run_plain_threadgroups(const helion_host_kernel &kernel, const helion_host_launch &launch,
                                                  std::uint64_t begin, std::uint64_t end) {
  PlainLoop loop;
  PlainLoop *const outer = current_plain_loop;
  current_plain_loop = &loop;
  // Kernel code has nothing to unwind, so leaving it by a jump loses nothing.
  if (_setjmp(loop.leave) != 0) {
    current_plain_loop = outer;
    return "kernel '" + std::string(kernel.name) + "': " + loop.message;
  }
  kernel.run_threadgroups(&launch, begin, end);
  current_plain_loop = outer;
  return std::nullopt;
}

}  // namespace helion_msl

// ---- What kernel libraries call ------------------------------------------------------------------------------------

using helion_msl::current_plain_loop;
using helion_msl::current_threadgroup;

namespace {

// The threadgroup that runs here. A kernel that was compiled as a plain loop has none, and must not wait.
inline helion_msl::HostThreadgroup &waiting_threadgroup() {
  if (current_threadgroup == nullptr) [[unlikely]]
    helion_host_fail("it waits for other threads, but was compiled as one that never does; please report this");
  return *current_threadgroup;
}

}  // namespace

void helion_host_simd_collective(void *operand, helion_host_combine combine) {
  waiting_threadgroup().wait_at_collective(__builtin_return_address(0), operand, combine);
}

helion_host_u32 helion_host_lane_index() {
  return waiting_threadgroup().lane_index();
}

helion_host_u32 helion_host_simdgroup_lanes() {
  return waiting_threadgroup().simdgroup_lanes();
}

void helion_host_scope_begin() {
  waiting_threadgroup().begin_scope(__builtin_return_address(0));
}

void helion_host_scope_turn() {
  waiting_threadgroup().end_turn();
}

void helion_host_scope_end() {
  waiting_threadgroup().end_scope();
}

void helion_host_threadgroup_barrier(helion_host_u32) {
  waiting_threadgroup().wait_at_threadgroup_barrier(__builtin_return_address(0));
}

void helion_host_simdgroup_barrier(helion_host_u32) {
  waiting_threadgroup().wait_at_simdgroup_barrier(__builtin_return_address(0));
}

void helion_host_fail(const char *message) {
  if (current_threadgroup != nullptr) current_threadgroup->fail(message);
  try {
    current_plain_loop->message = message;
  } catch (const std::bad_alloc &) {
    current_plain_loop->message = "out of memory";  // short enough to be stored in place
  }
  _longjmp(current_plain_loop->leave, 1);
}
