#include "metal_includes.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string_view>

namespace helion_msl {
namespace {

std::string_view trim_left(std::string_view text) {
  const std::size_t start = text.find_first_not_of(" \t");
  return start == std::string_view::npos ? std::string_view() : text.substr(start);
}

// Consumes `word` as a whole identifier.
bool take_word(std::string_view &text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  const std::string_view rest = text.substr(word.size());
  if (!rest.empty() && (std::isalnum(static_cast<unsigned char>(rest[0])) != 0 || rest[0] == '_')) return false;
  text = trim_left(rest);
  return true;
}

// Length of the line that `text` begins with, without its end; lines that a backslash joins are one.
std::size_t length_of_line(std::string_view text) {
  std::size_t end = text.find('\n');
  while (end != std::string_view::npos) {
    const std::string_view before = text.substr(0, end);
    if (!before.ends_with('\\') && !before.ends_with("\\\r")) return end;
    end = text.find('\n', end + 1);
  }
  return text.size();
}

// Whether a /* comment that is open at the start of `line`, or opens in it, is still open at its end.
bool ends_in_comment(std::string_view line, bool is_in_comment) {
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const std::string_view here = line.substr(i, 2);
    if (is_in_comment) {
      if (here == "*/") is_in_comment = false, ++i;
    } else if (quote != 0) {
      if (line[i] == '\\')
        ++i;
      else if (line[i] == quote)
        quote = 0;
    } else if (here == "//") {
      return false;
    } else if (here == "/*") {
      is_in_comment = true, ++i;
    } else if (line[i] == '"' || line[i] == '\'') {
      quote = line[i];
    }
  }
  return is_in_comment;
}

// Whether a directive, without its `#`, ends the branch of an #if.
bool ends_branch(std::string_view directive) {
  for (const std::string_view word : {"else", "elif", "elifdef", "elifndef", "endif"}) {
    if (std::string_view rest = directive; take_word(rest, word)) return true;
  }
  return false;
}

std::optional<std::string> read_file(const std::string &path) {
  // A directory opens, and throws when it is read.
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class Inliner {
 public:
  explicit Inliner(const std::string &include_directory) : include_directory_(include_directory) {}

  // `conditions` counts the #if around this text.
  void append(std::string_view text, const std::string &name, int conditions) {
    bool is_in_comment = false;
    bool has_included = false;
    bool is_line_number_due = false;
    std::size_t line_number = 0;  // of the last line that has been read
    while (!text.empty()) {
      const std::string_view line = text.substr(0, length_of_line(text));
      const bool has_end = line.size() < text.size();
      text.remove_prefix(line.size() + (has_end ? 1 : 0));
      line_number += 1 + static_cast<std::size_t>(std::count(line.begin(), line.end(), '\n'));
      std::string_view directive = is_in_comment ? std::string_view() : trim_left(line);
      is_in_comment = ends_in_comment(line, is_in_comment);
      if (directive.starts_with('#')) {
        directive = trim_left(directive.substr(1));
        std::string_view rest = directive;
        if (take_word(rest, "if") || take_word(rest, "ifdef") || take_word(rest, "ifndef")) ++conditions;
        if (take_word(rest, "endif")) --conditions;
        if (take_word(rest, "include") && append_included(rest, conditions)) {
          append_end_of_include(rest, line_number, name);
          has_included = true;
          continue;
        }
        // A preprocessor skips the #line behind an expansion together with the branch that it stands in.
        is_line_number_due |= has_included && ends_branch(directive);
        // What the guards of append_included() do; Metal would warn about it in a main file.
        if (outer_name_ != name && take_word(rest, "pragma") && take_word(rest, "once")) {
          output_ += '\n';
          continue;
        }
      }
      output_ += line;
      if (has_end) output_ += '\n';
      if (is_line_number_due && has_end && !is_in_comment) {
        append_line_number(line_number + 1, name);
        is_line_number_due = false;
      }
    }
  }

  void start(const std::string &source, const std::string &name) {
    outer_name_ = name;
    append(source, name, 0);
  }

  std::string take_output() { return std::move(output_); }

 private:
  // `rest` is what follows `#include`, and afterwards what follows the file's name. False, with nothing changed, where
  // it is no file of the directory.
  bool append_included(std::string_view &rest, int conditions) {
    if (rest.empty() || (rest[0] != '<' && rest[0] != '"')) return false;
    const std::size_t end = rest.find(rest[0] == '<' ? '>' : '"', 1);
    if (end == std::string_view::npos) return false;
    const std::string path(rest.substr(1, end - 1));
    // torch's Metal headers and nothing else: the rest of its headers is for the CPU, and sits behind an #if there.
    if (!path.starts_with("c10/metal/") || path.find("..") != std::string::npos) return false;
    const auto known = is_unconditional_.find(path);
    const bool is_there = known != is_unconditional_.end() && known->second;
    const auto text = is_there ? std::string() : read_file(include_directory_ + "/" + path);
    if (!text) return false;
    rest.remove_prefix(end + 1);
    if (is_there) return true;
    if (!open_.insert(path).second) return true;  // it includes itself, which its guard would stop
    is_unconditional_[path] = conditions == 0;
    std::string guard = "HELION_MSL_INCLUDED_" + path;
    for (char &letter : guard) {
      if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
    }
    output_ += "#ifndef " + guard + "\n#define " + guard + "\n#line 1 \"" + path + "\"\n";
    append(*text, path, conditions);
    if (!output_.ends_with('\n')) output_ += '\n';
    output_ += "#endif\n";
    open_.erase(path);
    return true;
  }

  // `rest` follows the file's name in line `line_number` of `name`: nothing, or a comment that may go on in later
  // lines. A directive takes its place, since what then follows the comment is still of the directive's line, and is
  // ignored.
  void append_end_of_include(std::string_view rest, std::size_t line_number, const std::string &name) {
    const bool is_empty = rest.find_first_not_of(" \t\r") == std::string_view::npos;
    append_line_number(line_number + (is_empty ? 1 : 0), name);
    if (is_empty) return;
    output_ += "#undef HELION_MSL_INCLUDE";
    output_ += rest;
    output_ += '\n';
  }

  void append_line_number(std::size_t line_number, const std::string &name) {
    output_ += "#line " + std::to_string(line_number) + " \"" + name + "\"\n";
  }

  const std::string &include_directory_;
  std::string outer_name_;
  std::string output_;
  std::map<std::string, bool> is_unconditional_;  // of the files written so far
  std::set<std::string> open_;                    // files being written, outermost to innermost
};

}  // namespace

std::string inline_includes(const std::string &source, const std::string &include_directory, const std::string &name) {
  if (include_directory.empty() || source.find("include") == std::string::npos) return source;
  Inliner inliner(include_directory);
  inliner.start(source, name);
  return inliner.take_output();
}

}  // namespace helion_msl
