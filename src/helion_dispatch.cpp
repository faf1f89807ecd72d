// A cache in front of Helion's own dispatch: from the arguments of `kernel(x, y)` to the host function that Helion
// generated for arguments of that kind. Its key holds every fact that Helion's finest key holds; for arguments that it
// cannot describe, and whenever Helion may have changed its mind, the answer is NotImplemented, and Helion decides.
#include <nanobind/nanobind.h>
#include <structmember.h>

#include <memory>
#include <vector>

#include "argument_value.h"
#include "call_arguments.h"
#include "helion_launcher.h"
#include "python_arguments.h"
#include "python_errors.h"
#include "python_type.h"
#include "specialization_table.h"
#include "tensor_view.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

// What Helion decided for one key, and what must still be so for the decision to stand.
struct Decision {
  nb::object bound;  // Helion's BoundKernel
  nb::object run;    // its host function
  nb::object reset_generation;
  nb::object specialization_generation;
};

struct HelionDispatch {
  nb::object kernel;               // Helion's
  std::vector<bool> is_constant;   // by position: annotated hl.constexpr, so that a number's value counts
  nb::object is_distributed_init;  // torch.distributed.is_initialized
  nb::object tensor_type;          // torch.Tensor
  nb::object parameter_type;       // torch.nn.Parameter
  std::vector<nb::object> identity_types;
  SpecializationTable<Decision> table;
};

// Beside SpecializationKey's own tags.
enum Tag : std::uint64_t { tensor_tag = 16, number_tag = 17, end_tag = 18 };

bool is_a(PyObject *object, const nb::object &type) {
  return reinterpret_cast<PyObject *>(Py_TYPE(object)) == type.ptr();
}

// torch.compile's marks on a tensor, which Helion specializes on.
bool has_static_indices(PyObject *tensor) {
  static PyObject *const name = interned("_dynamo_static_indices");
  const nb::object attributes = nb::steal(PyObject_GenericGetDict(tensor, nullptr));
  if (!attributes.is_valid()) throw nb::python_error();
  const bool has = PyDict_GetItemWithError(attributes.ptr(), name) != nullptr;
  if (PyErr_Occurred()) throw nb::python_error();
  return has;
}

// dtype, device, shape, strides, class, and which earlier argument is the same object.
bool add_tensor(const HelionDispatch &dispatch, PyObject *const *objects, std::size_t position,
                SpecializationKey &key) {
  PyObject *object = objects[position];
  TensorView tensor;
  if (!describe_tensor(object, tensor) || has_static_indices(object)) return false;
  std::size_t first = 0;
  while (objects[first] != object) ++first;
  key.add_word(tensor_tag | std::uint64_t{is_a(object, dispatch.parameter_type)} << 8 |
               std::uint64_t{tensor.dtype.code} << 16 | std::uint64_t{tensor.dtype.bits} << 24 |
               std::uint64_t{tensor.dtype.lanes} << 32);
  key.add_word(static_cast<std::uint64_t>(tensor.device));
  key.add_word(first << 32 | static_cast<std::uint32_t>(tensor.dimension_count));
  for (std::int32_t i = 0; i < tensor.dimension_count; ++i) {
    key.add_word(static_cast<std::uint64_t>(tensor.shape[i]));
    key.add_word(static_cast<std::uint64_t>(tensor.strides[i]));
  }
  return true;
}

// A number's type, and its value where Helion compiles it in.
bool add_number(PyObject *object, bool is_constant, SpecializationKey &key) {
  ArgumentValue value;
  if (!read_plain_argument(object, 0, value)) return false;
  if (is_constant) return key.add_constant(value);
  key.add_word(number_tag | static_cast<std::uint64_t>(value.kind) << 8);
  return true;
}

