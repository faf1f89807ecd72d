// CPU tensors that play MPS tensors: which they are, and the Metal buffers that their storages are said to be.
#pragma once

#include <Python.h>

#include <cstdint>

#import "double_device.h"

namespace metal_double {

// 1 or 0, or -1 with a Python exception set.
int is_played(PyObject *tensor);

// The buffer of the tensor's storage, borrowed, and the offset in bytes of its first element in it; nil with a Python
// exception set.
DoubleBuffer *buffer_of_tensor(PyObject *tensor, std::uint64_t &offset);

}  // namespace metal_double
