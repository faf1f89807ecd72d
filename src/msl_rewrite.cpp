#include "msl_rewrite.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace helion_msl {
namespace {

[[noreturn]] void fail(const Tokens &tokens, std::size_t token, const std::string &message) {
  throw SourceError(tokens[token].begin, message);
}

Edit insertion(std::size_t offset, std::string text) {
  return {offset, offset, std::move(text)};
}

Edit blanked(std::size_t begin, std::size_t end) {
  return {begin, end, std::string(end - begin, ' ')};
}

// `1.5h` -> `1.5f16`, which clang takes for _Float16; `1.5bf` -> `bfloat(1.5f)`, which has no suffix in C++.
void rewrite_number(const Tokens &tokens, std::size_t index, std::vector<Edit> &edits) {
  const std::string_view number = tokens.text(index);
  const bool is_hexadecimal = number.starts_with("0x") || number.starts_with("0X");
  const Token &token = tokens[index];
  // In a hexadecimal integer b and f are digits; after an exponent they are not.
  if (is_hexadecimal && number.find_first_of("pP") == std::string_view::npos) return;
  if (number.ends_with('h') || number.ends_with('H')) {
    edits.push_back({token.end - 1, token.end, "f16"});
  } else if (number.ends_with("bf") || number.ends_with("BF")) {
    edits.push_back({token.begin, token.end, "bfloat(" + std::string(number.substr(0, number.size() - 2)) + "f)"});
  }
}

// ---- return statements of kernels ---------------------------------------------------------------------------------

// Index of the [ of a lambda whose body is the { at `brace`, or no_token.
bool opens_lambda_body(const Tokens &tokens, std::size_t brace, std::size_t begin) {
  // Goes back over `-> type`, `mutable` and the parameters to the capture list.
  std::size_t at = brace;
  while (at > begin) {
    --at;
    const std::string_view word = tokens.text(at);
    if (word == ";" || word == "{" || word == "}" || word == "=" || word == ",") return false;
    if (word == ")") {
      at = tokens.partner(at);
    } else if (word == "]") {
      const std::size_t open = tokens.partner(at);
      const bool is_subscript =
          open > begin && (tokens.is_identifier(open - 1) || tokens.is(open - 1, ")") || tokens.is(open - 1, "]")) &&
          !tokens.is(open - 1, "return");
      if (!is_subscript && !tokens.is_attribute(open)) return true;
      at = open;
    }
  }
  return false;
}

// Whether the { at `brace` opens a function inside a function: a lambda, or a method of a local record.
bool opens_nested_function(const Tokens &tokens, std::size_t brace, std::size_t begin) {
  for (std::size_t at = brace; at > begin;) {
    --at;
    const std::string_view word = tokens.text(at);
    if (word == "struct" || word == "class" || word == "union") return true;
    if (word == ";" || word == "{" || word == "}" || word == ")" || word == "=") break;
  }
  return opens_lambda_body(tokens, brace, begin);
}

// ---- threadgroup variables ------------------------------------------------------------------------------------------

struct ThreadgroupDeclaration {
  std::size_t word;  // `threadgroup`
  std::size_t semicolon;
  std::vector<std::size_t> names;  // of its variables; empty for pointers and references
};

// Whether only specifiers stand between the beginning of its statement and the word `threadgroup` at `index`, which is
// in no parentheses: `alignas(16) threadgroup float x[4];` but not `as_type<threadgroup uint *>(p)`.
bool begins_declaration(const Tokens &tokens, std::size_t index, std::size_t body) {
  std::size_t begin = index;
  while (begin > body + 1) {
    const std::size_t before = begin - 1;
    if (tokens.is(before, ";") || tokens.is(before, "{") || tokens.is(before, "}") || tokens.is(before, ":") ||
        tokens[before].kind == TokenKind::directive) {
      break;
    }
    begin = std::min(before, tokens.partner(before));
  }
  for (std::size_t at = begin; at < index; at = tokens.after_group(at)) {
    if (tokens.is(at, "<")) {
      const std::size_t close = tokens.closing_angle(at, index);
      if (close == no_token) return false;
      at = close;
    } else if (!tokens.is_identifier(at) && !tokens.is(at, "::") && !tokens.is(at, "(") && !tokens.is_attribute(at)) {
      return false;
    } else if (tokens.is(at, "return") || tokens.is(at, "sizeof")) {
      return false;
    }
  }
  return true;
}

// Reads the declarators after the `threadgroup` at `word`.
ThreadgroupDeclaration read_threadgroup_declaration(const Tokens &tokens, std::size_t word, std::size_t end) {
  ThreadgroupDeclaration declaration = {word, word, {}};
  while (declaration.semicolon < end && !tokens.is(declaration.semicolon, ";")) {
    declaration.semicolon = tokens.after_group(declaration.semicolon);
  }
  for (const TokenRange &part : split_at_commas(tokens, word + 1, declaration.semicolon)) {
    std::size_t name = no_token;
    bool is_pointer = false;
    for (std::size_t at = part.begin; at < part.end && !is_pointer; at = tokens.after_group(at)) {
      const std::string_view spelling = tokens.text(at);
      if (spelling == "*" || spelling == "&" || spelling == "&&") {
        is_pointer = true;
      } else if (spelling == "(" && !tokens.is(at - 1, "alignas") && !tokens.is(at - 1, "decltype")) {
        is_pointer = tokens.is(at + 1, "&") || tokens.is(at + 1, "*");
        break;
      } else if (spelling == "=" || spelling == "{") {
        break;
      } else if (spelling == "<") {
        const std::size_t close = tokens.closing_angle(at, part.end);
        if (close != no_token) at = close;
      } else if (tokens.is_identifier(at)) {
        name = at;
      }
    }
    if (is_pointer || name == no_token) continue;
    const std::size_t after_name = name + 1;
    std::size_t initializer = after_name;
    while (initializer < part.end && tokens.is(initializer, "[")) initializer = tokens.after_group(initializer);
    if (initializer < part.end) {
      fail(tokens, name,
           "the threadgroup variable '" + std::string(tokens.text(name)) +
               "' has an initializer; let one thread assign it, then use threadgroup_barrier");
    }
    declaration.names.push_back(name);
  }
  return declaration;
}

std::vector<ThreadgroupDeclaration> threadgroup_variables(const Tokens &tokens, std::size_t body) {
  std::vector<ThreadgroupDeclaration> found;
  const std::size_t end = tokens.partner(body);
  for (std::size_t at = body + 1; at < end;) {
    if (tokens.is(at, "(") || tokens.is(at, "[")) {
      // Parameters, casts and conditions; a lambda's body is in braces of its own.
      at = tokens.after_group(at);
      continue;
    }
    if (tokens.is(at, "threadgroup") && begins_declaration(tokens, at, body)) {
      ThreadgroupDeclaration declaration = read_threadgroup_declaration(tokens, at, end);
      at = declaration.semicolon;
      if (!declaration.names.empty()) found.push_back(std::move(declaration));
      continue;
    }
    ++at;
  }
  return found;
}

}  // namespace

