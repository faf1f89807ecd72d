// Files that save work to later processes: one directory an entry, written whole or not at all, checked before use.
//
// Entries are at <cache directory>/<kind>/<SHA-256 of the key>/{key,data}. Nothing here throws but for memory: a cache
// that is damaged, not ours, or on a full disk costs time and no more. Several processes and threads may use it at
// once, and no lock is held: an entry appears by a rename and disappears by a rename.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache_directory.h"

namespace helion_msl {

// The entries of one kind: what one user of the cache keeps there.
class DiskCache {
 public:
  // `root` is cache_directory_from_environment(); where it is empty, nothing is found and nothing is stored. `kind` is
  // one of `disk_cache_kinds`.
  DiskCache(std::string root, std::string_view kind, CacheLimits limits);

  // Path of the file stored under exactly `key`, with exactly the bytes that were stored, or empty. An entry that fails
  // the check is removed.
  std::string find(std::string_view key);
  // The same file's bytes.
  std::optional<std::string> read(std::string_view key);
  // Where the entry of a key is, and what is in it: a short text by which it is found again without its key. Empty
  // where there is no such entry.
  std::string address_of(std::string_view key);
  // Path of the file at an address, with exactly the bytes that were there, or empty.
  std::string find_at(std::string_view address);
  // `write(path)` writes the file and returns whether it could. Where the entry is there already, it stays.
  void store(std::string_view key, const std::function<bool(const std::string &path)> &write);
  void store_bytes(std::string_view key, std::string_view data);
  // After something found wrong with the contents: the next process makes it anew.
  void remove(std::string_view key);

  bool is_on() const { return !root_.empty(); }

 private:
  bool is_trusted() const;
  std::optional<std::string> read_checked(std::string_view key, const std::string &entry);
  std::string entry_path(std::string_view key) const;

  std::string root_;
  std::string directory_;
  CacheLimits limits_;
};

// What is kept: shared objects of the host engine, its headers as clang precompiles them, MSL that has been through the
// preprocessor, binary archives of the Metal engine, translations of Python functions, what compilers and headers are
// known by, which shared object a request of the host engine ended in, and the names that Python functions use.
inline constexpr const char *disk_cache_kinds[] = {"host",    "preprocessed", "metal",    "translations",
                                                   "headers", "fingerprints", "requests", "outlines"};

}  // namespace helion_msl
