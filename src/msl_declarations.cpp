#include "msl_declarations.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace helion_msl {
namespace {

// Words that take a parenthesized group without being the name of a function.
constexpr std::array<std::string_view, 7> group_words = {"__attribute__", "alignas",  "decltype", "explicit",
                                                         "__declspec",    "noexcept", "requires"};

bool is_group_word(std::string_view word) {
  return std::find(group_words.begin(), group_words.end(), word) != group_words.end();
}

bool is_record_keyword(const Tokens &tokens, std::size_t index) {
  return tokens.is(index, "struct") || tokens.is(index, "class") || tokens.is(index, "union");
}

class DeclarationFinder {
 public:
  explicit DeclarationFinder(const Tokens &tokens) : tokens_(tokens) {}

  void read_scope(std::size_t at, std::size_t end, const std::string &scope) {
    while (at < end) {
      if (tokens_[at].kind == TokenKind::directive || tokens_.is(at, ";") || is_access_label(at)) {
        at += is_access_label(at) ? 2 : 1;
      } else if (const std::size_t after = read_nested_scope(at, end, scope); after != no_token) {
        at = after;
      } else {
        at = read_declaration(at, end, scope);
      }
    }
  }

  std::vector<Declaration> take() { return std::move(found_); }

 private:
  bool is_access_label(std::size_t at) const {
    return tokens_.is(at + 1, ":") &&
           (tokens_.is(at, "public") || tokens_.is(at, "private") || tokens_.is(at, "protected"));
  }

  // `namespace a::b { }`, `extern "C" { }`: reads what is inside. Returns the index after it, or no_token.
  std::size_t read_nested_scope(std::size_t at, std::size_t end, const std::string &scope) {
    if (tokens_.is(at, "extern") && at + 2 < end && tokens_[at + 1].kind == TokenKind::string &&
        tokens_.is(at + 2, "{")) {
      read_scope(at + 3, tokens_.partner(at + 2), scope);
      return tokens_.partner(at + 2) + 1;
    }
    std::size_t word = tokens_.is(at, "inline") ? at + 1 : at;
    if (!tokens_.is(word, "namespace")) return no_token;
    std::string inner = scope;
    for (++word; word < end && !tokens_.is(word, "{"); word = tokens_.after_group(word)) {
      if (tokens_.is(word, "=") || tokens_.is(word, ";")) return no_token;
      if (tokens_.is_identifier(word) && !tokens_.is(word, "inline")) {
        inner += std::string(tokens_.text(word)) + "::";
      }
    }
    if (word >= end) return no_token;
    read_scope(word + 1, tokens_.partner(word), inner);
    return tokens_.partner(word) + 1;
  }

  std::size_t read_template_headers(std::size_t at, std::size_t end, Declaration &declaration) const {
    while (tokens_.is(at, "template") && tokens_.is(at + 1, "<")) {
      const std::size_t close = tokens_.closing_angle(at + 1, end);
      if (close == no_token) break;
      declaration.template_lists.push_back({at + 2, close});
      at = close + 1;
    }
    return at;
  }

  std::size_t read_declaration(std::size_t at, std::size_t end, const std::string &scope) {
    Declaration declaration;
    declaration.scope = scope;
    declaration.range.begin = at;
    at = read_template_headers(at, end, declaration);
    if (tokens_.is(at, "template")) {
      declaration.kind = DeclarationKind::explicit_instantiation;
      ++at;
    }
    declaration.header.begin = at;
    at = read_header(at, end, declaration);
    declaration.header.end = at;
    at = read_rest(at, end, declaration);
    declaration.range.end = at;
    found_.push_back(std::move(declaration));
    return at;
  }

  // Reads specifiers and declarator, up to the `{`, `=`, `:` or `;` that ends them, and notes name and kind.
  std::size_t read_header(std::size_t at, std::size_t end, Declaration &declaration) const {
    while (at < end) {
      const std::string_view word = tokens_.text(at);
      if (word == ";" || word == "{" || word == "=" || word == "}" || word == ":") return at;
      if (word == "<") {
        const std::size_t close = tokens_.closing_angle(at, end);
        at = close == no_token ? at + 1 : close + 1;
      } else if (word == "operator") {
        at = read_operator(at, end, declaration);
      } else if (word == "(" && declaration.parameters == no_token && names_function(at)) {
        declaration.parameters = at;
        declaration.name = function_name(at);
        if (declaration.kind == DeclarationKind::other) declaration.kind = DeclarationKind::function;
        at = tokens_.after_group(at);
      } else if (is_record_keyword(tokens_, at) && declaration.kind == DeclarationKind::other) {
        at = read_record_name(at, end, declaration);
      } else {
        at = tokens_.after_group(at);
      }
    }
    return at;
  }