void rewrite_literals(const Tokens &tokens, std::vector<Edit> &edits) {
  for (std::size_t index = 0; index < tokens.size(); ++index) {
    if (tokens[index].kind == TokenKind::number) rewrite_number(tokens, index, edits);
    if (tokens.is(index, "double")) fail(tokens, index, "Metal has no double; use float");
  }
}

void drop_unroll_hints_of_macros(const Tokens &tokens, std::vector<Edit> &edits) {
  std::set<std::string_view> names;
  std::vector<std::size_t> hints;
  for (std::size_t at = 0; at < tokens.size(); ++at) {
    if (tokens.is_identifier(at)) names.insert(tokens.text(at));
    if (tokens[at].kind == TokenKind::directive && tokens.text(at).find("unroll") != std::string_view::npos) {
      hints.push_back(at);
    }
  }
  for (const std::size_t hint : hints) {
    const std::size_t argument = tokens.text(hint).find('(');
    if (argument == std::string_view::npos || !tokens.text(hint).starts_with('#')) continue;
    const Tokens words(tokens.text(hint).substr(argument));
    for (std::size_t at = 0; at < words.size(); ++at) {
      if (!words.is_identifier(at) || names.contains(words.text(at)) || words.is(at, "sizeof")) continue;
      edits.push_back({tokens[hint].begin, tokens[hint].end, ""});
      break;
    }
  }
}

