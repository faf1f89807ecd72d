#include "graph_object.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "argument_array.h"
#include "argument_binding.h"
#include "call_arguments.h"
#include "errors.h"
#include "graph_recording.h"
#include "launch_graph.h"
#include "python_arguments.h"
#include "python_errors.h"
#include "python_type.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

PyTypeObject *graph_type = nullptr;

enum class State { declared, recording, recorded, unusable };

struct Graph {
  std::atomic<State> state = State::declared;
  GraphOwners owners;
  // Shared pointers have the standard layout that the offset of a vectorcall needs, which unique ones have not.
  std::shared_ptr<GraphRecording> recording;    // until it is recorded
  std::shared_ptr<const LaunchGraph> launches;  // from then on
};

const LaunchGraph &recorded_launches(const Graph &graph) {
  switch (graph.state.load(std::memory_order_acquire)) {
    case State::recorded:
      return *graph.launches;
    case State::declared:
      throw LaunchError("nothing has been recorded: launch kernels in a block, `with graph:`");
    case State::recording:
      throw LaunchError("the graph is being recorded; it can be called when its block has ended");
    case State::unusable:
      break;
  }
  throw LaunchError("the graph's recording was left by an exception, so there is nothing to replay; record another");
}

// ---- Replaying ------------------------------------------------------------------------------------------------------

void run(const LaunchGraph &launches, const LaunchGraph::Arguments &arguments) {
  if (launches.is_long()) {
    const nb::gil_scoped_release no_gil;
    launches.run(arguments);
  } else {
    launches.run(arguments);
  }
}

std::string names_of(const GraphOwners &owners) {
  std::string text;
  for (PyObject *name : owners.names) text += (text.empty() ? "" : ", ") + nb::cast<std::string>(nb::handle(name));
  return text;
}

[[noreturn]] void refuse_name(const GraphOwners &owners, PyObject *name, const char *why) {
  throw ArgumentError("the graph " + std::string(why) + " '" + nb::cast<std::string>(nb::str(nb::handle(name))) + "'" +
                      (owners.names.empty() ? "; it has no parameters" : "; its parameters are " + names_of(owners)));
}

// Writes the object given for each parameter to `objects`, null where none is given.
void bind_values(const GraphOwners &owners, PyObject *const *given, std::size_t count, PyObject *keywords,
                 std::span<PyObject *> objects) {
  if (count > objects.size()) {
    throw ArgumentError("the graph takes at most " + std::to_string(objects.size()) + " values" +
                        (objects.empty() ? "" : " (" + names_of(owners) + ")") + ", but " + std::to_string(count) +
                        " were given");
  }
  for (std::size_t i = 0; i < objects.size(); ++i) objects[i] = i < count ? given[i] : nullptr;
  const std::size_t keyword_count = keywords == nullptr ? 0 : static_cast<std::size_t>(PyTuple_Size(keywords));
  for (std::size_t i = 0; i < keyword_count; ++i) {
    PyObject *name = PyTuple_GetItem(keywords, static_cast<Py_ssize_t>(i));
    const std::size_t position = find_name(owners.names, name);
    if (position == objects.size()) refuse_name(owners, name, "has no parameter");
    if (objects[position] != nullptr) refuse_name(owners, name, "was given twice the parameter");
    objects[position] = given[count + i];
  }
}

void replay(const Graph &graph, const LaunchGraph &launches, PyObject *const *given, std::size_t count,
            PyObject *keywords) {
  const std::size_t parameter_count = graph.owners.names.size();
  ArgumentArray<PyObject *> objects(parameter_count);
  bind_values(graph.owners, given, count, keywords, objects.span());
  ArgumentArray<ArgumentValue> values(parameter_count);
  ArgumentArray<const ArgumentValue *> replaced(parameter_count);
  ExportedTensors exported;
  for (std::size_t i = 0; i < parameter_count; ++i) {
    replaced.span()[i] = nullptr;
    if (objects.span()[i] == nullptr) continue;
    try {
      read_argument(objects.span()[i], i, values.span()[i], exported);
    } catch (const ArgumentError &error) {
      throw ArgumentError(launches.contents().label(launches.contents().parameters[i]) + ": " + error.what());
    }
    replaced.span()[i] = &values.span()[i];
  }
  run(launches, launches.arguments_with(replaced.span()));
}

PyObject *call_graph(PyObject *self, PyObject *const *arguments, std::size_t flagged_count, PyObject *keywords) {
  return guard_python([&] {
    const Graph &graph = value_of<Graph>(self);
    const LaunchGraph &launches = recorded_launches(graph);
    if (current_recording() != nullptr) {
      throw LaunchError("a graph cannot be replayed while another one is recorded: launch its kernels instead");
    }
    const auto count = static_cast<std::size_t>(PyVectorcall_NARGS(flagged_count));
    if (count == 0 && keywords == nullptr) {
      run(launches, launches.recorded_arguments());
    } else {
      replay(graph, launches, arguments, count, keywords);
    }
    return Py_NewRef(Py_None);
  });
}

// ---- Recording ------------------------------------------------------------------------------------------------------

