// The message of the KernelError for a barrier that not all threads reach.
#pragma once

#include <string>

#include "host_threadgroup.h"

namespace helion_msl {

// Describes a threadgroup whose threads all wait or have finished, and none of which can go on.
std::string report_divergence(const HostThreadgroup &threadgroup, Divergence divergence);

// "kernel 'name', threadgroup (x, y, z)", with which errors of a running kernel begin.
std::string name_threadgroup(const helion_host_kernel &kernel, const std::array<std::uint32_t, 3> &position);

}  // namespace helion_msl
