#include "msl_source.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include "msl_tokens.h"

namespace helion_msl {
namespace {

std::vector<std::size_t> line_starts_of(std::string_view text) {
  std::vector<std::size_t> starts = {0};
  for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    starts.push_back(at + 1);
  }
  return starts;
}

// Index of the line that holds `offset`, from 0.
std::size_t line_index(const std::vector<std::size_t> &starts, std::size_t offset) {
  return static_cast<std::size_t>(std::upper_bound(starts.begin(), starts.end(), offset) - starts.begin()) - 1;
}

std::string_view line_at(std::string_view text, const std::vector<std::size_t> &starts, std::size_t index) {
  if (index >= starts.size()) return {};
  std::string_view line = text.substr(starts[index]);
  line = line.substr(0, line.find('\n'));
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// A `#line 12 "file"` directive, or a line marker `# 12 "file" 1` as clang prints it.
struct LineMarker {
  std::size_t number = 0;
  std::optional<std::string> file;
};

std::optional<LineMarker> parse_line_marker(std::string_view directive) {
  std::string_view rest = trimmed(directive.substr(1));
  if (rest.starts_with("line")) rest = trimmed(rest.substr(4));
  LineMarker marker;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), marker.number);
  if (error != std::errc()) return std::nullopt;
  rest = trimmed(rest.substr(static_cast<std::size_t>(end - rest.data())));
  if (rest.starts_with('"')) {
    std::string file;
    for (std::size_t at = 1; at < rest.size() && rest[at] != '"'; ++at) {
      if (rest[at] == '\\' && at + 1 < rest.size()) ++at;
      file += rest[at];
    }
    marker.file = std::move(file);
  }
  return marker;
}

// Directives that the rewritten text keeps: what they name is in place when it is compiled, and none of them brings
// tokens that the scanner would have to see.
bool is_kept_directive(std::string_view directive) {
  const std::string_view rest = trimmed(directive.substr(1));
  if (rest.empty() || rest.starts_with("pragma")) return true;
  if (!rest.starts_with("include")) return false;
  const std::string_view header = trimmed(rest.substr(7));
  return header.starts_with("<metal_") || header.starts_with("<simd/");
}

void blank(std::string &text, std::size_t begin, std::size_t end) {
  for (std::size_t at = begin; at < end; ++at) {
    if (text[at] != '\n') text[at] = ' ';
  }
}

}  // namespace

RewrittenText::RewrittenText(std::string_view flat, std::vector<Edit> edits) {
  std::vector<std::size_t> order(edits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // At one place insertions come first, in their order, and what removes more comes before what it swallows.
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    const auto key = [&](std::size_t index) {
      const Edit &edit = edits[index];
      const bool removes = edit.begin != edit.end;
      return std::tuple(edit.begin, removes, removes ? flat.size() - edit.end : 0, index);
    };
    return key(i) < key(j);
  });
  std::size_t copied = 0;
  const auto copy_until = [&](std::size_t end) {
    pieces_.push_back({text_.size(), copied, true});
    text_ += flat.substr(copied, end - copied);
    copied = end;
  };
  for (const std::size_t index : order) {
    const Edit &edit = edits[index];
    if (edit.begin < copied) continue;
    copy_until(edit.begin);
    pieces_.push_back({text_.size(), edit.subject == Diagnostic::nowhere ? edit.begin : edit.subject, false});
    text_ += edit.replacement;
    for (std::size_t at = edit.begin; at < edit.end; ++at) {
      if (flat[at] == '\n') text_ += '\n';
    }
    copied = std::max(copied, edit.end);
  }
  copy_until(flat.size());
  line_starts_ = line_starts_of(text_);
}

std::size_t RewrittenText::flat_offset(std::size_t line, std::size_t column) const {
  if (line == 0 || line > line_starts_.size()) return Diagnostic::nowhere;
  const std::size_t offset = line_starts_[line - 1] + (column > 0 ? column - 1 : 0);
  const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                                      [](std::size_t value, const Piece &piece) { return value < piece.rewritten; });
  const Piece &piece = *(after - 1);
  return piece.flat + (piece.copied ? offset - piece.rewritten : 0);
}

MslSource::MslSource(std::string original) : original_(std::move(original)), files_{std::string(msl_file_name)} {
  // Editors on Windows begin a file with a byte order mark; clang takes one only where its own input begins.
  if (original_.starts_with("\xEF\xBB\xBF")) original_.erase(0, 3);
  original_line_starts_ = line_starts_of(original_);
  flat_ = original_;
  flat_line_starts_ = original_line_starts_;
  take_line_directives();
  flat_ = original_;
}

void MslSource::take_line_directives() {
  if (original_.find('#') == std::string::npos) return;
  for (const Token &token : find_directives(original_)) {
    const std::string_view directive = std::string_view(original_).substr(token.begin, token.end - token.begin);
    if (const std::optional<LineMarker> marker = parse_line_marker(directive)) {
      const std::size_t line = line_index(original_line_starts_, token.end) + 1;
      line_directives_.push_back({line + 1, marker->number, marker->file.value_or("")});
      blanked_lines_.emplace(line, directive);
      blank(original_, token.begin, token.end);
    } else if (!is_kept_directive(directive)) {
      needs_preprocessor_ = true;
    }
  }
}

