// From Python's arguments to a launch: finds the engine and the compiled kernel, checks, and launches.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "argument_value.h"
#include "engine.h"
#include "kernel_cache.h"

typedef struct _object PyObject;

namespace helion_msl {

struct ArgumentOwners;

// The process's cache of compiled kernels. Created at first use; throws Error where its size is set wrongly.
KernelCache &kernel_cache();

// Compiles or finds a kernel. Called with the GIL, which is released while a compiler runs.
KernelCache::Kernel find_kernel(const KernelKey &key, Engine &engine);

// Checks and launches what has been read, and adds it to the thread's recording. The GIL is held, and is released
// around long launches.
void launch_values(Engine &engine, const std::shared_ptr<const CompiledKernel> &kernel,
                   std::span<const ArgumentValue> values, const ArgumentOwners &owners, Dimensions grid,
                   Dimensions threads);

// `_C.launch`: `source` and `name` are str objects, `name` may be None.
void launch_source(PyObject *source, PyObject *arguments, PyObject *grid, PyObject *block_dims, PyObject *name);

// `Kernel.__call__`.
void launch_kernel(Engine &engine, const std::shared_ptr<const CompiledKernel> &kernel, PyObject *arguments,
                   PyObject *grid, PyObject *block_dims);

// The text of a str object, which owns it. Throws ArgumentError, naming `parameter`, for other objects.
std::string_view text_of(PyObject *object, std::string_view parameter);

}  // namespace helion_msl
