#include "host_fingerprint.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "sha256.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#endif

namespace helion_msl {
namespace {

namespace fs = std::filesystem;

// Size and time of change.
struct FileState {
  std::string text;
  std::int64_t changed = 0;  // nanoseconds since 1970
};

FileState state_of(const struct stat &status) {
#if defined(__APPLE__)
  const struct timespec &changed = status.st_mtimespec;
#else
  const struct timespec &changed = status.st_mtim;
#endif
  return {std::to_string(status.st_size) + " " + std::to_string(changed.tv_sec) + "." + std::to_string(changed.tv_nsec),
          std::int64_t{changed.tv_sec} * 1'000'000'000 + changed.tv_nsec};
}

fs::path find_program(const std::string &program) {
  if (program.find('/') != std::string::npos) return program;
  const char *path = getenv("PATH");
  for (std::string_view left = path == nullptr ? "" : path; !left.empty();) {
    const std::size_t end = std::min(left.find(':'), left.size());
    const fs::path candidate = fs::path(left.substr(0, end)) / program;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return {};
}

struct FoundFile {
  std::string path;
  struct stat status;
};

// Adds the files below a directory, each by its path from where the search began. False where a directory cannot be
// read. This is asked at every look-up of a kernel, so it makes no paths of text and asks by the directory's
// descriptor, which is a third of the work.
bool find_files(int directory, const std::string &path, std::vector<FoundFile> &found) {
  DIR *const entries = directory < 0 ? nullptr : fdopendir(directory);
  if (entries == nullptr) {
    if (directory >= 0) close(directory);
    return false;
  }
  bool succeeded = true;
  while (const dirent *entry = readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    FoundFile file{path.empty() ? std::string(name) : path + "/" + entry->d_name, {}};
    bool is_directory = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN && fstatat(directory, entry->d_name, &file.status, AT_SYMLINK_NOFOLLOW) == 0) {
      is_directory = S_ISDIR(file.status.st_mode);
    }
    if (is_directory) {
      const int below = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      succeeded = find_files(below, file.path, found) && succeeded;
    } else if (fstatat(directory, entry->d_name, &file.status, 0) == 0 && S_ISREG(file.status.st_mode)) {
      found.push_back(std::move(file));
    }
  }
  closedir(entries);
  return succeeded;
}

// In the order of their paths; none where some cannot be read.
std::vector<FoundFile> files_below(const std::string &directory) {
  std::vector<FoundFile> files;
  if (!find_files(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "", files)) files.clear();
  std::sort(files.begin(), files.end(),
            [](const FoundFile &left, const FoundFile &right) { return left.path < right.path; });
  return files;
}

std::string read_extension() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void *>(&extension_fingerprint), &info) == 0) return {};
  return program_fingerprint(info.dli_fname);
}

// Asked while the extension is loaded: a file that takes its place later is not what runs.
const std::string extension_at_load = read_extension();

#if defined(__x86_64__)

void append_leaf(std::string &text, unsigned leaf, unsigned subleaf) {
  std::array<unsigned, 4> registers{};
  __get_cpuid_count(leaf, subleaf, &registers[0], &registers[1], &registers[2], &registers[3]);
  if (leaf == 1) {
    registers[1] = 0;  // which core this is
  }
  std::array<char, 64> line;
  std::snprintf(line.data(), line.size(), "%x.%x: %08x %08x %08x %08x\n", leaf, subleaf, registers[0], registers[1],
                registers[2], registers[3]);
  text += line.data();
}

// The leaves that clang's own detection of the processor reads: vendor, family and model, features, and the model's
// name; and which registers the system saves (Intel 64 and IA-32 Architectures Software Developer's Manual, CPUID,
// XGETBV).
std::string read_processor() {
  std::string text = "x86_64\n";
  for (const unsigned leaf : {0x0u, 0x1u, 0x80000001u, 0x80000002u, 0x80000003u, 0x80000004u, 0x80000008u}) {
    append_leaf(text, leaf, 0);
  }
  for (const unsigned subleaf : {0u, 1u}) append_leaf(text, 0x7, subleaf);
  for (const unsigned leaf : {0x14u, 0x19u, 0x24u}) append_leaf(text, leaf, 0);
  append_leaf(text, 0xd, 1);
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned osxsave = 1u << 27;
  if (__get_cpuid(1, &a, &b, &c, &d) != 0 && (c & osxsave) != 0) {
    unsigned low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    text += "xcr0: " + std::to_string(low) + " " + std::to_string(high) + "\n";
  }
  return text;
}

#elif defined(__APPLE__)

// Code is made for the oldest of them (host_compiler.cpp).
std::string read_processor() {
  return "apple silicon\n";
}

#else

// What `-mcpu=native` goes by: the kinds of cores that /proc/cpuinfo lists, and what the kernel says they can do.
std::string read_processor() {
  std::ifstream file("/proc/cpuinfo");
  std::set<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("CPU ") || line.starts_with("Features")) lines.insert(line);
  }
  std::string text = std::to_string(getauxval(AT_HWCAP)) + " " + std::to_string(getauxval(AT_HWCAP2)) + "\n";
  for (const std::string &line : lines) text += line + "\n";
  return text;
}

#endif

}  // namespace

std::string program_fingerprint(const std::string &program) {
  std::error_code error;
  const fs::path path = fs::canonical(find_program(program), error);
  if (error) return {};
  struct stat status{};
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  return path.string() + " " + state_of(status).text;
}

const std::string &extension_fingerprint() {
  return extension_at_load;
}

DirectoryState state_of_directory(const std::string &directory) {
  DirectoryState state;
  for (const FoundFile &file : files_below(directory)) {
    const FileState found = state_of(file.status);
    state.text.append(file.path).append(" ").append(found.text).append("\n");
    state.last_change = std::max(state.last_change, found.changed);
  }
  if (!state.text.empty()) state.text.insert(0, directory + "\n");
  return state;
}

std::string contents_of_directory(const std::string &directory) {
  const std::vector<FoundFile> files = files_below(directory);
  Sha256 contents;
  for (const FoundFile &found : files) {
    std::ifstream file(directory + "/" + found.path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (!file) return {};
    contents.update(found.path + " " + std::to_string(text.size()) + "\n" + text);
  }
  return files.empty() ? std::string() : contents.finish();
}

const std::string &processor_fingerprint() {
  static const std::string text = read_processor();
  return text;
}

}  // namespace helion_msl
