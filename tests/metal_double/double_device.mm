#import "double_device.h"

#include <unistd.h>

#import "double_commands.h"
#include "double_state.h"
#include "errors.h"
#import "framework_classes.h"
#import "metal_newer.h"

using namespace metal_double;

// Apple's numbers for its GPUs: "Metal Feature Set Tables", Apple9.
static constexpr NSUInteger most_threads_per_dimension = 1024;
static constexpr NSUInteger threadgroup_memory = 32768;
static constexpr NSUInteger longest_buffer = NSUInteger(8) << 30;

@implementation NSProcessInfo (HelionMSLOperatingSystemVersion)
- (NSOperatingSystemVersion)operatingSystemVersion {
  return {staged().macos_version, 0, 0};
}
@end

static MTLLanguageVersion newest_version_of(int macos_version) {
  if (macos_version >= 26) return helion_msl::newer::MTLLanguageVersion4_0;
  return macos_version == 15 ? helion_msl::newer::MTLLanguageVersion3_2 : MTLLanguageVersion3_1;
}

@implementation DoubleDevice
- (instancetype)init {
  self = [super init];
  if (self != nil) _architecture = [[MTLArchitecture alloc] init];
  return self;
}
- (void)dealloc {
  [_architecture release];
  [super dealloc];
}
- (NSString *)name {
  return staged().is_paravirtual ? @"Apple Paravirtual device" : @"Apple M3 (double)";
}
- (MTLArchitecture *)architecture {
  return _architecture;
}
- (uint64_t)registryID {
  return 1;
}
- (MTLSize)maxThreadsPerThreadgroup {
  return MTLSizeMake(most_threads_per_dimension, most_threads_per_dimension, most_threads_per_dimension);
}
- (NSUInteger)maxThreadgroupMemoryLength {
  return threadgroup_memory;
}
- (NSUInteger)maxBufferLength {
  return longest_buffer;
}
- (uint64_t)recommendedMaxWorkingSetSize {
  return longest_buffer;
}
- (BOOL)hasUnifiedMemory {
  return YES;
}
- (BOOL)supportsFamily:(MTLGPUFamily)gpuFamily {
  if (staged().is_paravirtual) return gpuFamily <= MTLGPUFamilyApple6 || gpuFamily == MTLGPUFamilyMac2;
  return gpuFamily <= MTLGPUFamilyApple9 || gpuFamily == MTLGPUFamilyMac2 || gpuFamily == MTLGPUFamilyMetal3;
}
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
  (void)options;
  const InDouble inside;
  if (!take_staged(&Staged::no_memory).empty()) return nil;
  if (length == 0 || length > longest_buffer) {
    report_violation("newBufferWithLength: of " + std::to_string(length) + " bytes");
    return nil;
  }
  return [[DoubleBuffer alloc] initWithBytes:nullptr length:length released:nullptr context:nullptr];
}

- (id<MTLLibrary>)newLibraryWithSource:(NSString *)source options:(MTLCompileOptions *)options error:(NSError **)error {
  require_autorelease_pool("newLibraryWithSource:options:error:");
  const InDouble inside;
  ++counters().libraries_compiled;
  compiler_gate().pass();
  raise_staged(&Staged::exception);
  if (const std::string failure = take_staged(&Staged::compile_error); !failure.empty()) {
    *error = make_error("MTLLibraryErrorDomain", MTLLibraryErrorCompileFailure, failure);
    return nil;
  }
  if (options.languageVersion > newest_version_of(staged().macos_version)) {
    *error = make_error("MTLLibraryErrorDomain", MTLLibraryErrorUnsupported, "invalid language version");
    return nil;
  }
  const auto mode = options.fastMathEnabled ? helion_msl::MathMode::fast : helion_msl::MathMode::safe;
  std::string failure;
  const auto compiled = compile_source(text_of(source), mode, failure);
  if (!compiled) {
    *error = make_error("MTLLibraryErrorDomain", MTLLibraryErrorCompileFailure, failure);
    return nil;
  }
  if (const std::string warning = take_staged(&Staged::compile_warning); !warning.empty()) {
    *error = make_error("MTLLibraryErrorDomain", MTLLibraryErrorCompileWarning, warning);
  }
  return [[DoubleLibrary alloc] initWithSource:compiled];
}

