#include "msl_recursion.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "msl_declarations.h"

namespace helion_msl {
namespace {

struct Function {
  std::size_t name;                      // token
  std::set<std::string_view> mentioned;  // in its body
};
using Functions = std::multimap<std::string_view, Function>;

void add_functions(const Tokens &tokens, const std::vector<Declaration> &declarations, Functions &functions) {
  for (const Declaration &declaration : declarations) {
    if (declaration.body == no_token || declaration.name == no_token) continue;
    if (declaration.kind == DeclarationKind::record) {
      add_functions(tokens, members_of(tokens, declaration), functions);
    } else if (declaration.kind == DeclarationKind::function) {
      Function function = {declaration.name, {}};
      for (std::size_t at = declaration.body; at < tokens.partner(declaration.body); ++at) {
        if (tokens.is_identifier(at)) function.mentioned.insert(tokens.text(at));
      }
      functions.emplace(tokens.text(declaration.name), std::move(function));
    }
  }
}

bool reaches_itself(const Functions &functions, const Function &start, std::string_view name) {
  std::set<std::string_view> reached = start.mentioned;
  std::vector<std::string_view> pending(reached.begin(), reached.end());
  while (!pending.empty() && !reached.contains(name)) {
    const auto [first, last] = functions.equal_range(pending.back());
    pending.pop_back();
    for (auto entry = first; entry != last; ++entry) {
      for (const std::string_view next : entry->second.mentioned) {
        if (reached.insert(next).second) pending.push_back(next);
      }
    }
  }
  return reached.contains(name);
}

}  // namespace

std::size_t find_recursive_function(const Tokens &tokens, std::string_view symbol) {
  Functions functions;
  add_functions(tokens, find_declarations(tokens), functions);
  for (const auto &[name, function] : functions) {
    // The Itanium C++ ABI writes a name after its length.
    const std::string mangled = std::to_string(name.size()) + std::string(name);
    if (symbol.find(mangled) == std::string_view::npos) continue;
    if (reaches_itself(functions, function, name)) return function.name;
  }
  return no_token;
}

}  // namespace helion_msl
