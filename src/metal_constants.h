// Values of function constants, encoded as the types that the kernel declares for them.
#pragma once

#include "engine.h"
#import "metal_platform.h"
#include "retained.h"

namespace helion_msl {

// Values for the constants that `function` of `library` uses; empty where it uses none. Constants that only other
// functions of the library use are passed over. Throws MetalCompileError for a constant that is unknown, missing, of a
// type that has no Python value, or whose value does not fit its type.
Retained<MTLFunctionConstantValues *> make_constant_values(id<MTLLibrary> library, id<MTLFunction> function,
                                                           const Constants &constants);

}  // namespace helion_msl
