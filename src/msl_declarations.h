// The declarations at namespace scope of an MSL text, as token ranges: enough structure to find kernels, function
// bodies and program-scope variables. Types and expressions are not parsed; clang does that.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "msl_tokens.h"

namespace helion_msl {

struct TokenRange {
  std::size_t begin = no_token;
  std::size_t end = no_token;  // one after the last
  bool empty() const { return begin >= end; }
};

enum class DeclarationKind {
  function,                // with or without a body
  explicit_instantiation,  // template void f<float>(...);
  record,                  // struct, class, union
  other,                   // variables, enumerations, aliases, using, static_assert, ...
};

struct Declaration {
  DeclarationKind kind = DeclarationKind::other;
  TokenRange range;                        // all of it, the template header and a final ; included
  TokenRange header;                       // specifiers and declarator, without the template header and the body
  std::vector<TokenRange> template_lists;  // what stands between < and > of each `template <...>`
  std::size_t name = no_token;             // the declared name; the word `operator` for operators
  std::size_t parameters = no_token;       // the ( of a function's parameters
  std::size_t body = no_token;             // the { of a function or a record
  std::string scope;                       // "::a::b::" inside namespaces; "::" outside
};

// In the order of the text; the members of records are in `members_of`.
std::vector<Declaration> find_declarations(const Tokens &tokens);

// The declarations inside the braces of `record`.
std::vector<Declaration> members_of(const Tokens &tokens, const Declaration &record);

}  // namespace helion_msl
