// Kernels whose threads can take one step after the other together: they synchronize only between the statements of
// the kernel's own body, where every thread comes by. Such a kernel needs no stack for each thread. What stands between
// two synchronizations becomes a loop over the threads, which clang vectorizes, and a variable that is needed behind
// one becomes an array with an element for each thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "msl_call_graph.h"
#include "msl_declarations.h"
#include "msl_kernels.h"
#include "msl_source.h"
#include "msl_tokens.h"

namespace helion_msl {

// The body, on one line, of a function that runs one threadgroup (helion_host/lockstep.h); nothing for a kernel that
// is not known to be of this kind. `edits`: what has to be rewritten in any copy of its text. `function` names the
// kernel in the table of threadgroup variables.
std::optional<std::string> write_lockstep(const Tokens &tokens, const CallGraph &calls, const KernelFunction &kernel,
                                          const Declaration &declaration, const std::vector<Edit> &edits,
                                          const std::string &function);

}  // namespace helion_msl
