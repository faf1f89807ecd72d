// The native part of `@metal_jit` kernels: from a call's arguments to the launch plan of their specialization, without
// calling Python where the specialization is known.
#pragma once

#include <cstddef>

#include "engine.h"

typedef struct _object PyObject;

namespace helion_msl {

// Whether `object` is a `_C.KernelDispatcher`, which `helion_msl.jit.MetalKernel` derives from.
bool is_dispatcher(PyObject *object);

// The threadgroups of a launch: a size, or a Python function of the arguments by name that returns one.
struct GridSource {
  Dimensions size;
  PyObject *function = nullptr;
};

// Launches with the arguments of a vectorcall. The caller keeps all objects alive.
void dispatch(PyObject *dispatcher, PyObject *const *arguments, std::size_t count, PyObject *keywords,
              const GridSource &grid, Dimensions threads);

// Adds the types to the module.
void bind_kernel_dispatcher(PyObject *module);

}  // namespace helion_msl