  // Whether the ( at `at` follows a function's name, template arguments allowed: `f(` and `f<float, 4>(`.
  bool names_function(std::size_t at) const {
    const std::size_t name = function_name(at);
    return name != no_token && !is_group_word(tokens_.text(name));
  }

  std::size_t function_name(std::size_t parenthesis) const {
    if (parenthesis == 0) return no_token;
    std::size_t at = parenthesis - 1;
    if (tokens_.is(at, ">")) {
      for (std::size_t depth = 0; at > 0; --at) {
        if (tokens_.is(at, ">")) ++depth;
        if (tokens_.is(at, "<") && --depth == 0) break;
        if (tokens_.partner(at) < at) at = tokens_.partner(at);
        if (at == 0) return no_token;
      }
      if (at == 0) return no_token;
      --at;
    }
    return tokens_.is_identifier(at) ? at : no_token;
  }

  std::size_t read_operator(std::size_t at, std::size_t end, Declaration &declaration) const {
    declaration.name = at++;
    if (tokens_.is(at, "(") || tokens_.is(at, "[")) at = tokens_.after_group(at);  // operator(), operator[]
    while (at < end && !tokens_.is(at, "(")) ++at;
    if (at >= end) return at;
    declaration.parameters = at;
    if (declaration.kind == DeclarationKind::other) declaration.kind = DeclarationKind::function;
    return tokens_.after_group(at);
  }

  std::size_t read_record_name(std::size_t at, std::size_t end, Declaration &declaration) const {
    ++at;
    while (at < end && (tokens_.is_attribute(at) || is_group_word(tokens_.text(at)))) {
      at = tokens_.is_attribute(at) ? tokens_.after_group(at) : tokens_.after_group(at + 1);
    }
    // `struct S f(...)` names a type that is declared elsewhere: only a body or a ; makes it this declaration's own.
    std::size_t ahead = at + 1;
    if (tokens_.is(ahead, "<")) {
      const std::size_t close = tokens_.closing_angle(ahead, end);
      if (close != no_token) ahead = close + 1;
    }
    if (tokens_.is(ahead, "final")) ++ahead;
    if (tokens_.is(at, "{") || tokens_.is(ahead, "{") || tokens_.is(ahead, ":") || tokens_.is(ahead, ";")) {
      declaration.kind = DeclarationKind::record;
      if (tokens_.is_identifier(at)) declaration.name = at;
      return tokens_.is(at, "{") ? at : ahead;
    }
    return at;
  }

  // From the token after the header to the end of the declaration.
  std::size_t read_rest(std::size_t at, std::size_t end, Declaration &declaration) const {
    const bool is_function = declaration.kind == DeclarationKind::function;
    const bool is_record = declaration.kind == DeclarationKind::record;
    if (at < end && tokens_.is(at, ":") && (is_function || is_record)) {
      at = is_function ? after_initializers(at, end) : find(at, end, "{");
    }
    if (at < end && tokens_.is(at, "{") && (is_function || is_record)) {
      declaration.body = at;
      at = tokens_.after_group(at);
      if (is_function) return at;
    }
    return std::min(end, find(at, end, ";") + 1);
  }

  // The body's { after the initializers of a constructor: `: a(1), b{2} {`.
  std::size_t after_initializers(std::size_t at, std::size_t end) const {
    for (++at; at < end; at = tokens_.after_group(at)) {
      if (tokens_.is(at, "{") && !tokens_.is_identifier(at - 1) && !tokens_.is(at - 1, ">")) return at;
    }
    return at;
  }

  std::size_t find(std::size_t at, std::size_t end, std::string_view spelling) const {
    while (at < end && !tokens_.is(at, spelling)) at = tokens_.after_group(at);
    return at;
  }

  const Tokens &tokens_;
  std::vector<Declaration> found_;
};

}  // namespace

std::vector<Declaration> find_declarations(const Tokens &tokens) {
  DeclarationFinder finder(tokens);
  finder.read_scope(0, tokens.size(), "::");
  return finder.take();
}

std::vector<Declaration> members_of(const Tokens &tokens, const Declaration &record) {
  DeclarationFinder finder(tokens);
  if (record.body != no_token) {
    finder.read_scope(record.body + 1, tokens.partner(record.body), record.scope);
  }
  return finder.take();
}

}  // namespace helion_msl
