// Text that is made of a source's tokens, for what stands a second time in the rewritten source.
#pragma once

#include <string>
#include <vector>

#include "msl_declarations.h"
#include "msl_source.h"
#include "msl_tokens.h"

namespace helion_msl {

// What a copy has in place of the tokens [begin, end).
struct Substitute {
  std::size_t begin, end;
  std::string text;
};

// The tokens of `range` on one line, after `edits` and with `substitutes`; directives are left out.
std::string copy_tokens(const Tokens &tokens, TokenRange range, const std::vector<Edit> &edits,
                        const std::vector<Substitute> &substitutes);

}  // namespace helion_msl
