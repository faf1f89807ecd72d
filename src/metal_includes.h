// Metal's run-time compiler has no include path, so `#include <c10/metal/...>` and the like are replaced by the
// headers' text before it sees the source.
#pragma once

#include <string>

namespace helion_msl {

// `source` with every #include of a <c10/metal/...> file below `include_directory` replaced by that file, recursively,
// each file once (or again, behind a guard, where the first time was inside an #if). #line directives keep the places
// of diagnostics: those in `source` itself count as lines of `name`. Other includes stay as they are.
std::string inline_includes(const std::string &source, const std::string &include_directory, const std::string &name);

}  // namespace helion_msl
