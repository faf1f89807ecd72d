// Libraries that this process has loaded, torch's above all: found, never loaded a second time.
#pragma once

#include <string>
#include <string_view>

namespace helion_msl {

// Path of the loaded image with this file name, or empty.
std::string find_loaded_image(std::string_view file_name);

// A handle for dlsym(), or null where it is loaded no more. Not to be closed: what it finds is kept.
void *open_loaded_image(const std::string &path);

}  // namespace helion_msl
