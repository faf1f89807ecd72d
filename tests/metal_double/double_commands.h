// The double's command queue, command buffers and encoders, and the thread that stands for the GPU.
#pragma once

#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include <functional>
#include <memory>
#include <string>

#import "double_device.h"

@class DoubleCommandBuffer;
@class DoubleComputeCommandEncoder;

namespace metal_double {

struct CommandBufferState;
struct ArgumentTable;

// The one device, or null where the machine is to have none. Not retained.
DoubleDevice *shared_device();

// Compiles MSL for a library; null, with `failure` set, where it doesn't compile.
std::shared_ptr<const LibrarySource> compile_source(const std::string &text, helion_msl::MathMode mode,
                                                    std::string &failure);

}  // namespace metal_double

@interface DoubleCommandBuffer : DoubleObject <MTLCommandBuffer> {
  metal_double::CommandBufferState *_state;
  NSString *_label;
}
- (DoubleComputeCommandEncoder *)computeCommandEncoder;  // autoreleased
- (void)commit;
- (void)waitUntilCompleted;
// Adds work of the GPU, and keeps a resource until the buffer has run.
- (void)append:(std::function<void()>)command;
- (void)keep:(id)resource;
- (void)encoderEnded;
@end

@interface DoubleComputeCommandEncoder : DoubleObject <MTLComputeCommandEncoder> {
  DoubleCommandBuffer *_buffer;
  DoublePipelineState *_pipeline;
  metal_double::ArgumentTable *_table;
  std::int64_t _debugGroups;
  BOOL _hasEnded;
}
- (instancetype)initWithCommandBuffer:(DoubleCommandBuffer *)buffer;
- (void)endEncoding;
- (BOOL)hasEnded;
// An operation of torch's between ours.
- (void)encodeForeign:(std::function<void()>)command;
@end
