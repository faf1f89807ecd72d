// Where the disk cache is, whether it can be trusted, and how much it may hold.
//
// Shared objects are loaded from it, which is to run whatever they contain: a directory that anybody else can write to
// is not used at all.
#pragma once

#include <cstdint>
#include <string>

namespace helion_msl {

struct CacheLimits {
  std::uint64_t bytes;    // of all entries together
  std::uint64_t seconds;  // since an entry was last used
};

// HELION_MSL_CACHE_DIR, or the user's cache directory; absolute. Empty where there is none, or where the user has
// turned the cache off with an empty HELION_MSL_CACHE_DIR.
std::string cache_directory_from_environment();

// HELION_MSL_CACHE_MAX_SIZE ("512M") and HELION_MSL_CACHE_MAX_AGE (days), or the defaults. Throws Error for a value
// that has no meaning.
CacheLimits cache_limits_from_environment();

// Why nobody may keep files in `directory`, or empty: it belongs to another user, others can write to it, it is a
// symbolic link or no directory, or others can replace one of the directories above. A directory that does not exist
// is fine.
std::string refusal_of_directory(const std::string &directory);
// The same without a look at those above, for one below a directory that has just been looked at.
std::string refusal_of_subdirectory(const std::string &directory);

// Makes the directory, and those above, where they don't exist. False where that cannot be done, or where it is
// refused.
bool prepare_directory(const std::string &directory);

}  // namespace helion_msl
