#include "graph_recording.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <utility>

#include "argument_binding.h"
#include "errors.h"
#include "python_arguments.h"
#include "tensor_layout.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

thread_local GraphRecording *recording = nullptr;

// Integers are cached, so that an equal one somewhere in a program may be the same object: one of a class of its own
// stands in.
nb::object make_integer_stand_in(nb::handle value) {
  static PyObject *const type = [] {
    nb::dict members;
    members["__slots__"] = nb::make_tuple();
    members["__module__"] = "helion_msl";
    members["__doc__"] = "Stands in for a parameter of a graph while the graph is recorded.";
    const nb::handle metaclass(reinterpret_cast<PyObject *>(&PyType_Type));
    const nb::handle base(reinterpret_cast<PyObject *>(&PyLong_Type));
    return metaclass("GraphInteger", nb::make_tuple(base), members).release().ptr();
  }();
  return nb::handle(type)(value);
}

nb::object make_stand_in(const ArgumentValue &value, nb::handle object) {
  if (value.kind == ArgumentValue::Kind::integer) return make_integer_stand_in(object);
  nb::object real = nb::steal(PyFloat_FromDouble(value.real));
  if (!real.is_valid()) throw nb::python_error();
  return real;
}

[[noreturn]] void refuse_partial_overlap(const CompiledKernel &kernel, std::size_t position, const std::string &name) {
  throw ArgumentError("argument " + std::to_string(position) + " of kernel '" + kernel.info().name +
                      "' shares memory with the graph's parameter '" + name +
                      "' and reaches beyond it, so that a replay could not tell where to find it; make the larger "
                      "tensor the parameter, or record with a clone");
}

}  // namespace

std::atomic<int> open_recordings = 0;

GraphRecording *recording_of_thread() {
  return recording;
}

void begin_recording(GraphRecording &begun) {
  if (recording != nullptr) {
    throw LaunchError("this thread is recording a graph already, and recordings do not nest");
  }
  recording = &begun;
  open_recordings.fetch_add(1, std::memory_order_relaxed);
}

void end_recording(GraphRecording &ended) {
  if (recording != &ended) throw LaunchError("a recording is ended by the thread that began it");
  recording = nullptr;
  open_recordings.fetch_sub(1, std::memory_order_relaxed);
}

void GraphRecording::keep(nb::object object) {
  if (kept_.insert(object.ptr()).second) owners_.kept.push_back(std::move(object));
}

void GraphRecording::keep_tensor(PyObject *tensor, const ExportedTensors &exported) {
  keep(nb::borrow(tensor));
  // A storage is torch's: `x.data = y` and `x.set_(...)` take a tensor away from the memory that it had.
  const nb::object get_storage = nb::getattr(nb::handle(tensor), "untyped_storage", nb::none());
  if (!get_storage.is_none()) keep(get_storage());
  for (PyObject *capsule : exported.capsules()) keep(nb::borrow(capsule));
}

void GraphOwners::clear() {
  // Swapped out first, as releasing an object may run Python code.
  const auto released = std::exchange(kept, {});
  const auto released_values = std::exchange(values, {});
  for (PyObject *name : std::exchange(names, {})) Py_DECREF(name);
}

void GraphRecording::add_parameter(nb::handle name, nb::handle object) {
  const auto text = nb::cast<std::string>(name);
  ArgumentValue value;
  ExportedTensors exported;
  try {
    read_argument(object.ptr(), owners_.values.size(), value, exported);
  } catch (const ArgumentError &error) {
    throw ArgumentError("parameter '" + text + "' of the graph: " + error.what());
  }
  const bool is_number = value.kind == ArgumentValue::Kind::integer || value.kind == ArgumentValue::Kind::real;
  if (value.kind != ArgumentValue::Kind::tensor && !is_number) {
    throw ArgumentError("parameter '" + text +
                        "' of the graph is neither a tensor nor an int or a float; pass a bool as an int, and leave "
                        "bytes to the graph to keep");
  }
  if (is_number) {
    owners_.values.push_back(make_stand_in(value, object));
  } else {
    const MemoryRange memory = memory_of(value.tensor);
    for (const GraphParameter &other : contents_.parameters) {
      if (other.recorded.kind != ArgumentValue::Kind::tensor) continue;
      if (!memory_of(other.recorded.tensor).overlaps(memory)) continue;
      throw ArgumentError("parameters '" + other.name + "' and '" + text +
                          "' of the graph share memory, so that launches could mean either; record with a clone of "
                          "one, replays may pass one tensor for both");
    }
    keep_tensor(object.ptr(), exported);
    owners_.values.push_back(nb::borrow(object));
  }
  PyObject *interned_name = Py_NewRef(name.ptr());
  PyUnicode_InternInPlace(&interned_name);
  owners_.names.push_back(interned_name);
  contents_.parameters.emplace_back(text, value);
}

const GraphParameter *GraphRecording::stand_in(PyObject *object, std::size_t &position) const {
  for (position = 0; position < contents_.parameters.size(); ++position) {
    const GraphParameter &parameter = contents_.parameters[position];
    const bool is_number = parameter.recorded.kind != ArgumentValue::Kind::tensor;
    if (is_number && owners_.values[position].ptr() == object) return &parameter;
  }
  return nullptr;
}

