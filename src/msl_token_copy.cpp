#include "msl_token_copy.h"

#include <algorithm>

namespace helion_msl {
namespace {

void insert_at(std::size_t offset, const std::vector<Edit> &edits, std::string &text) {
  for (const Edit &edit : edits) {
    if (edit.begin == offset && edit.end == offset) text += edit.replacement;
  }
}

void write_token(const Tokens &tokens, std::size_t at, const std::vector<Edit> &edits, std::string &text) {
  const Token &token = tokens[at];
  for (const Edit &edit : edits) {
    if (edit.begin == edit.end || edit.end <= token.begin || edit.begin >= token.end) continue;
    if (edit.begin < token.begin) return;  // written with an earlier token
    text += tokens.source().substr(token.begin, edit.begin - token.begin);
    text += edit.replacement;
    if (edit.end < token.end) text += tokens.source().substr(edit.end, token.end - edit.end);
    return;
  }
  text += tokens.text(at);
}

}  // namespace

std::string copy_tokens(const Tokens &tokens, TokenRange range, const std::vector<Edit> &edits,
                        const std::vector<Substitute> &substitutes) {
  std::string text = " ";
  // Where the last token that was written ends: tokens that touch each other, as the two of `>>` do, still do.
  std::size_t written = tokens[range.begin].begin;
  for (std::size_t at = range.begin; at < range.end;) {
    if (tokens[at].kind == TokenKind::directive) {
      text += ' ';
      written = at + 1 < range.end ? tokens[at + 1].begin : tokens[at].end;
      ++at;
      continue;
    }
    if (tokens[at].begin != written) text += ' ';
    const auto substitute = std::find_if(substitutes.begin(), substitutes.end(),
                                         [&](const Substitute &candidate) { return candidate.begin == at; });
    const std::size_t last = substitute == substitutes.end() ? at : substitute->end - 1;
    insert_at(tokens[at].begin, edits, text);
    if (substitute == substitutes.end()) {
      write_token(tokens, at, edits, text);
    } else {
      text += substitute->text;
    }
    written = tokens[last].end;
    at = last + 1;
    if (at == range.end || tokens[at].begin != written) insert_at(written, edits, text);
  }
  return text;
}

}  // namespace helion_msl
