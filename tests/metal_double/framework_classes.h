// The classes of Metal that a program makes itself: options, descriptors, constants, and what reflection returns.
#pragma once

#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include <string>

#import "double_device.h"

namespace metal_double {

// A function constant as the source declares it.
struct ConstantDeclaration {
  std::string name;
  MTLDataType type;
  NSUInteger index;
  bool is_required;
};

MTLFunctionConstant *make_function_constant(const ConstantDeclaration &declaration);  // autoreleased
// By the decimal text of their indices.
const helion_msl::Constants &values_of(MTLFunctionConstantValues *values);
MTLComputePipelineReflection *make_reflection(const HostKernel &kernel);  // autoreleased

}  // namespace metal_double
