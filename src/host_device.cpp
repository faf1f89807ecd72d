#include "host_device.h"

#include <sys/utsname.h>
#include <unistd.h>

#ifdef __APPLE__
#include <sys/sysctl.h>
#else
#include <fstream>
#endif

namespace helion_msl {

std::string processor_name() {
#ifdef __APPLE__
  char name[256];
  std::size_t size = sizeof name;
  return sysctlbyname("machdep.cpu.brand_string", name, &size, nullptr, 0) == 0 ? std::string(name) : std::string();
#else
  // Kernels for x86 have this field; those for ARM tell numbers only.
  std::ifstream file("/proc/cpuinfo");
  const std::string field = "model name";
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(field)) continue;
    const std::size_t start = line.find_first_not_of(" \t", line.find(':') + 1);
    return start == std::string::npos ? std::string() : line.substr(start);
  }
  return {};
#endif
}

std::string machine_architecture() {
  utsname system{};
  return uname(&system) == 0 ? std::string(system.machine) : std::string();
}

std::string operating_system() {
  utsname system{};
  return uname(&system) == 0 ? std::string(system.sysname) + " " + system.release : std::string();
}

std::optional<std::uint64_t> physical_memory() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_size = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_size <= 0) return std::nullopt;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_size);
}

}  // namespace helion_msl
