#include "msl_statements.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "msl_kernels.h"
#include "msl_lockstep_words.h"

namespace helion_msl {

namespace {

std::size_t skip_directives(const Tokens &tokens, std::size_t at, std::size_t end) {
  while (at < end && tokens[at].kind == TokenKind::directive) ++at;
  return at;
}

}  // namespace

bool mentions(const Tokens &tokens, TokenRange range, std::string_view word) {
  for (std::size_t at = range.begin; at < range.end; ++at) {
    if (tokens.is(at, word)) return true;
  }
  return false;
}

bool is_indexed_at_run_time(const Tokens &tokens, std::size_t at) {
  if (!tokens.is_identifier(at) || !tokens.is(at + 1, "[") || tokens.is(at + 2, "[")) return false;
  return tokens[at + 2].kind != TokenKind::number || !tokens.is(at + 3, "]");
}

bool is_changed(const Tokens &tokens, TokenRange range, std::string_view name) {
  bool is_defined = false;
  for (std::size_t at = range.begin + 1; at + 1 < range.end; ++at) {
    if (!tokens.is(at, name)) continue;
    for (const std::size_t neighbour : {at - 1, at + 1}) {
      if (tokens.is(neighbour, "++") || tokens.is(neighbour, "--")) return true;
    }
    if (!assignments().contains(tokens.text(at + 1))) continue;
    if (is_defined) return true;
    is_defined = true;
  }
  return false;
}

namespace {

// Whether the condition before the `?` at `question` is a vote, in which all lanes of a simdgroup get the same answer.
bool is_vote(const Tokens &tokens, std::size_t begin, std::size_t question) {
  if (question < begin + 2 || !tokens.is(question - 1, ")")) return false;
  std::size_t name = tokens.partner(question - 1) - 1;
  if (!tokens.is(name, "simd_any") && !tokens.is(name, "simd_all")) return false;
  while (name > begin && tokens.is(name - 1, "::") && tokens.is(name - 2, "metal")) name -= 2;
  return name == begin || tokens.is(name - 1, "=") || tokens.is(name - 1, "(") || tokens.is(name - 1, "return");
}

}  // namespace

bool is_always_reached(const Tokens &tokens, std::size_t begin, std::size_t operation) {
  for (std::size_t at = begin; at < operation;) {
    if (tokens.is(at, "?") && !is_vote(tokens, begin, at)) return false;
    if (tokens.is(at, "&&") || tokens.is(at, "||")) return false;
    const bool is_around = tokens.partner(at) > operation;
    at = is_around ? at + 1 : tokens.after_group(at);
  }
  return true;
}

bool has_strided_loop(const Tokens &tokens, TokenRange range) {
  for (std::size_t at = range.begin; at + 1 < range.end; ++at) {
    if (tokens.is(at, "for") && tokens.is(at + 1, "(") && mentions(tokens, {at, tokens.partner(at + 1)}, "+=")) {
      return true;
    }
  }
  return false;
}

bool is_hint_or_line(const Tokens &tokens, std::size_t directive) {
  const std::string_view text = tokens.text(directive);
  if (text.find("unroll") != text.npos || text.find("clang loop") != text.npos) return true;
  const std::size_t word = text.find_first_not_of(" \t", 1);
  return word != text.npos && (text.substr(word).starts_with("line") || (text[word] >= '0' && text[word] <= '9'));
}

std::size_t after_statement(const Tokens &tokens, std::size_t at, std::size_t end) {
  at = skip_directives(tokens, at, end);
  if (tokens.is(at, "{")) return tokens.partner(at) + 1;
  if (tokens.is(at, "if")) {
    if (!tokens.is(at + 1, "(")) return no_token;
    const std::size_t stop = after_statement(tokens, tokens.after_group(at + 1), end);
    if (stop == no_token) return stop;
    const std::size_t behind = skip_directives(tokens, stop, end);
    return tokens.is(behind, "else") ? after_statement(tokens, behind + 1, end) : stop;
  }
  if (tokens.is(at, "for") || tokens.is(at, "while") || tokens.is(at, "switch")) {
    return after_statement(tokens, tokens.after_group(at + 1), end);
  }
  if (tokens.is(at, "do")) {
    at = after_statement(tokens, at + 1, end);
    if (at == no_token) return at;
  }
  while (at < end && !tokens.is(at, ";")) at = tokens.after_group(at);
  return std::min(at + 1, end);
}

bool is_qualifier(const Tokens &tokens, std::size_t at) {
  return tokens.is(at, "const") || tokens.is(at, "device") || tokens.is(at, "constant") || tokens.is(at, "threadgroup");
}

std::size_t after_type(const Tokens &tokens, std::size_t at, std::size_t end) {
  constexpr std::array<std::string_view, 6> fundamental = {"unsigned", "signed", "int", "long", "short", "char"};
  const auto is_fundamental = [&](std::size_t word) {
    return std::find(fundamental.begin(), fundamental.end(), tokens.text(word)) != fundamental.end();
  };
  if (tokens.is(at, "::")) ++at;
  if (!tokens.is_identifier(at)) return at;
  if (is_fundamental(at)) {
    while (at < end && is_fundamental(at)) ++at;
    return at;
  }
  while (tokens.is(at + 1, "::") && tokens.is_identifier(at + 2)) at += 2;
  if (tokens.is(at + 1, "<")) {
    const std::size_t close = tokens.closing_angle(at + 1, end);
    if (close != no_token) return close + 1;
  }
  return at + 1;
}

std::optional<LocalDeclaration> read_local_declaration(const Tokens &tokens, TokenRange range) {
  LocalDeclaration declaration;
  std::size_t at = range.begin;
  while (is_qualifier(tokens, at)) declaration.is_const |= tokens.is(at++, "const");
  declaration.type = {at, after_type(tokens, at, range.end)};
  if (declaration.type.empty()) return std::nullopt;
  at = declaration.type.end;
  while (is_qualifier(tokens, at)) declaration.is_const |= tokens.is(at++, "const");
  for (; tokens.is(at, "*") || (declaration.stars > 0 && is_qualifier(tokens, at)); ++at) {
    declaration.stars += tokens.is(at, "*");
    declaration.is_const_pointer = tokens.is(at, "const");
  }
  declaration.specifiers = {range.begin, at};
  constexpr std::array<std::string_view, 6> behind_name = {"=", ";", ",", "[", "(", "{"};
  const bool has_name = tokens.is_identifier(at) && at + 1 < range.end &&
                        std::find(behind_name.begin(), behind_name.end(), tokens.text(at + 1)) != behind_name.end();
  if (!has_name) return std::nullopt;
  declaration.declarators = split_at_commas(tokens, at, range.end - 1);
  return declaration;
}

}  // namespace helion_msl
