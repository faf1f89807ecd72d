#import "framework_classes.h"

#include <cmath>
#include <cstring>

#include "double_state.h"
#import "metal_newer.h"

using namespace metal_double;

// GCC's runtime has no instance variables but those that the interface declares, and the interfaces of these classes
// are the engine's. So each is the face of a class with variables, whose objects its +allocWithZone: makes.
#define FACE_OF(CLASS, IMPLEMENTATION)                                     \
  +(id)allocWithZone : (NSZone *)zone {                                    \
    if (self == [CLASS class]) return [IMPLEMENTATION allocWithZone:zone]; \
    object_born(#CLASS);                                                   \
    return [super allocWithZone:zone];                                     \
  }                                                                        \
  -(void)dealloc {                                                         \
    object_died(#CLASS);                                                   \
    [super dealloc];                                                       \
  }

@interface DoubleCompileOptions : MTLCompileOptions {
  MTLLanguageVersion _languageVersion;
  BOOL _fastMathEnabled;
}
@end

@implementation MTLCompileOptions
@dynamic languageVersion, fastMathEnabled;
FACE_OF(MTLCompileOptions, DoubleCompileOptions)
@end

@implementation DoubleCompileOptions
@synthesize languageVersion = _languageVersion;
@synthesize fastMathEnabled = _fastMathEnabled;

- (instancetype)init {
  self = [super init];
  if (self != nil) {
    _languageVersion = MTLLanguageVersion3_1;
    _fastMathEnabled = YES;  // Metal's default
  }
  return self;
}
// Both came with macOS 15.
- (void)setMathMode:(NSInteger)mathMode {
  _fastMathEnabled = mathMode == helion_msl::newer::MTLMathModeFast;
}
- (void)setMathFloatingPointFunctions:(NSInteger)functions {
  const bool is_fast = functions == helion_msl::newer::MTLMathFloatingPointFunctionsFast;
  if (is_fast != static_cast<bool>(_fastMathEnabled)) {
    report_violation("math mode and floating-point functions disagree: one fast, the other not");
  }
}
- (BOOL)respondsToSelector:(SEL)selector {
  const bool is_of_macos_15 = sel_isEqual(selector, @selector(setMathMode:)) ||
                              sel_isEqual(selector, @selector(setMathFloatingPointFunctions:));
  if (is_of_macos_15 && staged().macos_version < 15) return NO;
  return [super respondsToSelector:selector];
}
@end

@implementation MTLArchitecture
- (NSString *)name {
  return staged().is_paravirtual ? @"paravirtual" : @"applegpu_g15d";
}
@end

// ---- Function constants
// ------------------------------------------------------------------------------------------------

@interface DoubleFunctionConstant : MTLFunctionConstant {
 @public
  NSString *_name;
  MTLDataType _type;
  NSUInteger _index;
  BOOL _required;
}
@end

@implementation MTLFunctionConstant
@dynamic name, type, index, required;
FACE_OF(MTLFunctionConstant, DoubleFunctionConstant)
@end

@implementation DoubleFunctionConstant
- (void)dealloc {
  [_name release];
  [super dealloc];
}
- (NSString *)name {
  return _name;
}
- (MTLDataType)type {
  return _type;
}
- (NSUInteger)index {
  return _index;
}
- (BOOL)required {
  return _required;
}
@end

namespace {

double value_of_half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const double mantissa = bits & 1023;
  const double magnitude = exponent == 0    ? std::ldexp(mantissa, -24)
                           : exponent == 31 ? (mantissa == 0 ? INFINITY : NAN)
                                            : std::ldexp(mantissa + 1024, exponent - 25);
  return bits >> 15 != 0 ? -magnitude : magnitude;
}

helion_msl::ConstantValue value_at(const void *address, MTLDataType type) {
  const auto read = [address](auto value) {
    std::memcpy(&value, address, sizeof value);
    return value;
  };
  switch (type) {
    case MTLDataTypeBool:
      return read(bool());
    case MTLDataTypeChar:
      return std::int64_t{read(std::int8_t())};
    case MTLDataTypeUChar:
      return std::int64_t{read(std::uint8_t())};
    case MTLDataTypeShort:
      return std::int64_t{read(std::int16_t())};
    case MTLDataTypeUShort:
      return std::int64_t{read(std::uint16_t())};
    case MTLDataTypeInt:
      return std::int64_t{read(std::int32_t())};
    case MTLDataTypeUInt:
      return std::int64_t{read(std::uint32_t())};
    case MTLDataTypeLong:
      return read(std::int64_t());
    case MTLDataTypeULong:
      return static_cast<std::int64_t>(read(std::uint64_t()));
    case MTLDataTypeFloat:
      return double{read(float())};
    case MTLDataTypeHalf:
      return value_of_half(read(std::uint16_t()));
    case MTLDataTypeBFloat: {
      const std::uint32_t bits = std::uint32_t{read(std::uint16_t())} << 16;
      float value;
      std::memcpy(&value, &bits, sizeof value);
      return double{value};
    }
    default:
      report_violation("setConstantValue: of type " + std::to_string(type) + ", which is no scalar");
      return false;
  }
}

}  // namespace

@interface DoubleFunctionConstantValues : MTLFunctionConstantValues {
 @public
  helion_msl::Constants *_values;
}
@end

@implementation MTLFunctionConstantValues
FACE_OF(MTLFunctionConstantValues, DoubleFunctionConstantValues)
- (void)setConstantValue:(const void *)value type:(MTLDataType)type atIndex:(NSUInteger)index {
  (void)value, (void)type, (void)index;
}
@end

@implementation DoubleFunctionConstantValues
- (instancetype)init {
  self = [super init];
  if (self != nil) _values = new helion_msl::Constants;
  return self;
}
- (void)dealloc {
  delete _values;
  [super dealloc];
}
- (void)setConstantValue:(const void *)value type:(MTLDataType)type atIndex:(NSUInteger)index {
  const InDouble inside;
  (*_values)[std::to_string(index)] = value_at(value, type);
}
@end

namespace metal_double {

MTLFunctionConstant *make_function_constant(const ConstantDeclaration &declaration) {
  auto *constant = (DoubleFunctionConstant *)[[[MTLFunctionConstant alloc] init] autorelease];
  constant->_name = [make_string(declaration.name) retain];
  constant->_type = declaration.type;
  constant->_index = declaration.index;
  constant->_required = declaration.is_required;
  return constant;
}

const helion_msl::Constants &values_of(MTLFunctionConstantValues *values) {
  return *((DoubleFunctionConstantValues *)values)->_values;
}

}  // namespace metal_double

// ---- Reflection
// --------------------------------------------------------------------------------------------------------

// Declared by the frameworks only as what `bindings` holds.
@interface DoubleBufferBinding : DoubleObject <MTLBufferBinding, MTLThreadgroupBinding> {
  HostKernel *_kernel;
  const helion_msl::ArgumentInfo *_argument;
  NSString *_name;
}
- (instancetype)initWithKernel:(const HostKernel &)kernel argument:(std::size_t)argument;
@end

@implementation DoubleBufferBinding
- (instancetype)initWithKernel:(const HostKernel &)kernel argument:(std::size_t)argument {
  self = [super init];
  if (self != nil) {
    _kernel = new HostKernel(kernel);
    _argument = &kernel->info().arguments[argument];
    _name = [make_string(_argument->name) retain];
  }
  return self;
}
- (void)dealloc {
  delete _kernel;
  [_name release];
  [super dealloc];
}
- (NSString *)name {
  return _name;
}
- (MTLBindingType)type {
  return _argument->is_threadgroup_memory ? MTLBindingTypeThreadgroupMemory : MTLBindingTypeBuffer;
}
- (MTLBindingAccess)access {
  return _argument->is_writable ? MTLBindingAccessReadWrite : MTLBindingAccessReadOnly;
}
- (NSUInteger)index {
  return _argument->index;
}
- (BOOL)isUsed {
  return YES;
}
- (BOOL)isArgument {
  return YES;
}
- (NSUInteger)threadgroupMemoryAlignment {
  return _argument->alignment;
}
- (NSUInteger)threadgroupMemoryDataSize {
  return _argument->element_size;
}
- (NSUInteger)bufferAlignment {
  return _argument->alignment;
}
- (NSUInteger)bufferDataSize {
  return _argument->element_size;
}
- (MTLDataType)bufferDataType {
  return data_type_of(_argument->scalar, _argument->lanes);
}
@end

@interface DoublePipelineReflection : MTLComputePipelineReflection {
 @public
  NSArray *_bindings;
}
@end

@implementation MTLComputePipelineReflection
@dynamic bindings;
FACE_OF(MTLComputePipelineReflection, DoublePipelineReflection)
@end

@implementation DoublePipelineReflection
- (void)dealloc {
  [_bindings release];
  [super dealloc];
}
- (NSArray *)bindings {
  return _bindings;
}
@end

namespace metal_double {

MTLComputePipelineReflection *make_reflection(const HostKernel &kernel) {
  auto *reflection = (DoublePipelineReflection *)[[[MTLComputePipelineReflection alloc] init] autorelease];
  NSMutableArray *bindings = [NSMutableArray array];
  for (std::size_t i = 0; i < kernel->info().arguments.size(); ++i) {
    DoubleBufferBinding *binding = [[DoubleBufferBinding alloc] initWithKernel:kernel argument:i];
    [bindings addObject:binding];
    [binding release];
  }
  reflection->_bindings = [bindings copy];
  return reflection;
}

}  // namespace metal_double

// ---- Descriptors
// -------------------------------------------------------------------------------------------------------

@interface DoublePipelineDescriptor : MTLComputePipelineDescriptor {
  NSString *_label;
  id<MTLFunction> _computeFunction;
  NSUInteger _maxTotalThreadsPerThreadgroup;
  NSArray *_binaryArchives;
}
@end

@implementation MTLComputePipelineDescriptor
@dynamic label, computeFunction, maxTotalThreadsPerThreadgroup, binaryArchives;
FACE_OF(MTLComputePipelineDescriptor, DoublePipelineDescriptor)
@end

@implementation DoublePipelineDescriptor
@synthesize label = _label;
@synthesize computeFunction = _computeFunction;
@synthesize maxTotalThreadsPerThreadgroup = _maxTotalThreadsPerThreadgroup;
@synthesize binaryArchives = _binaryArchives;
- (void)dealloc {
  [_label release];
  [_computeFunction release];
  [_binaryArchives release];
  [super dealloc];
}
@end

@interface DoubleArchiveDescriptor : MTLBinaryArchiveDescriptor {
  NSURL *_url;
}
@end

@implementation MTLBinaryArchiveDescriptor
@dynamic url;
FACE_OF(MTLBinaryArchiveDescriptor, DoubleArchiveDescriptor)
@end

@implementation DoubleArchiveDescriptor
@synthesize url = _url;
- (void)dealloc {
  [_url release];
  [super dealloc];
}
@end
