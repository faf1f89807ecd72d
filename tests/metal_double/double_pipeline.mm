// Pipelines of the double, what reflection tells of them, archives of them, and captures.
#include <fstream>
#include <set>
#include <sstream>

#import "double_commands.h"
#import "double_device.h"
#include "double_state.h"
#import "metal_newer.h"

using namespace metal_double;

namespace metal_double {

MTLDataType data_type_of(helion_msl::ScalarType scalar, unsigned lanes) {
  using helion_msl::ScalarType;
  static const std::map<ScalarType, MTLDataType> types = {
      {ScalarType::boolean, MTLDataTypeBool},    {ScalarType::int8, MTLDataTypeChar},
      {ScalarType::uint8, MTLDataTypeUChar},     {ScalarType::int16, MTLDataTypeShort},
      {ScalarType::uint16, MTLDataTypeUShort},   {ScalarType::int32, MTLDataTypeInt},
      {ScalarType::uint32, MTLDataTypeUInt},     {ScalarType::int64, MTLDataTypeLong},
      {ScalarType::uint64, MTLDataTypeULong},    {ScalarType::float16, MTLDataTypeHalf},
      {ScalarType::bfloat16, MTLDataTypeBFloat}, {ScalarType::float32, MTLDataTypeFloat}};
  const auto found = types.find(scalar);
  return found == types.end() ? MTLDataTypeStruct : static_cast<MTLDataType>(found->second + lanes - 1);
}

}  // namespace metal_double

@implementation DoublePipelineState
- (instancetype)initWithKernel:(HostKernel)kernel label:(NSString *)label {
  self = [super init];
  if (self != nil) {
    _kernel = new HostKernel(std::move(kernel));
    _label = [label copy];
  }
  return self;
}
- (void)dealloc {
  delete _kernel;
  [_label release];
  [super dealloc];
}
- (const HostKernel &)kernel {
  return *_kernel;
}
- (NSString *)label {
  return _label;
}
- (NSUInteger)maxTotalThreadsPerThreadgroup {
  return (*_kernel)->info().max_total_threads_per_threadgroup;
}
- (NSUInteger)threadExecutionWidth {
  return (*_kernel)->info().thread_execution_width;
}
- (NSUInteger)staticThreadgroupMemoryLength {
  return (*_kernel)->info().static_threadgroup_memory;
}
// Came with macOS 26.
- (MTLSize)requiredThreadsPerThreadgroup {
  const auto &required = (*_kernel)->info().required_threads_per_threadgroup;
  return MTLSizeMake(required[0], required[1], required[2]);
}
- (BOOL)respondsToSelector:(SEL)selector {
  if (sel_isEqual(selector, @selector(requiredThreadsPerThreadgroup)) && staged().macos_version < 26) return NO;
  return [super respondsToSelector:selector];
}
@end

// On disk: a first line that says what it is, one line for each pipeline, and their number as the last line, so that
// a file that was cut short is recognized.
static constexpr const char *archive_header = "metal double archive";

@implementation DoubleBinaryArchive
@synthesize label = _label;

- (instancetype)initWithURL:(NSURL *)url error:(NSError **)error {
  self = [super init];
  if (self == nil) return nil;
  _keys = new std::set<std::string>;
  if (url == nil) return self;
  std::ifstream file(text_of([url path]));
  std::string line;
  bool is_whole = false;
  if (std::getline(file, line) && line == archive_header) {
    while (std::getline(file, line)) {
      is_whole = line == "total " + std::to_string(_keys->size());
      if (!is_whole) _keys->insert(line);
    }
  }
  if (is_whole) return self;
  *error = make_error("MTLBinaryArchiveDomain", MTLBinaryArchiveErrorInvalidFile, "the file is no binary archive");
  [self release];
  return nil;
}
- (void)dealloc {
  delete _keys;
  [_label release];
  [super dealloc];
}
- (BOOL)addComputePipelineFunctionsWithDescriptor:(MTLComputePipelineDescriptor *)descriptor error:(NSError **)error {
  const InDouble inside;
  if (const std::string failure = take_staged(&Staged::archive_error); !failure.empty()) {
    *error = make_error("MTLBinaryArchiveDomain", MTLBinaryArchiveErrorInternalError, failure);
    return NO;
  }
  auto *function = (DoubleFunction *)descriptor.computeFunction;
  try {
    [function compile];
  } catch (const std::exception &failure) {
    *error = make_error("MTLBinaryArchiveDomain", MTLBinaryArchiveErrorCompilationFailure, failure.what());
    return NO;
  }
  if (_keys->insert([function archiveKey]).second) ++counters().pipelines_compiled;
  return YES;
}
- (BOOL)serializeToURL:(NSURL *)url error:(NSError **)error {
  const InDouble inside;
  std::string failure = take_staged(&Staged::archive_write_error);
  if (_keys->empty()) failure = "an archive without pipelines cannot be written";
  if (failure.empty()) {
    std::ofstream file(text_of([url path]));
    file << archive_header << '\n';
    for (const auto &key : *_keys) file << key << '\n';
    file << "total " << _keys->size() << '\n';
    if (file.flush()) return YES;
    failure = "cannot write the file";
  }
  *error = make_error("MTLBinaryArchiveDomain", MTLBinaryArchiveErrorInternalError, failure);
  return NO;
}
- (BOOL)holds:(const std::string &)key {
  return _keys->contains(key);
}
@end
