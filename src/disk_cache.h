// Files that save work to later processes: one directory an entry, written whole or not at all, checked before use.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace helion_msl {

// Where the entries are: HELION_MSL_CACHE_DIR, or the user's cache directory. Empty where there is none, or where the
// user has turned the cache off with an empty HELION_MSL_CACHE_DIR.
std::string cache_directory_from_environment();

// Entries below one directory that belongs to this user alone. Nothing here throws but for memory: a cache that is
// damaged, not ours, or on a full disk costs time and no more. Several processes and threads may use it at once.
class DiskCache {
 public:
  // `directory` may be empty: then nothing is found and nothing is stored. At most `capacity` entries are kept.
  DiskCache(std::string directory, std::size_t capacity);

  // Path of the file stored under exactly `key`, with exactly the bytes that were stored, or empty. An entry that fails
  // the check is removed.
  std::string find(const std::string &key);
  // `write(path)` writes the file and returns whether it could.
  void store(const std::string &key, const std::function<bool(const std::string &path)> &write);
  // After something found wrong with the contents: the next process makes it anew.
  void remove(const std::string &key);

  const std::string &directory() const { return directory_; }

 private:
  bool prepare();
  void evict();
  std::string entry_path(const std::string &key) const;

  std::string directory_;
  std::size_t capacity_;
};

}  // namespace helion_msl
