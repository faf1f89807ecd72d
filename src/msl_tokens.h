// Tokens of Metal Shading Language text. MSL is C++, so these are C++'s tokens; what a token means is decided
// elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace helion_msl {

enum class TokenKind : std::uint8_t {
  identifier,  // keywords too
  number,
  string,  // also raw strings, with prefix and suffix
  character,
  punctuator,
  directive,  // a whole preprocessor line, splices included
};

struct Token {
  TokenKind kind;
  std::uint32_t begin;  // bytes from the start of the text
  std::uint32_t end;
  // Index of the bracket that closes or opens this one, for ( ) [ ] { }; otherwise the token's own index.
  std::uint32_t partner;
};

// Something in a text that cannot be taken as it is; `offset` says where.
struct SourceError : std::runtime_error {
  SourceError(std::size_t where, const std::string &message) : std::runtime_error(message), offset(where) {}
  std::size_t offset;
};

constexpr std::size_t no_token = static_cast<std::size_t>(-1);

// The tokens of a text, comments and white space left out. Keeps a view of the text, which must outlive it.
class Tokens {
 public:
  // Throws SourceError.
  explicit Tokens(std::string_view text);

  std::size_t size() const { return tokens_.size(); }
  const Token &operator[](std::size_t index) const { return tokens_[index]; }
  std::string_view source() const { return source_; }
  std::string_view text(std::size_t index) const {
    const Token &token = tokens_[index];
    return source_.substr(token.begin, token.end - token.begin);
  }
  // The text from the first byte of token `first` to the last of token `last - 1`, comments in between included.
  std::string_view text(std::size_t first, std::size_t last) const {
    return first >= last ? std::string_view()
                         : source_.substr(tokens_[first].begin, tokens_[last - 1].end - tokens_[first].begin);
  }
  // Out of range is no token: is() is false there.
  bool is(std::size_t index, std::string_view spelling) const { return index < size() && text(index) == spelling; }
  bool is_identifier(std::size_t index) const { return index < size() && tokens_[index].kind == TokenKind::identifier; }
  // Index of the bracket that belongs to the one at `index`.
  std::size_t partner(std::size_t index) const { return tokens_[index].partner; }
  // Index just after the bracketed group that starts at `index`, or after the token where none starts there.
  std::size_t after_group(std::size_t index) const {
    return tokens_[index].partner > index ? tokens_[index].partner + 1 : index + 1;
  }
  // Index of the `>` that closes the template argument list opened by the `<` at `index`, below `limit`; `no_token`
  // where that `<` is a comparison.
  std::size_t closing_angle(std::size_t index, std::size_t limit) const;
  // Whether `[[` starts at `index`; the attribute list then ends at partner(index).
  bool is_attribute(std::size_t index) const;

 private:
  void match_brackets();
  std::string_view source_;
  std::vector<Token> tokens_;
};

// The preprocessor lines of a text in any state, also one whose quotes or brackets do not match (`#if 0` hides them).
std::vector<Token> find_directives(std::string_view text);

// The bytes that one or more adjacent string literals denote, tokens [first, last).
std::string string_literal_value(const Tokens &tokens, std::size_t first, std::size_t last);

}  // namespace helion_msl
