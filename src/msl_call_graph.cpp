#include "msl_call_graph.h"

#include <algorithm>
#include <array>

#include "msl_statements.h"

namespace helion_msl {
namespace {

// MSL specification, "Synchronization and SIMD-Group Functions": names that begin like this and are called.
constexpr std::array<std::string_view, 3> function_prefixes = {"simd_", "quad_", "simdgroup_"};

// Whether the identifier at `at` is an operation of the standard library in which a thread waits for others. Variables
// are often named `simd_lane` or `simdgroup_id`, so a call or a template argument list must follow.
bool is_synchronization(const Tokens &tokens, std::size_t at) {
  const std::string_view word = tokens.text(at);
  if (word == "threadgroup_barrier") return true;
  // Matrix types, and the functions that make and use them.
  if (word.find("simdgroup_matrix") != std::string_view::npos || word.starts_with("simdgroup_float") ||
      word.starts_with("simdgroup_half") || word.starts_with("simdgroup_bfloat")) {
    return true;
  }
  const bool has_prefix = std::any_of(function_prefixes.begin(), function_prefixes.end(),
                                      [&](std::string_view prefix) { return word.starts_with(prefix); });
  if (!has_prefix) return false;
  if (tokens.is(at + 1, "(")) return true;
  return tokens.is(at + 1, "<") && tokens.closing_angle(at + 1, tokens.size()) != no_token;
}

// Whether the identifier at `at` is an array that each thread has for itself. The loop over the threads of a plain
// kernel is vectorized on the promise that no turn of it reads what another one writes, and its turns would share the
// array.
bool declares_private_array(const Tokens &tokens, std::size_t at) {
  constexpr std::array<std::string_view, 5> no_types = {"return", "else", "case", "goto", "do"};
  if (tokens.is(at, "array") && tokens.is(at + 1, "<")) return true;
  if (at < 2 || !tokens.is(at + 1, "[") || tokens.is(at + 2, "[") || !tokens.is_identifier(at - 1)) return false;
  const auto is_constant = [&](std::size_t type) {
    return tokens.is(type, "constant") || tokens.is(type, "constexpr");
  };
  if (is_constant(at - 2) || (at > 2 && is_constant(at - 3))) return false;
  return std::find(no_types.begin(), no_types.end(), tokens.text(at - 1)) == no_types.end();
}

// Whether the identifier at `at` is declared there as a pointer or a reference to memory that threads share.
bool declares_shared_memory(const Tokens &tokens, std::size_t at, std::size_t begin) {
  constexpr std::array<std::string_view, 5> ends = {"(", ",", ";", "{", "}"};
  bool is_indirect = false;
  while (at-- > begin) {
    const std::string_view word = tokens.text(at);
    if (word == "(" && is_indirect) continue;  // constant float (&table)[4]
    if (std::find(ends.begin(), ends.end(), word) != ends.end()) return false;
    is_indirect = is_indirect || word == "*" || word == "&";
    if (word == "device" || word == "constant") return is_indirect;
  }
  return false;
}

// Whether something that is not known to be shared memory is indexed at run time in `range`: a vector or a matrix by
// whatever name, or what a pointer into a thread's own memory points to. `constants` are tables of the whole program.
bool indexes_private_memory(const Tokens &tokens, TokenRange range, const std::set<std::string_view> &constants) {
  std::set<std::string_view> shared = constants;
  for (std::size_t at = range.begin; at < range.end; ++at) {
    if (!tokens.is_identifier(at)) continue;
    if (declares_shared_memory(tokens, at, range.begin)) shared.insert(tokens.text(at));
    if (is_indexed_at_run_time(tokens, at) && shared.count(tokens.text(at)) == 0) return true;
  }
  return false;
}

// Behind the parameters or arguments of a template that begin at `at`, which declare nothing for the program; `at`
// where none do.
std::size_t after_angles(const Tokens &tokens, std::size_t at, std::size_t end) {
  if (at >= end || !tokens.is(at, "<")) return at;
  const std::size_t close = tokens.closing_angle(at, end);
  return close == no_token ? at : close + 1;
}

// The names that a declaration of variables or an alias may introduce: identifiers at the end of a declarator.
std::vector<std::string_view> declared_names(const Tokens &tokens, const Declaration &declaration) {
  constexpr std::array<std::string_view, 5> ends = {"=", ";", "[", ",", "{"};
  std::vector<std::string_view> names;
  const TokenRange range = declaration.range;
  for (std::size_t at = range.begin; at + 1 < range.end; at = after_angles(tokens, tokens.after_group(at), range.end)) {
    if (!tokens.is_identifier(at)) continue;
    if (std::find(ends.begin(), ends.end(), tokens.text(at + 1)) != ends.end()) names.push_back(tokens.text(at));
  }
  return names;
}

}  // namespace

CallGraph::CallGraph(const Tokens &tokens, const std::vector<Declaration> &declarations) : tokens_(tokens) {
  for (const Declaration &declaration : declarations) {
    if (declaration.kind != DeclarationKind::other) continue;
    const auto has = [&](std::string_view word) { return mentions(tokens, declaration.range, word); };
    if (!has("constant") && !has("constexpr")) continue;
    for (const std::string_view name : declared_names(tokens, declaration)) constants_.insert(name);
  }
  for (const Declaration &declaration : declarations) {
    if (declaration.kind == DeclarationKind::explicit_instantiation) continue;
    Node node = read(declaration.range);
    node.synchronizes |= declaration.body != no_token && indexes_private_memory(tokens, declaration.range, constants_);
    if (declaration.kind == DeclarationKind::other) {
      for (const std::string_view name : declared_names(tokens, declaration)) nodes_.emplace_back(name, node);
    } else if (declaration.name != no_token && !tokens.is(declaration.name, "operator")) {
      nodes_.emplace_back(tokens.text(declaration.name), node);
    } else {
      operators_.names.insert(node.names.begin(), node.names.end());
      operators_.synchronizes |= node.synchronizes;
    }
  }
  std::sort(nodes_.begin(), nodes_.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
}

CallGraph::Node CallGraph::read(TokenRange range) const {
  Node node;
  for (std::size_t at = range.begin; at < range.end; ++at) {
    if (!tokens_.is_identifier(at)) continue;
    node.names.insert(tokens_.text(at));
    node.synchronizes |= declares_private_array(tokens_, at);
    if (!is_synchronization(tokens_, at)) continue;
    node.synchronizes = true;
    node.waits_in_collective |= tokens_.text(at).starts_with("simd_") || tokens_.text(at).starts_with("quad_");
  }
  return node;
}

CallGraph::Node CallGraph::reach(const std::vector<TokenRange> &roots) const {
  Node mentioned;
  for (const TokenRange &root : roots) {
    const Node node = read(root);
    mentioned.names.insert(node.names.begin(), node.names.end());
    mentioned.synchronizes |= node.synchronizes || indexes_private_memory(tokens_, root, constants_);
    // Only kernels declare threadgroup variables; all others get them from one.
    mentioned.synchronizes |= mentions(tokens_, root, "threadgroup");
  }
  return close(mentioned);
}

bool CallGraph::synchronizes(TokenRange range) const {
  return close(read(range)).synchronizes;
}

bool CallGraph::defines(std::string_view name) const {
  return std::any_of(nodes_.begin(), nodes_.end(), [&](const auto &node) { return node.first == name; });
}

CallGraph::Node CallGraph::close(const Node &mentioned) const {
  Node reached;
  std::vector<std::string_view> pending;
  const auto add = [&](const Node &node) {
    for (const std::string_view name : node.names) {
      if (reached.names.insert(name).second) pending.push_back(name);
    }
    reached.synchronizes |= node.synchronizes;
  };
  add(operators_);
  add(mentioned);
  while (!pending.empty()) {
    const std::string_view name = pending.back();
    pending.pop_back();
    auto node = std::lower_bound(nodes_.begin(), nodes_.end(), name,
                                 [](const auto &entry, std::string_view wanted) { return entry.first < wanted; });
    for (; node != nodes_.end() && node->first == name; ++node) add(node->second);
  }
  return reached;
}

const std::map<std::string_view, bool> &CallGraph::waits_by_name() const {
  if (waits_by_name_) return *waits_by_name_;
  std::map<std::string_view, bool> waits;
  for (const auto &[name, node] : nodes_) waits[name] |= node.waits_in_collective;
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    for (const auto &[name, node] : nodes_) {
      bool &own = waits[name];
      if (own) continue;
      own = std::any_of(node.names.begin(), node.names.end(), [&](std::string_view mentioned) {
        const auto found = waits.find(mentioned);
        return found != waits.end() && found->second;
      });
      has_changed |= own;
    }
  }
  return waits_by_name_.emplace(std::move(waits));
}

bool CallGraph::waits_in_collective(TokenRange range) const {
  const Node node = read(range);
  return node.waits_in_collective || std::any_of(node.names.begin(), node.names.end(), [this](std::string_view name) {
           const auto found = waits_by_name().find(name);
           return found != waits_by_name().end() && found->second;
         });
}

}  // namespace helion_msl
