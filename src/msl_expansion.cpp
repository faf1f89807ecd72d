#include "msl_expansion.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "msl_kernels.h"
#include "msl_lockstep_words.h"
#include "msl_statements.h"
#include "msl_token_copy.h"

namespace helion_msl {
namespace {

// Thrown where a function is not understood.
struct NotExpanded {};

constexpr int max_depth = 8;
constexpr int max_calls = 64;

using Substitutes = std::vector<Substitute>;

struct Parameter {
  TokenRange type;  // before the name
  std::string_view name;
  bool is_indirect = false;   // a pointer, a reference or an array: its argument is named instead of copied
  bool is_reference = false;  // of these, what an assignment goes through
};

// A function whose body can stand in place of a call.
struct Callee {
  const Declaration *declaration = nullptr;
  TokenRange result;      // its type; empty for void
  TokenRange statements;  // without the `return` at their end
  TokenRange value;       // what that returns
  std::vector<Parameter> parameters;
};

class CallExpander {
 public:
  CallExpander(const Tokens &tokens, const CallGraph &calls, const std::vector<Declaration> &declarations,
               const Declaration &kernel)
      : tokens_(tokens), calls_(calls), declarations_(declarations), kernel_(kernel) {}

  std::optional<std::string> write() {
    const std::size_t close = tokens_.partner(kernel_.body);
    const std::string body = statements({kernel_.body + 1, close}, {}, 0);
    if (count_ == 0) return std::nullopt;
    std::string text(tokens_.source().substr(0, tokens_[kernel_.body].end));
    return text.append(body).append(" ").append(tokens_.source().substr(tokens_[close].begin));
  }

 private:
  // ---- Functions ----------------------------------------------------------------------------------------------------

  // The function that is called at `at`; nothing for what the source does not define, or defines elsewhere.
  const Declaration *called(std::size_t at, std::size_t first) const {
    const Declaration *found = nullptr;
    for (const Declaration &declaration : declarations_) {
      if (declaration.name == no_token || tokens_.text(declaration.name) != tokens_.text(at)) continue;
      // One of several is chosen by the types of the arguments, which are not known here.
      if (found != nullptr) throw NotExpanded();
      found = &declaration;
    }
    if (found == nullptr) return nullptr;
    std::string scope = "::";
    for (std::size_t word = first; word < at; ++word) {
      if (tokens_.is_identifier(word)) scope += std::string(tokens_.text(word)) + "::";
    }
    if (first < at && scope != found->scope) return nullptr;
    if (first == at && (found->scope != kernel_.scope || operations().contains(tokens_.text(at)))) throw NotExpanded();
    return found;
  }

  Callee read(const Declaration &declaration) const {
    if (declaration.kind != DeclarationKind::function || declaration.body == no_token ||
        !declaration.template_lists.empty() || declaration.name + 1 != declaration.parameters ||
        tokens_.partner(declaration.parameters) + 1 != declaration.body) {
      throw NotExpanded();
    }
    Callee callee;
    callee.declaration = &declaration;
    callee.result = result_type(declaration);
    const std::size_t open = declaration.parameters;
    for (const TokenRange &part : split_at_commas(tokens_, open + 1, tokens_.partner(open))) {
      callee.parameters.push_back(read_parameter(part));
    }
    read_body(callee);
    check_names(callee);
    return callee;
  }

  TokenRange result_type(const Declaration &declaration) const {
    std::size_t begin = declaration.header.begin;
    while (tokens_.is(begin, "static") || tokens_.is(begin, "inline") || tokens_.is(begin, "METAL_FUNC")) ++begin;
    const TokenRange type = {begin, declaration.name};
    for (const std::string_view word : {"auto", "decltype", "*", "&", "[", "("}) {
      if (mentions(tokens_, type, word)) throw NotExpanded();
    }
    if (tokens_.is(begin, "void") && begin + 1 == declaration.name) return {};
    if (type.empty()) throw NotExpanded();
    return type;
  }

