// The kernels of an MSL text: their names, parameters and attributes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "msl_declarations.h"
#include "msl_tokens.h"

namespace helion_msl {

// A parameter of a kernel. `input` is the C++ type (helion_host/kernel_entry.h) that says where its value comes from.
struct KernelParameter {
  std::string name;
  std::string input;
};

// A function declared as a kernel, a template or not.
struct KernelFunction {
  std::size_t declaration = 0;  // index into the declarations
  std::string name;             // as declared, without namespaces
  bool is_template = false;
  std::vector<KernelParameter> parameters;
  std::vector<std::string> limits;  // C++ expressions of attributes: see helion_host::limits
  std::string host_name;            // of [[host_name("...")]], or `name`
  // Why the CPU cannot run it; where there is a reason, `parameters` is not complete.
  std::optional<SourceError> refusal;
};

// An explicit instantiation of a kernel template.
struct KernelInstantiation {
  std::size_t declaration = 0;
  std::size_t function = 0;  // index of the kernel function
  std::string expression;    // C++ expression of the function instantiated
  std::string host_name;
  TokenRange arguments;  // between < and >
};

struct Kernels {
  std::vector<KernelFunction> functions;          // those with a body
  std::vector<std::size_t> forward_declarations;  // indices of declarations
  std::vector<KernelInstantiation> instantiations;
};

// Throws SourceError for what no kernel can be.
Kernels find_kernels(const Tokens &tokens, const std::vector<Declaration> &declarations);

// The index of the `void` that is the return type of the kernel declared by `declaration`; no_token where there is
// none.
std::size_t return_type_of(const Tokens &tokens, const Declaration &declaration);

// The ranges between top-level commas of [begin, end), angle brackets respected.
std::vector<TokenRange> split_at_commas(const Tokens &tokens, std::size_t begin, std::size_t end);

// Tokens [begin, end) on one line, comments and attributes left out.
std::string one_line(const Tokens &tokens, std::size_t begin, std::size_t end);

// Names of the template parameters in a template header, a pack with its "..."; empty for one without a name.
std::vector<std::string> template_parameter_names(const Tokens &tokens, TokenRange list);

}  // namespace helion_msl
