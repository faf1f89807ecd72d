// Metal's names of types in the terms of this project.
#pragma once

#include <cstdint>

#include "engine.h"
#import "metal_platform.h"

namespace helion_msl {

struct ElementType {
  ScalarType scalar = ScalarType::opaque;
  std::uint32_t lanes = 1;
};

// Opaque for structs, arrays, matrices and whatever else has no counterpart.
ElementType element_type(MTLDataType type);

}  // namespace helion_msl
