// MTLFunction -> pipeline state, and what the pipeline's reflection tells about the kernel.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "disk_cache.h"
#include "engine.h"
#import "metal_platform.h"
#include "retained.h"

namespace helion_msl {

// A kernel ready to launch. Everything that a launch needs is made here, once.
class MetalKernel final : public CompiledKernel {
 public:
  // Throws MetalCompileError for a kernel that takes arguments other than buffers.
  MetalKernel(Retained<id<MTLComputePipelineState>> state, MTLComputePipelineReflection *reflection,
              const std::string &name);

  id<MTLComputePipelineState> state() const { return state_.get(); }
  NSString *label() const { return label_.get(); }
  const std::shared_ptr<const std::string> &name() const { return name_; }
  // Whether this is the kernel's first launch in the command buffer that `serial` counts. To be called on the queue.
  bool is_first_in(std::uint64_t serial) const {
    return last_command_buffer_.exchange(serial, std::memory_order_relaxed) != serial;
  }

 private:
  Retained<id<MTLComputePipelineState>> state_;
  Retained<NSString *> label_;
  std::shared_ptr<const std::string> name_;
  mutable std::atomic<std::uint64_t> last_command_buffer_ = 0;
};

// Makes the pipeline of `function`, from the archive stored under `key` where there is one, and stores it there where
// there is none; an empty key stores nothing. Throws MetalCompileError with Metal's reason.
std::shared_ptr<const MetalKernel> make_kernel(id<MTLDevice> device, id<MTLFunction> function, DiskCache &archives,
                                               const std::string &key);

}  // namespace helion_msl
