// A shared library of kernels compiled for the CPU: loads it, checks it, and describes its kernels.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "engine.h"
#include "helion_host/abi.h"

namespace helion_msl {

// Loaded while it lives; the kernels made from it keep it alive.
class HostLibrary {
 public:
  // Throws EngineUnavailableError where the system cannot load the library, or where it was built for another version
  // of this package.
  explicit HostLibrary(const std::filesystem::path &path);
  ~HostLibrary();
  HostLibrary(const HostLibrary &) = delete;
  HostLibrary &operator=(const HostLibrary &) = delete;

  // Whether find_kernel() finds `name`.
  bool has_kernel(const std::string &name) const;
  // The kernel called `name`; the only one where `name` is empty. Throws UnknownKernelError.
  const helion_host_kernel &find_kernel(const std::string &name) const;
  // Throws MetalCompileError for a kernel that no GPU could run: too much threadgroup memory.
  KernelInfo describe(const helion_host_kernel &kernel) const;

 private:
  std::span<const helion_host_kernel> kernels() const;
  std::uint64_t threadgroup_memory(const helion_host_kernel &kernel) const;

  void *handle_ = nullptr;
  const helion_host_library *table_ = nullptr;
};

}  // namespace helion_msl
