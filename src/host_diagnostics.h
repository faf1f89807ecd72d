// What clang prints, as diagnostics on the user's text.
#pragma once

#include <string_view>
#include <vector>

#include "msl_source.h"

namespace helion_msl {

// The name under which clang sees the rewritten text.
inline constexpr std::string_view rewritten_file_name = "<msl>";

// Errors, and those notes that say something about the user's text. Lines that are no diagnostics are left out.
std::vector<Diagnostic> parse_diagnostics(std::string_view output, const RewrittenText &rewritten);

}  // namespace helion_msl
