// A kernel whose functions wait for other threads, with the bodies of these functions in place of their calls: what
// waits then stands in the kernel's own body, where it can run in lockstep (msl_lockstep.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "msl_call_graph.h"
#include "msl_declarations.h"
#include "msl_tokens.h"

namespace helion_msl {

// All of the source, with the body of `kernel` expanded; nothing where it calls no such function, or one that is not
// understood. The body is on one line, without directives.
std::optional<std::string> expand_calls(const Tokens &tokens, const CallGraph &calls,
                                        const std::vector<Declaration> &declarations, const Declaration &kernel);

}  // namespace helion_msl
