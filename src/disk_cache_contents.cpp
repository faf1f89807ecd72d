#include "disk_cache_contents.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "disk_cache.h"
#include "disk_cache_files.h"

namespace helion_msl {
namespace {

namespace fs = std::filesystem;

// A scratch directory that is older belongs to a process that died.
constexpr std::chrono::hours scratch_age(1);
constexpr std::time_t seconds_between_trims = 24 * 60 * 60;

// The cache is trimmed each time that this part of its limit has been stored, down to what leaves room for as much.
constexpr std::uint64_t trims_per_limit = 8;

// A file that grows by a byte for each block stored since the last trim, by whichever process: appending needs no lock.
// It begins with the time of that trim.
constexpr const char *journal_file = ".stored";
constexpr std::uint64_t block_size = 4096;
constexpr std::size_t journal_header = 21;  // the decimal digits of 64 bits, and a line break

// Cache Directory Tagging Specification, https://bford.info/cachedir/.
constexpr const char *tag_file = "CACHEDIR.TAG";
constexpr std::string_view tag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# Compiled kernels of helion-msl. All of it may be deleted at any time.\n";

struct Entry {
  fs::path path;
  std::uint64_t bytes;
  fs::file_time_type last_use;
  bool is_scratch;
};

// What a file takes on most file systems. A directory takes a block too.
std::uint64_t in_blocks(std::uint64_t bytes) {
  return (bytes + block_size - 1) / block_size * block_size;
}

std::uint64_t size_of(const fs::path &entry) {
  std::uint64_t total = block_size;
  for (const char *name : {entry_data_file, entry_key_file}) {
    struct stat status{};
    if (lstat((entry / name).c_str(), &status) == 0) total += in_blocks(static_cast<std::uint64_t>(status.st_size));
  }
  return total;
}

// The entries of one kind. Files and directories that the cache did not make are none.
std::vector<Entry> entries_of(const std::string &root, const char *kind) {
  std::vector<Entry> entries;
  const fs::path directory = fs::path(root) / kind;
  if (!refusal_of_directory(directory.string()).empty()) return entries;
  std::error_code error;
  for (fs::directory_iterator each(directory, error), end; !error && each != end; each.increment(error)) {
    const std::string name = each->path().filename().string();
    const bool is_scratch = is_scratch_name(name);
    std::error_code unreadable;
    if (!is_scratch && !is_entry_name(name)) continue;
    if (!fs::is_directory(each->symlink_status(unreadable))) continue;
    const auto last_use = fs::last_write_time(each->path(), unreadable);
    if (!unreadable) entries.push_back({each->path(), size_of(each->path()), last_use, is_scratch});
  }
  return entries;
}

bool is_usable(const std::string &root) {
  return !root.empty() && refusal_of_directory(root).empty();
}

void remove(const Entry &entry, CacheRemoval &removal) {
  remove_entry(entry.path);
  std::error_code error;
  if (fs::exists(entry.path, error)) return;
  if (!entry.is_scratch) ++removal.entries;
  removal.bytes += entry.bytes;
}

}  // namespace

bool prepare_cache_root(const std::string &root) {
  if (!prepare_directory(root)) return false;
  const fs::path path = fs::path(root) / tag_file;
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) write_private_file(path, tag);
  return true;
}

std::vector<CacheContents> cache_contents(const std::string &root) {
  std::vector<CacheContents> contents;
  for (const char *kind : disk_cache_kinds) {
    CacheContents of_kind{kind, 0, 0};
    if (is_usable(root)) {
      for (const Entry &entry : entries_of(root, kind)) {
        if (!entry.is_scratch) ++of_kind.entries;
        of_kind.bytes += entry.bytes;
      }
    }
    contents.push_back(std::move(of_kind));
  }
  return contents;
}

CacheRemoval trim_cache(const std::string &root, CacheLimits limits) {
  CacheRemoval removal;
  if (!is_usable(root)) return removal;
  std::vector<Entry> kept;
  std::uint64_t total = 0;
  const auto now = fs::file_time_type::clock::now();
  for (const char *kind : disk_cache_kinds) {
    for (Entry &entry : entries_of(root, kind)) {
      const std::chrono::seconds most = entry.is_scratch ? scratch_age : std::chrono::seconds(limits.seconds);
      if (now - entry.last_use > most) {
        remove(entry, removal);
      } else if (!entry.is_scratch) {
        total += entry.bytes;
        kept.push_back(std::move(entry));
      }
    }
  }
  std::sort(kept.begin(), kept.end(), [](const Entry &a, const Entry &b) { return a.last_use < b.last_use; });
  for (const Entry &entry : kept) {
    if (total <= limits.bytes) break;
    remove(entry, removal);
    total -= entry.bytes;
  }
  return removal;
}

CacheRemoval clear_cache_entries(const std::string &root) {
  CacheRemoval removal;
  if (!is_usable(root)) return removal;
  for (const char *kind : disk_cache_kinds) {
    for (const Entry &entry : entries_of(root, kind)) remove(entry, removal);
  }
  return removal;
}

void note_stored(const std::string &root, std::uint64_t data_size, std::uint64_t key_size, CacheLimits limits) {
  const fs::path path = fs::path(root) / journal_file;
  const Descriptor journal(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  struct stat status{};
  if (!journal || fstat(journal.get(), &status) != 0) return;
  const std::time_t now = std::time(nullptr);
  std::string more;
  if (status.st_size == 0) {
    more = std::to_string(now);
    more.resize(journal_header - 1, ' ');
    more += '\n';
  }
  const std::uint64_t part = limits.bytes / trims_per_limit;
  const std::uint64_t bytes = block_size + in_blocks(data_size) + in_blocks(key_size);
  more.append(static_cast<std::size_t>(std::min(bytes, part) / block_size + 1), '.');
  if (::write(journal.get(), more.data(), more.size()) < 0) return;
  std::array<char, journal_header> header{};
  std::time_t last_trim = 0;
  if (::pread(journal.get(), header.data(), header.size(), 0) > 0) {
    std::from_chars(header.data(), header.data() + header.size(), last_trim);
  }
  const std::uint64_t blocks = static_cast<std::uint64_t>(status.st_size) + more.size() - journal_header;
  if (blocks * block_size <= part && now < last_trim + seconds_between_trims) return;
  unlink(path.c_str());
  trim_cache(root, {limits.bytes - part, limits.seconds});
}

}  // namespace helion_msl