// False for calls that only Helion can tell apart.
bool read_key(const HelionDispatch &dispatch, PyObject *const *objects, std::size_t count, SpecializationKey &key) {
  bool has_tensor = false;
  if (count > dispatch.is_constant.size()) return false;
  for (std::size_t i = 0; i < count; ++i) {
    PyObject *object = objects[i];
    if (is_a(object, dispatch.tensor_type) || is_a(object, dispatch.parameter_type)) {
      if (!add_tensor(dispatch, objects, i, key)) return false;
      has_tensor = true;
    } else if (PyLong_CheckExact(object) || PyFloat_CheckExact(object) || PyBool_Check(object)) {
      if (!add_number(object, dispatch.is_constant[i], key)) return false;
    } else if (object == Py_None) {
      key.add_none();
    } else {
      bool is_known = false;
      for (const nb::object &type : dispatch.identity_types) is_known = is_known || is_a(object, type);
      if (!is_known) return false;
      key.add_identity(object);
    }
  }
  key.add_word(end_tag | count << 8);
  return has_tensor && key.is_complete();
}

std::vector<PyObject *> items_of(PyObject *tuple) {
  std::vector<PyObject *> items(static_cast<std::size_t>(PyTuple_Size(tuple)));
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = PyTuple_GetItem(tuple, static_cast<Py_ssize_t>(i));
  return items;
}

nb::object attribute(const nb::object &object, PyObject *name) {
  PyObject *value = PyObject_GetAttr(object.ptr(), name);
  if (value == nullptr) throw nb::python_error();
  return nb::steal(value);
}

bool is_same_number(const nb::object &a, const nb::object &b) {
  if (a.is(b)) return true;
  const int equal = PyObject_RichCompareBool(a.ptr(), b.ptr(), Py_EQ);
  if (equal < 0) throw nb::python_error();
  return equal == 1;
}

bool is_distributed(const HelionDispatch &dispatch) {
  const nb::object initialized = dispatch.is_distributed_init();
  return initialized.ptr() != Py_False;
}

bool still_stands(const HelionDispatch &dispatch, const Decision &decision) {
  static PyObject *const run = interned("_run");
  static PyObject *const reset = interned("_reset_generation");
  static PyObject *const specialization = interned("_specialization_generation");
  return attribute(decision.bound, run).is(decision.run) &&
         is_same_number(attribute(dispatch.kernel, reset), decision.reset_generation) &&
         is_same_number(attribute(dispatch.kernel, specialization), decision.specialization_generation) &&
         !is_distributed(dispatch);
}

// dispatch(args: tuple) -> what the kernel returns, or NotImplemented
PyObject *call_dispatch(PyObject *self, PyObject *const *arguments, std::size_t flagged_count, PyObject *keywords) {
  return guard_python([&]() -> PyObject * {
    if (PyVectorcall_NARGS(flagged_count) != 1 || keywords != nullptr || !PyTuple_CheckExact(arguments[0])) {
      throw nb::type_error("a dispatch takes the tuple of a call's arguments");
    }
    PyObject *tuple = arguments[0];
    HelionDispatch &dispatch = value_of<HelionDispatch>(self);
    constexpr std::size_t most = 64;
    PyObject *objects[most];
    const auto count = static_cast<std::size_t>(PyTuple_Size(tuple));
    if (count > most) return Py_NewRef(Py_NotImplemented);
    for (std::size_t i = 0; i < count; ++i) objects[i] = PyTuple_GetItem(tuple, static_cast<Py_ssize_t>(i));
    SpecializationKey key;
    if (!read_key(dispatch, objects, count, key)) return Py_NewRef(Py_NotImplemented);
    const auto decision = dispatch.table.find(key);
    if (decision == nullptr || !still_stands(dispatch, *decision)) return Py_NewRef(Py_NotImplemented);
    return PyObject_Call(decision->run.ptr(), tuple, nullptr);
  });
}

// publish(args, bound, run, reset_generation, specialization_generation) -> bool
PyObject *publish(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  return guard_python([&] {
    if (count != 5 || !PyTuple_CheckExact(arguments[0])) {
      throw nb::type_error("publish takes args, bound, run, reset_generation and specialization_generation");
    }
    HelionDispatch &dispatch = value_of<HelionDispatch>(self);
    const std::vector<PyObject *> objects = items_of(arguments[0]);
    SpecializationKey key;
    if (!read_key(dispatch, objects.data(), objects.size(), key)) return Py_NewRef(Py_False);
    dispatch.table.insert(key,
                          std::make_shared<Decision>(Decision{nb::borrow(arguments[1]), nb::borrow(arguments[2]),
                                                              nb::borrow(arguments[3]), nb::borrow(arguments[4])}));
    return Py_NewRef(Py_True);
  });
}

