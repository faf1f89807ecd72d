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

void replace_all(std::string &text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// Without the names of our own, which are of no use to someone who reads MSL.
std::string for_readers(std::string_view message) {
  // "static assertion failed due to requirement 'n >= 0': what is wrong"
  const std::string_view assertion = "static assertion failed";
  const std::size_t reason = message.find("': ");
  if (message.starts_with(assertion)) {
    if (reason != std::string_view::npos) return std::string(message.substr(reason + 3));
    if (message.starts_with("static assertion failed: ")) return std::string(message.substr(assertion.size() + 2));
  }
  std::string text(message);
  replace_all(text, "helion_host::thread_end", "void");
  replace_all(text, "thread_end", "void");
  replace_all(text, "_Float16", "half");
  return text;
}

// Notes in the headers list the candidates and templates of our own library, which no reader of MSL can do anything
// about.
bool is_about_our_code(const ClangLine &line) {
  return line.file != rewritten_file_name || line.message.find("helion_host") != std::string_view::npos ||
         line.message.starts_with("expanded from macro") || line.message.starts_with("expression evaluates to") ||
         line.message.starts_with("subexpression not valid");
}

std::string_view header_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

// An error and the notes that belong to it.
struct Group {
  ClangLine error;
  std::vector<ClangLine> notes;
};

std::vector<Group> parse_groups(std::string_view output) {
  std::vector<Group> groups;
  while (!output.empty()) {
    const std::size_t end = output.find('\n');
    const std::optional<ClangLine> line = parse_line(output.substr(0, end));
    output.remove_prefix(end == std::string_view::npos ? output.size() : end + 1);
    // Without a line it is about the command, not about the source.
    if (!line || line->line == 0) continue;
    if (line->severity != "note") {
      groups.push_back({*line, {}});
    } else if (!groups.empty()) {
      groups.back().notes.push_back(*line);
    }
  }
  return groups;
}

Diagnostic make_diagnostic(const ClangLine &line, Diagnostic::Severity severity, const RewrittenText &rewritten) {
  Diagnostic diagnostic;
  diagnostic.severity = severity;
  diagnostic.message = for_readers(line.message);
  if (line.file == rewritten_file_name) {
    diagnostic.offset = rewritten.flat_offset(line.line, line.column);
  } else {
    diagnostic.place = "<" + std::string(header_name(line.file)) + ">:" + std::to_string(line.line);
  }
  return diagnostic;
}

}  // namespace

std::vector<Diagnostic> parse_diagnostics(std::string_view output, const RewrittenText &rewritten) {
  std::vector<Diagnostic> diagnostics;
  bool kernel_entry_failed = false;
  for (const Group &group : parse_groups(output)) {
    // Where the templates that tabulate a kernel refuse it, their first complaint says why and the rest follows from
    // it.
    const bool in_kernel_entry = header_name(group.error.file).starts_with("kernel_");
    if (in_kernel_entry && kernel_entry_failed) continue;
    kernel_entry_failed |= in_kernel_entry;
    Diagnostic error = make_diagnostic(group.error, Diagnostic::Severity::error, rewritten);
    std::vector<Diagnostic> notes;
    for (const ClangLine &note : group.notes) {
      // An error in a header is one at the place that uses it.
      if (error.offset == Diagnostic::nowhere && note.file == rewritten_file_name) {
        error.offset = rewritten.flat_offset(note.line, note.column);
      } else if (!is_about_our_code(note) && !in_kernel_entry) {
        notes.push_back(make_diagnostic(note, Diagnostic::Severity::note, rewritten));
      }
    }
    diagnostics.push_back(std::move(error));
    diagnostics.insert(diagnostics.end(), notes.begin(), notes.end());
  }
  return diagnostics;
}

}  // namespace helion_msl
