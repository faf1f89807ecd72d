// The time that a device spends on the launches of a region of the program.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

namespace helion_msl {

// What has been measured of one region. Threads of Metal's or of the caller's add to it.
class GpuTimeRegion {
 public:
  void add(double start, double end);  // seconds, on any clock that all intervals of the region share
  double total() const;                // seconds; intervals that overlap count once

 private:
  struct Interval {
    double start, end;
  };
  mutable std::mutex mutex_;
  std::vector<Interval> intervals_;
};

// The region that is being measured. Regions of several threads would share command buffers, so there is one at a time.
class OpenGpuTimeRegion {
 public:
  // Throws LaunchError while another is open.
  std::shared_ptr<GpuTimeRegion> open();
  // Null where none is open, which costs one load.
  std::shared_ptr<GpuTimeRegion> current() const;
  // Does nothing where `region` is not the open one.
  void close(const std::shared_ptr<GpuTimeRegion> &region);

 private:
  std::atomic<bool> is_open_ = false;
  mutable std::mutex mutex_;
  std::shared_ptr<GpuTimeRegion> region_;  // guarded by mutex_
};

}  // namespace helion_msl
