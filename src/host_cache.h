// What the host engine keeps on disk: sources that have been through the preprocessor, and shared objects.
//
// Each is found by everything that it was made from: the text and the command line themselves, and fingerprints of the
// compiler, of the headers and of the processor. What cannot be proven to give the same again is not kept.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk_cache.h"
#include "host_compiler.h"

namespace helion_msl {

// Named values, written so that no two lists of them are the same text.
class CacheKey {
 public:
  explicit CacheKey(std::string_view what);
  CacheKey &add(std::string_view name, std::string_view value);
  CacheKey &add(std::string_view name, const std::vector<std::string> &values);
  const std::string &text() const { return text_; }

 private:
  std::string text_;
};

class HostCache {
 public:
  // Throws Error where the environment asks for something that has no meaning.
  HostCache();

  // The compiler, the linker, this package's headers and the processor as they are now. Empty where one of them is
  // not known, and where the cache is off: then nothing is found and nothing is stored.
  std::string surroundings(const Toolchain &toolchain);

  // clang's output for the MSL, while the files that it includes are what they were.
  std::optional<std::string> find_preprocessed(const CacheKey &key);
  // `started`: when clang was; a file that has changed since is not what clang has read.
  void store_preprocessed(const CacheKey &key, std::string_view msl, std::string_view output,
                          std::filesystem::file_time_type started);

  // Path of a shared object.
  std::string find_library(const CacheKey &key) { return libraries_.find(key.text()); }
  void store_library(const CacheKey &key, const std::filesystem::path &shared_object);
  void remove_library(const CacheKey &key) { libraries_.remove(key.text()); }

  // The shared object that an equal request ended in, without what stood between them.
  std::string find_requested(const CacheKey &request);
  // `library`: of a shared object that is stored.
  void store_request(const CacheKey &request, const CacheKey &library);

  // Path of precompiled headers.
  std::string find_headers(const CacheKey &key) { return headers_.find(key.text()); }
  void store_headers(const CacheKey &key, const std::filesystem::path &file);
  void remove_headers(const CacheKey &key) { headers_.remove(key.text()); }

 private:
  HostCache(const std::string &root, CacheLimits limits);
  std::string contents_of_headers(const std::string &directory);

  DiskCache fingerprints_;
  DiskCache preprocessed_;
  DiskCache libraries_;
  DiskCache requests_;
  DiskCache headers_;
};

}  // namespace helion_msl
