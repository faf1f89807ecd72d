// Division, remainder and shifts of integers: where C++ leaves the result undefined, Metal and its hardware do not.
#pragma once

#include <vector>

#include "msl_declarations.h"
#include "msl_source.h"
#include "msl_tokens.h"

namespace helion_msl {

// In the bodies of functions `a << b` becomes `a << helion_host::metal_rules << b`, and the same with >>, / and %:
// C++'s own precedence finds the operands, and helion_host/integer_operators.h computes what Metal says. Operators
// whose operand shows that the two languages agree are left alone. Returns whether any was rewritten.
bool rewrite_integer_operators(const Tokens &tokens, const std::vector<Declaration> &declarations,
                               std::vector<Edit> &edits);

}  // namespace helion_msl