  Parameter read_parameter(TokenRange part) const {
    Parameter parameter;
    std::size_t name = no_token;
    for (std::size_t at = part.begin; at < part.end; ++at) {
      const std::string_view word = tokens_.text(at);
      if (word == "=" || tokens_.is_attribute(at)) throw NotExpanded();
      parameter.is_indirect |= word == "*" || word == "&" || word == "[";
      parameter.is_reference |= word == "&";
      if (word == "[") break;
      if (word == "<") {
        const std::size_t close = tokens_.closing_angle(at, part.end);
        if (close == no_token) throw NotExpanded();
        at = close;
      } else if (tokens_.is_identifier(at)) {
        name = at;
      }
    }
    if (name == no_token || name == part.begin || number_types().contains(tokens_.text(name))) throw NotExpanded();
    parameter.type = {part.begin, name};
    // Such a reference may be to a copy of the argument, in another type.
    if (parameter.is_reference && mentions(tokens_, parameter.type, "const")) throw NotExpanded();
    parameter.name = tokens_.text(name);
    return parameter;
  }

  void read_body(Callee &callee) const {
    const std::size_t begin = callee.declaration->body + 1, end = tokens_.partner(begin - 1);
    std::size_t last = end;
    for (std::size_t at = begin; at < end; ++at) {
      if (tokens_.is(at, "return") && last == end) last = at;
      if (tokens_[at].kind == TokenKind::directive && !is_hint_or_line(tokens_, at)) throw NotExpanded();
      for (const std::string_view word : {"sizeof", "decltype", "goto"}) {
        if (tokens_.is(at, word)) throw NotExpanded();
      }
    }
    callee.statements = {begin, last};
    if (last == end) {
      if (!callee.result.empty()) throw NotExpanded();
      return;
    }
    // The only `return`, and no part of another statement.
    std::size_t at = begin;
    while (at < last) at = statement_end(at, end);
    if (at != last || statement_end(last, end) != end) throw NotExpanded();
    callee.value = {last + 1, end - 1};
    if (callee.value.empty() != callee.result.empty() || mentions(tokens_, callee.value, "return")) throw NotExpanded();
  }

  // What the function's names stand for must be the same in the kernel.
  void check_names(const Callee &callee) const {
    const bool is_elsewhere = callee.declaration->scope != kernel_.scope;
    if (is_elsewhere && kernel_.scope != "::") throw NotExpanded();
    const Words own = own_names(callee);
    const std::size_t begin = callee.declaration->body, end = tokens_.partner(begin);
    for (std::size_t at = begin; at < end; ++at) {
      if (!tokens_.is_identifier(at) || is_member(at) || tokens_.is(at - 1, "::")) continue;
      const std::string_view name = tokens_.text(at);
      // `using namespace metal;` makes `metal` a name that the source defines.
      if (own.contains(name) || number_types().contains(name) || (name == "metal" && tokens_.is(at + 1, "::"))) {
        continue;
      }
      if (is_elsewhere && calls_.defines(name)) throw NotExpanded();
      if (is_declared_in_kernel(name)) throw NotExpanded();
    }
  }

  bool is_member(std::size_t at) const { return tokens_.is(at - 1, ".") || tokens_.is(at - 1, "->"); }

  bool is_declared_in_kernel(std::string_view name) const {
    constexpr std::array<std::string_view, 7> behind_name = {"=", ";", ",", "[", "(", "{", ")"};
    constexpr std::array<std::string_view, 4> before_name = {">", "*", "&", ","};
    for (std::size_t at = kernel_.parameters; at < kernel_.range.end; ++at) {
      if (!tokens_.is(at, name) || tokens_.is(at - 1, "return") || tokens_.is(at - 1, "else")) continue;
      const bool is_behind_type = tokens_.is_identifier(at - 1) || std::find(before_name.begin(), before_name.end(),
                                                                             tokens_.text(at - 1)) != before_name.end();
      const bool is_before_end =
          std::find(behind_name.begin(), behind_name.end(), tokens_.text(at + 1)) != behind_name.end();
      if (is_behind_type && is_before_end) return true;
    }
    return false;
  }

  // The parameters of a function, and the variables that its statements declare.
  Words own_names(const Callee &callee) const {
    Words names;
    for (const Parameter &parameter : callee.parameters) names.insert(parameter.name);
    const std::size_t end = callee.statements.end;
    for (std::size_t at = callee.statements.begin; at < end;) {
      if (tokens_[at].kind == TokenKind::directive) {
        ++at;
        continue;
      }
      const std::size_t stop = statement_end(at, end);
      if (!is_compound(at)) {
        const std::size_t begin = tokens_.is(at, "constexpr") ? at + 1 : at;
        const std::optional<LocalDeclaration> declaration = read_local_declaration(tokens_, {begin, stop});
        if (declaration) {
          for (const TokenRange &part : declaration->declarators) {
            if (!tokens_.is_identifier(part.begin)) throw NotExpanded();
            names.insert(tokens_.text(part.begin));
          }
        } else if (begin != at || !is_expression(at)) {
          throw NotExpanded();
        }
      }
      at = stop;
    }
    return names;
  }

