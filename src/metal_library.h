// MSL text -> MTLLibrary -> the MTLFunction of one kernel, with its function constants set.
#pragma once

#include <string>

#include "engine.h"
#import "metal_platform.h"
#include "retained.h"

namespace helion_msl {

// Version of the language that this macOS compiles: MSL 3.1 on macOS 14, 3.2 on 15, 4.0 from 26 on.
MTLLanguageVersion newest_language_version();
std::string language_version_name(MTLLanguageVersion version);  // "3.1"

// `source` as Metal's run-time compiler can take it: torch's headers, which it cannot find, are inlined.
std::string expand_includes(const std::string &source);

// Compiles `expanded`, which expand_includes() made of `source`. Throws MetalCompileError with the compiler's
// diagnostics and the lines of `source` that they name.
Retained<id<MTLLibrary>> compile_library(id<MTLDevice> device, const std::string &source, const std::string &expanded,
                                         MathMode math_mode);

// The kernel `name`, or the only one where `name` is empty. Throws UnknownKernelError, or MetalCompileError for
// constants that are missing, unknown or of the wrong kind.
Retained<id<MTLFunction>> find_function(id<MTLLibrary> library, const std::string &name, const Constants &constants);

}  // namespace helion_msl
