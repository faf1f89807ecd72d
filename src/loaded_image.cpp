#include "loaded_image.h"

#include <dlfcn.h>

#include <cstdint>

#ifdef __APPLE__
#include <mach-o/dyld.h>
#else
#include <link.h>
#endif

namespace helion_msl {
namespace {

bool has_file_name(std::string_view path, std::string_view name) {
  return path.size() > name.size() && path.ends_with(name) && path[path.size() - name.size() - 1] == '/';
}

}  // namespace

std::string find_loaded_image(std::string_view file_name) {
#ifdef __APPLE__
  for (std::uint32_t i = 0; i < _dyld_image_count(); ++i) {
    const char *path = _dyld_get_image_name(i);  // null where another thread has just unloaded an image
    if (path != nullptr && has_file_name(path, file_name)) return path;
  }
  return {};
#else
  struct Search {
    std::string_view file_name;
    std::string path;
  } search{file_name, {}};
  dl_iterate_phdr(
      [](dl_phdr_info *image, std::size_t, void *context) {
        auto &running = *static_cast<Search *>(context);
        if (!has_file_name(image->dlpi_name, running.file_name)) return 0;
        running.path = image->dlpi_name;
        return 1;
      },
      &search);
  return search.path;
#endif
}

void *open_loaded_image(const std::string &path) {
  return dlopen(path.c_str(), RTLD_NOLOAD | RTLD_LAZY);
}

}  // namespace helion_msl
