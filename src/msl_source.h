// MSL text on its way to the compiler, and the way back: which line of the user's text a diagnostic is about.
//
// Three texts are involved. The *original* is the user's. The *flat* text is the original after clang's preprocessor,
// or the original itself where there is nothing to preprocess; tokens are taken from it. The *rewritten* text is the
// flat text after edits that keep its lines, and is what clang compiles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace helion_msl {

// Replaces the bytes [begin, end) of the flat text.
struct Edit {
  std::size_t begin;
  std::size_t end;
  std::string replacement;  // on one line
  // What a diagnostic on the replacement is about, where that is not `begin`.
  std::size_t subject = static_cast<std::size_t>(-1);
};

// The text after `edits`, with the line breaks of the removed parts kept, and the way back from it.
class RewrittenText {
 public:
  // Edits may come in any order. One that begins inside the removed part of an earlier one is left out.
  RewrittenText(std::string_view flat, std::vector<Edit> edits);
  const std::string &text() const { return text_; }
  // Offset in the flat text of the byte at `line`, `column` (from 1) of the rewritten text.
  std::size_t flat_offset(std::size_t line, std::size_t column) const;

 private:
  struct Piece {
    std::size_t rewritten;  // where the piece begins
    std::size_t flat;       // where it comes from
    bool copied;            // as it was; otherwise all of it comes from the one place
  };
  std::string text_;
  std::vector<Piece> pieces_;
  std::vector<std::size_t> line_starts_;
};

struct Diagnostic {
  enum class Severity : std::uint8_t { error, note };
  Severity severity = Severity::error;
  std::string message;
  // Where in the flat text; `nowhere` for a place in a header, which `place` then names.
  std::size_t offset = nowhere;
  std::string place;
  static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);
};

class MslSource {
 public:
  explicit MslSource(std::string original);

  // The original with its own `#line` directives blanked: lines are counted as they stand, and numbered as the
  // directives say only where a person reads them.
  const std::string &numbered_text() const { return original_; }
  // Whether there is more to preprocess than the rewritten text keeps: macros, conditions, other people's headers.
  bool needs_preprocessor() const { return needs_preprocessor_; }
  // Takes clang's `-E` output, line markers included, as the flat text.
  void set_preprocessed(std::string_view output);

  const std::string &flat() const { return flat_; }
  // The report on a source that does not compile: how many errors, the diagnostics, and the lines they name.
  std::string report(const std::vector<Diagnostic> &diagnostics) const;
  // Whether a place of the flat text comes from a header that the source includes.
  bool is_in_header(std::size_t flat_offset) const { return position_of(flat_offset).line.file != 0; }
  // "line 12" or "softmax.py:12", for messages that mention a second place.
  std::string place_of(std::size_t flat_offset) const;

 private:
  struct Line {
    std::uint32_t file;    // index into files_; 0 is the original
    std::uint32_t number;  // from 1
  };
  struct Position {
    Line line;
    std::size_t column;  // from 1; 0 where it is not known
  };
  void take_line_directives();
  Position position_of(std::size_t flat_offset) const;
  // File and number as the `#line` directives have them.
  std::pair<std::string, std::size_t> presumed(Line line) const;
  std::string place(Position position) const;
  std::string_view line_text(Line line) const;
  std::string excerpt(const std::vector<Position> &errors) const;

  std::string original_;  // without its #line directives
  std::string flat_;
  std::vector<std::size_t> original_line_starts_;
  std::vector<std::size_t> flat_line_starts_;
  std::vector<Line> flat_lines_;  // empty where the flat text is the original
  std::vector<std::string> files_;
  struct LineDirective {
    std::size_t line;      // the line after the directive, from 1
    std::size_t presumed;  // the number that the directive gives it
    std::string file;      // empty: the file of the directive before
  };
  std::vector<LineDirective> line_directives_;
  std::map<std::size_t, std::string> blanked_lines_;  // by number, for excerpts
  bool needs_preprocessor_ = false;
};

// The name that a report gives to the user's text where no `#line` directive names a file.
inline constexpr std::string_view msl_file_name = "<msl>";

}  // namespace helion_msl
