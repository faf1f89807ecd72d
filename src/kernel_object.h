// `helion_msl.Kernel`: a compiled kernel as a Python object, called without a look-up.
#pragma once

#include <memory>
#include <string>

#include "engine.h"

typedef struct _object PyObject;

namespace helion_msl {

struct BoundKernel {
  Engine *engine;
  std::shared_ptr<const CompiledKernel> compiled;
  std::string source;

  const KernelInfo &info() const { return compiled->info(); }
};

// A new `Kernel`.
PyObject *make_kernel_object(BoundKernel kernel);

// What a `Kernel` holds, which lives as long as the object; null for other objects.
const BoundKernel *kernel_of(PyObject *object);

// Adds the type to the module.
void bind_kernel(PyObject *module);

}  // namespace helion_msl
