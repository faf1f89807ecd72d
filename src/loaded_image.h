// Libraries that this process has loaded, torch's above all: found, never loaded a second time.
#pragma once

#include <string>
#include <string_view>

// The image of torch whose functions are called. Builds over a double of Metal name another one.
#ifndef HELION_MSL_TORCH_IMAGE
#ifdef __APPLE__
#define HELION_MSL_TORCH_IMAGE "libtorch_cpu.dylib"
#else
#define HELION_MSL_TORCH_IMAGE "libtorch_cpu.so"
#endif
#endif

namespace helion_msl {

inline constexpr std::string_view torch_image_name = HELION_MSL_TORCH_IMAGE;

// Path of the loaded image with this file name, or empty.
std::string find_loaded_image(std::string_view file_name);

// A handle for dlsym(), or null where it is loaded no more. Not to be closed: what it finds is kept.
void *open_loaded_image(const std::string &path);

}  // namespace helion_msl
