#include "kernel_dispatcher.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "argument_array.h"
#include "call_arguments.h"
#include "dispatch_size.h"
#include "errors.h"
#include "graph_recording.h"
#include "kernel_object.h"
#include "key_facts.h"
#include "launch_plan.h"
#include "python_arguments.h"
#include "python_errors.h"
#include "python_type.h"
#include "specialization_key.h"
#include "specialization_table.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

struct Dispatcher {
  std::vector<PyObject *> names;     // of the parameters, interned
  std::vector<PyObject *> defaults;  // null where there is none
  std::size_t positional_count = 0;
  std::atomic<const KeyFacts *> key_facts = nullptr;
  SpecializationTable<LaunchPlan> table;
  std::atomic<PyObject *> spare = nullptr;  // a bound kernel that nobody holds any more, for the next one to take

  Dispatcher() = default;
  Dispatcher(const Dispatcher &) = delete;
  Dispatcher &operator=(const Dispatcher &) = delete;
  ~Dispatcher() { clear(); }

  void clear() {
    for (PyObject *name : std::exchange(names, {})) Py_DECREF(name);
    for (PyObject *value : std::exchange(defaults, {})) Py_XDECREF(value);
    for (const KeyFacts *facts = key_facts.exchange(nullptr); facts != nullptr;) {
      delete std::exchange(facts, facts->previous);
    }
    table.clear();
    free_bound(spare.exchange(nullptr));
  }

  static void free_bound(PyObject *memory);
};

// The arguments of one call, one for each parameter.
struct Call {
  explicit Call(std::size_t parameter_count) : objects(parameter_count), values(parameter_count) {}

  ArgumentArray<PyObject *> objects;  // borrowed, or held by `owner`
  ArgumentArray<ArgumentValue> values;
  nb::object owner;
  std::vector<nb::object> kept;  // what the key knows by its address
};

PyTypeObject *dispatcher_type = nullptr;
PyTypeObject *bound_type = nullptr;

nb::tuple tuple_of(std::span<PyObject *const> objects) {
  nb::object tuple = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(objects.size())));
  if (!tuple.is_valid()) throw nb::python_error();
  for (std::size_t i = 0; i < objects.size(); ++i) {
    PyTuple_SetItem(tuple.ptr(), static_cast<Py_ssize_t>(i), Py_NewRef(objects[i]));
  }
  return nb::borrow<nb::tuple>(tuple);
}

// Arguments that are not simply one for each parameter. False where Python has to say what is wrong with them.
bool bind_keywords(const Dispatcher &dispatcher, PyObject *const *arguments, std::size_t count, PyObject *keywords,
                   std::span<PyObject *> objects) {
  if (count > dispatcher.positional_count) return false;
  for (std::size_t i = 0; i < objects.size(); ++i) objects[i] = i < count ? arguments[i] : nullptr;
  const std::size_t keyword_count = keywords == nullptr ? 0 : static_cast<std::size_t>(PyTuple_Size(keywords));
  for (std::size_t i = 0; i < keyword_count; ++i) {
    const std::size_t position = find_name(dispatcher.names, PyTuple_GetItem(keywords, static_cast<Py_ssize_t>(i)));
    if (position == objects.size() || objects[position] != nullptr) return false;
    objects[position] = arguments[count + i];
  }
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (objects[i] == nullptr) objects[i] = dispatcher.defaults[i];
    if (objects[i] == nullptr) return false;
  }
  return true;
}

// Asks Python's `_bind`, which raises for arguments that do not fit.
void bind_in_python(PyObject *self, PyObject *const *arguments, std::size_t count, PyObject *keywords, Call &call) {
  nb::dict by_name;
  const Py_ssize_t keyword_count = keywords == nullptr ? 0 : PyTuple_Size(keywords);
  for (Py_ssize_t i = 0; i < keyword_count; ++i) {
    by_name[nb::borrow(PyTuple_GetItem(keywords, i))] = nb::borrow(arguments[count + static_cast<std::size_t>(i)]);
  }
  const nb::object bound = nb::borrow(self).attr("_bind")(tuple_of({arguments, count}), by_name);
  const nb::tuple values(bound);
  std::span<PyObject *> objects = call.objects.span();
  if (values.size() != objects.size()) throw ArgumentError("_bind() must return one value for each parameter");
  for (std::size_t i = 0; i < objects.size(); ++i) objects[i] = values[i].ptr();
  call.owner = values;
}

