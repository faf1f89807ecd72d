// Where the host engine's compiler comes from: Python code that is asked at the first compile.
#pragma once

namespace helion_msl {

// Makes the host engine ask helion_msl._toolchain for its compiler, when it needs one.
void register_toolchain_finder();

}  // namespace helion_msl
