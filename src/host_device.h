// What the host engine runs on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace helion_msl {

std::string processor_name();                    // "AMD EPYC 7R13", empty where the system does not tell
std::string machine_architecture();              // "x86_64", "arm64"
std::string operating_system();                  // "Linux 6.1.0"
std::optional<std::uint64_t> physical_memory();  // bytes

}  // namespace helion_msl
