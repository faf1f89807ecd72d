#include "call_arguments.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <string>

namespace nb = nanobind;

namespace helion_msl {
namespace {

std::string text_of(PyObject *name) {
  return nb::cast<std::string>(nb::repr(nb::borrow(name)));
}

}  // namespace

PyObject *interned(const char *text) {
  PyObject *object = PyUnicode_InternFromString(text);
  if (object == nullptr) throw nb::python_error();
  return object;
}

std::size_t find_name(std::span<PyObject *const> names, PyObject *name) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return i;
  }
  // Names that were put together when the program ran are not interned.
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (PyUnicode_Compare(names[i], name) == 0) return i;
  }
  if (PyErr_Occurred()) throw nb::python_error();
  return names.size();
}

void read_call(std::string_view function, std::span<PyObject *const> parameters, PyObject *const *arguments,
               std::size_t count, PyObject *keywords, std::span<PyObject *> values) {
  if (count > parameters.size()) {
    throw nb::type_error((std::string(function) + " takes " + std::to_string(parameters.size()) + " arguments, but " +
                          std::to_string(count) + " were given")
                             .c_str());
  }
  for (std::size_t i = 0; i < count; ++i) values[i] = arguments[i];
  const std::size_t keyword_count = keywords == nullptr ? 0 : static_cast<std::size_t>(PyTuple_Size(keywords));
  for (std::size_t i = 0; i < keyword_count; ++i) {
    PyObject *name = PyTuple_GetItem(keywords, static_cast<Py_ssize_t>(i));
    const std::size_t position = find_name(parameters, name);
    if (position == parameters.size()) {
      throw nb::type_error((std::string(function) + " has no parameter " + text_of(name)).c_str());
    }
    if (position < count)
      throw nb::type_error((std::string(function) + " was given " + text_of(name) + " twice").c_str());
    values[position] = arguments[count + i];
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (values[i] != nullptr) continue;
    throw nb::type_error((std::string(function) + " was not given " + text_of(parameters[i])).c_str());
  }
}

}  // namespace helion_msl
