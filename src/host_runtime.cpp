// The host engine: compiles MSL for the CPU and runs it there, with the semantics of a GPU.
#include <pthread.h>

#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "engine.h"
#include "engine_tools.h"
#include "errors.h"
#include "host_compiler.h"
#include "host_device.h"
#include "host_launch.h"
#include "host_library.h"
#include "host_threadgroup.h"
#include "thread_pool.h"

namespace helion_msl {

namespace {

// Launches that cost less than this keep the GIL: giving it up and taking it back costs a tenth of it.
constexpr double long_launch_nanoseconds = 5e3;
// Most buffers that a Metal kernel has (Metal Feature Set Tables, "buffer argument table entries").
constexpr std::size_t max_buffer_count = 31;

// Libraries that are loaded, by everything that decides what is in them: two kernels of one source share a compile.
class LoadedLibraries {
 public:
  std::shared_ptr<const HostLibrary> find(const CompileRequest &request) {
    const std::lock_guard lock(mutex_);
    const auto entry = libraries_.find(key_of(request));
    return entry == libraries_.end() ? nullptr : entry->second.lock();
  }

  void add(const CompileRequest &request, const std::shared_ptr<const HostLibrary> &library) {
    const std::lock_guard lock(mutex_);
    std::erase_if(libraries_, [](const auto &entry) { return entry.second.expired(); });
    libraries_.insert_or_assign(key_of(request), library);
  }

  // Around a fork, so that the child never finds the mutex held by a thread that it does not have.
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  // Constants by their bytes: a NaN is neither less than a number nor greater, and would put a map out of order.
  static std::string key_of(const CompileRequest &request) {
    std::string key = request.source;
    key += '\0';
    key += request.math_mode == MathMode::fast ? 'f' : 's';
    for (const auto &[name, value] : request.constants) {
      key += name;
      key += '\0';
      key += static_cast<char>(value.index());
      std::visit([&](auto number) { key.append(reinterpret_cast<const char *>(&number), sizeof(number)); }, value);
    }
    return key;
  }

  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const HostLibrary>> libraries_;
};

LoadedLibraries &loaded_libraries() {
  // Never destroyed: kernels may outlive the static objects of this file.
  static auto &libraries = *new LoadedLibraries;
  return libraries;
}

class HostEngine final : public Engine, public EngineTools {
 public:
  HostEngine() {
    pthread_atfork([] { loaded_libraries().lock(); }, [] { loaded_libraries().unlock(); },
                   [] { loaded_libraries().unlock(); });
  }

  DeviceKind device() const override { return DeviceKind::cpu; }

  std::string description() override {
    const unsigned threads = ThreadPool::concurrency();
    return "host: " + compiler_.description() + ", " + std::to_string(threads) +
           (threads == 1 ? " thread" : " threads");
  }

  std::shared_ptr<const CompiledKernel> compile(const CompileRequest &request) override {
    auto library = loaded_libraries().find(request);
    // A library may have only the kernel that was asked for when it was compiled.
    if (library == nullptr || !library->has_kernel(request.name)) {
      library = compiler_.compile(request);
      loaded_libraries().add(request, library);
    }
    return std::make_shared<HostKernel>(std::move(library), request.name);
  }

  void launch(const CompiledKernel &kernel, std::span<const BoundArgument> arguments, Dimensions grid,
              Dimensions threads) override {
    const std::shared_ptr<GpuTimeRegion> region = open_region_.current();
    const double start = region ? seconds_now() : 0;
    if (arguments.size() <= max_buffer_count) {
      std::array<void *, max_buffer_count> addresses;
      launch(kernel, arguments, addresses.data(), grid, threads);
    } else {
      std::vector<void *> addresses(arguments.size());
      launch(kernel, arguments, addresses.data(), grid, threads);
    }
    if (region) region->add(start, seconds_now());
  }

  bool launch_is_long(const CompiledKernel &kernel, Dimensions grid, Dimensions threads) const override {
    const std::uint64_t total = std::uint64_t{grid.x} * grid.y * grid.z * threads.x * threads.y * threads.z;
    return static_cast<const HostKernel &>(kernel).cost().estimate(total) > long_launch_nanoseconds;
  }

  // launch() returns when its kernel has run, and throws the errors of that run.
  void synchronize() override {}
  void commit() override {}

  DeviceInfo device_info() override {
    DeviceInfo info;
    info.name = processor_name();
    info.architecture = machine_architecture();
    info.language_version = "3.1";  // what helion_host/predefined.h says to kernels
    info.compiler = compiler_.description();
    info.system = operating_system();
    info.threads = ThreadPool::concurrency();
    info.max_threads_per_threadgroup = max_threads_per_threadgroup;
    info.max_threadgroup_memory = max_threadgroup_memory;
    info.recommended_working_set = physical_memory();
    return info;
  }

  // Kept, so that a program finds what it has set; a launch has run when it returns.
  std::uint32_t commit_every() const override { return commit_every_.load(std::memory_order_relaxed); }
  void set_commit_every(std::uint32_t launches) override { commit_every_.store(launches, std::memory_order_relaxed); }
  void set_labels(bool) override {}  // there is no profiler to show them

  void begin_capture(const std::string &) override {
    throw EngineUnavailableError(
        "there is no GPU to capture: kernels on CPU tensors run on this machine's cores, and captures are Metal's, "
        "which needs macOS on Apple silicon. Pass device=\"mps\" on a Mac");
  }
  void end_capture() override { throw LaunchError("no capture is running"); }

  // Of the launches themselves, from the call into their code to the end of their last thread.
  std::shared_ptr<GpuTimeRegion> begin_gpu_time() override { return open_region_.open(); }
  double end_gpu_time(const std::shared_ptr<GpuTimeRegion> &region) override {
    open_region_.close(region);
    return region->total();
  }
  void cancel_gpu_time(const std::shared_ptr<GpuTimeRegion> &region) override { open_region_.close(region); }

 private:
  static double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

  // Each threadgroup argument begins where every type may.
  static constexpr std::uint64_t aligned(std::uint64_t size) { return (size + 127) / 128 * 128; }

  static void launch(const CompiledKernel &kernel, std::span<const BoundArgument> arguments, void **addresses,
                     Dimensions grid, Dimensions threads) {
    const std::vector<ArgumentInfo> &declared = kernel.info().arguments;
    std::uint64_t threadgroup_memory = 0;
    for (std::size_t index = 0; index < arguments.size(); ++index) {
      if (declared[index].is_threadgroup_memory) {
        addresses[index] = reinterpret_cast<void *>(threadgroup_memory);
        threadgroup_memory += aligned(arguments[index].byte_count);
      } else {
        addresses[index] = static_cast<std::byte *>(arguments[index].address) + arguments[index].offset;
      }
    }
    const helion_host_launch launch{
        addresses, {grid.x, grid.y, grid.z}, {threads.x, threads.y, threads.z}, threadgroup_memory};
    run_launch(static_cast<const HostKernel &>(kernel), launch);
  }

  HostCompiler compiler_;
  OpenGpuTimeRegion open_region_;
  std::atomic<std::uint32_t> commit_every_ = 0;
};

HostEngine &the_host_engine() {
  // Never destroyed: Python may still launch while the process exits.
  static auto &engine = *new HostEngine;
  return engine;
}

}  // namespace

Engine &host_engine() {
  return the_host_engine();
}

EngineTools &host_engine_tools() {
  return the_host_engine();
}

}  // namespace helion_msl
