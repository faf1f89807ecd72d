#include "host_precompiled.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <filesystem>
#include <map>
#include <string_view>
#include <system_error>

#include "host_process.h"

namespace helion_msl {
namespace {

// What msl_scanner.h puts before a text that has no swizzles.
constexpr std::string_view no_swizzles =
    "#define HELION_MSL_SWIZZLES_2(S)\n#define HELION_MSL_SWIZZLES_3(S)\n#define HELION_MSL_SWIZZLES_4(S)\n";

// Below the first include directory. clang looks for the file that it has precompiled, so it cannot be a temporary one.
constexpr const char *header = "helion_host/precompiled.h";

std::vector<std::string> making_arguments(std::vector<std::string> arguments) {
  std::erase(arguments, "-c");
  std::erase(arguments, "-fstack-usage");
  std::replace(arguments.begin(), arguments.end(), std::string("c++"), std::string("c++-header"));
  // The key says what the headers contain; when their files were written does not matter.
  arguments.insert(arguments.end(), {"-Xclang", "-fno-pch-timestamp"});
  return arguments;
}

// Paths that have been compared with their checksums, by key. For each thread, so that there is no lock that a fork
// could find held.
std::map<std::string, std::string> &checked_paths() {
  static thread_local std::map<std::string, std::string> paths;
  return paths;
}

std::atomic<bool> has_compiled = false;
std::atomic<bool> is_making = false;
std::atomic<bool> are_refused = false;

}  // namespace

PrecompiledHeaders::PrecompiledHeaders(HostCache &cache, const std::string &surroundings,
                                       const std::string &include_directory, const std::vector<std::string> &arguments)
    : cache_(cache),
      header_((std::filesystem::path(include_directory) / header).string()),
      arguments_(making_arguments(arguments)),
      key_("precompiled headers") {
  // The surroundings tell what is in the headers.
  key_.add("surroundings", surroundings).add("arguments", arguments_).add("header", header_);
}

PrecompiledHeaders::~PrecompiledHeaders() {
  if (maker_.joinable()) maker_.join();
}

bool PrecompiledHeaders::fit(const std::string &head) {
  return head.starts_with(no_swizzles);
}

std::string PrecompiledHeaders::head_after_them(const std::string &head) {
  return head.substr(no_swizzles.size()) + "#include <helion_host/on_demand.h>\n";
}

std::string PrecompiledHeaders::find() {
  if (are_refused) return {};
  std::string &known = checked_paths()[key_.text()];
  if (known.empty() || access(known.c_str(), R_OK) != 0) known = cache_.find_headers(key_);
  return known;
}

void PrecompiledHeaders::refuse() {
  are_refused = true;
  checked_paths().erase(key_.text());
  cache_.remove_headers(key_);
}

void PrecompiledHeaders::start_making() {
  if (are_refused || !has_compiled.exchange(true) || is_making.exchange(true)) return;
  try {
    maker_ = std::thread([this] {
      try {
        make();
      } catch (const std::exception &) {
        // No disk space, or no process: the headers' text serves as well.
      }
      is_making = false;
    });
  } catch (const std::system_error &) {
    is_making = false;
  }
}

void PrecompiledHeaders::make() const {
  const TemporaryDirectory directory;
  const std::string output = (directory.path() / "headers.pch").string();
  std::vector<std::string> arguments = arguments_;
  arguments.insert(arguments.end(), {"-o", output, header_});
  if (run_process(arguments, directory.path() / "log").succeeded()) cache_.store_headers(key_, output);
}

}  // namespace helion_msl
