#include "msl_reconvergence.h"

#include <string>

namespace helion_msl {
namespace {

constexpr const char *open_scope = "{ helion_host::reconvergence_scope helion_host_scope; ";
constexpr const char *open_turn = "{ helion_host::loop_turn helion_host_turn; ";

// Walks the statements of a function's body. Each read_* function takes the index of the first token of a statement
// and returns the index after its last one.
class StatementReader {
 public:
  StatementReader(const Tokens &tokens, const CallGraph &calls, std::vector<Edit> &edits)
      : tokens_(tokens), calls_(calls), edits_(edits) {}

  void read_block(std::size_t brace) {
    const std::size_t end = tokens_.partner(brace);
    for (std::size_t at = brace + 1; at < end;) at = read_statement(at, end);
  }

 private:
  std::size_t read_statement(std::size_t at, std::size_t end) {
    if (tokens_.is(at, "{")) {
      read_block(at);
      return tokens_.partner(at) + 1;
    }
    if (tokens_.is(at, "if") || tokens_.is(at, "switch")) return read_marked(at, end, &StatementReader::read_selection);
    if (tokens_.is(at, "for") || tokens_.is(at, "while")) return read_marked(at, end, &StatementReader::read_loop);
    if (tokens_.is(at, "do")) return read_marked(at, end, &StatementReader::read_do_loop);
    if (tokens_.is(at, "case") || tokens_.is(at, "default")) return read_label(at, end);
    return skip_to_semicolon(at, end);
  }

  // `case 1:`; the statement behind it is read as one of its own.
  std::size_t read_label(std::size_t at, std::size_t end) const {
    while (at < end && !tokens_.is(at, ":")) at = tokens_.after_group(at);
    return at < end ? at + 1 : end;
  }

  // Anything else, lambdas and local records included, which are in brackets. A directive has no semicolon.
  std::size_t skip_to_semicolon(std::size_t at, std::size_t end) const {
    if (tokens_[at].kind == TokenKind::directive) return at + 1;
    while (at < end && !tokens_.is(at, ";")) at = tokens_.after_group(at);
    return at < end ? at + 1 : end;
  }

  using Reader = std::size_t (StatementReader::*)(std::size_t, std::size_t, bool);

  std::size_t read_marked(std::size_t at, std::size_t end, Reader reader) {
    if (is_measuring_) return (this->*reader)(at, end, false);
    is_measuring_ = true;
    const std::size_t stop = (this->*reader)(at, end, false);
    is_measuring_ = false;
    if (!calls_.waits_in_collective({at, stop})) return stop;
    const bool is_marked = !tokens_.is(at + 1, "constexpr");
    if (is_marked) insert(before_pragmas(at), open_scope);
    (this->*reader)(at, end, is_marked);
    if (is_marked) insert(tokens_[stop - 1].end, " }");
    return stop;
  }

  // A pragma that unrolls a loop has to stand right before it: the scope begins before the pragma's line.
  std::size_t before_pragmas(std::size_t at) const {
    std::size_t first = at;
    while (first > 0 && tokens_[first - 1].kind == TokenKind::directive) --first;
    return first == at ? tokens_[at].begin : tokens_[first - 1].end;
  }

  std::size_t read_selection(std::size_t at, std::size_t end, bool) {
    std::size_t condition = at + 1;
    if (tokens_.is(condition, "constexpr")) ++condition;
    std::size_t stop = read_statement(tokens_.after_group(condition), end);
    if (tokens_.is(at, "if") && stop < end && tokens_.is(stop, "else")) stop = read_statement(stop + 1, end);
    return stop;
  }

  std::size_t read_loop(std::size_t at, std::size_t end, bool is_marked) {
    return read_body(tokens_.after_group(at + 1), end, is_marked);
  }

  std::size_t read_do_loop(std::size_t at, std::size_t end, bool is_marked) {
    return skip_to_semicolon(read_body(at + 1, end, is_marked), end);
  }

  std::size_t read_body(std::size_t body, std::size_t end, bool is_marked) {
    if (is_marked) insert(tokens_[body].begin, open_turn);
    const std::size_t stop = read_statement(body, end);
    if (is_marked) insert(tokens_[stop - 1].end, " }");
    return stop;
  }

  void insert(std::size_t offset, const char *text) { edits_.push_back({offset, offset, text}); }

  const Tokens &tokens_;
  const CallGraph &calls_;
  std::vector<Edit> &edits_;
  bool is_measuring_ = false;  // looks for the end of a statement, and marks nothing inside
};

}  // namespace

void mark_reconvergence(const Tokens &tokens, const CallGraph &calls, const Declaration &function,
                        std::vector<Edit> &edits) {
  if (function.kind == DeclarationKind::record && function.body != no_token) {
    for (const Declaration &member : members_of(tokens, function)) mark_reconvergence(tokens, calls, member, edits);
  }
  if (function.kind != DeclarationKind::function || function.body == no_token) return;
  const TokenRange body = {function.body, tokens.partner(function.body) + 1};
  if (calls.waits_in_collective(body)) StatementReader(tokens, calls, edits).read_block(function.body);
}

}  // namespace helion_msl
