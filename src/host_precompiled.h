// The headers of the MSL library as clang's own data, kept on disk: a kernel's compile loads what it uses of them,
// where it would otherwise read the text of all that the kernel's words ask for.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "host_cache.h"

namespace helion_msl {

// Precompiled headers for one command line. They are made beside a compile, and serve those that come after it.
class PrecompiledHeaders {
 public:
  // `arguments`: those of the compile, without its input and output. `surroundings`: as HostCache has them.
  // `include_directory`: of this package's headers.
  PrecompiledHeaders(HostCache &cache, const std::string &surroundings, const std::string &include_directory,
                     const std::vector<std::string> &arguments);
  // Waits for what this object makes.
  ~PrecompiledHeaders();
  PrecompiledHeaders(const PrecompiledHeaders &) = delete;
  PrecompiledHeaders &operator=(const PrecompiledHeaders &) = delete;

  // Where they are; empty where there are none.
  std::string find();
  // Makes them on a thread of its own, unless the process has compiled nothing before: a program with one kernel would
  // wait for them in vain. A failure is silent, as nothing depends on it.
  void start_making();
  // The compiler failed with them and not without: this process does without from now on.
  void refuse();

  // Whether a text that begins with `head` can have them: they are made for texts without swizzles.
  static bool fit(const std::string &head);
  // What a text has before it where they are in place of `head` and the library's #include lines.
  static std::string head_after_them(const std::string &head);

 private:
  void make() const;

  HostCache &cache_;
  std::string header_;
  std::vector<std::string> arguments_;
  CacheKey key_;
  std::thread maker_;
};

}  // namespace helion_msl
