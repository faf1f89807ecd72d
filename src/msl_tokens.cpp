#include "msl_tokens.h"

#include <algorithm>
#include <array>

namespace helion_msl {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
// Bytes of UTF-8 sequences count as letters, as clang takes them.
bool is_identifier_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_identifier_part(char c) {
  return is_identifier_start(c) || is_digit(c);
}

// `>>` is not among them: whether it shifts or closes two template argument lists is for the reader to decide.
constexpr std::array<std::string_view, 24> long_punctuators = {
    "<<=", "...", "->*", "::", "->", "<<", "<=", ">=", "==", "!=", "&&", "||",
    "+=",  "-=",  "*=",  "/=", "%=", "&=", "|=", "^=", "++", "--", "##", ".*"};

constexpr std::string_view second_characters = "<.>:=&|+-#*";  // of those

class Tokenizer {
 public:
  // A tolerant one lets an open quote end at the end of its line, and an open comment at the end of the text.
  Tokenizer(std::string_view source, bool tolerant) : source_(source), tolerant_(tolerant) {}

  std::vector<Token> run() {
    while (skip_blanks()) {
      const std::size_t begin = at_;
      const TokenKind kind = read_token();
      at_line_start_ = false;
      const auto index = static_cast<std::uint32_t>(tokens_.size());
      tokens_.push_back({kind, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at_), index});
    }
    return std::move(tokens_);
  }

 private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }

  // Length of a backslash and the line end after it, 0 where there is none.
  std::size_t splice_length() const {
    if (peek() != '\\') return 0;
    if (peek(1) == '\n') return 2;
    return peek(1) == '\r' && peek(2) == '\n' ? 3 : 0;
  }

  // Skips white space, comments and splices. False at the end of the text.
  bool skip_blanks() {
    while (at_ < source_.size()) {
      const char c = peek();
      if (c == '\n') {
        at_line_start_ = true;
        ++at_;
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f') {
        ++at_;
      } else if (const std::size_t length = splice_length()) {
        at_ += length;
      } else if (c == '/' && peek(1) == '/') {
        skip_line();
      } else if (c == '/' && peek(1) == '*') {
        skip_block_comment();
      } else {
        return true;
      }
    }
    return false;
  }

  void skip_line() {
    while (at_ < source_.size() && peek() != '\n') at_ += std::max<std::size_t>(1, splice_length());
  }

  void skip_block_comment() {
    const std::size_t end = source_.find("*/", at_ + 2);
    if (end == std::string_view::npos && !tolerant_) throw SourceError(at_, "this comment has no */");
    at_ = end == std::string_view::npos ? source_.size() : end + 2;
  }

  TokenKind read_token() {
    const char c = peek();
    if (c == '#' && at_line_start_) return read_directive();
    if (is_identifier_start(c)) return read_word();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return read_number();
    if (c == '"') return read_quoted('"', TokenKind::string);
    if (c == '\'') return read_quoted('\'', TokenKind::character);
    const bool may_be_long = second_characters.find(peek(1)) != std::string_view::npos;
    for (const std::string_view punctuator : long_punctuators) {
      if (!may_be_long) break;
      if (source_.substr(at_, punctuator.size()) == punctuator) {
        at_ += punctuator.size();
        return TokenKind::punctuator;
      }
    }
    ++at_;
    return TokenKind::punctuator;
  }

  TokenKind read_directive() {
    while (at_ < source_.size() && peek() != '\n') {
      if (peek() == '/' && peek(1) == '/') {
        skip_line();
      } else if (peek() == '/' && peek(1) == '*') {
        skip_block_comment();
      } else {
        at_ += std::max<std::size_t>(1, splice_length());
      }
    }
    return TokenKind::directive;
  }

  TokenKind read_word() {
    const std::size_t begin = at_;
    while (is_identifier_part(peek())) ++at_;
    const std::string_view word = source_.substr(begin, at_ - begin);
    if (peek() == '"' && (word == "R" || word == "LR" || word == "uR" || word == "UR" || word == "u8R")) {
      return read_raw_string();
    }
    const bool is_prefix = word == "L" || word == "u" || word == "U" || word == "u8";
    if (peek() == '"' && is_prefix) return read_quoted('"', TokenKind::string);
    if (peek() == '\'' && is_prefix) return read_quoted('\'', TokenKind::character);
    return TokenKind::identifier;
  }

  TokenKind read_number() {
    while (true) {
      const char c = peek();
      const char next = peek(1);
      if ((c == 'e' || c == 'E' || c == 'p' || c == 'P') && (next == '+' || next == '-')) {
        at_ += 2;
      } else if (is_identifier_part(c) || c == '.') {
        ++at_;
      } else if (c == '\'' && is_identifier_part(next)) {
        at_ += 2;
      } else {
        return TokenKind::number;
      }
    }
  }

  TokenKind read_quoted(char quote, TokenKind kind) {
    const std::size_t begin = at_++;
    while (peek() != quote) {
      const std::size_t step = splice_length() ? splice_length() : peek() == '\\' ? 2 : 1;
      if (at_ >= source_.size() || peek() == '\n') {
        if (tolerant_) return kind;
        throw SourceError(begin, quote == '"' ? "this string has no closing \"" : "this character has no closing '");
      }
      at_ += step;
    }
    ++at_;
    return kind;
  }

  TokenKind read_raw_string() {
    const std::size_t begin = at_;
    const std::size_t open = source_.find('(', at_);
    if (open == std::string_view::npos) {
      if (tolerant_) return read_quoted('"', TokenKind::string);
      throw SourceError(begin, "this raw string has no (");
    }
    const std::string close = ")" + std::string(source_.substr(at_ + 1, open - at_ - 1)) + "\"";
    const std::size_t end = source_.find(close, open);
    if (end == std::string_view::npos && !tolerant_) throw SourceError(begin, "this raw string has no " + close);
    at_ = end == std::string_view::npos ? source_.size() : end + close.size();
    return TokenKind::string;
  }

  std::string_view source_;
  bool tolerant_;
  std::size_t at_ = 0;
  bool at_line_start_ = true;
  std::vector<Token> tokens_;
};

