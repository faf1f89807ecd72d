// Compiles MSL for the CPU: scans it, runs clang and the linker, and turns what they say into the user's lines.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine.h"

namespace helion_msl {

// The programs of this machine that compile kernels.
struct Toolchain {
  std::vector<std::string> clang;                // command line, to be followed by clang's arguments
  std::vector<std::string> linker;               // command line that links a shared object
  std::vector<std::string> include_directories;  // ours first, then torch's
  std::string description;                       // "clang 22"
};

// Sets how the toolchain is found: called once, at the first use; throws EngineUnavailableError that says what to
// install, and is then called again at the next use.
void set_toolchain_finder(std::function<Toolchain()> finder);

// Safe to use from several threads; no lock is held while the compiler runs.
class HostCompiler {
 public:
  // "clang 22"
  std::string description();
  // Compiles all kernels of the source into a new shared object, alone in a directory that only this user can read.
  // The caller loads it and passes the path to discard(). Throws MetalCompileError or EngineUnavailableError.
  std::filesystem::path compile(const CompileRequest &request);
  // Removes a shared object that compile() made, and its directory. A loaded one stays usable.
  static void discard(const std::filesystem::path &shared_object) noexcept;
};

}  // namespace helion_msl