// can_describe(args) -> bool
PyObject *can_describe(PyObject *self, PyObject *tuple) {
  return guard_python([&] {
    if (!PyTuple_CheckExact(tuple)) throw nb::type_error("can_describe takes a tuple");
    const std::vector<PyObject *> objects = items_of(tuple);
    SpecializationKey key;
    return PyBool_FromLong(read_key(value_of<HelionDispatch>(self), objects.data(), objects.size(), key));
  });
}

// _HelionDispatch(kernel, is_constant, is_initialized, tensor_type, parameter_type, identity_types)
PyObject *new_dispatch(PyTypeObject *type, PyObject *arguments, PyObject *) {
  return guard_python([&] {
    const nb::tuple parts(nb::borrow(arguments));
    if (parts.size() != 6) {
      throw nb::type_error(
          "_HelionDispatch takes kernel, is_constant, is_initialized, tensor_type, parameter_type and identity_types");
    }
    std::vector<bool> is_constant;
    for (nb::handle value : nb::tuple(parts[1])) is_constant.push_back(nb::cast<bool>(value));
    std::vector<nb::object> identity_types;
    for (nb::handle value : nb::tuple(parts[5])) identity_types.push_back(nb::borrow(value));
    PyObject *object = make_instance<HelionDispatch>(type, call_dispatch);
    HelionDispatch &dispatch = value_of<HelionDispatch>(object);
    dispatch.kernel = nb::borrow(parts[0]);
    dispatch.is_constant = std::move(is_constant);
    dispatch.is_distributed_init = nb::borrow(parts[2]);
    dispatch.tensor_type = nb::borrow(parts[3]);
    dispatch.parameter_type = nb::borrow(parts[4]);
    dispatch.identity_types = std::move(identity_types);
    return object;
  });
}

int traverse_dispatch(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(reinterpret_cast<PyObject *>(Py_TYPE(self)));
  const HelionDispatch &dispatch = value_of<HelionDispatch>(self);
  Py_VISIT(dispatch.kernel.ptr());
  return dispatch.table.traverse([&](PyObject *object) { return visit(object, arg); },
                                 [&](const Decision &decision) {
                                   Py_VISIT(decision.bound.ptr());
                                   Py_VISIT(decision.run.ptr());
                                   return 0;
                                 });
}

int clear_dispatch(PyObject *self) {
  HelionDispatch &dispatch = value_of<HelionDispatch>(self);
  dispatch.table.clear();
  dispatch.kernel.reset();
  return 0;
}

void deallocate_dispatch(PyObject *self) {
  PyObject_GC_UnTrack(self);
  deallocate<HelionDispatch>(self);
}

PyObject *count_decisions(PyObject *self, void *) {
  return PyLong_FromSize_t(value_of<HelionDispatch>(self).table.size());
}

}  // namespace

void bind_helion_dispatch(PyObject *module) {
  static PyMethodDef methods[] = {
      {"publish", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(publish)), METH_FASTCALL, nullptr},
      {"can_describe", can_describe, METH_O, nullptr},
      {nullptr, nullptr, 0, nullptr}};
  static PyGetSetDef properties[] = {{"size", count_decisions, nullptr, nullptr, nullptr},
                                     {nullptr, nullptr, nullptr, nullptr, nullptr}};
  static PyType_Slot slots[] = {slot(Py_tp_call, PyVectorcall_Call),
                                slot(Py_tp_members, vectorcall_members<HelionDispatch>),
                                slot(Py_tp_new, new_dispatch),
                                slot(Py_tp_methods, methods),
                                slot(Py_tp_getset, properties),
                                slot(Py_tp_traverse, traverse_dispatch),
                                slot(Py_tp_clear, clear_dispatch),
                                slot(Py_tp_dealloc, deallocate_dispatch),
                                {0, nullptr}};
  static PyType_Spec spec{"helion_msl._C._HelionDispatch", sizeof(PythonInstance<HelionDispatch>), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, slots};
  add_type(module, spec);
}

}  // namespace helion_msl