char closing_bracket(char c) {
  return c == '(' ? ')' : c == '[' ? ']' : c == '{' ? '}' : '\0';
}

// The one character that an escape sequence at `body[at]` (after the backslash) stands for; numeric ones are left out
// of names by everyone, so they stay as they are written.
char simple_escape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    default:
      return c;
  }
}

}  // namespace

Tokens::Tokens(std::string_view text) : source_(text) {
  if (text.size() > UINT32_MAX / 2) throw SourceError(0, "the source is larger than 2 GiB");
  tokens_ = Tokenizer(text, false).run();
  match_brackets();
}

void Tokens::match_brackets() {
  std::vector<std::uint32_t> open;
  for (std::uint32_t index = 0; index < tokens_.size(); ++index) {
    Token &token = tokens_[index];
    if (token.kind != TokenKind::punctuator || token.end - token.begin != 1) continue;
    const char c = source_[token.begin];
    if (closing_bracket(c)) {
      open.push_back(index);
    } else if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) throw SourceError(token.begin, std::string("this ") + c + " closes nothing");
      Token &opening = tokens_[open.back()];
      const char expected = closing_bracket(source_[opening.begin]);
      if (expected != c) {
        throw SourceError(opening.begin, std::string("this ") + source_[opening.begin] + " is not closed: a " + c +
                                             " stands where its " + expected + " should be");
      }
      token.partner = open.back();
      opening.partner = index;
      open.pop_back();
    }
  }
  if (!open.empty()) {
    const Token &opening = tokens_[open.back()];
    throw SourceError(opening.begin, std::string("this ") + source_[opening.begin] + " is never closed");
  }
}

std::size_t Tokens::closing_angle(std::size_t index, std::size_t limit) const {
  std::size_t depth = 0;
  for (std::size_t at = index; at < limit && at < size(); at = after_group(at)) {
    if (tokens_[at].kind != TokenKind::punctuator) continue;
    const std::string_view spelling = text(at);
    if (spelling == "<") ++depth;
    if (spelling == ">" && --depth == 0) return at;
    if (spelling == ";" || spelling == "{" || spelling == ")" || spelling == "]" || spelling == "}") return no_token;
  }
  return no_token;
}

bool Tokens::is_attribute(std::size_t index) const {
  // `x[[]{ return 0; }()]` is the only other reading of `[[`, and MSL code has no use for it.
  return is(index, "[") && is(index + 1, "[") && partner(index + 1) + 1 == partner(index);
}

std::vector<Token> find_directives(std::string_view text) {
  std::vector<Token> tokens = Tokenizer(text, true).run();
  std::erase_if(tokens, [](const Token &token) { return token.kind != TokenKind::directive; });
  return tokens;
}

std::string string_literal_value(const Tokens &tokens, std::size_t first, std::size_t last) {
  std::string value;
  for (std::size_t index = first; index < last; ++index) {
    if (tokens[index].kind != TokenKind::string) continue;
    const std::string_view literal = tokens.text(index);
    const std::size_t quote = literal.find('"');
    if (quote > 0 && literal[quote - 1] == 'R') {
      const std::size_t open = literal.find('(');
      value += literal.substr(open + 1, literal.rfind(')') - open - 1);
      continue;
    }
    for (std::size_t at = quote + 1; at + 1 < literal.size(); ++at) {
      value += literal[at] == '\\' ? simple_escape(literal[++at]) : literal[at];
    }
  }
  return value;
}

}  // namespace helion_msl
