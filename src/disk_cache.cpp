#include "disk_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <vector>

namespace helion_msl {
namespace {

namespace fs = std::filesystem;

// An entry is a directory of two files. `key` holds the whole key, so that a collision of its hash is found out, and
// the checksum of `data`.
constexpr const char *data_file = "data";
constexpr const char *key_file = "key";

// FNV-1a. It tells damage, not malice: nobody else can write below the directory.
std::uint64_t hash(std::string_view bytes) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (const char byte : bytes) value = (value ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return value;
}

std::string hexadecimal(std::uint64_t value) {
  std::string text(16, '0');
  for (std::size_t i = text.size(); i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
  return text;
}

std::optional<std::string> read(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return std::nullopt;
  return bytes;
}

bool write(const fs::path &path, const std::string &bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  return file.good();
}

std::string key_with_checksum(const std::string &key, const std::string &data) {
  return hexadecimal(hash(data)) + " " + std::to_string(data.size()) + "\n" + key;
}

// Whether `path` is a directory that nobody but this user can write to.
bool is_private_directory(const fs::path &path) {
  struct stat status{};
  // Not through a symbolic link, which somebody else may have put there.
  if (lstat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return false;
  return status.st_uid == geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

// A name that no other thread or process uses.
std::string scratch_name() {
  static std::atomic<std::uint64_t> count = 0;
  return ".new-" + std::to_string(getpid()) + "-" + std::to_string(count.fetch_add(1));
}

// Out of the way in one step, so that nobody reads a half-removed entry.
void remove_entry(const fs::path &entry) {
  std::error_code error;
  const fs::path aside = entry.parent_path() / scratch_name();
  fs::rename(entry, aside, error);
  fs::remove_all(error ? entry : aside, error);
}

}  // namespace

std::string cache_directory_from_environment() {
  if (const char *chosen = std::getenv("HELION_MSL_CACHE_DIR")) return chosen;
#ifdef __APPLE__
  if (const char *home = std::getenv("HOME")) return std::string(home) + "/Library/Caches/helion-msl";
#else
  if (const char *caches = std::getenv("XDG_CACHE_HOME"); caches != nullptr && *caches == '/') {
    return std::string(caches) + "/helion-msl";
  }
  if (const char *home = std::getenv("HOME")) return std::string(home) + "/.cache/helion-msl";
#endif
  return {};
}

DiskCache::DiskCache(std::string directory, std::size_t capacity)
    : directory_(std::move(directory)), capacity_(capacity) {}

bool DiskCache::prepare() {
  if (directory_.empty()) return false;
  std::error_code error;
  fs::create_directories(fs::path(directory_).parent_path(), error);
  mkdir(directory_.c_str(), S_IRWXU);
  return is_private_directory(directory_);
}

std::string DiskCache::entry_path(const std::string &key) const {
  return directory_ + "/" + hexadecimal(hash(key));
}

std::string DiskCache::find(const std::string &key) {
  if (directory_.empty() || !is_private_directory(directory_)) return {};
  const fs::path entry = entry_path(key);
  std::error_code error;
  if (!fs::exists(entry, error)) return {};
  const auto stored_key = is_private_directory(entry) ? read(entry / key_file) : std::nullopt;
  const auto data = read(entry / data_file);
  if (!stored_key || !data || *stored_key != key_with_checksum(key, *data)) {
    remove_entry(entry);
    return {};
  }
  // The time of last use, by which evict() chooses.
  fs::last_write_time(entry, fs::file_time_type::clock::now(), error);
  return (entry / data_file).string();
}

void DiskCache::store(const std::string &key, const std::function<bool(const std::string &path)> &write_data) {
  if (!prepare()) return;
  const fs::path scratch = fs::path(directory_) / scratch_name();
  std::error_code error;
  if (mkdir(scratch.c_str(), S_IRWXU) != 0) return;
  const std::string path = (scratch / data_file).string();
  const auto data = write_data(path) ? read(path) : std::nullopt;
  if (data && write(scratch / key_file, key_with_checksum(key, *data))) {
    // Fails where another process was first, whose entry is as good.
    fs::rename(scratch, entry_path(key), error);
    if (!error) {
      evict();
      return;
    }
  }
  fs::remove_all(scratch, error);
}

void DiskCache::remove(const std::string &key) {
  if (!directory_.empty() && is_private_directory(directory_)) remove_entry(entry_path(key));
}

void DiskCache::evict() {
  struct Entry {
    fs::path path;
    fs::file_time_type last_use;
  };
  std::vector<Entry> entries;
  std::error_code error;
  for (fs::directory_iterator each(directory_, error), end; !error && each != end; each.increment(error)) {
    std::error_code unreadable;
    const auto last_use = fs::last_write_time(each->path(), unreadable);
    if (!unreadable) entries.push_back({each->path(), last_use});
  }
  if (entries.size() <= capacity_) return;
  // Down to three quarters, so that this is rare. Scratch directories of processes that died go the same way.
  const std::size_t excess = entries.size() - capacity_ * 3 / 4;
  std::partial_sort(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(excess), entries.end(),
                    [](const Entry &a, const Entry &b) { return a.last_use < b.last_use; });
  for (std::size_t i = 0; i < excess; ++i) remove_entry(entries[i].path);
}

}  // namespace helion_msl
