// The double of the GPU: its device, memory, libraries, functions and pipelines.
#pragma once

#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#import "double_object.h"
#include "engine.h"

namespace metal_double {

// What a pipeline runs: a kernel that the host engine compiled.
using HostKernel = std::shared_ptr<const helion_msl::CompiledKernel>;

struct LibrarySource {
  std::string text;
  helion_msl::MathMode math_mode = helion_msl::MathMode::safe;
  std::vector<std::string> kernel_names;
};

// The data types of Metal for those of the host engine; MTLDataTypeStruct for what has none.
MTLDataType data_type_of(helion_msl::ScalarType scalar, unsigned lanes);

}  // namespace metal_double

@interface DoubleDevice : DoubleObject <MTLDevice> {
  MTLArchitecture *_architecture;
}
@end

@interface DoubleBuffer : DoubleObject <MTLBuffer> {
  void *_bytes;
  NSUInteger _length;
  void (*_released)(void *context);
  void *_context;
}
// Memory of the double's own where `bytes` is null. `released` is called with `context` when the buffer goes.
- (instancetype)initWithBytes:(void *)bytes
                       length:(NSUInteger)length
                     released:(void (*)(void *context))released
                      context:(void *)context;
- (void *)bytes;
@end

@interface DoubleLibrary : DoubleObject <MTLLibrary> {
  std::shared_ptr<const metal_double::LibrarySource> *_source;
  NSString *_label;
}
- (instancetype)initWithSource:(std::shared_ptr<const metal_double::LibrarySource>)source;
@end

@interface DoubleFunction : DoubleObject <MTLFunction> {
  std::shared_ptr<const metal_double::LibrarySource> *_source;
  helion_msl::Constants *_constants;
  NSString *_name;
  NSString *_label;
}
- (instancetype)initWithSource:(std::shared_ptr<const metal_double::LibrarySource>)source
                          name:(const std::string &)name
                     constants:(const helion_msl::Constants &)constants;
// Identifies what a binary archive stores: the source, the options, the name and the constants.
- (std::string)archiveKey;
- (metal_double::HostKernel)compile;
@end

@interface DoublePipelineState : DoubleObject <MTLComputePipelineState> {
  metal_double::HostKernel *_kernel;
  NSString *_label;
}
- (instancetype)initWithKernel:(metal_double::HostKernel)kernel label:(NSString *)label;
- (const metal_double::HostKernel &)kernel;
@end

@interface DoubleBinaryArchive : DoubleObject <MTLBinaryArchive> {
  std::set<std::string> *_keys;
  NSString *_label;
}
// Null, with `error` set, where the file at `url` is no archive.
- (instancetype)initWithURL:(NSURL *)url error:(NSError **)error;
- (BOOL)holds:(const std::string &)key;
@end
