#include "key_facts.h"

#include <utility>

#include "argument_value.h"
#include "call_arguments.h"
#include "python_arguments.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

// A new reference, or null, possibly with an exception.
PyObject *global_value(PyObject *globals, PyObject *name) {
#ifdef Py_GIL_DISABLED
  PyObject *value = nullptr;
  PyDict_GetItemRef(globals, name, &value);
  return value;
#else
  return Py_XNewRef(PyDict_GetItemWithError(globals, name));
#endif
}

// A new reference, or null with or without an exception.
PyObject *value_of_captured(const KeyFacts::Captured &captured) {
  static PyObject *const cell_contents = interned("cell_contents");
  PyObject *value = PyDict_Check(captured.place.ptr()) ? global_value(captured.place.ptr(), captured.name.ptr())
                                                       : PyObject_GetAttr(captured.place.ptr(), cell_contents);
  for (const nb::object &attribute : captured.attributes) {
    if (value == nullptr) return nullptr;
    const nb::object owner = nb::steal(value);
    value = PyObject_GetAttr(owner.ptr(), attribute.ptr());
  }
  return value;
}

KeyFacts::Captured read_captured(nb::handle description) {
  const nb::tuple parts(nb::borrow(description));
  KeyFacts::Captured captured{.place = nb::borrow(parts[0]), .name = nb::borrow(parts[1]), .attributes = {}};
  for (nb::handle attribute : nb::tuple(parts[2])) captured.attributes.push_back(nb::borrow(attribute));
  return captured;
}

}  // namespace

KeyFacts read_key_facts(nb::handle is_constant, nb::handle captured, nb::handle identity_types) {
  KeyFacts facts;
  for (nb::handle each : nb::tuple(nb::borrow(is_constant))) facts.is_constant.push_back(nb::cast<bool>(each));
  for (nb::handle each : nb::list(nb::borrow(captured))) facts.captured.push_back(read_captured(each));
  for (nb::handle type : nb::tuple(nb::borrow(identity_types))) {
    if (!PyType_Check(type.ptr())) throw nb::type_error("identity_types must be types");
    facts.identity_types.push_back(nb::borrow(type));
  }
  return facts;
}

bool add_constant(PyObject *object, const KeyFacts &facts, SpecializationKey &key) {
  if (object == Py_None) {
    key.add_none();
    return true;
  }
  // A subclass of a number may print, and so mean, something else.
  if (PyLong_CheckExact(object) || PyFloat_CheckExact(object) || PyBool_Check(object)) {
    ArgumentValue value;
    return read_plain_argument(object, 0, value) && key.add_constant(value);
  }
  if (PyTuple_CheckExact(object)) {
    const Py_ssize_t size = PyTuple_Size(object);
    key.add_tuple(static_cast<std::size_t>(size));
    for (Py_ssize_t i = 0; i < size && key.is_complete(); ++i) {
      if (!add_constant(PyTuple_GetItem(object, i), facts, key)) return false;
    }
    return true;
  }
  for (const nb::object &type : facts.identity_types) {
    if (PyObject_TypeCheck(object, reinterpret_cast<PyTypeObject *>(type.ptr())) == 0) continue;
    key.add_identity(object);
    return true;
  }
  return false;
}

bool add_captured(const KeyFacts &facts, SpecializationKey &key, std::vector<nb::object> &kept) {
  for (const KeyFacts::Captured &captured : facts.captured) {
    nb::object value = nb::steal(value_of_captured(captured));
    if (value.is_valid()) {
      if (!add_constant(value.ptr(), facts, key)) return false;
      const bool is_number = PyLong_CheckExact(value.ptr()) || PyFloat_CheckExact(value.ptr());
      if (!captured.attributes.empty() && !is_number) kept.push_back(std::move(value));
      continue;
    }
    if (PyErr_Occurred()) {
      if (!PyErr_ExceptionMatches(PyExc_Exception)) throw nb::python_error();
      PyErr_Clear();
    }
    key.add_none();
  }
  return true;
}

}  // namespace helion_msl
