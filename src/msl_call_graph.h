// Which kernels can reach a barrier, a simdgroup operation or threadgroup memory, judged by names alone: everything
// that a name could mean is taken to be reached. A kernel that cannot runs as plain loops, without a stack for each
// thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "msl_declarations.h"
#include "msl_tokens.h"

namespace helion_msl {

class CallGraph {
 public:
  CallGraph(const Tokens &tokens, const std::vector<Declaration> &declarations);

  struct Node {
    std::set<std::string_view> names;  // that it mentions
    // Mentions an operation that threads wait in, threadgroup memory, or an array that each thread has for itself.
    bool synchronizes = false;
    bool waits_in_collective =
        false;  // mentions a simd_ or quad_ function, in which the lanes that are there take part
  };
  // All that the tokens of `roots` mention, and all that is mentioned by what they name.
  Node reach(const std::vector<TokenRange> &roots) const;
  // Whether the tokens of `range`, or any that is mentioned by what they name, are an operation that threads wait in.
  bool synchronizes(TokenRange range) const;
  // Whether the source defines something of this name.
  bool defines(std::string_view name) const;
  // Whether the tokens of `range`, or any that is mentioned by what they name, are a simd_ or quad_ function.
  bool waits_in_collective(TokenRange range) const;

 private:
  Node read(TokenRange range) const;
  // What `node` mentions, and all that is mentioned by what it names.
  Node close(const Node &node) const;
  const std::map<std::string_view, bool> &waits_by_name() const;

  const Tokens &tokens_;
  std::set<std::string_view> constants_;                                   // tables of the whole program
  std::vector<std::pair<std::string_view, Node>> nodes_;                   // sorted by the name that they define
  mutable std::optional<std::map<std::string_view, bool>> waits_by_name_;  // made when it is first needed
  Node operators_;  // functions without a name of their own: any expression may call them
};

}  // namespace helion_msl