GraphRecording::Launch GraphRecording::describe(const Engine &engine, const CompiledKernel &kernel,
                                                std::span<const BoundArgument> bound,
                                                std::span<const ArgumentValue> values,
                                                const ArgumentOwners &owners) const {
  if (contents_.engine != nullptr && contents_.engine->device() != engine.device()) {
    throw ArgumentError(std::string("a graph's launches are on one device: this recording has launches on ") +
                        device_name(contents_.engine->device()) + ", and kernel '" + kernel.info().name + "' is on " +
                        device_name(engine.device()));
  }
  Launch launch{{bound.begin(), bound.end()}, {}, {}};
  for (std::size_t i = 0; i < bound.size(); ++i) {
    GraphParameter::Use use{.launch = static_cast<std::uint32_t>(contents_.launches.size()),
                            .position = static_cast<std::uint32_t>(i),
                            .argument = static_cast<std::uint32_t>(contents_.arguments.size() + i)};
    std::size_t position = 0;
    if (values[i].kind != ArgumentValue::Kind::tensor) {
      const GraphParameter *number = stand_in(owners.objects[i], position);
      if (number == nullptr) continue;
      if (kernel.info().arguments[i].is_threadgroup_memory) {
        throw ArgumentError("the graph's parameter '" + number->name +
                            "' is the size of threadgroup memory of kernel '" + kernel.info().name +
                            "', which is part of what is recorded; pass a number of its own");
      }
      launch.uses.emplace_back(position, use);
      continue;
    }
    const MemoryRange memory = memory_of(values[i].tensor);
    const GraphParameter *found = nullptr;
    // A tensor without elements has no memory to be found by, and nobody reaches what it points to.
    if (is_empty(values[i].tensor)) position = contents_.parameters.size();
    for (; position < contents_.parameters.size() && found == nullptr; ++position) {
      const GraphParameter &parameter = contents_.parameters[position];
      if (parameter.recorded.kind != ArgumentValue::Kind::tensor) continue;
      const MemoryRange whole = memory_of(parameter.recorded.tensor);
      if (!whole.overlaps(memory)) continue;
      if (!whole.contains(memory)) refuse_partial_overlap(kernel, i, parameter.name);
      found = &parameter;
      use.distance = memory.begin - whole.begin;
      launch.uses.emplace_back(position, use);
    }
    if (found == nullptr) launch.tensors.push_back(owners.objects[i]);
  }
  return launch;
}

void GraphRecording::add(Engine &engine, const std::shared_ptr<const CompiledKernel> &kernel, Launch launch,
                         const ArgumentOwners &owners, Dimensions grid, Dimensions threads) {
  const std::vector<ArgumentInfo> &declared = kernel->info().arguments;
  for (PyObject *tensor : launch.tensors) keep_tensor(tensor, owners.exported);
  if (contents_.engine == nullptr) contents_.engine = &engine;
  for (std::size_t i = 0; i < launch.arguments.size(); ++i) {
    BoundArgument argument = launch.arguments[i];
    if (argument.byte_count > 0 && !declared[i].is_threadgroup_memory) {
      const auto *bytes = static_cast<const std::byte *>(argument.address);
      argument.address = contents_.constants.emplace_back(bytes, bytes + argument.byte_count).data();
    }
    contents_.arguments.push_back(argument);
  }
  for (const auto &[position, use] : launch.uses) {
    GraphParameter &parameter = contents_.parameters[position];
    const ArgumentInfo &argument = declared[use.position];
    parameter.is_written = parameter.is_written || argument.is_writable;
    if (argument.alignment > parameter.alignment) {
      parameter.alignment = argument.alignment;
      parameter.aligned_use = parameter.uses.size();
    }
    parameter.uses.push_back(use);
  }
  contents_.kernels.push_back(kernel);
  contents_.launches.push_back({kernel.get(), grid, threads});
}

void GraphRecording::check_constants(std::span<PyObject *const> objects, std::span<PyObject *const> arguments,
                                     const CompiledKernel &kernel) const {
  for (PyObject *object : objects) {
    std::size_t position = 0;
    const GraphParameter *number = stand_in(object, position);
    if (number == nullptr || std::ranges::find(arguments, object) != arguments.end()) continue;
    throw ArgumentError("the graph's parameter '" + number->name + "' is no argument of kernel '" + kernel.info().name +
                        "' but was compiled into it, so that a replay could not replace it; pass a number of its own, "
                        "or make the kernel's parameter an ordinary one");
  }
}

std::unique_ptr<LaunchGraph> GraphRecording::finish() {
  for (const GraphParameter &parameter : contents_.parameters) {
    const bool is_tensor = parameter.recorded.kind == ArgumentValue::Kind::tensor;
    const bool has_nothing_to_find = is_tensor && is_empty(parameter.recorded.tensor);
    if (!parameter.uses.empty() || has_nothing_to_find) continue;
    throw ArgumentError("parameter '" + parameter.name +
                        "' of the graph is used by none of the launches recorded, so " +
                        "that a replay could not replace it: " +
                        (is_tensor ? "give kernels the tensor or a view of it, not a copy"
                                   : "give kernels graph['" + parameter.name + "'], which stands in for the number"));
  }
  return std::make_unique<LaunchGraph>(std::exchange(contents_, {}));
}

}  // namespace helion_msl
