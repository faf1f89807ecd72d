// What Python can ask of an engine besides running kernels.
#pragma once

#include <nanobind/nanobind.h>

namespace helion_msl {

void bind_engine_tools(nanobind::module_ &module);

}  // namespace helion_msl
