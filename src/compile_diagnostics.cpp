#include "compile_diagnostics.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>
#include <string_view>
#include <vector>

namespace helion_msl {
namespace {

constexpr std::size_t lines_shown_at_most = 40;

// The lines that `diagnostics` name, from 1, with one neighbour on either side.
std::set<std::size_t> named_lines(std::string_view diagnostics, std::string_view name) {
  std::set<std::size_t> lines;
  const std::string marker = std::string(name) + ":";
  for (std::size_t at = diagnostics.find(marker); at != std::string_view::npos; at = diagnostics.find(marker, at)) {
    at += marker.size();
    std::size_t line = 0;
    const auto [end, error] = std::from_chars(diagnostics.data() + at, diagnostics.data() + diagnostics.size(), line);
    if (error != std::errc() || line == 0) continue;
    for (std::size_t near = line - 1; near <= line + 1; ++near) lines.insert(near);
  }
  return lines;
}

}  // namespace

std::string with_source_lines(const std::string &diagnostics, const std::string &source, const std::string &name) {
  const std::set<std::size_t> wanted = named_lines(diagnostics, name);
  if (wanted.empty()) return diagnostics;
  std::vector<std::pair<std::size_t, std::string>> shown;
  std::istringstream stream(source);
  std::string line;
  for (std::size_t number = 1; std::getline(stream, line) && shown.size() < lines_shown_at_most; ++number) {
    if (wanted.contains(number)) shown.emplace_back(number, line);
  }
  if (shown.empty()) return diagnostics;
  const std::size_t width = std::to_string(shown.back().first).size();
  std::string text = diagnostics;
  while (text.ends_with('\n')) text.pop_back();
  text += "\n";
  for (std::size_t i = 0; i < shown.size(); ++i) {
    if (i > 0 && shown[i].first != shown[i - 1].first + 1) text += "\n" + std::string(width, ' ') + " ...";
    const std::string number = std::to_string(shown[i].first);
    text += "\n" + std::string(width - number.size(), ' ') + number + " | " + shown[i].second;
  }
  return text;
}

}  // namespace helion_msl