  // Whether the statement at `at`, which declares nothing that is understood, declares nothing at all.
  bool is_expression(std::size_t at) const {
    constexpr std::array<std::string_view, 4> beginnings = {"++", "--", "*", "("};
    if (std::find(beginnings.begin(), beginnings.end(), tokens_.text(at)) != beginnings.end()) return true;
    if (!tokens_.is_identifier(at) || refused_beginnings().contains(tokens_.text(at))) return false;
    while (tokens_.is(at + 1, "::") && tokens_.is_identifier(at + 2)) at += 2;
    // `T (*p)[4];`
    if (tokens_.is(at + 1, "(") && (tokens_.is(at + 2, "*") || tokens_.is(at + 2, "&"))) return false;
    constexpr std::array<std::string_view, 6> behind_name = {"(", "[", ".", "->", "++", "--"};
    return assignments().contains(tokens_.text(at + 1)) ||
           std::find(behind_name.begin(), behind_name.end(), tokens_.text(at + 1)) != behind_name.end();
  }

  bool is_compound(std::size_t at) const {
    constexpr std::array<std::string_view, 6> words = {"{", "if", "for", "while", "do", "switch"};
    return std::find(words.begin(), words.end(), tokens_.text(at)) != words.end();
  }

  std::size_t statement_end(std::size_t at, std::size_t end) const {
    const std::size_t stop = after_statement(tokens_, at, end);
    if (stop == no_token) throw NotExpanded();
    return stop;
  }

  // ---- Statements ---------------------------------------------------------------------------------------------------

  // The statements of `range`, with their calls expanded. `names` says how names of the function are called here.
  std::string statements(TokenRange range, const Substitutes &names, int depth) {
    std::string text;
    for (std::size_t at = range.begin; at < range.end;) {
      if (tokens_[at].kind == TokenKind::directive) {
        if (!is_hint_or_line(tokens_, at++)) throw NotExpanded();
        continue;
      }
      const std::size_t stop = statement_end(at, range.end);
      const bool is_plain = is_compound(at) || !calls_.synchronizes({at, stop});
      text += is_plain ? copy({at, stop}, names) : statement({at, stop}, names, depth);
      at = stop;
    }
    return text;
  }

  std::string statement(TokenRange range, const Substitutes &names, int depth) {
    Substitutes substitutes = names;
    std::string before;
    const int known = count_;
    expand(range, range.begin, substitutes, before, depth);
    if (count_ != known) check_order(range);
    return before + copy(range, substitutes);
  }

  // What a call does comes before its statement, so that nothing else of the statement may have effects, but for one
  // assignment at its end.
  void check_order(TokenRange range) const {
    int assigned = 0;
    for (std::size_t at = range.begin; at < range.end; ++at) {
      if (tokens_.is(at, "++") || tokens_.is(at, "--") || tokens_.is(at, "{")) throw NotExpanded();
      assigned += assignments().contains(tokens_.text(at)) ? 1 : 0;
    }
    if (assigned > 1) throw NotExpanded();
  }

  // Expands the calls in `range`, a part of the statement that begins at `begin`, those in arguments first.
  void expand(TokenRange range, std::size_t begin, Substitutes &substitutes, std::string &before, int depth) {
    for (std::size_t at = range.begin; at < range.end; ++at) {
      if (!tokens_.is_identifier(at) || !tokens_.is(at + 1, "(") || is_member(at) ||
          !calls_.synchronizes({at, at + 1})) {
        continue;
      }
      std::size_t first = at;
      while (tokens_.is(first - 1, "::") && tokens_.is_identifier(first - 2)) first -= 2;
      if (tokens_.is(first - 1, "::")) --first;
      const Declaration *const declaration = called(at, first);
      if (declaration == nullptr) continue;
      if (!is_always_reached(tokens_, begin, first) || has_comma_before(begin, first)) throw NotExpanded();
      const std::size_t close = tokens_.partner(at + 1);
      const std::vector<TokenRange> arguments = split_at_commas(tokens_, at + 2, close);
      for (const TokenRange &argument : arguments) expand(argument, begin, substitutes, before, depth);
      const std::string result = expand_call(*declaration, arguments, substitutes, before, depth);
      if (result.empty() && (first != begin || !tokens_.is(close + 1, ";"))) throw NotExpanded();
      substitutes.push_back({first, close + 1, result});
      at = close;
    }
  }