- (id<MTLComputePipelineState>)newComputePipelineStateWithDescriptor:(MTLComputePipelineDescriptor *)descriptor
                                                             options:(MTLPipelineOption)options
                                                          reflection:
                                                              (MTLAutoreleasedComputePipelineReflection *)reflection
                                                               error:(NSError **)error {
  require_autorelease_pool("newComputePipelineStateWithDescriptor:options:reflection:error:");
  const InDouble inside;
  if (const std::string failure = take_staged(&Staged::pipeline_error); !failure.empty()) {
    *error = make_error("AGXMetalG15X", 3, failure);
    return nil;
  }
  auto *function = (DoubleFunction *)descriptor.computeFunction;
  if (![function isKindOfClass:[DoubleFunction class]]) {
    report_violation("newComputePipelineState: the descriptor has no compute function");
    return nil;
  }
  if (descriptor.maxTotalThreadsPerThreadgroup > most_threads_per_dimension) {
    report_violation("maxTotalThreadsPerThreadgroup above the device's limit");
  }
  const std::string key = [function archiveKey];
  bool is_archived = false;
  for (id archive in descriptor.binaryArchives) is_archived = is_archived || [archive holds:key];
  if (!is_archived && (options & MTLPipelineOptionFailOnBinaryArchiveMiss) != 0) {
    *error =
        make_error("MTLBinaryArchiveDomain", MTLBinaryArchiveErrorUnexpectedElement, "no such pipeline in archive");
    return nil;
  }
  HostKernel kernel;
  try {
    kernel = [function compile];
  } catch (const std::exception &failure) {
    *error = make_error("AGXMetalG15X", 3, failure.what());
    return nil;
  }
  ++(is_archived ? counters().pipelines_from_archives : counters().pipelines_compiled);
  if (reflection != nullptr) {
    const bool is_told = take_staged(&Staged::no_reflection).empty();
    *reflection =
        is_told && (options & MTLPipelineOptionArgumentInfo) != 0 && (options & MTLPipelineOptionBufferTypeInfo) != 0
            ? make_reflection(kernel)
            : nil;
  }
  return [[DoublePipelineState alloc] initWithKernel:kernel label:descriptor.label];
}

- (id<MTLBinaryArchive>)newBinaryArchiveWithDescriptor:(MTLBinaryArchiveDescriptor *)descriptor
                                                 error:(NSError **)error {
  require_autorelease_pool("newBinaryArchiveWithDescriptor:error:");
  const InDouble inside;
  return [[DoubleBinaryArchive alloc] initWithURL:descriptor.url error:error];
}
@end

NSArray *MTLCopyAllDevices(void) {
  const InDouble inside;
  return shared_device() == nil ? [[NSArray alloc] init] : [[NSArray alloc] initWithObjects:shared_device(), nil];
}

@implementation DoubleBuffer
- (instancetype)initWithBytes:(void *)bytes
                       length:(NSUInteger)length
                     released:(void (*)(void *context))released
                      context:(void *)context {
  self = [super init];
  if (self != nil) {
    _bytes = bytes != nullptr ? bytes : calloc(length, 1);
    _length = length;
    _released = bytes != nullptr ? released : free;
    _context = bytes != nullptr ? context : _bytes;
  }
  return self;
}
- (void)dealloc {
  const InDouble inside;
  _released(_context);
  [super dealloc];
}
- (NSUInteger)length {
  return _length;
}
- (void *)bytes {
  return _bytes;
}
@end
