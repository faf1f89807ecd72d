// What the Metal engine uses of macOS versions later than the SDK it must build with (macOS 14), and of frameworks that
// it doesn't link. Each message is sent only to an object that answers to it, so one binary serves every version; the
// numbers are those of the enumerators named beside them. Included by every build, also with Apple's SDK.
#pragma once

#import "metal_platform.h"

namespace helion_msl::newer {

constexpr auto MTLLanguageVersion3_2 = static_cast<MTLLanguageVersion>(196610);  // macOS 15
constexpr auto MTLLanguageVersion4_0 = static_cast<MTLLanguageVersion>(262144);  // macOS 26

constexpr auto MTLGPUFamilyApple10 = static_cast<MTLGPUFamily>(1010);
constexpr auto MTLGPUFamilyMetal4 = static_cast<MTLGPUFamily>(5002);

constexpr NSInteger MTLMathModeSafe = 0;
constexpr NSInteger MTLMathModeFast = 2;
constexpr NSInteger MTLMathFloatingPointFunctionsFast = 0;
constexpr NSInteger MTLMathFloatingPointFunctionsPrecise = 1;

// Named MTLPipelineOptionArgumentInfo before macOS 15.
constexpr auto MTLPipelineOptionBindingInfo = static_cast<MTLPipelineOption>(1);

}  // namespace helion_msl::newer

// MTLCompileOptions from macOS 15 on.
@protocol HelionMSLMathOptions
- (void)setMathMode:(NSInteger)mathMode;
- (void)setMathFloatingPointFunctions:(NSInteger)functions;
@end

// MTLComputePipelineState from macOS 26 on.
@protocol HelionMSLRequiredThreads
- (MTLSize)requiredThreadsPerThreadgroup;
@end

// MPSCommandBuffer, which wraps the MTLCommandBuffer that its next commit sends off. Of MetalPerformanceShaders, which
// torch links and this extension does not.
@protocol HelionMSLCommandBufferWrapper
- (id<MTLCommandBuffer>)rootCommandBuffer;
@end
