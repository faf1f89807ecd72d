// Reports of Metal's compiler, with the source lines that they name.
#pragma once

#include <string>

namespace helion_msl {

// `diagnostics` followed by the lines of `source` that they name as `name:LINE:`, numbered, with their neighbours.
std::string with_source_lines(const std::string &diagnostics, const std::string &source, const std::string &name);

}  // namespace helion_msl
