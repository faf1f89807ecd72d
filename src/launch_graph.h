// A sequence of launches that was recorded once, to be repeated with other tensors and numbers. Plain C++: what records
// it, and what keeps its tensors alive, is in graph_recording.cpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "argument_value.h"
#include "engine.h"

namespace helion_msl {

// The memory from a tensor's first element to the end of its last one: addresses on the CPU, else offsets in a buffer.
struct MemoryRange {
  void *buffer = nullptr;  // id<MTLBuffer>; null on the CPU
  std::uint64_t begin = 0;
  std::uint64_t end = 0;  // `begin` for a tensor without elements

  bool contains(const MemoryRange &other) const {
    return buffer == other.buffer && begin <= other.begin && other.end <= end;
  }
  bool overlaps(const MemoryRange &other) const {
    return buffer == other.buffer && begin < other.end && other.begin < end;
  }
};

MemoryRange memory_of(const TensorView &tensor);

// What a replay may replace: a tensor by one of the same dtype, device, shape and strides, or a number.
struct GraphParameter {
  // An argument of a launch that is the number, or that is the tensor or a view of it.
  struct Use {
    std::uint32_t launch = 0;
    std::uint32_t position = 0;  // among the launch's arguments
    std::uint32_t argument = 0;  // among those of all launches
    std::uint64_t distance = 0;  // of a view: bytes from the parameter's first element
  };

  std::string name;
  ArgumentValue recorded;  // of a tensor, `shape` and `strides` point into the vectors below
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  // never left out
  std::vector<Use> uses;
  std::uint64_t alignment = 1;  // bytes: the largest of what the uses need
  std::size_t aligned_use = 0;  // the use that needs it
  bool is_written = false;

  GraphParameter(std::string name, const ArgumentValue &value);
  // A copy's `recorded` would point into the original.
  GraphParameter(const GraphParameter &) = delete;
  GraphParameter(GraphParameter &&) = default;
};

// What a recording has gathered.
struct GraphContents {
  Engine *engine = nullptr;  // null while there are no launches
  std::vector<GraphParameter> parameters;
  std::vector<PreparedLaunch> launches;
  std::vector<BoundArgument> arguments;                        // of the launches, one after another
  std::vector<std::shared_ptr<const CompiledKernel>> kernels;  // of `launches`
  std::deque<std::vector<std::byte>> constants;                // what inline arguments point to

  // "parameter 'x' of the graph (argument 0 of launch 2, kernel 'add')"
  std::string label(const GraphParameter &parameter, std::size_t use = 0) const;
};

// Immutable, and replayed by several threads at once.
class LaunchGraph {
  struct Variant;

 public:
  // The arguments of one replay.
  class Arguments {
   public:
    Arguments(Arguments &&other) noexcept = default;
    ~Arguments();
    std::span<const BoundArgument> span() const;

   private:
    friend class LaunchGraph;
    Arguments(const LaunchGraph &graph, std::unique_ptr<Variant> variant);
    const LaunchGraph *graph_;
    std::unique_ptr<Variant> variant_;  // null: those recorded
  };

  explicit LaunchGraph(GraphContents contents);
  ~LaunchGraph();
  LaunchGraph(const LaunchGraph &) = delete;
  LaunchGraph &operator=(const LaunchGraph &) = delete;

  const GraphContents &contents() const { return contents_; }
  // `values` has an entry for each parameter, null where the recorded value stays. Throws ArgumentError, naming the
  // parameter and a launch that it is for; nothing has been launched then.
  Arguments arguments_with(std::span<const ArgumentValue *const> values) const;
  Arguments recorded_arguments() const;
  // Whether run() may take so long that the GIL should be released around it.
  bool is_long() const;
  // Throws what Engine::launch_all() throws.
  void run(const Arguments &arguments) const;

 private:
  std::unique_ptr<Variant> take_variant() const;

  GraphContents contents_;
  mutable std::atomic<Variant *> idle_ = nullptr;  // of an earlier replay, so that the next one need not allocate
};

}  // namespace helion_msl
