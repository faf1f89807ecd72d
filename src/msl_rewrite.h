// Rewrites of single MSL constructs that C++ has not, each a function that adds its edits to a list.
#pragma once

#include <string>
#include <vector>

#include "engine.h"
#include "msl_declarations.h"
#include "msl_kernels.h"
#include "msl_source.h"
#include "msl_tokens.h"

namespace helion_msl {

// `1.0h` and `1.0bf`; refuses `double`.
void rewrite_literals(const Tokens &tokens, std::vector<Edit> &edits);

// `#pragma unroll (MACRO)`: preprocessing takes away the macro and leaves its name in the directive, which is a hint
// that a program does without.
void drop_unroll_hints_of_macros(const Tokens &tokens, std::vector<Edit> &edits);

// Attributes that contain one of Metal's keywords, which are macros here: `[[threadgroup(0)]]`.
void erase_keyword_attributes(const Tokens &tokens, std::vector<Edit> &edits);

// A kernel's return type becomes helion_host::thread_end, which says whether the thread ran to the end of the body.
void rewrite_kernel_function(const Tokens &tokens, const Declaration &declaration, std::vector<Edit> &edits);

// `threadgroup float tile[32];` in a kernel becomes a thread-local variable and an entry in the table of threadgroup
// variables. `function` names the kernel in that entry. Refuses initializers.
void rewrite_threadgroup_variables(const Tokens &tokens, const Declaration &kernel, const std::string &function,
                                   std::vector<Edit> &edits);

// Refuses threadgroup variables outside of kernels, as Metal does.
void refuse_threadgroup_variables(const Tokens &tokens, const Declaration &declaration);

// `constant T name [[function_constant(n)]];` gets its value from the request. Returns the names of those without one.
std::vector<std::string> rewrite_function_constants(const Tokens &tokens, const std::vector<Declaration> &declarations,
                                                    const Constants &constants, std::vector<Edit> &edits);

// Definitions that differ only in address spaces are the same function in C++: drops all but the first.
void drop_address_space_overloads(const Tokens &tokens, const std::vector<Declaration> &declarations,
                                  const MslSource &source, std::vector<Edit> &edits);

// The #define lines that tell the headers which swizzles the text uses.
std::string swizzle_macros(const Tokens &tokens);

// The #define lines that tell the headers which words the text has, so that they can leave out what it does not use.
std::string word_macros(const Tokens &tokens);

}  // namespace helion_msl
