#include "disk_cache.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <system_error>

#include "disk_cache_contents.h"
#include "disk_cache_files.h"
#include "sha256.h"

namespace helion_msl {
namespace {

namespace fs = std::filesystem;

// What the key file holds: the checksum of `data`, so that damage is found out, and the whole key, so that an entry is
// never taken for another one's.
std::string key_file_content(std::string_view key, std::string_view data) {
  std::string content = sha256(data);
  content += " " + std::to_string(data.size()) + "\n";
  return content.append(key);
}

}  // namespace

DiskCache::DiskCache(std::string root, std::string_view kind, CacheLimits limits)
    : root_(std::move(root)), directory_((fs::path(root_) / kind).string()), limits_(limits) {}

std::string DiskCache::entry_path(std::string_view key) const {
  return directory_ + "/" + sha256(key);
}

bool DiskCache::is_trusted() const {
  return !root_.empty() && refusal_of_directory(root_).empty() && refusal_of_subdirectory(directory_).empty();
}

std::optional<std::string> DiskCache::read_checked(std::string_view key, const std::string &entry) {
  if (!is_trusted()) return std::nullopt;
  struct stat status{};
  if (lstat(entry.c_str(), &status) != 0) return std::nullopt;
  {
    // Both files through one descriptor: another process may put a new entry in this one's place meanwhile.
    const Descriptor opened = open_private_directory(entry);
    const auto stored_key = opened ? read_private_file(opened, entry_key_file) : std::nullopt;
    auto data = stored_key ? read_private_file(opened, entry_data_file) : std::nullopt;
    if (data && *stored_key == key_file_content(key, *data)) {
      // The time of last use, by which entries are chosen to go.
      futimens(opened.get(), nullptr);
      return data;
    }
  }
  remove_entry(entry);
  return std::nullopt;
}

std::string DiskCache::find(std::string_view key) {
  if (root_.empty()) return {};
  const std::string entry = entry_path(key);
  return read_checked(key, entry) ? entry + "/" + entry_data_file : std::string();
}

std::optional<std::string> DiskCache::read(std::string_view key) {
  if (root_.empty()) return std::nullopt;
  return read_checked(key, entry_path(key));
}

std::string DiskCache::address_of(std::string_view key) {
  if (root_.empty()) return {};
  const std::string name = sha256(key);
  const std::optional<std::string> data = read_checked(key, directory_ + "/" + name);
  return data ? name + " " + sha256(*data) : std::string();
}

std::string DiskCache::find_at(std::string_view address) {
  const std::size_t space = address.find(' ');
  if (space == std::string_view::npos || !is_trusted()) return {};
  const std::string name(address.substr(0, space));
  if (!is_entry_name(name)) return {};
  const std::string entry = directory_ + "/" + name;
  const Descriptor opened = open_private_directory(entry);
  const auto data = opened ? read_private_file(opened, entry_data_file) : std::nullopt;
  if (!data || sha256(*data) != address.substr(space + 1)) return {};
  futimens(opened.get(), nullptr);
  return entry + "/" + entry_data_file;
}

void DiskCache::store(std::string_view key, const std::function<bool(const std::string &path)> &write) {
  if (root_.empty() || !prepare_cache_root(root_) || !prepare_directory(directory_)) return;
  const fs::path scratch = make_scratch_directory(directory_);
  if (scratch.empty()) return;
  std::error_code error;
  const std::string path = (scratch / entry_data_file).string();
  if (write(path)) {
    chmod(path.c_str(), S_IRUSR | S_IWUSR);
    const Descriptor opened = open_private_directory(scratch);
    const auto data = opened ? read_private_file(opened, entry_data_file) : std::nullopt;
    if (data && write_private_file(scratch / entry_key_file, key_file_content(key, *data))) {
      // Fails where another process was first, whose entry is as good.
      fs::rename(scratch, entry_path(key), error);
      if (!error) return note_stored(root_, data->size(), key.size(), limits_);
    }
  }
  fs::remove_all(scratch, error);
}

void DiskCache::store_bytes(std::string_view key, std::string_view data) {
  store(key, [&](const std::string &path) { return write_private_file(path, data); });
}

void DiskCache::remove(std::string_view key) {
  if (is_trusted()) remove_entry(entry_path(key));
}

}  // namespace helion_msl
