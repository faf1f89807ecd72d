// The double's command queue, command buffers and encoders, and the thread that stands for the GPU.
#pragma once

#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#import "double_device.h"

@class DoubleCommandBuffer;
@class DoubleComputeCommandEncoder;

namespace metal_double {

struct CommandBufferState;
struct ArgumentTable;
class GpuQueue;

// A command queue of the GPU's, with a thread of its own that runs what is committed to it in the order of the commits.
// Queues run at the same time. Never destroyed: buffers may come until the process ends.
GpuQueue &make_gpu_queue();
// Returns when everything committed to any queue has run.
void wait_for_gpu();

// The one device, or null where the machine is to have none. Not retained.
DoubleDevice *shared_device();

// Compiles MSL for a library; null, with `failure` set, where it doesn't compile.
std::shared_ptr<const LibrarySource> compile_source(const std::string &text, helion_msl::MathMode mode,
                                                    std::string &failure);

}  // namespace metal_double

@interface DoubleCommandBuffer : DoubleObject <MTLCommandBuffer> {
  metal_double::GpuQueue *_queue;
  metal_double::CommandBufferState *_state;
  NSString *_label;
}
- (instancetype)initWithQueue:(metal_double::GpuQueue &)queue;
- (DoubleComputeCommandEncoder *)computeCommandEncoder;  // autoreleased
- (void)commit;
- (void)waitUntilCompleted;
// Adds work of the GPU, and keeps a resource until the buffer has run.
- (void)append:(std::function<void()>)command;
- (void)keep:(id)resource;
// For captures, which show the debug groups around a dispatch.
- (void)addDispatchLabeled:(const std::string &)labels;
- (void)encoderEnded;
@end

@interface DoubleComputeCommandEncoder : DoubleObject <MTLComputeCommandEncoder> {
  DoubleCommandBuffer *_buffer;
  DoublePipelineState *_pipeline;
  metal_double::ArgumentTable *_table;
  std::vector<std::string> *_debugGroups;  // open ones, outermost first
  BOOL _hasEnded;
}
- (instancetype)initWithCommandBuffer:(DoubleCommandBuffer *)buffer;
- (void)endEncoding;
- (BOOL)hasEnded;
// An operation of torch's between ours.
- (void)encodeForeign:(std::function<void()>)command;
@end
