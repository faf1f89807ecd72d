// Marks where the lanes of a simdgroup meet again after they took different ways through an `if` or a loop, so that
// simdgroup operations behind it see all of them, as under the reconvergence of a GPU.
#pragma once

#include <vector>

#include "msl_call_graph.h"
#include "msl_declarations.h"
#include "msl_source.h"
#include "msl_tokens.h"

namespace helion_msl {

// Puts a helion_host::reconvergence_scope around each selection and loop in a function's body that can reach a
// simdgroup operation, and a helion_host::loop_turn around the body of each such loop.
void mark_reconvergence(const Tokens &tokens, const CallGraph &calls, const Declaration &function,
                        std::vector<Edit> &edits);

}  // namespace helion_msl
