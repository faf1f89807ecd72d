// The `device` argument of the module's functions.
#pragma once

#include <nanobind/nanobind.h>

#include "engine.h"

namespace helion_msl {

// None means default_device(). Throws ArgumentError for what names no device that kernels run on.
DeviceKind read_device(nanobind::handle device);

}  // namespace helion_msl
