// How the disk cache reads, writes and removes files: never through a symbolic link, never anybody else's.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace helion_msl {

// Names of the two files of an entry.
inline constexpr const char *entry_data_file = "data";
inline constexpr const char *entry_key_file = "key";

// A file descriptor, closed when it goes. Negative where there is none.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor();
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  explicit operator bool() const { return number_ >= 0; }
  int get() const { return number_; }

 private:
  int number_;
};

// A directory that belongs to this user and that others cannot write to.
Descriptor open_private_directory(const std::filesystem::path &path);
// The whole of a file in `directory`, under the same conditions.
std::optional<std::string> read_private_file(const Descriptor &directory, const char *name);
// Makes a file that only this user can read.
bool write_private_file(const std::filesystem::path &path, std::string_view content);

// A new directory in `parent` under a name that nobody else uses; empty where there can be none.
std::filesystem::path make_scratch_directory(const std::filesystem::path &parent);
bool is_scratch_name(const std::string &name);
bool is_entry_name(const std::string &name);

// Out of the way in one step, so that nobody reads a half-removed entry.
void remove_entry(const std::filesystem::path &entry);

}  // namespace helion_msl