// Reads the arguments and writes the key; false where the call cannot be looked up.
bool read_key(const Dispatcher &dispatcher, Dimensions threads, Call &call, SpecializationKey &key) {
  const KeyFacts *facts = dispatcher.key_facts.load(std::memory_order_acquire);
  if (facts == nullptr) return false;
  // First, as an attribute may be computed by Python code, which might change the tensors.
  if (!add_captured(*facts, key, call.kept)) return false;
  std::span<PyObject *> objects = call.objects.span();
  std::span<ArgumentValue> values = call.values.span();
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (!facts->is_constant[i] && read_known_tensor(objects[i], i, values[i].tensor)) [[likely]] {
      values[i].kind = ArgumentValue::Kind::tensor;
      if (!key.add_tensor(values[i].tensor)) return false;
      continue;
    }
    values[i].kind = ArgumentValue::Kind::boolean;  // of what does not travel, which nothing reads
    values[i].boolean = false;
    if (facts->is_constant[i]) {
      if (!add_constant(objects[i], *facts, key)) return false;
    } else if (objects[i] == Py_None) {
      key.add_none();
    } else if (!read_plain_argument(objects[i], i, values[i]) || !key.add_argument(values[i])) {
      return false;
    }
  }
  key.add_dimensions(threads);
  return key.is_complete();
}

LaunchSource read_source(nb::handle description, std::size_t parameter_count) {
  const nb::tuple parts(nb::borrow(description));
  LaunchSource source{.kind = static_cast<LaunchSource::Kind>(nb::cast<std::uint8_t>(parts[0])),
                      .parameter = nb::cast<std::uint32_t>(parts[1]),
                      .dimension = nb::cast<std::uint32_t>(parts[2])};
  if (source.kind > LaunchSource::Kind::stride || source.parameter >= parameter_count) {
    throw ArgumentError("_prepare() described an argument that the kernel's function does not have");
  }
  return source;
}

// Asks Python's `_prepare` for a compiled kernel and where its arguments come from.
std::shared_ptr<const LaunchPlan> prepare(PyObject *self, Call &call, Dimensions threads) {
  const nb::tuple values = tuple_of(call.objects.span());
  const nb::object prepared =
      nb::borrow(self).attr("_prepare")(values, nb::make_tuple(threads.x, threads.y, threads.z));
  const nb::tuple parts(prepared);
  const BoundKernel *kernel = kernel_of(parts[0].ptr());
  if (kernel == nullptr) throw ArgumentError("_prepare() must return a Kernel and where its arguments come from");
  auto plan = std::make_shared<LaunchPlan>();
  plan->engine = kernel->engine;
  plan->kernel = kernel->compiled;
  const nb::object sources = parts[1];
  plan->passes_values_on = nb::len(sources) == values.size();
  for (nb::handle description : sources) {
    const LaunchSource source = read_source(description, values.size());
    plan->passes_values_on &= source.kind == LaunchSource::Kind::value && source.parameter == plan->sources.size();
    plan->sources.push_back(source);
  }
  return plan;
}

Dimensions evaluate_grid(const Dispatcher &dispatcher, PyObject *function, std::span<PyObject *const> objects) {
  const nb::object arguments = nb::steal(PyDict_New());
  if (!arguments.is_valid()) throw nb::python_error();
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (PyDict_SetItem(arguments.ptr(), dispatcher.names[i], objects[i]) != 0) throw nb::python_error();
  }
  const nb::object grid = nb::borrow(function)(arguments);
  return read_dimensions(grid.ptr(), "grid");
}

// A call whose arguments no key describes: each value that the launch passes is read by itself.
void launch_unkeyed(PyObject *self, Call &call, Dimensions grid, Dimensions threads) {
  const auto plan = prepare(self, call, threads);
  ExportedTensors exported;
  for (const LaunchSource &source : plan->sources) {
    const std::size_t position = source.parameter;
    read_argument(call.objects.span()[position], position, call.values.span()[position], exported);
  }
  launch_plan(*plan, call.values.span(), {call.objects.span(), exported}, grid, threads);
}

}  // namespace

bool is_dispatcher(PyObject *object) {
  return PyObject_TypeCheck(object, dispatcher_type) != 0;
}

