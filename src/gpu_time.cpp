#include "gpu_time.h"

#include <algorithm>

#include "errors.h"

namespace helion_msl {

void GpuTimeRegion::add(double start, double end) {
  const std::lock_guard lock(mutex_);
  intervals_.push_back({start, end});
}

double GpuTimeRegion::total() const {
  const std::lock_guard lock(mutex_);
  auto intervals = intervals_;
  std::sort(intervals.begin(), intervals.end(), [](const Interval &a, const Interval &b) { return a.start < b.start; });
  double total = 0;
  double covered_until = 0;
  for (const auto &[start, end] : intervals) {
    total += std::max(0.0, end - std::max(start, covered_until));
    covered_until = std::max(covered_until, end);
  }
  return total;
}

std::shared_ptr<GpuTimeRegion> OpenGpuTimeRegion::open() {
  auto region = std::make_shared<GpuTimeRegion>();
  const std::lock_guard lock(mutex_);
  if (region_) throw LaunchError("the GPU time of another region is being measured; close that one first");
  region_ = region;
  is_open_.store(true, std::memory_order_release);
  return region;
}

std::shared_ptr<GpuTimeRegion> OpenGpuTimeRegion::current() const {
  if (!is_open_.load(std::memory_order_acquire)) return nullptr;
  const std::lock_guard lock(mutex_);
  return region_;
}

void OpenGpuTimeRegion::close(const std::shared_ptr<GpuTimeRegion> &region) {
  const std::lock_guard lock(mutex_);
  if (region_ != region) return;
  region_ = nullptr;
  is_open_.store(false, std::memory_order_release);
}

}  // namespace helion_msl
