// Records the launches that a thread makes, together with what they need to be repeated.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <unordered_set>
#include <vector>

#include "launch_graph.h"
#include "tensor_view.h"

namespace helion_msl {

// The Python objects behind the arguments of a launch.
struct ArgumentOwners {
  std::span<PyObject *const> objects;  // one for each argument
  const ExportedTensors &exported;
};

// The Python objects of a graph.
struct GraphOwners {
  std::vector<PyObject *> names;         // of the parameters, interned
  std::vector<nanobind::object> values;  // of the parameters: the tensor, or what stands in for the number
  std::vector<nanobind::object> kept;    // what the launches' memory belongs to

  GraphOwners() = default;
  GraphOwners(const GraphOwners &) = delete;
  GraphOwners &operator=(const GraphOwners &) = delete;
  ~GraphOwners() { clear(); }
  void clear();
};

class GraphRecording {
 public:
  explicit GraphRecording(GraphOwners &owners) : owners_(owners) {}

  // Throws ArgumentError for a value that a replay could not replace, and for tensors that share memory.
  void add_parameter(nanobind::handle name, nanobind::handle value);

  // What a launch adds to the graph.
  struct Launch {
    std::vector<BoundArgument> arguments;
    std::vector<std::pair<std::size_t, GraphParameter::Use>> uses;  // by the position of the parameter
    std::vector<PyObject *> tensors;  // those that are no parameters, borrowed from the caller
  };
  // Throws ArgumentError for a launch that could not be repeated.
  Launch describe(const Engine &engine, const CompiledKernel &kernel, std::span<const BoundArgument> bound,
                  std::span<const ArgumentValue> values, const ArgumentOwners &owners) const;
  void add(Engine &engine, const std::shared_ptr<const CompiledKernel> &kernel, Launch launch,
           const ArgumentOwners &owners, Dimensions grid, Dimensions threads);

  // Throws ArgumentError where one of a call's `objects` stands in for a number and is none of the launch's
  // `arguments`: the kernel was compiled for its value.
  void check_constants(std::span<PyObject *const> objects, std::span<PyObject *const> arguments,
                       const CompiledKernel &kernel) const;

  // Throws ArgumentError for a parameter that no launch uses. The recording is empty after that.
  std::unique_ptr<LaunchGraph> finish();

 private:
  const GraphParameter *stand_in(PyObject *object, std::size_t &position) const;
  void keep(nanobind::object object);
  // The memory of a tensor, also where the tensor is given other memory later on.
  void keep_tensor(PyObject *tensor, const ExportedTensors &exported);

  GraphOwners &owners_;
  std::unordered_set<PyObject *> kept_;  // those of the owners
  GraphContents contents_;
};

// How many threads are recording.
extern std::atomic<int> open_recordings;
// That of the calling thread; null where there is none.
GraphRecording *recording_of_thread();
// Throws LaunchError where the thread has one.
void begin_recording(GraphRecording &recording);
// Throws LaunchError where the thread's recording is another one.
void end_recording(GraphRecording &recording);

inline GraphRecording *current_recording() {
  if (open_recordings.load(std::memory_order_relaxed) == 0) [[likely]]
    return nullptr;
  return recording_of_thread();
}

}  // namespace helion_msl