void dispatch(PyObject *self, PyObject *const *arguments, std::size_t count, PyObject *keywords,
              const GridSource &grid_source, Dimensions threads) {
  Dispatcher &dispatcher = value_of<Dispatcher>(self);
  Call call(dispatcher.names.size());
  std::span<PyObject *> objects = call.objects.span();
  if (keywords == nullptr && count == objects.size()) {
    for (std::size_t i = 0; i < count; ++i) objects[i] = arguments[i];
  } else if (!bind_keywords(dispatcher, arguments, count, keywords, objects)) {
    bind_in_python(self, arguments, count, keywords, call);
  }
  // Before the tensors are read, which Python code might change.
  const Dimensions grid =
      grid_source.function == nullptr ? grid_source.size : evaluate_grid(dispatcher, grid_source.function, objects);
  SpecializationKey key;
  if (!read_key(dispatcher, threads, call, key)) return launch_unkeyed(self, call, grid, threads);
  std::shared_ptr<const LaunchPlan> plan = dispatcher.table.find(key);
  if (plan == nullptr) {
    plan = prepare(self, call, threads);
    // Python code and other threads have run: what they changed must not get this plan.
    SpecializationKey key_now;
    const bool is_keyed = read_key(dispatcher, threads, call, key_now);
    if (!is_keyed || !are_equal(key.words(), key_now.words())) return launch_unkeyed(self, call, grid, threads);
    dispatcher.table.insert(key, plan);
  }
  launch_plan(*plan, call.values.span(), {call.objects.span(), ExportedTensors()}, grid, threads);
}

// ---- The Python types
// ------------------------------------------------------------------------------------------------

namespace {

// `kernel[grid, block_dims]`. The objects of the subscript are kept where they cannot change, for the next subscript
// with the same objects.
struct BoundDispatcher {
  PyObject *dispatcher = nullptr;
  GridSource grid;
  Dimensions threads;
  PyObject *grid_object = nullptr;
  PyObject *threads_object = nullptr;

