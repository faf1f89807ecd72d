// The disk cache as Python sees it: for translations, for the command line, and for tests.
#pragma once

#include <nanobind/nanobind.h>

namespace helion_msl {

void bind_disk_cache(nanobind::module_ &m);

}  // namespace helion_msl
