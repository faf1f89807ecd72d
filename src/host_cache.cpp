#include "host_cache.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <system_error>

#include "fiber_stacks.h"
#include "helion_host/abi.h"
#include "host_diagnostics.h"
#include "host_fingerprint.h"
#include "host_process.h"
#include "sha256.h"

namespace helion_msl {
namespace {

// What a preprocessor answers differently although the files that it reads are the same.
constexpr std::array<std::string_view, 5> unstable_words = {"__DATE__", "__TIME__", "__TIMESTAMP__", "__has_include",
                                                            "__has_embed"};

// `#embed` brings a file that no line of the output names.
bool is_embed_directive(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" \t");
  return begin != std::string_view::npos && (line[begin] == '#' || line.substr(begin).starts_with("%:")) &&
         line.find("embed") != std::string_view::npos;
}

bool is_unstable(std::string_view text) {
  for (const std::string_view word : unstable_words) {
    if (text.find(word) != std::string_view::npos) return true;
  }
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (is_embed_directive(text.substr(0, end))) return true;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return false;
}

// Not while somebody writes it: then its text need not be what the compiler has just read.
bool is_older_than(const std::string &path, std::filesystem::file_time_type time) {
  std::error_code error;
  const auto changed = std::filesystem::last_write_time(path, error);
  return !error && changed < time;
}

std::optional<std::string> read_any_file(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) return std::nullopt;
  return content;
}

// The file that a line marker of clang's names, `# 12 "/usr/include/x.h" 1`; empty for other lines and for what is no
// file, such as "<built-in>".
std::string file_of_marker(std::string_view line) {
  if (!line.starts_with("# ")) return {};
  const std::size_t begin = line.find('"');
  const std::size_t end = line.rfind('"');
  if (begin == end) return {};
  const std::string_view quoted = line.substr(begin + 1, end - begin - 1);
  if (quoted.starts_with('<')) return {};
  std::string name;
  for (std::size_t at = 0; at < quoted.size(); ++at) {
    if (quoted[at] == '\\' && at + 1 < quoted.size()) ++at;
    name += quoted[at];
  }
  return name;
}

// The files whose text is in the preprocessor's output; none where one of them has no full path, and so may be another
// file tomorrow.
std::optional<std::set<std::string>> included_files(std::string_view output) {
  std::set<std::string> files;
  while (!output.empty()) {
    const std::size_t end = std::min(output.find('\n'), output.size());
    const std::string file = file_of_marker(output.substr(0, end));
    if (!file.empty() && file != rewritten_file_name) {
      if (file.front() != '/') return std::nullopt;
      files.insert(file);
    }
    output.remove_prefix(std::min(end + 1, output.size()));
  }
  return files;
}

void store_copy(DiskCache &cache, const CacheKey &key, const std::filesystem::path &file) {
  cache.store(key.text(), [&](const std::string &path) {
    std::error_code error;
    return std::filesystem::copy_file(file, path, error);
  });
}

}  // namespace

CacheKey::CacheKey(std::string_view what) : text_(what) {
  text_ += '\n';
}

CacheKey &CacheKey::add(std::string_view name, std::string_view value) {
  text_.append(name).append(" ").append(std::to_string(value.size())).append("\n").append(value).append("\n");
  return *this;
}

CacheKey &CacheKey::add(std::string_view name, const std::vector<std::string> &values) {
  add(name, std::to_string(values.size()));
  for (const std::string &value : values) add("item", value);
  return *this;
}

HostCache::HostCache() : HostCache(cache_directory_from_environment(), cache_limits_from_environment()) {}

HostCache::HostCache(const std::string &root, CacheLimits limits)
    : fingerprints_(root, "fingerprints", limits),
      preprocessed_(root, "preprocessed", limits),
      libraries_(root, "host", limits),
      requests_(root, "requests", limits),
      headers_(root, "headers", limits) {}

