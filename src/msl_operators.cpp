#include "msl_operators.h"

#include <charconv>
#include <string>
#include <string_view>

namespace helion_msl {
namespace {

// The most that any integer can be shifted by: 32 and above is too much for an int, and nothing here knows the type.
constexpr unsigned safe_shift = 31;

bool is_operand_end(const Tokens &tokens, std::size_t at) {
  if (tokens.is_identifier(at)) return !tokens.is(at, "operator") && !tokens.is(at, "return");
  return tokens[at].kind == TokenKind::number || tokens[at].kind == TokenKind::character || tokens.is(at, ")") ||
         tokens.is(at, "]") || tokens.is(at, "}") || tokens.is(at, "++") || tokens.is(at, "--");
}

bool is_floating(std::string_view number) {
  const bool is_hexadecimal = number.starts_with("0x") || number.starts_with("0X");
  return number.find_first_of(is_hexadecimal ? ".pP" : ".eEfFhH") != std::string_view::npos;
}

// Two `>` or a `>` and a `>=` without space between them, which may also close template argument lists: none of those
// is open where no `<` stands before them in the same brackets.
bool is_right_shift(const Tokens &tokens, std::size_t at, std::size_t begin) {
  if (!tokens.is(at, ">") || !(tokens.is(at + 1, ">") || tokens.is(at + 1, ">="))) return false;
  if (tokens[at].end != tokens[at + 1].begin) return false;
  while (at > begin) {
    --at;
    if (tokens.partner(at) < at) {
      at = tokens.partner(at);
      if (tokens.is(at, "{")) return true;
    } else if (tokens.is(at, ";") || tokens.is(at, "(") || tokens.is(at, "[") || tokens.is(at, "{")) {
      return true;
    } else if (tokens.is(at, "<")) {
      return false;
    }
  }
  return true;
}

struct Operator {
  std::string_view spelling;
  std::size_t tokens = 0;  // 0: there is none
  bool is_shift() const { return spelling[0] == '<' || spelling[0] == '>'; }
};

Operator read_operator(const Tokens &tokens, std::size_t at, std::size_t begin) {
  for (const std::string_view spelling : {"<<", "/", "%", "<<=", "/=", "%="}) {
    if (tokens.is(at, spelling)) return {spelling, 1};
  }
  if (!is_right_shift(tokens, at, begin)) return {};
  return {tokens.is(at + 1, ">") ? ">>" : ">>=", 2};
}

// Whether the operand behind the operator is a number for which C++ defines the result.
bool has_safe_operand(const Tokens &tokens, const Operator &found, std::size_t operand) {
  if (tokens[operand].kind != TokenKind::number) return false;
  const std::string_view number = tokens.text(operand);
  if (is_floating(number)) return true;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  const bool is_decimal = error == std::errc() && (end == number.data() + number.size() || *end == 'u' || *end == 'U' ||
                                                   *end == 'l' || *end == 'L');
  return is_decimal && (found.is_shift() ? value <= safe_shift : value != 0);
}

class OperatorRewriter {
 public:
  OperatorRewriter(const Tokens &tokens, std::vector<Edit> &edits) : tokens_(tokens), edits_(edits) {}

  void rewrite(const std::vector<Declaration> &declarations) {
    for (const Declaration &declaration : declarations) {
      if (declaration.body == no_token) continue;
      if (declaration.kind == DeclarationKind::record) {
        rewrite(members_of(tokens_, declaration));
      } else if (declaration.kind == DeclarationKind::function) {
        rewrite_body(declaration.body);
      }
    }
  }

  bool has_rewritten() const { return has_rewritten_; }

 private:
  void rewrite_body(std::size_t body) {
    const std::size_t end = tokens_.partner(body);
    for (std::size_t at = body + 1; at < end; ++at) {
      if (tokens_.is_attribute(at)) {
        at = tokens_.partner(at);
        continue;
      }
      if (tokens_[at].kind != TokenKind::punctuator || !is_operand_end(tokens_, at - 1)) continue;
      const Operator found = read_operator(tokens_, at, body);
      const std::size_t operand = at + found.tokens;
      if (found.tokens == 0 || operand >= end) continue;
      const bool is_floating_left = tokens_[at - 1].kind == TokenKind::number && is_floating(tokens_.text(at - 1));
      if (!is_floating_left && !has_safe_operand(tokens_, found, operand)) insert_rules(found, operand - 1);
      at = operand - 1;
    }
  }

  void insert_rules(const Operator &found, std::size_t last) {
    const std::size_t offset = tokens_[last].end;
    edits_.push_back({offset, offset, " helion_host::metal_rules " + std::string(found.spelling)});
    has_rewritten_ = true;
  }

  const Tokens &tokens_;
  std::vector<Edit> &edits_;
  bool has_rewritten_ = false;
};

}  // namespace

bool rewrite_integer_operators(const Tokens &tokens, const std::vector<Declaration> &declarations,
                               std::vector<Edit> &edits) {
  OperatorRewriter rewriter(tokens, edits);
  rewriter.rewrite(declarations);
  return rewriter.has_rewritten();
}

}  // namespace helion_msl
