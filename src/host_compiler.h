// Compiles MSL for the CPU: scans it, runs clang and the linker, and turns what they say into the user's lines; or
// finds what an earlier process compiled.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"
#include "host_library.h"

namespace helion_msl {

// The programs of this machine that compile kernels.
struct Toolchain {
  std::vector<std::string> clang;                // command line, to be followed by clang's arguments
  std::vector<std::string> linker;               // command line that links a shared object
  std::vector<std::string> include_directories;  // ours first, then torch's
  std::string description;                       // "clang 22"
  std::string version;                           // all that the compiler says of itself
};

// Sets how the toolchain is found: called once, at the first use; throws EngineUnavailableError that says what to
// install, and is then called again at the next use.
void set_toolchain_finder(std::function<Toolchain()> finder);

class HostCache;

// Safe to use from several threads; no lock is held while the compiler runs.
class HostCompiler {
 public:
  // Throws Error where the environment asks for a disk cache that cannot be.
  HostCompiler();
  ~HostCompiler();
  // "clang 22"
  std::string description();
  // All kernels of the source, loaded. Throws MetalCompileError or EngineUnavailableError.
  std::shared_ptr<const HostLibrary> compile(const CompileRequest &request);

 private:
  std::unique_ptr<HostCache> cache_;
};

}  // namespace helion_msl
