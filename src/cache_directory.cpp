#include "cache_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "errors.h"

namespace helion_msl {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t default_bytes = 512ull << 20;
constexpr std::uint64_t default_days = 90;
constexpr std::uint64_t seconds_of_a_day = 24 * 60 * 60;
constexpr std::uint64_t max_days = 100'000;

std::string chosen_directory() {
  if (const char *chosen = std::getenv("HELION_MSL_CACHE_DIR")) return chosen;
  const char *home = std::getenv("HOME");
#ifdef __APPLE__
  if (home != nullptr && *home == '/') return std::string(home) + "/Library/Caches/helion-msl";
#else
  // XDG Base Directory Specification: a path that is not absolute is to be ignored.
  if (const char *caches = std::getenv("XDG_CACHE_HOME"); caches != nullptr && *caches == '/') {
    return std::string(caches) + "/helion-msl";
  }
  if (home != nullptr && *home == '/') return std::string(home) + "/.cache/helion-msl";
#endif
  return {};
}

// A positive integer, and what follows it.
bool read_number(std::string_view text, std::uint64_t &number, std::string_view &rest) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  rest = text.substr(static_cast<std::size_t>(end - text.data()));
  return error == std::errc() && number > 0;
}

std::uint64_t bytes_from_environment() {
  const char *text = std::getenv("HELION_MSL_CACHE_MAX_SIZE");
  if (text == nullptr || *text == '\0') return default_bytes;
  std::uint64_t number = 0;
  std::string_view unit;
  if (read_number(text, number, unit) && number < 1ull << 32) {
    if (unit == "K") return number << 10;
    if (unit == "M") return number << 20;
    if (unit == "G") return number << 30;
  }
  if (number > 0 && unit.empty()) return number;
  throw Error(std::string("HELION_MSL_CACHE_MAX_SIZE must be a number of bytes above 0, such as 512M or 2G, not '") +
              text + "'; an empty HELION_MSL_CACHE_DIR turns the disk cache off");
}

std::uint64_t seconds_from_environment() {
  const char *text = std::getenv("HELION_MSL_CACHE_MAX_AGE");
  if (text == nullptr || *text == '\0') return default_days * seconds_of_a_day;
  std::uint64_t days = 0;
  std::string_view rest;
  if (read_number(text, days, rest) && rest.empty() && days <= max_days) return days * seconds_of_a_day;
  throw Error(std::string("HELION_MSL_CACHE_MAX_AGE must be a number of days from 1 to 100000, not '") + text +
              "'; an empty HELION_MSL_CACHE_DIR turns the disk cache off");
}

// Who can write to a directory can put another one in the place of one in it, unless the sticky bit is set.
bool lets_others_replace(const std::string &directory) {
  struct stat status{};
  if (stat(directory.c_str(), &status) != 0) return false;
  return (status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0;
}

}  // namespace

std::string cache_directory_from_environment() {
  const std::string chosen = chosen_directory();
  if (chosen.empty()) return {};
  std::error_code error;
  fs::path path = fs::absolute(chosen, error).lexically_normal();
  if (error) return {};
  if (path.filename().empty()) path = path.parent_path();  // "cache/" ends in an empty name
  return path.string();
}

CacheLimits cache_limits_from_environment() {
  return {bytes_from_environment(), seconds_from_environment()};
}

std::string refusal_of_directory(const std::string &directory) {
  // As text: this is asked for every look-up, and to take a path apart costs more than to ask the system about it.
  for (std::string above = directory; above.size() > 1;) {
    above.resize(std::max<std::size_t>(above.find_last_of('/'), 1));
    if (lets_others_replace(above)) return "every user can replace what is in " + above;
  }
  return refusal_of_subdirectory(directory);
}

std::string refusal_of_subdirectory(const std::string &directory) {
  struct stat status{};
  // Not through a symbolic link, which somebody else may have put there.
  if (lstat(directory.c_str(), &status) != 0) {
    return errno == ENOENT ? std::string() : directory + ": " + std::generic_category().message(errno);
  }
  if (S_ISLNK(status.st_mode)) return directory + " is a symbolic link";
  if (!S_ISDIR(status.st_mode)) return directory + " is no directory";
  if (status.st_uid != geteuid()) {
    return directory + " belongs to user " + std::to_string(status.st_uid) + ", and this is user " +
           std::to_string(geteuid());
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return "other users can write to " + directory + "; chmod go-w takes that from them";
  }
  return {};
}

bool prepare_directory(const std::string &directory) {
  if (!refusal_of_directory(directory).empty()) return false;
  struct stat status{};
  if (lstat(directory.c_str(), &status) == 0) return true;
  std::error_code error;
  fs::create_directories(fs::path(directory).parent_path(), error);
  if (mkdir(directory.c_str(), S_IRWXU) != 0 && errno != EEXIST) return false;
  // Somebody may have been there between the first look and now.
  return refusal_of_directory(directory).empty() && lstat(directory.c_str(), &status) == 0;
}

}  // namespace helion_msl
