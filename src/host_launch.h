// One launch on the CPU: what a kernel is to the host engine, and how its threadgroups are spread over the cores.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "engine.h"
#include "host_library.h"

namespace helion_msl {

// What launches of a kernel have taken so far, to foresee what the next one will take. Several threads may launch and
// record at once; any of their figures will do.
class LaunchCost {
 public:
  // Whether a launch that is too small to be worth reading the clock should be timed all the same.
  bool wants_sample() const { return samples_.load(std::memory_order_relaxed) < wanted_samples; }
  void record(double nanoseconds, std::uint64_t threads);
  // Nanoseconds that one core needs, or a large number before anything is known.
  double estimate(std::uint64_t threads) const;

 private:
  static constexpr int wanted_samples = 3;
  std::atomic<int> samples_{0};
  std::atomic<float> nanoseconds_per_thread_{0};
};

class HostKernel final : public CompiledKernel {
 public:
  // Throws what HostLibrary::find_kernel and HostLibrary::describe throw.
  HostKernel(std::shared_ptr<const HostLibrary> library, const std::string &name);

  const helion_host_kernel &function() const { return function_; }
  LaunchCost &cost() const { return cost_; }

 private:
  std::shared_ptr<const HostLibrary> library_;
  const helion_host_kernel &function_;
  mutable LaunchCost cost_;
};

// Runs a launch to its end, on the calling thread and, where it takes long enough, on those of the pool. Throws
// KernelError when the kernel fails; the threadgroups that ran until then have written what they have written.
void run_launch(const HostKernel &kernel, const helion_host_launch &launch);

}  // namespace helion_msl
