#include "disk_cache_files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace helion_msl {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view scratch_prefix = ".new-";
constexpr std::size_t entry_name_size = 64;  // SHA-256 in hexadecimal digits

bool is_private(const struct stat &status, mode_t type) {
  return (status.st_mode & S_IFMT) == type && status.st_uid == geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) close(number_);
}

Descriptor open_private_directory(const fs::path &path) {
  int number = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat status{};
  if (number >= 0 && (fstat(number, &status) != 0 || !is_private(status, S_IFDIR))) {
    close(number);
    number = -1;
  }
  return Descriptor(number);
}

std::optional<std::string> read_private_file(const Descriptor &directory, const char *name) {
  const Descriptor file(openat(directory.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status{};
  if (!file || fstat(file.get(), &status) != 0 || !is_private(status, S_IFREG)) return std::nullopt;
  std::string content(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t filled = 0;
  while (filled < content.size()) {
    const ssize_t count = ::read(file.get(), content.data() + filled, content.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::nullopt;
    filled += static_cast<std::size_t>(count);
  }
  return content;
}

bool write_private_file(const fs::path &path, std::string_view content) {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file) return false;
  while (!content.empty()) {
    const ssize_t count = ::write(file.get(), content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

fs::path make_scratch_directory(const fs::path &parent) {
  std::string pattern = (parent / (std::string(scratch_prefix) + "XXXXXX")).string();
  return mkdtemp(pattern.data()) == nullptr ? fs::path() : fs::path(pattern);
}

bool is_scratch_name(const std::string &name) {
  return name.starts_with(scratch_prefix) && name.size() == scratch_prefix.size() + 6;
}

bool is_entry_name(const std::string &name) {
  return name.size() == entry_name_size && std::all_of(name.begin(), name.end(), [](char digit) {
           return (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f');
         });
}

void remove_entry(const fs::path &entry) {
  std::error_code error;
  const fs::path aside = make_scratch_directory(entry.parent_path());
  if (aside.empty()) return;        // not writable, so nothing can be removed either
  fs::rename(entry, aside, error);  // onto an empty directory, which it replaces
  fs::remove_all(aside, error);
}

}  // namespace helion_msl
