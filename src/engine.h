// The seam between the bindings and the engines: what an engine is. Plain C++: only metal_runtime.mm and torch_mps.mm
// see Objective-C, and only bindings.cpp and tensor_view.cpp see Python.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace helion_msl {

// Where the tensors of a launch live, which decides the engine.
enum class DeviceKind { cpu, mps };

// Element types that Metal has. `opaque` is a struct or another type whose bytes are passed through unchecked.
enum class ScalarType : std::uint8_t {
  opaque,
  boolean,
  int8,
  uint8,
  int16,
  uint16,
  int32,
  uint32,
  int64,
  uint64,
  float16,
  bfloat16,
  float32,
};

// One entry of a kernel's argument table: what the kernel declares at a buffer index, or threadgroup memory that it has
// as an argument and whose size in bytes the launch gives.
struct ArgumentInfo {
  std::string name;
  std::uint32_t index = 0;  // n of [[buffer(n)]] or [[threadgroup(n)]]
  ScalarType scalar = ScalarType::opaque;
  std::uint32_t lanes = 1;         // 2 to 4 for vectors
  std::uint32_t element_size = 0;  // bytes of one element as declared
  std::uint32_t alignment = 1;     // bytes, a power of two: the kernel's loads assume multiples of it
  bool is_reference = false;       // `constant T &`: exactly one element is read
  bool is_writable = false;
  bool is_threadgroup_memory = false;
};

// What a compiled kernel tells about itself.
struct KernelInfo {
  std::string name;
  std::vector<ArgumentInfo> arguments;  // buffers ascending by index, then threadgroup memory ascending by index
  std::uint32_t max_total_threads_per_threadgroup = 1024;
  std::array<std::uint32_t, 3> required_threads_per_threadgroup{};  // zeros: any
  std::uint32_t thread_execution_width = 32;
  std::uint64_t static_threadgroup_memory = 0;  // bytes
};

enum class MathMode : std::uint8_t { safe, fast };

// Value of a function constant, by name; by the decimal text of its index where the caller gave the index.
using ConstantValue = std::variant<bool, std::int64_t, double>;
using Constants = std::map<std::string, ConstantValue, std::less<>>;

struct CompileRequest {
  std::string source;  // MSL, UTF-8
  std::string name;    // kernel wanted; empty where the source has only one
  MathMode math_mode = MathMode::safe;
  Constants constants;
};

// Threadgroup memory that a threadgroup has on every Apple GPU (Metal Feature Set Tables, "maximum total threadgroup
// memory allocation").
inline constexpr std::uint64_t max_threadgroup_memory = 32768;

// A value for one argument of a launch: a buffer, bytes copied into the launch, or the size of threadgroup memory.
struct BoundArgument {
  // Buffers: host address (cpu) or id<MTLBuffer> (mps). Bytes: address of the value, alive during the call.
  void *address = nullptr;
  std::uint64_t offset = 0;      // bytes from `address`
  std::uint32_t byte_count = 0;  // above 0: inline bytes, at most 4096; of threadgroup memory: its size
};

struct Dimensions {
  std::uint32_t x = 1, y = 1, z = 1;
};

// A kernel bound to its pipeline. Immutable, and safe to launch from several threads at once.
class CompiledKernel {
 public:
  virtual ~CompiledKernel() = default;
  const KernelInfo &info() const { return info_; }

 protected:
  KernelInfo info_;
};

// One launch of a sequence. `kernel` outlives the call that it is passed to.
struct PreparedLaunch {
  const CompiledKernel *kernel = nullptr;
  Dimensions grid;
  Dimensions threads;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual DeviceKind device() const = 0;
  // One line for people: "metal: Apple M3", "host: clang 22, 2 threads".
  virtual std::string description() = 0;
  // Throws CompileError, UnknownKernelError or EngineUnavailableError. Called without the GIL and without a lock.
  virtual std::shared_ptr<const CompiledKernel> compile(const CompileRequest &request) = 0;
  // Runs or enqueues one launch. `arguments` follow `kernel.info().arguments`; counts, types, grid and limits have
  // been checked by the caller. Throws LaunchError for what only the engine can find.
  virtual void launch(const CompiledKernel &kernel, std::span<const BoundArgument> arguments, Dimensions grid,
                      Dimensions threads) = 0;
  // Runs or enqueues several launches, in order. `arguments` holds those of the first launch, then those of the second,
  // and so on, checked as for launch(). Throws what launch() throws: the launches before the one that failed have been
  // run or enqueued, those after it have not.
  virtual void launch_all(std::span<const PreparedLaunch> launches, std::span<const BoundArgument> arguments) {
    for (const PreparedLaunch &next : launches) {
      const std::size_t count = next.kernel->info().arguments.size();
      launch(*next.kernel, arguments.first(count), next.grid, next.threads);
      arguments = arguments.subspan(count);
    }
  }
  // Whether launch() may take so long that the GIL should be released around it.
  virtual bool launch_is_long(const CompiledKernel &kernel, Dimensions grid, Dimensions threads) const = 0;
  // Waits for all launches; throws the error of a failed one, once.
  virtual void synchronize() = 0;
  // Hands the launches encoded so far to the device, without waiting.
  virtual void commit() = 0;
};

// The engines of this build. Created at first use; each throws EngineUnavailableError where its device or its
// compiler is missing, with what to install. They live as long as the process.
Engine &host_engine();
Engine &metal_engine();

}  // namespace helion_msl