PyObject *enter_graph(PyObject *self, PyObject *) {
  return guard_python([&] {
    Graph &graph = value_of<Graph>(self);
    State expected = State::declared;
    if (!graph.state.compare_exchange_strong(expected, State::recording)) {
      throw LaunchError("a graph is recorded once; make another one with helion_msl.record()");
    }
    try {
      begin_recording(*graph.recording);
    } catch (...) {
      graph.state.store(State::declared);
      throw;
    }
    Py_INCREF(self);  // for the thread, until the recording ends
    return Py_NewRef(self);
  });
}

// __exit__(type, value, traceback)
PyObject *exit_graph(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  return guard_python([&] {
    Graph &graph = value_of<Graph>(self);
    if (graph.state.load() != State::recording) throw LaunchError("the graph is not being recorded");
    end_recording(*graph.recording);
    const nb::object owner = nb::steal(self);
    const auto recording = std::move(graph.recording);
    graph.state.store(State::unusable, std::memory_order_release);
    if (count > 0 && arguments[0] != Py_None) {
      graph.owners.clear();
      return Py_NewRef(Py_False);
    }
    graph.launches = recording->finish();
    graph.state.store(State::recorded, std::memory_order_release);
    return Py_NewRef(Py_False);
  });
}

// graph["name"]
PyObject *parameter_value(PyObject *self, PyObject *name) {
  return guard_python([&] {
    const GraphOwners &owners = value_of<Graph>(self).owners;
    const std::size_t position = PyUnicode_Check(name) ? find_name(owners.names, name) : owners.names.size();
    if (position == owners.names.size()) refuse_name(owners, name, "has no parameter");
    return nb::borrow(owners.values[position]).release().ptr();
  });
}

// ---- The Python type ------------------------------------------------------------------------------------------------

Py_ssize_t count_launches(PyObject *self) {
  const Graph &graph = value_of<Graph>(self);
  const bool is_recorded = graph.state.load(std::memory_order_acquire) == State::recorded;
  return is_recorded ? static_cast<Py_ssize_t>(graph.launches->contents().launches.size()) : 0;
}

PyObject *parameter_names(PyObject *self, void *) {
  return guard_python([&] {
    nb::list names;
    for (PyObject *name : value_of<Graph>(self).owners.names) names.append(nb::borrow(name));
    return nb::tuple(names).release().ptr();
  });
}

PyObject *repr_graph(PyObject *self) {
  return guard_python([&] {
    const Graph &graph = value_of<Graph>(self);
    const Py_ssize_t count = count_launches(self);
    std::string text = "<helion_msl.Graph(" + names_of(graph.owners) + ") of " + std::to_string(count);
    text += count == 1 ? " launch" : " launches";
    if (count > 0) text += std::string(" on ") + device_name(graph.launches->contents().engine->device());
    return nb::cast(text + ">").release().ptr();
  });
}

int traverse_graph(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(reinterpret_cast<PyObject *>(Py_TYPE(self)));
  const GraphOwners &owners = value_of<Graph>(self).owners;
  for (const nb::object &value : owners.values) Py_VISIT(value.ptr());
  for (const nb::object &object : owners.kept) Py_VISIT(object.ptr());
  return 0;
}

int clear_graph(PyObject *self) {
  Graph &graph = value_of<Graph>(self);
  graph.state.store(State::unusable);
  graph.owners.clear();
  return 0;
}

void deallocate_graph(PyObject *self) {
  PyObject_GC_UnTrack(self);
  deallocate<Graph>(self);
}

template <class Function>
PyCFunction as_method(Function *function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {{"__enter__", enter_graph, METH_NOARGS, nullptr},
                         {"__exit__", as_method(exit_graph), METH_FASTCALL, nullptr},
                         {nullptr, nullptr, 0, nullptr}};

PyGetSetDef properties[] = {{"parameters", parameter_names, nullptr,
                             "Names of the parameters, in the order in which calls take them.", nullptr},
                            {nullptr, nullptr, nullptr, nullptr, nullptr}};

constexpr const char *documentation =
    "A sequence of launches that was recorded once, and is repeated by calling it: made by :func:`record`.";

}  // namespace

PyObject *make_graph_object(PyObject *parameters) {
  const nb::object object = nb::steal(make_instance<Graph>(graph_type, call_graph));
  Graph &graph = value_of<Graph>(object.ptr());
  graph.recording = std::make_shared<GraphRecording>(graph.owners);
  for (const auto &[name, value] : nb::borrow<nb::dict>(parameters)) graph.recording->add_parameter(name, value);
  return nb::object(object).release().ptr();
}

void bind_graph(PyObject *module) {
  static PyType_Slot slots[] = {slot(Py_tp_doc, const_cast<char *>(documentation)),
                                slot(Py_tp_call, PyVectorcall_Call),
                                slot(Py_tp_members, vectorcall_members<Graph>),
                                slot(Py_tp_methods, methods),
                                slot(Py_tp_getset, properties),
                                slot(Py_tp_repr, repr_graph),
                                slot(Py_mp_subscript, parameter_value),
                                slot(Py_mp_length, count_launches),
                                slot(Py_tp_traverse, traverse_graph),
                                slot(Py_tp_clear, clear_graph),
                                slot(Py_tp_dealloc, deallocate_graph),
                                {0, nullptr}};
  static PyType_Spec spec{"helion_msl._C.Graph", sizeof(PythonInstance<Graph>), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                              Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                          slots};
  graph_type = add_type(module, spec);
}

}  // namespace helion_msl
