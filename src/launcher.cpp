#include "launcher.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "dispatch_size.h"
#include "engines.h"
#include "errors.h"
#include "graph_recording.h"
#include "python_arguments.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

void retain(void *object) {
  Py_INCREF(static_cast<PyObject *>(object));
}
void release(void *object) {
  Py_DECREF(static_cast<PyObject *>(object));
}

// The kernel of a source whose str object has been seen before, or of an equal text, or a new one.
KernelCache::Kernel kernel_of_source(PyObject *source, PyObject *name, DeviceKind device, Engine &engine) {
  const bool has_name = name != Py_None;
  const SourceIdentity identity{source, has_name ? name : nullptr, device};
  KernelCache &cache = kernel_cache();
  if (KernelCache::Kernel kernel = cache.find(identity)) return kernel;
  KernelKey key{device, {}};
  key.request.source = text_of(source, "msl");
  if (has_name) key.request.name = text_of(name, "name");
  KernelCache::Kernel kernel = find_kernel(key, engine);
  // A subclass of str may run Python code when its last reference goes, which the cache's lock could not bear.
  if (PyUnicode_CheckExact(source) && (!has_name || PyUnicode_CheckExact(name))) cache.remember(identity, key);
  return kernel;
}

void launch_bound(Engine &engine, const CompiledKernel &kernel, std::span<const BoundArgument> arguments,
                  Dimensions grid, Dimensions threads) {
  if (engine.launch_is_long(kernel, grid, threads)) {
    const nb::gil_scoped_release no_gil;
    engine.launch(kernel, arguments, grid, threads);
  } else {
    engine.launch(kernel, arguments, grid, threads);
  }
}

}  // namespace

KernelCache &kernel_cache() {
  // Never destroyed: kernels may still run, and the interpreter is gone, when static objects are.
  static KernelCache &cache = *new KernelCache(cache_capacity_from_environment(), retain, release);
  return cache;
}

KernelCache::Kernel find_kernel(const KernelKey &key, Engine &engine) {
  KernelCache &cache = kernel_cache();
  if (KernelCache::Kernel kernel = cache.find(key)) return kernel;
  const nb::gil_scoped_release no_gil;
  return cache.find_or_compile(key, engine);
}

void launch_values(Engine &engine, const std::shared_ptr<const CompiledKernel> &kernel,
                   std::span<const ArgumentValue> values, const ArgumentOwners &owners, Dimensions grid,
                   Dimensions threads) {
  const KernelInfo &info = kernel->info();
  check_dispatch_size(info, grid, threads);
  ArgumentArray<BoundArgument> bound(info.arguments.size());
  ArgumentArray<std::uint64_t> scalars(info.arguments.size());
  bind_arguments(info, engine.device(), values, bound.span(), scalars.span());
  if (GraphRecording *recording = current_recording()) [[unlikely]] {
    auto recorded = recording->describe(engine, *kernel, bound.span(), values, owners);
    launch_bound(engine, *kernel, bound.span(), grid, threads);
    recording->add(engine, kernel, std::move(recorded), owners, grid, threads);
  } else {
    launch_bound(engine, *kernel, bound.span(), grid, threads);
  }
}

void launch_source(PyObject *source, PyObject *arguments, PyObject *grid, PyObject *block_dims, PyObject *name) {
  const Dimensions threadgroups = read_dimensions(grid, "grid");
  const Dimensions threads = read_dimensions(block_dims, "block_dims");
  PythonArguments values(arguments);
  const std::optional<DeviceKind> of_tensors = values.device();
  const DeviceKind device = of_tensors ? *of_tensors : default_device();
  Engine &engine = engine_for(device);
  const KernelCache::Kernel kernel = kernel_of_source(source, name, device, engine);
  launch_values(engine, kernel, values.values(), {values.objects(), values.exported()}, threadgroups, threads);
}

void launch_kernel(Engine &engine, const std::shared_ptr<const CompiledKernel> &kernel, PyObject *arguments,
                   PyObject *grid, PyObject *block_dims) {
  const Dimensions threadgroups = read_dimensions(grid, "grid");
  const Dimensions threads = read_dimensions(block_dims, "block_dims");
  PythonArguments values(arguments);
  launch_values(engine, kernel, values.values(), {values.objects(), values.exported()}, threadgroups, threads);
}

std::string_view text_of(PyObject *object, std::string_view parameter) {
  if (!PyUnicode_Check(object)) {
    throw ArgumentError(std::string(parameter) + " must be a str, not " +
                        nb::cast<std::string>(nb::borrow(object).type().attr("__name__")));
  }
  Py_ssize_t size = 0;
  const char *text = PyUnicode_AsUTF8AndSize(object, &size);
  if (text == nullptr) throw nb::python_error();
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace helion_msl