void erase_keyword_attributes(const Tokens &tokens, std::vector<Edit> &edits) {
  constexpr std::array<std::string_view, 5> keywords = {"device", "thread", "threadgroup", "constant", "kernel"};
  for (std::size_t at = 0; at < tokens.size(); ++at) {
    if (!tokens.is_attribute(at)) continue;
    const std::size_t end = tokens.partner(at);
    bool has_keyword = false;
    for (std::size_t inner = at; inner < end; ++inner) {
      has_keyword |= std::find(keywords.begin(), keywords.end(), tokens.text(inner)) != keywords.end();
    }
    if (has_keyword) edits.push_back(blanked(tokens[at].begin, tokens[end].end));
    at = end;
  }
}

void rewrite_kernel_function(const Tokens &tokens, const Declaration &declaration, std::vector<Edit> &edits) {
  const std::size_t type = return_type_of(tokens, declaration);
  edits.push_back({tokens[type].begin, tokens[type].end, "helion_host::thread_end"});
  for (std::size_t at = declaration.header.begin; at < declaration.header.end; at = tokens.after_group(at)) {
    const bool is_attribute = tokens.is_attribute(at);
    if (!is_attribute && !tokens.is(at, "kernel")) continue;
    edits.push_back(blanked(tokens[at].begin, tokens[is_attribute ? tokens.partner(at) : at].end));
  }
  if (declaration.body == no_token) return;
  const std::size_t end = tokens.partner(declaration.body);
  for (std::size_t at = declaration.body + 1; at < end; ++at) {
    if (tokens.is(at, "{") && opens_nested_function(tokens, at, declaration.body)) {
      at = tokens.partner(at);
    } else if (tokens.is(at, "return")) {
      const bool is_last = tokens.is(at + 1, ";") && at + 2 == end;
      std::size_t stop = at + 1;
      while (stop < end && !tokens.is(stop, ";")) stop = tokens.after_group(stop);
      const std::string comma = stop == at + 1 ? " " : ", ";
      edits.push_back(
          insertion(tokens[stop - 1].end, comma + (is_last ? "helion_host::finished" : "helion_host::left")));
    }
  }
  edits.push_back(insertion(tokens[end].begin, "return helion_host::finished; "));
}

void rewrite_threadgroup_variables(const Tokens &tokens, const Declaration &kernel, const std::string &function,
                                   std::vector<Edit> &edits) {
  for (const ThreadgroupDeclaration &declaration : threadgroup_variables(tokens, kernel.body)) {
    const Token &word = tokens[declaration.word];
    edits.push_back({word.begin, word.end, "static thread_local"});
    std::string registrations;
    for (const std::size_t name : declaration.names) {
      registrations += " HELION_HOST_THREADGROUP_VARIABLE(" + std::string(tokens.text(name)) + ", " + function + ");";
    }
    edits.push_back(insertion(tokens[declaration.semicolon].end, registrations));
  }
}

void refuse_threadgroup_variables(const Tokens &tokens, const Declaration &declaration) {
  if (declaration.kind == DeclarationKind::function && declaration.body != no_token) {
    for (const ThreadgroupDeclaration &found : threadgroup_variables(tokens, declaration.body)) {
      fail(tokens, found.word,
           "the threadgroup variable '" + std::string(tokens.text(found.names.front())) +
               "' is declared outside of a kernel; declare it in the kernel and pass a pointer");
    }
  }
  if (declaration.kind != DeclarationKind::other) return;
  for (std::size_t at = declaration.header.begin; at < declaration.header.end; at = tokens.after_group(at)) {
    if (tokens.is(at, "using") || tokens.is(at, "typedef")) return;
    if (!tokens.is(at, "threadgroup")) continue;
    const ThreadgroupDeclaration found = read_threadgroup_declaration(tokens, at, declaration.range.end);
    if (found.names.empty()) return;
    fail(tokens, at,
         "the threadgroup variable '" + std::string(tokens.text(found.names.front())) +
             "' is declared outside of a kernel; declare it in the kernel and pass a pointer");
  }
}

}  // namespace helion_msl
