#include "host_diagnostics.h"

#include <charconv>
#include <optional>
#include <string>

namespace helion_msl {
namespace {

// `file:line:column: severity: message`, as clang prints it without carets.
struct ClangLine {
  std::string_view file;
  std::size_t line = 0;
  std::size_t column = 0;
  std::string_view severity;
  std::string_view message;
};

std::optional<std::size_t> take_number(std::string_view &text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::optional<ClangLine> parse_line(std::string_view text) {
  for (const std::string_view severity : {"fatal error", "error", "note"}) {
    const std::string mark = ": " + std::string(severity) + ": ";
    const std::size_t at = text.find(mark);
    if (at == std::string_view::npos) continue;
    ClangLine parsed;
    parsed.severity = severity;
    parsed.message = text.substr(at + mark.size());
    std::string_view place = text.substr(0, at);
    const std::size_t column = place.rfind(':');
    const std::size_t line = column == std::string_view::npos || column == 0 ? column : place.rfind(':', column - 1);
    if (line != std::string_view::npos && line < column) {
      std::string_view line_digits = place.substr(line + 1);
      std::string_view column_digits = place.substr(column + 1);
      parsed.line = take_number(line_digits).value_or(0);
      parsed.column = take_number(column_digits).value_or(0);
      place = place.substr(0, line);
    }
    parsed.file = place;
    return parsed;
  }
  return std::nullopt;
}

// Our own names are of no use to someone who reads MSL.
std::string for_readers(std::string_view message) {
  std::string text(message);
  const auto replace_all = [&](std::string_view from, std::string_view to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
      text.replace(at, from.size(), to);
    }
  };
  replace_all("static assertion failed due to requirement", "static assertion failed:");
  replace_all("helion_host::thread_end", "void");
  replace_all("thread_end", "void");
  replace_all("_Float16", "half");
  return text;
}

bool is_noise(const ClangLine &line) {
  return line.severity == "note" && (line.message.find("helion_host") != std::string_view::npos ||
                                     line.message.starts_with("expanded from macro"));
}

}  // namespace

std::vector<Diagnostic> parse_diagnostics(std::string_view output, const RewrittenText &rewritten) {
  std::vector<Diagnostic> diagnostics;
  while (!output.empty()) {
    const std::size_t end = output.find('\n');
    const std::string_view text = output.substr(0, end);
    output.remove_prefix(end == std::string_view::npos ? output.size() : end + 1);
    const std::optional<ClangLine> line = parse_line(text);
    // Without a line it is about the command, not about the source.
    if (!line || line->line == 0 || is_noise(*line)) continue;
    Diagnostic diagnostic;
    const bool is_note = line->severity == "note";
    diagnostic.severity = is_note ? Diagnostic::Severity::note : Diagnostic::Severity::error;
    diagnostic.message = for_readers(line->message);
    if (line->file == rewritten_file_name) {
      diagnostic.offset = rewritten.flat_offset(line->line, line->column);
    } else if (!line->file.empty()) {
      // In a header of ours or of torch's: the note that follows says from where it is used.
      const std::string_view header = line->file.substr(line->file.rfind('/') + 1);
      diagnostic.place = "<" + std::string(header) + ">:" + std::to_string(line->line);
    }
    diagnostics.push_back(std::move(diagnostic));
  }
  return diagnostics;
}

}  // namespace helion_msl
