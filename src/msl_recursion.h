// Recursion, which Metal does not have: on the CPU it could exhaust the stack, and that would end the process.
#pragma once

#include <string_view>

#include "msl_tokens.h"

namespace helion_msl {

// A function of the text that may call itself, straight or through others, and whose name is in `symbol`, the mangled
// name of a function that the compiler could not inline. Judged by names: overloads that call each other count, but
// those are inlined. Returns the token of its name, or no_token.
std::size_t find_recursive_function(const Tokens &tokens, std::string_view symbol);

}  // namespace helion_msl
