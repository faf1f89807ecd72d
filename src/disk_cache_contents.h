// All that the disk cache holds, of every kind: how much, what goes when it is too much, and removing it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cache_directory.h"

namespace helion_msl {

struct CacheContents {
  std::string kind;
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
};

struct CacheRemoval {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
};

// Makes the cache directory, marked for backup programs as one that need not be kept. False where it is refused.
bool prepare_cache_root(const std::string &root);

// What there is, one for each kind. Nothing in a directory that is refused.
std::vector<CacheContents> cache_contents(const std::string &root);

// Removes what is older than the limits allow, and then what was used longest ago until the rest fits; and what
// processes that died have left. Only what the cache has made is touched.
CacheRemoval trim_cache(const std::string &root, CacheLimits limits);
// Removes all entries.
CacheRemoval clear_cache_entries(const std::string &root);

// Counts what all processes have stored since the last trim, and trims once that is a part of what the limits allow, or
// once a day.
void note_stored(const std::string &root, std::uint64_t data_size, std::uint64_t key_size, CacheLimits limits);

}  // namespace helion_msl
