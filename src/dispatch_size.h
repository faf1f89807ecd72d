// The two sizes of a launch: threadgroups in the grid, threads in a threadgroup.
#pragma once

#include <string_view>

#include "engine.h"

typedef struct _object PyObject;

namespace helion_msl {

// Reads an int or a sequence of one to three ints, padded with 1. Throws LaunchError for anything else, for numbers
// below 1 and for numbers that a 32-bit position cannot reach. `name` is the parameter's, for the message.
Dimensions read_dimensions(PyObject *value, std::string_view name);

// Throws LaunchError when the kernel cannot be dispatched in this size.
void check_dispatch_size(const KernelInfo &kernel, Dimensions grid, Dimensions threads);

}  // namespace helion_msl