  // `float a = f(x), b = g(a);`: what stands before the comma is computed first.
  bool has_comma_before(std::size_t begin, std::size_t call) const {
    for (std::size_t at = begin; at < call; at = tokens_.after_group(at)) {
      if (tokens_.is(at, ",")) return true;
    }
    return false;
  }

  // Writes a function's body, and returns the name of what it returns.
  std::string expand_call(const Declaration &declaration, const std::vector<TokenRange> &arguments,
                          const Substitutes &substitutes, std::string &before, int depth) {
    if (depth == max_depth || count_ == max_calls) throw NotExpanded();
    const Callee callee = read(declaration);
    if (arguments.size() != callee.parameters.size()) throw NotExpanded();
    const std::string prefix = "helion_call_" + std::to_string(count_++) + "_";
    std::map<std::string_view, std::string> names;
    const Words own = own_names(callee);
    for (const std::string_view name : own) names[name] = prefix + std::string(name);
    for (std::size_t index = 0; index < arguments.size(); ++index) {
      const Parameter &parameter = callee.parameters[index];
      const std::string argument = copy(arguments[index], substitutes);
      if (parameter.is_indirect) {
        names[parameter.name] = named(callee, parameter, own, arguments[index], argument);
      } else {
        before += copy(parameter.type, {}) + " " + names[parameter.name] + " =" + argument + ";";
      }
    }
    const std::size_t begin = callee.declaration->body + 1;
    Substitutes renamed;
    for (std::size_t at = begin; at < tokens_.partner(begin - 1); ++at) {
      if (!tokens_.is_identifier(at) || is_member(at) || tokens_.is(at - 1, "::")) continue;
      const auto found = names.find(tokens_.text(at));
      if (found != names.end()) renamed.push_back({at, at + 1, found->second});
    }
    before += statements(callee.statements, renamed, depth + 1);
    if (callee.result.empty()) return {};
    Substitutes in_value = renamed;
    const int known = count_;
    expand(callee.value, callee.value.begin, in_value, before, depth + 1);
    if (count_ != known) check_order(callee.value);
    before += copy(callee.result, {}) + " " + prefix + "result =" + copy(callee.value, in_value) + ";";
    return prefix + "result";
  }

  // The name of the variable that an argument is, for a parameter that points or refers to it.
  std::string named(const Callee &callee, const Parameter &parameter, const Words &own, TokenRange argument,
                    const std::string &text) const {
    if (argument.begin + 1 != argument.end || !tokens_.is_identifier(argument.begin)) throw NotExpanded();
    const std::string name = text.substr(1);
    const std::size_t begin = callee.declaration->body, end = tokens_.partner(begin);
    for (std::size_t at = begin; at < end; ++at) {
      if (!tokens_.is_identifier(at) || is_member(at)) continue;
      // Not the variable, but something around the function.
      if (tokens_.is(at, name) && !own.contains(name)) throw NotExpanded();
      if (!tokens_.is(at, parameter.name) || parameter.is_reference) continue;
      // The pointer is the function's own.
      const bool is_stepped =
          tokens_.is(at - 1, "++") || tokens_.is(at - 1, "--") || tokens_.is(at + 1, "++") || tokens_.is(at + 1, "--");
      if (is_stepped || assignments().contains(tokens_.text(at + 1))) throw NotExpanded();
    }
    return name;
  }

  std::string copy(TokenRange range, const Substitutes &substitutes) const {
    return range.empty() ? std::string() : copy_tokens(tokens_, range, {}, substitutes);
  }

  const Tokens &tokens_;
  const CallGraph &calls_;
  const std::vector<Declaration> &declarations_;
  const Declaration &kernel_;
  int count_ = 0;
};

}  // namespace

std::optional<std::string> expand_calls(const Tokens &tokens, const CallGraph &calls,
                                        const std::vector<Declaration> &declarations, const Declaration &kernel) {
  try {
    return CallExpander(tokens, calls, declarations, kernel).write();
  } catch (const NotExpanded &) {
    return std::nullopt;
  }
}

}  // namespace helion_msl
