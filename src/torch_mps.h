// torch's MPS stream: the entry points of torch that the Metal engine calls, found by name in the libtorch_cpu image
// that torch has loaded. Nothing is linked, so one binary serves every torch from 2.10 on.
#pragma once

#include <string>

#import "metal_platform.h"

namespace at::mps {
class MPSStream;  // only pointers to it are passed around
}  // namespace at::mps

namespace helion_msl {

// at::mps::SyncType of torch 2.10 to 2.15.
enum class TorchSync : int { none, commit, commit_and_wait, commit_and_continue, commit_adaptive };

// What the pointers return belongs to torch. Those that take a stream must be called on the stream's queue.
struct TorchMps {
  bool (*is_available)() = nullptr;  // torch::mps::is_available()
  at::mps::MPSStream *(*current_stream)() =
      nullptr;                                     // at::mps::getCurrentMPSStream(): this thread's from torch 2.15 on
  dispatch_queue_t (*dispatch_queue)() = nullptr;  // torch::mps::get_dispatch_queue(): the queue of the current stream
  id<MTLDevice> (*device)(const at::mps::MPSStream *) = nullptr;                    // MPSStream::device() const
  id<MTLCommandBuffer> (*command_buffer)(at::mps::MPSStream *) = nullptr;           // MPSStream::commandBuffer()
  id<MTLComputeCommandEncoder> (*command_encoder)(at::mps::MPSStream *) = nullptr;  // MPSStream::commandEncoder()
  void (*synchronize)(at::mps::MPSStream *, TorchSync) = nullptr;  // MPSStream::synchronize(SyncType), may throw
  std::string image_path;                                          // where they were found
};

// Throws EngineUnavailableError where torch is not loaded, or lacks one of the entry points.
TorchMps find_torch_mps();

// Where the loaded torch has its headers, <c10/metal/...> among them. Empty where it has none.
std::string find_torch_include_directory();

}  // namespace helion_msl