  void forget_subscript() {
    Py_CLEAR(grid.function);
    Py_CLEAR(grid_object);
    Py_CLEAR(threads_object);
  }
};

void Dispatcher::free_bound(PyObject *memory) {
  if (memory == nullptr) return;
  value_of<BoundDispatcher>(memory).forget_subscript();
  PyObject_GC_Del(memory);
}

PyObject *call_bound(PyObject *self, PyObject *const *arguments, std::size_t flagged_count, PyObject *keywords) {
  return guard_python([&] {
    const BoundDispatcher &bound = value_of<BoundDispatcher>(self);
    dispatch(bound.dispatcher, arguments, static_cast<std::size_t>(PyVectorcall_NARGS(flagged_count)), keywords,
             bound.grid, bound.threads);
    return Py_NewRef(Py_None);
  });
}

std::string name_of(PyObject *dispatcher) {
  return nb::cast<std::string>(nb::str(nb::getattr(nb::borrow(dispatcher), "__name__", nb::str("kernel"))));
}

Dimensions read_block_dims(PyObject *value) {
  try {
    return read_dimensions(value, "block_dims");
  } catch (const LaunchError &) {
    const Py_ssize_t size = PySequence_Check(value) && !PyUnicode_Check(value) ? PySequence_Size(value) : 1;
    if (size >= 1 && size <= 3) throw;
    PyErr_Clear();
    throw ArgumentError("block_dims has one to three numbers, not " + std::to_string(size));
  }
}

// An int, or a tuple of ints: nothing that could change, or run code, or refer to the kernel.
bool is_fixed_size(PyObject *object) {
  if (!PyTuple_CheckExact(object)) return PyLong_CheckExact(object);
  for (Py_ssize_t i = PyTuple_Size(object); i-- > 0;) {
    if (!PyLong_CheckExact(PyTuple_GetItem(object, i))) return false;
  }
  return true;
}

void read_subscript(PyObject *grid, PyObject *threads, BoundDispatcher &bound) {
  bound.forget_subscript();
  bound.threads = read_block_dims(threads);
  if (!PyTuple_Check(grid) && !PyLong_Check(grid) && PyCallable_Check(grid)) {
    bound.grid.function = Py_NewRef(grid);
    return;
  }
  bound.grid.size = read_dimensions(grid, "grid");
  if (!is_fixed_size(grid) || !is_fixed_size(threads)) return;
  bound.grid_object = Py_NewRef(grid);
  bound.threads_object = Py_NewRef(threads);
}

// `kernel[grid, block_dims]`
PyObject *subscript(PyObject *self, PyObject *configuration) {
  return guard_python([&] {
    if (!PyTuple_Check(configuration) || PyTuple_Size(configuration) != 2) {
      const std::string name = name_of(self);
      throw ArgumentError(name + "[...] takes a grid and the size of a threadgroup: " + name + "[(4,), (256,)](...)");
    }
    PyObject *grid = PyTuple_GetItem(configuration, 0);
    PyObject *threads = PyTuple_GetItem(configuration, 1);
    Dispatcher &dispatcher = value_of<Dispatcher>(self);
    PyObject *object = dispatcher.spare.exchange(nullptr, std::memory_order_acq_rel);
    if (object != nullptr) {
      PyObject_Init(object, bound_type);
      PyObject_GC_Track(object);
    } else {
      object = make_instance<BoundDispatcher>(bound_type, call_bound);
    }
    const nb::object owner = nb::steal(object);
    BoundDispatcher &bound = value_of<BoundDispatcher>(object);
    bound.dispatcher = Py_NewRef(self);
    if (bound.grid_object != grid || bound.threads_object != threads) read_subscript(grid, threads, bound);
    return nb::object(owner).release().ptr();
  });
}

int traverse_bound(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(reinterpret_cast<PyObject *>(Py_TYPE(self)));
  Py_VISIT(value_of<BoundDispatcher>(self).dispatcher);
  Py_VISIT(value_of<BoundDispatcher>(self).grid.function);
  return 0;
}

// Nothing that could refer to the kernel is kept by a spare one, which the garbage collector does not see.
void deallocate_bound(PyObject *self) {
  PyObject_GC_UnTrack(self);
  PyTypeObject *type = Py_TYPE(self);
  BoundDispatcher &bound = value_of<BoundDispatcher>(self);
  Py_CLEAR(bound.grid.function);
  PyObject *dispatcher = std::exchange(bound.dispatcher, nullptr);
  Dispatcher::free_bound(value_of<Dispatcher>(dispatcher).spare.exchange(self, std::memory_order_acq_rel));
  Py_DECREF(dispatcher);
  Py_DECREF(reinterpret_cast<PyObject *>(type));
}

PyObject *new_dispatcher(PyTypeObject *type, PyObject *, PyObject *) {
  return guard_python([&] { return make_instance<Dispatcher>(type, nullptr); });
}

int traverse_dispatcher(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(reinterpret_cast<PyObject *>(Py_TYPE(self)));
  const Dispatcher &dispatcher = value_of<Dispatcher>(self);
  for (PyObject *value : dispatcher.defaults) Py_VISIT(value);
  const KeyFacts *facts = dispatcher.key_facts.load(std::memory_order_relaxed);
  for (; facts != nullptr; facts = facts->previous) {
    for (const KeyFacts::Captured &captured : facts->captured) Py_VISIT(captured.place.ptr());
  }
  return dispatcher.table.traverse([&](PyObject *object) { return visit(object, arg); },
                                   [](const LaunchPlan &) { return 0; });
}

int clear_dispatcher(PyObject *self) {
  value_of<Dispatcher>(self).clear();
  return 0;
}

void deallocate_dispatcher(PyObject *self) {
  PyObject_GC_UnTrack(self);
  deallocate<Dispatcher>(self);
}

// _describe_parameters(names: tuple[str, ...], positional_count: int, defaults: dict[str, object])
PyObject *describe_parameters(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  return guard_python([&] {
    if (count != 3) throw nb::type_error("_describe_parameters takes names, positional_count and defaults");
    Dispatcher &dispatcher = value_of<Dispatcher>(self);
    if (!dispatcher.names.empty()) throw nb::type_error("the parameters have been described");
    const nb::tuple names(nb::borrow(arguments[0]));
    if (!PyDict_Check(arguments[2])) throw nb::type_error("defaults must be a dict");
    dispatcher.positional_count = nb::cast<std::size_t>(nb::handle(arguments[1]));
    for (nb::handle name : names) {
      PyObject *text = Py_NewRef(nb::str(name).ptr());
      PyUnicode_InternInPlace(&text);
      dispatcher.names.push_back(text);
      PyObject *value = PyDict_GetItemWithError(arguments[2], text);
      if (value == nullptr && PyErr_Occurred()) throw nb::python_error();
      dispatcher.defaults.push_back(Py_XNewRef(value));
    }
    return Py_NewRef(Py_None);
  });
}

// _describe_key(is_constant: tuple[bool, ...], captured: list[tuple[cell | dict, str, tuple[str, ...]]],
//               identity_types: tuple[type, ...])
PyObject *describe_key(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  return guard_python([&] {
    if (count != 3) throw nb::type_error("_describe_key takes is_constant, captured and identity_types");
    Dispatcher &dispatcher = value_of<Dispatcher>(self);
    auto facts = std::make_unique<KeyFacts>(read_key_facts(arguments[0], arguments[1], arguments[2]));
    if (facts->is_constant.size() != dispatcher.names.size()) {
      throw nb::value_error("is_constant has one entry for each parameter");
    }
    facts->previous = dispatcher.key_facts.load(std::memory_order_acquire);
    while (!dispatcher.key_facts.compare_exchange_weak(facts->previous, facts.get(), std::memory_order_acq_rel)) {
    }
    static_cast<void>(facts.release());
    return Py_NewRef(Py_None);
  });
}

PyObject *known_count(PyObject *self, void *) {
  return PyLong_FromSize_t(value_of<Dispatcher>(self).table.size());
}

// _forget(): drops the compiled kernels; the next launch asks for them again.
PyObject *forget(PyObject *self, PyObject *const *, Py_ssize_t) {
  return guard_python([&] {
    value_of<Dispatcher>(self).table.clear();
    return Py_NewRef(Py_None);
  });
}

template <class Function>
PyCFunction as_method(Function *function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef dispatcher_methods[] = {{"_describe_parameters", as_method(describe_parameters), METH_FASTCALL, nullptr},
                                    {"_describe_key", as_method(describe_key), METH_FASTCALL, nullptr},
                                    {"_forget", as_method(forget), METH_FASTCALL, nullptr},
                                    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef dispatcher_properties[] = {{"_known_count", known_count, nullptr, nullptr, nullptr},
                                       {nullptr, nullptr, nullptr, nullptr, nullptr}};

constexpr const char *dispatcher_documentation =
    "The native part of :class:`helion_msl.jit.MetalKernel`: finds the compiled kernel for the arguments of a call.";
constexpr const char *bound_documentation =
    "A kernel with a grid and a threadgroup, ``kernel[grid, block_dims]``: call it with the kernel's arguments.";

}  // namespace

void bind_kernel_dispatcher(PyObject *module) {
  static PyType_Slot dispatcher_slots[] = {slot(Py_tp_doc, const_cast<char *>(dispatcher_documentation)),
                                           slot(Py_tp_new, new_dispatcher),
                                           slot(Py_tp_traverse, traverse_dispatcher),
                                           slot(Py_tp_clear, clear_dispatcher),
                                           slot(Py_tp_dealloc, deallocate_dispatcher),
                                           slot(Py_mp_subscript, subscript),
                                           slot(Py_tp_methods, dispatcher_methods),
                                           slot(Py_tp_getset, dispatcher_properties),
                                           {0, nullptr}};
  static PyType_Spec dispatcher_spec{"helion_msl._C.KernelDispatcher", sizeof(PythonInstance<Dispatcher>), 0,
                                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, dispatcher_slots};
  dispatcher_type = add_type(module, dispatcher_spec);
  static PyType_Slot bound_slots[] = {slot(Py_tp_doc, const_cast<char *>(bound_documentation)),
                                      slot(Py_tp_call, PyVectorcall_Call),
                                      slot(Py_tp_members, vectorcall_members<BoundDispatcher>),
                                      slot(Py_tp_traverse, traverse_bound),
                                      slot(Py_tp_dealloc, deallocate_bound),
                                      {0, nullptr}};
  static PyType_Spec bound_spec{"helion_msl._C.BoundDispatcher", sizeof(PythonInstance<BoundDispatcher>), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                                    Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                                bound_slots};
  bound_type = add_type(module, bound_spec);
}

}  // namespace helion_msl
