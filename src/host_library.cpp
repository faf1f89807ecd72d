#include "host_library.h"

#include <dlfcn.h>

#include <algorithm>
#include <mutex>

#include "errors.h"

namespace helion_msl {

namespace {

std::string last_loader_error() {
  const char *error = dlerror();
  return error != nullptr ? error : "unknown error";
}

// What kernels will find under the name of an engine's function: the program's own handle stands for the global scope,
// while RTLD_DEFAULT would also search the extension itself.
void *find_globally(const char *function) {
  void *program = dlopen(nullptr, RTLD_NOW);
  void *found = dlsym(program, function);
  dlclose(program);
  return found;
}

// Kernels find the engine's functions and the C math library in the global scope of the process. Python loads
// extensions outside of it, so this one moves itself there; its dependencies follow.
void enter_global_scope() {
  constexpr const char *name = "helion_host_threadgroup_barrier";
  auto *const own = reinterpret_cast<void *>(&helion_host_threadgroup_barrier);
  if (find_globally(name) != own) {
    Dl_info info{};
    // The handle is never closed: the extension stays loaded as long as the process.
    if (dladdr(own, &info) == 0 || dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL) == nullptr) {
      throw EngineUnavailableError("cannot make the host engine visible to kernels: " + last_loader_error());
    }
    if (find_globally(name) != own) {
      throw EngineUnavailableError("another copy of helion_msl is loaded in this process; only one can run kernels");
    }
  }
#if defined(__linux__)
  if (find_globally("sinf") == nullptr) dlopen("libm.so.6", RTLD_NOW | RTLD_GLOBAL);
#endif
}

ScalarType scalar_type(helion_host_u32 scalar) {
  switch (static_cast<helion_host_scalar>(scalar)) {
    case helion_host_bool:
      return ScalarType::boolean;
    case helion_host_int8:
      return ScalarType::int8;
    case helion_host_uint8:
      return ScalarType::uint8;
    case helion_host_int16:
      return ScalarType::int16;
    case helion_host_uint16:
      return ScalarType::uint16;
    case helion_host_int32:
      return ScalarType::int32;
    case helion_host_uint32:
      return ScalarType::uint32;
    case helion_host_int64:
      return ScalarType::int64;
    case helion_host_uint64:
      return ScalarType::uint64;
    case helion_host_float16:
      return ScalarType::float16;
    case helion_host_bfloat16:
      return ScalarType::bfloat16;
    case helion_host_float32:
      return ScalarType::float32;
    case helion_host_opaque:
      break;
  }
  return ScalarType::opaque;
}

ArgumentInfo describe_argument(const helion_host_argument &argument) {
  return {.name = argument.name,
          .index = argument.index,
          .scalar = scalar_type(argument.scalar),
          .lanes = argument.lanes,
          .element_size = argument.element_size,
          .alignment = argument.alignment,
          .is_reference = argument.is_reference != 0,
          .is_writable = argument.is_writable != 0,
          .is_threadgroup_memory = argument.is_threadgroup_memory != 0};
}

}  // namespace

HostLibrary::HostLibrary(const std::filesystem::path &path) {
  static std::once_flag global_scope;
  std::call_once(global_scope, enter_global_scope);
  // RTLD_NOW: a function that is missing is found here, not in the middle of a launch.
  handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr) {
    throw EngineUnavailableError("cannot load the compiled kernels: " + last_loader_error());
  }
  table_ = static_cast<const helion_host_library *>(dlsym(handle_, "helion_host_library"));
  if (table_ == nullptr || table_->abi_version != HELION_HOST_ABI_VERSION) {
    const std::string version = table_ == nullptr ? "none" : std::to_string(table_->abi_version);
    dlclose(handle_);
    throw EngineUnavailableError("the kernels in '" + path.string() + "' are for engine version " + version +
                                 ", but this is version " + std::to_string(HELION_HOST_ABI_VERSION) +
                                 "; delete the file, so that they are compiled again");
  }
}

HostLibrary::~HostLibrary() {
  dlclose(handle_);
}

std::span<const helion_host_kernel> HostLibrary::kernels() const {
  return {table_->kernels, table_->kernel_count};
}

bool HostLibrary::has_kernel(const std::string &name) const {
  if (name.empty()) return kernels().size() == 1;
  return std::any_of(kernels().begin(), kernels().end(),
                     [&](const helion_host_kernel &kernel) { return name == kernel.name; });
}

const helion_host_kernel &HostLibrary::find_kernel(const std::string &name) const {
  if (name.empty() && kernels().size() == 1) return kernels().front();
  for (const helion_host_kernel &kernel : kernels()) {
    if (!name.empty() && name == kernel.name) return kernel;
  }
  if (kernels().empty()) throw UnknownKernelError("the source has no kernel");
  std::string names;
  for (const helion_host_kernel &kernel : kernels()) {
    names += (names.empty() ? "'" : ", '") + std::string(kernel.name) + "'";
  }
  if (name.empty()) throw UnknownKernelError("the source has several kernels: " + names + "; say which with name=");
  throw UnknownKernelError("the source has no kernel '" + name + "'; it has " + names);
}

std::uint64_t HostLibrary::threadgroup_memory(const helion_host_kernel &kernel) const {
  std::uint64_t total = 0;
  for (const auto *variable = table_->threadgroup_variables_begin; variable != table_->threadgroup_variables_end;
       ++variable) {
    if (variable->function == kernel.function) total += variable->size;
  }
  return total;
}

KernelInfo HostLibrary::describe(const helion_host_kernel &kernel) const {
  KernelInfo info;
  info.name = kernel.name;
  info.static_threadgroup_memory = threadgroup_memory(kernel);
  if (info.static_threadgroup_memory > max_threadgroup_memory) {
    throw MetalCompileError("kernel '" + info.name + "': threadgroup memory of " +
                            std::to_string(info.static_threadgroup_memory) + " bytes exceeds the " +
                            std::to_string(max_threadgroup_memory) +
                            " bytes that a threadgroup may use; make its threadgroup arrays smaller");
  }
  for (const auto &argument : std::span(kernel.arguments, kernel.argument_count)) {
    info.arguments.push_back(describe_argument(argument));
  }
  if (kernel.max_total_threads_per_threadgroup != 0) {
    info.max_total_threads_per_threadgroup = std::min(kernel.max_total_threads_per_threadgroup, 1024u);
  }
  std::copy_n(kernel.required_threads_per_threadgroup, 3, info.required_threads_per_threadgroup.begin());
  info.thread_execution_width = HELION_HOST_SIMD_WIDTH;
  return info;
}

}  // namespace helion_msl