// Reading the headers takes as long as all else that is done to find a kernel, and asking whether they have changed
// does not: so their checksum is kept too.
std::string HostCache::contents_of_headers(const std::string &directory) {
  const DirectoryState state = state_of_directory(directory);
  CacheKey key("headers");
  key.add("files", state.text);
  if (std::optional<std::string> known = fingerprints_.read(key.text())) return *known;
  std::string contents = contents_of_directory(directory);
  // A file that is being edited may change once more without a later time of change.
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t settled = std::chrono::nanoseconds(now - std::chrono::seconds(2)).count();
  if (!contents.empty() && state.last_change < settled && state_of_directory(directory).text == state.text) {
    fingerprints_.store_bytes(key.text(), contents);
  }
  return contents;
}

std::string HostCache::surroundings(const Toolchain &toolchain) {
  if (!libraries_.is_on()) return {};
  CacheKey key("helion-msl host engine 1");
  key.add("abi", std::to_string(HELION_HOST_ABI_VERSION));
  key.add("largest frame", std::to_string(FiberStacks::max_frame_size));
  key.add("processor", processor_fingerprint());
  key.add("compiler says", toolchain.version);
  const std::string compiler = program_fingerprint(toolchain.clang.front());
  const bool is_one_program = toolchain.linker.front() == toolchain.clang.front();
  const std::string linker = is_one_program ? compiler : program_fingerprint(toolchain.linker.front());
  if (compiler.empty() || linker.empty()) return {};
  key.add("command", toolchain.clang).add("program", compiler);
  key.add("command", toolchain.linker).add("program", linker);
  // The first directory holds this package's headers. What comes from the others is in the text of the source by the
  // time that it is compiled.
  if (toolchain.include_directories.empty()) return {};
  const std::string headers = contents_of_headers(toolchain.include_directories.front());
  if (headers.empty()) return {};
  key.add("include directories", toolchain.include_directories).add("headers", headers);
  return key.text();
}

std::optional<std::string> HostCache::find_preprocessed(const CacheKey &key) {
  const std::optional<std::string> entry = preprocessed_.read(key.text());
  if (!entry) return std::nullopt;
  // Lines of a checksum and a path, an empty line, and clang's output.
  std::size_t at = 0;
  while (at < entry->size() && (*entry)[at] != '\n') {
    const std::size_t end = entry->find('\n', at);
    const std::size_t space = entry->find(' ', at);
    const auto content = read_any_file(entry->substr(space + 1, end - space - 1));
    if (!content || entry->compare(at, space - at, sha256(*content)) != 0) {
      preprocessed_.remove(key.text());
      return std::nullopt;
    }
    at = end + 1;
  }
  return entry->substr(std::min(at + 1, entry->size()));
}

void HostCache::store_preprocessed(const CacheKey &key, std::string_view msl, std::string_view output,
                                   std::filesystem::file_time_type started) {
  const auto files = included_files(output);
  if (!files || is_unstable(msl)) return;
  std::string entry;
  for (const std::string &file : *files) {
    const auto content = read_any_file(file);
    if (!content || is_unstable(*content) || !is_older_than(file, started) || file.find('\n') != std::string::npos) {
      return;
    }
    entry += sha256(*content) + " " + file + "\n";
  }
  preprocessed_.store_bytes(key.text(), entry.append("\n").append(output));
}

void HostCache::store_library(const CacheKey &key, const std::filesystem::path &shared_object) {
  store_copy(libraries_, key, shared_object);
}

std::string HostCache::find_requested(const CacheKey &request) {
  const std::optional<std::string> address = requests_.read(request.text());
  return address ? libraries_.find_at(*address) : std::string();
}

void HostCache::store_request(const CacheKey &request, const CacheKey &library) {
  const std::string address = libraries_.address_of(library.text());
  if (!address.empty()) requests_.store_bytes(request.text(), address);
}

void HostCache::store_headers(const CacheKey &key, const std::filesystem::path &file) {
  store_copy(headers_, key, file);
}

}  // namespace helion_msl