void MslSource::set_preprocessed(std::string_view output) {
  flat_.clear();
  flat_lines_.clear();
  Line next = {0, 1};
  const std::vector<std::size_t> starts = line_starts_of(output);
  for (std::size_t index = 0; index < starts.size(); ++index) {
    const std::string_view line = line_at(output, starts, index);
    const bool is_directive = line.starts_with('#');
    if (is_directive) {
      if (const std::optional<LineMarker> marker = parse_line_marker(line)) {
        next.number = static_cast<std::uint32_t>(marker->number);
        if (marker->file) {
          const auto known = std::find(files_.begin(), files_.end(), *marker->file);
          next.file = static_cast<std::uint32_t>(known - files_.begin());
          if (known == files_.end()) files_.push_back(*marker->file);
        }
        continue;
      }
    }
    flat_ += line;
    flat_ += '\n';
    flat_lines_.push_back(next);
    ++next.number;
  }
  flat_line_starts_ = line_starts_of(flat_);
}

MslSource::Position MslSource::position_of(std::size_t flat_offset) const {
  const std::size_t index = line_index(flat_line_starts_, std::min(flat_offset, flat_.size()));
  const std::size_t column = flat_offset - flat_line_starts_[index] + 1;
  if (flat_lines_.empty()) return {{0, static_cast<std::uint32_t>(index + 1)}, column};
  const Line line = index < flat_lines_.size() ? flat_lines_[index] : Line{0, 1};
  // The preprocessor keeps the columns of a line only where it has replaced nothing.
  const bool same = line_at(flat_, flat_line_starts_, index) == line_text(line);
  return {line, same ? column : 0};
}

std::pair<std::string, std::size_t> MslSource::presumed(Line line) const {
  if (line.file != 0) {
    // Only the last part of a header's path says something to a reader.
    const std::string &path = files_[line.file];
    return {path.substr(path.rfind('/') + 1), line.number};
  }
  std::string file(msl_file_name);
  std::size_t number = line.number;
  for (const LineDirective &directive : line_directives_) {
    if (directive.line > line.number) break;
    if (!directive.file.empty()) file = directive.file;
    number = directive.presumed + (line.number - directive.line);
  }
  return {file, number};
}

std::string MslSource::place(Position position) const {
  const auto [file, number] = presumed(position.line);
  std::string text = file + ":" + std::to_string(number);
  if (position.column > 0) text += ":" + std::to_string(position.column);
  return text;
}

std::string MslSource::place_of(std::size_t flat_offset) const {
  const auto [file, number] = presumed(position_of(flat_offset).line);
  return file == msl_file_name ? "line " + std::to_string(number) : file + ":" + std::to_string(number);
}

std::string_view MslSource::line_text(Line line) const {
  if (const auto blanked = blanked_lines_.find(line.number); line.file == 0 && blanked != blanked_lines_.end()) {
    return blanked->second;
  }
  if (line.file == 0) return line_at(original_, original_line_starts_, line.number - 1);
  for (std::size_t index = 0; index < flat_lines_.size(); ++index) {
    if (flat_lines_[index].file == line.file && flat_lines_[index].number == line.number) {
      return line_at(flat_, flat_line_starts_, index);
    }
  }
  return {};
}

std::string MslSource::report(const std::vector<Diagnostic> &diagnostics) const {
  std::size_t error_count = 0;
  std::string first;
  std::string listing;
  std::vector<Position> errors;
  for (const Diagnostic &diagnostic : diagnostics) {
    const bool is_error = diagnostic.severity == Diagnostic::Severity::error;
    std::string line;
    if (diagnostic.offset != Diagnostic::nowhere) {
      const Position position = position_of(diagnostic.offset);
      line = place(position) + ": ";
      errors.push_back(position);
    } else if (!diagnostic.place.empty()) {
      line = diagnostic.place + ": ";
    }
    line += (is_error ? "error: " : "note: ") + diagnostic.message;
    if (is_error && error_count++ == 0) first = line;
    listing += "\n  " + line;
  }
  std::string text = "MSL does not compile: " + std::to_string(error_count) + (error_count == 1 ? " error" : " errors");
  text += ": " + first;
  if (diagnostics.size() > 1) text += "\n" + listing;
  return text + excerpt(errors);
}

std::string MslSource::excerpt(const std::vector<Position> &errors) const {
  constexpr std::uint32_t context = 2;  // lines before and after
  constexpr std::size_t most_lines = 60;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t> shown;  // (file, line) -> column of an error or 0
  for (const Position &error : errors) {
    if (shown.size() >= most_lines) break;
    const std::uint32_t first = error.line.number > context ? error.line.number - context : 1;
    for (std::uint32_t number = first; number <= error.line.number + context; ++number) {
      shown.try_emplace({error.line.file, number}, 0);
    }
    shown[{error.line.file, error.line.number}] = std::max<std::size_t>(1, error.column);
  }
  std::string text;
  std::optional<Line> before;
  for (const auto &[key, column] : shown) {
    const Line line = {key.first, key.second};
    const std::string_view content = line_text(line);
    if (content.empty() && column == 0) continue;
    if (!before || before->file != line.file) {
      text += line.file == 0 ? "\n\nin the MSL text:" : "\n\nin " + presumed({line.file, 1}).first + ":";
    } else if (before->number + 1 < line.number) {
      text += "\n      ...";
    }
    const std::string number = std::to_string(line.number);
    text += "\n" + std::string(column ? "> " : "  ") + std::string(number.size() < 4 ? 4 - number.size() : 0, ' ');
    text += number + " | " + std::string(content);
    before = line;
  }
  return text;
}

}  // namespace helion_msl
