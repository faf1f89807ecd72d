// torch's MPS stream: the entry points of torch that the Metal engine calls, found by name in the libtorch_cpu image
// that torch has loaded. Nothing is linked, so one binary serves every torch from 2.10 on.
#pragma once

#include <string>

#import "metal_platform.h"

namespace at::mps {
class MPSStream;  // never dereferenced here
}  // namespace at::mps

namespace helion_msl {

// at::mps::SyncType of torch 2.10 to 2.15.
enum class TorchSync : int { none, commit, commit_and_wait, commit_and_continue, commit_adaptive };

struct TorchMps {
  // All but `current_stream`, `dispatch_queue` and `is_available` must be called on torch's queue.
  at::mps::MPSStream *(*current_stream)();                                        // at::mps::getCurrentMPSStream()
  id<MTLComputeCommandEncoder> (*command_encoder)(at::mps::MPSStream *);          // MPSStream::commandEncoder()
  id<MTLCommandBuffer> (*command_buffer)(at::mps::MPSStream *);                   // MPSStream::commandBuffer()
  void (*end_kernel_coalescing)(at::mps::MPSStream *);                            // MPSStream::endKernelCoalescing()
  void (*synchronize)(at::mps::MPSStream *, TorchSync);                           // MPSStream::synchronize(SyncType)
  id<MTLDevice> (*device)(const at::mps::MPSStream *);                            // MPSStream::device() const
  dispatch_queue_t (*dispatch_queue)();                                           // torch::mps::get_dispatch_queue()
  bool (*is_available)();                                                         // torch::mps::is_available()
  std::string image_path;                                                         // of the libtorch_cpu found
};

// Throws EngineUnavailableError where torch is not loaded, or lacks MPS or one of the entry points.
TorchMps find_torch_mps();

}  // namespace helion_msl
