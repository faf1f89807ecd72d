// What becomes of the launches that were encoded: which kernels a command buffer holds, when the GPU has finished it,
// how it failed, how long it took.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gpu_time.h"
#import "metal_platform.h"

namespace helion_msl {

// One of torch's command buffers that holds launches of ours. Written on the queue of its stream while launches are
// encoded, and read by the completion handler, which Metal calls after the buffer has been committed.
struct CommandBufferRecord {
  using KernelName = std::shared_ptr<const std::string>;

  std::uint64_t serial = 0;  // counts records, from 1
  std::uint64_t launches = 0;
  std::array<KernelName, 16> kernels;  // distinct names, in the order of first use
  std::size_t kernel_count = 0;        // of `kernels`
  bool has_other_kernels = false;      // which found no place there
  std::shared_ptr<GpuTimeRegion> region;
  std::atomic<bool> finished = false;

  void add_kernel(const KernelName &name);  // does nothing where the name is there
  std::string describe() const;             // "12 launches of softmax, add"
};

// Follows command buffers to their end. One for the process, which is never destroyed: handlers may come late.
class CommandBufferMonitor {
 public:
  // Makes a record and has Metal report the end of `buffer` to it. To be called before the buffer is committed.
  std::shared_ptr<CommandBufferRecord> follow(id<MTLCommandBuffer> buffer, std::shared_ptr<GpuTimeRegion> region);
  static constexpr std::chrono::seconds forever = std::chrono::hours(24 * 365);

  // Returns when the handlers of all `records` have run, or Metal has dropped them, or after `patience` for each.
  void wait(const std::vector<std::shared_ptr<CommandBufferRecord>> &records, std::chrono::seconds patience);
  // What has failed since the last call; empty where nothing has, which costs one load.
  std::string take_failures();
  // Throws them as a KernelError, and remembers the message.
  void throw_failures();
  // The messages that throw_failures() has thrown since the last call.
  std::string take_thrown();

 private:
  class Handler;
  void complete(CommandBufferRecord &record, id<MTLCommandBuffer> buffer);
  void add_failure(std::string failure);
  void finish(CommandBufferRecord &record);

  std::atomic<std::uint64_t> serial_ = 0;
  std::atomic<bool> has_failures_ = false;
  std::mutex mutex_;
  std::condition_variable finished_;
  std::vector<std::string> failures_;    // guarded by mutex_
  std::uint64_t unlisted_failures_ = 0;  // guarded by mutex_
  std::string thrown_;                   // guarded by mutex_
};

}  // namespace helion_msl
