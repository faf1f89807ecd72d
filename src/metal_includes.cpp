#include "metal_includes.h"

#include <cctype>
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

std::optional<std::string> read_file(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  // A directory opens, and fails when it is read.
  if (file.bad()) return std::nullopt;
  return text;
}

class Inliner {
 public:
  explicit Inliner(const std::string &include_directory) : include_directory_(include_directory) {}

  // `conditions` counts the #if around this text.
  void append(std::string_view text, const std::string &name, int conditions) {
    bool is_in_comment = false;
    std::size_t line_number = 0;
    while (!text.empty()) {
      ++line_number;
      const std::size_t end = text.find('\n');
      const std::string_view line = text.substr(0, end);
      text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
      std::string_view directive = is_in_comment ? std::string_view() : trim_left(line);
      is_in_comment = ends_in_comment(line, is_in_comment);
      if (directive.starts_with('#')) {
        directive = trim_left(directive.substr(1));
        std::string_view rest = directive;
        if (take_word(rest, "if") || take_word(rest, "ifdef") || take_word(rest, "ifndef")) ++conditions;
        if (take_word(rest, "endif")) --conditions;
        if (take_word(rest, "include") && append_included(rest, conditions)) {
          output_ += "#line " + std::to_string(line_number + 1) + " \"" + name + "\"\n";
          continue;
        }
        // What the guards of append_included() do; Metal would warn about it in a main file.
        if (outer_name_ != name && take_word(rest, "pragma") && take_word(rest, "once")) {
          output_ += '\n';
          continue;
        }
      }
      output_ += line;
      if (end != std::string_view::npos) output_ += '\n';
    }
  }

  void start(const std::string &source, const std::string &name) {
    outer_name_ = name;
    append(source, name, 0);
  }

  std::string take_output() { return std::move(output_); }

 private:
  // `rest` is what follows `#include`. False, with nothing written, where it is no file of the directory.
  bool append_included(std::string_view rest, int conditions) {
    if (rest.empty() || (rest[0] != '<' && rest[0] != '"')) return false;
    const std::size_t end = rest.find(rest[0] == '<' ? '>' : '"', 1);
    if (end == std::string_view::npos) return false;
    const std::string path(rest.substr(1, end - 1));
    // torch's Metal headers and nothing else: the rest of its headers is for the CPU, and sits behind an #if there.
    if (!path.starts_with("c10/metal/") || path.find("..") != std::string::npos) return false;
    auto known = is_unconditional_.find(path);
    if (known != is_unconditional_.end() && known->second) return true;
    const auto text = read_file(include_directory_ + "/" + path);
    if (!text) return false;
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
