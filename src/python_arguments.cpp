#include "python_arguments.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <limits>
#include <string>

#include "errors.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

PyObject *type_of(PyObject *object) {
  return reinterpret_cast<PyObject *>(Py_TYPE(object));
}

std::string type_name(PyObject *object) {
  return nb::cast<std::string>(nb::borrow(type_of(object)).attr("__name__"));
}

// A new reference to `sequence` as a list or a tuple.
PyObject *as_items(PyObject *sequence) {
  if (PyTuple_Check(sequence) || PyList_Check(sequence)) return Py_NewRef(sequence);
  // A tensor or a string would be taken apart into its elements.
  const bool is_one_value =
      PyUnicode_Check(sequence) || PyBytes_Check(sequence) || PyObject_HasAttrString(type_of(sequence), "__dlpack__");
  if (is_one_value || !PySequence_Check(sequence)) {
    throw ArgumentError("args must be a list or a tuple of the kernel's arguments, not " + type_name(sequence));
  }
  PyObject *items = PySequence_Tuple(sequence);
  if (items == nullptr) throw nb::python_error();
  return items;
}

std::size_t item_count(PyObject *items) {
  return static_cast<std::size_t>(PyTuple_Check(items) ? PyTuple_Size(items) : PyList_Size(items));
}

// A new reference, or null with an exception where another thread has made the list shorter.
PyObject *new_item(PyObject *items, std::size_t position) {
  const auto index = static_cast<Py_ssize_t>(position);
  if (PyTuple_Check(items)) return Py_NewRef(PyTuple_GetItem(items, index));
#ifdef Py_GIL_DISABLED
  return PyList_GetItemRef(items, index);
#else
  return Py_NewRef(PyList_GetItem(items, index));
#endif
}

IntegerValue read_integer(PyObject *object) {
  IntegerValue integer;
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (overflow == 0) {
    if (value == -1 && PyErr_Occurred()) throw nb::python_error();
    integer.is_negative = value < 0;
    integer.magnitude = value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
    return integer;
  }
  integer.is_negative = overflow < 0;
  if (overflow > 0) {
    integer.magnitude = PyLong_AsUnsignedLongLong(object);
    if (!PyErr_Occurred()) return integer;
    PyErr_Clear();
  }
  integer.exceeds_64_bits = true;
  integer.approximation = PyLong_AsDouble(object);
  if (PyErr_Occurred()) {  // beyond double's range
    PyErr_Clear();
    integer.approximation = std::numeric_limits<double>::infinity() * overflow;
  }
  return integer;
}

[[noreturn]] void refuse_kind(PyObject *object, std::size_t position) {
  throw ArgumentError("argument " + std::to_string(position) + " is a " + type_name(object) +
                      "; a kernel takes tensors, bool, int, float, bytes and objects with __dlpack__");
}

// Clears the exception of an object that turns out to be no number; passes on what is no such refusal.
void discard_refusal() {
  if (!PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_ValueError)) throw nb::python_error();
  PyErr_Clear();
}

// Numbers of other libraries (NumPy's scalars, SymPy's, Decimal), by Python's own protocols.
bool read_number(PyObject *object, ArgumentValue &value) {
  if (PyUnicode_Check(object)) return false;  // numpy.str_ has number slots too
  const std::string name = type_name(object);
  // Before integers: numpy.bool has their slot as well, which refuses or, in older versions, warns.
  if (name == "bool" || name == "bool_") {
    const int truth = PyObject_IsTrue(object);
    if (truth < 0) throw nb::python_error();
    value.kind = ArgumentValue::Kind::boolean;
    value.boolean = truth != 0;
    return true;
  }
  if (PyIndex_Check(object)) {
    if (PyObject *index = PyNumber_Index(object)) {
      nb::object owner = nb::steal(index);
      value.kind = ArgumentValue::Kind::integer;
      value.integer = read_integer(index);
      return true;
    }
    discard_refusal();
  }
  // NumPy's complex numbers have __float__ as well, which drops a part of them.
  const bool is_complex = PyComplex_Check(object) || name.starts_with("complex") || name == "clongdouble";
  if (is_complex || !PyObject_HasAttrString(type_of(object), "__float__")) return false;
  nb::object real = nb::steal(PyNumber_Float(object));
  if (!real.is_valid()) {
    discard_refusal();
    return false;
  }
  value.kind = ArgumentValue::Kind::real;
  value.real = PyFloat_AsDouble(real.ptr());
  return true;
}

}  // namespace

// Apart from read_plain_argument(), so that tensors don't pay for what the other kinds need.
[[gnu::noinline]] static bool read_other_plain_argument(PyObject *object, std::size_t position, ArgumentValue &value) {
  if (PyBool_Check(object)) {
    value.kind = ArgumentValue::Kind::boolean;
    value.boolean = object == Py_True;
  } else if (PyLong_Check(object)) {
    value.kind = ArgumentValue::Kind::integer;
    value.integer = read_integer(object);
  } else if (PyFloat_Check(object)) {
    value.kind = ArgumentValue::Kind::real;
    value.real = PyFloat_AsDouble(object);
  } else {
    value.tensor = {};
    if (!read_exchange_tensor(object, position, value.tensor)) return false;
    value.kind = ArgumentValue::Kind::tensor;
  }
  return true;
}

bool read_plain_argument(PyObject *object, std::size_t position, ArgumentValue &value) {
  // Tensors first: the checks for numbers walk through the bases of their class.
  value.kind = ArgumentValue::Kind::tensor;
  return read_known_tensor(object, position, value.tensor) || read_other_plain_argument(object, position, value);
}

[[gnu::noinline]] static void read_other_argument(PyObject *object, std::size_t position, ArgumentValue &value,
                                                  ExportedTensors &exported) {
  if (PyBytes_Check(object)) {
    value.kind = ArgumentValue::Kind::bytes;
    value.bytes = {reinterpret_cast<const std::byte *>(PyBytes_AsString(object)),
                   static_cast<std::size_t>(PyBytes_Size(object))};
  } else if (!read_plain_argument(object, position, value)) {
    value.tensor = {};
    if (read_exported_tensor(object, position, value.tensor, exported)) {
      value.kind = ArgumentValue::Kind::tensor;
    } else if (!read_number(object, value)) {
      refuse_kind(object, position);
    }
  }
}

void read_argument(PyObject *object, std::size_t position, ArgumentValue &value, ExportedTensors &exported) {
  value.kind = ArgumentValue::Kind::tensor;
  if (!read_known_tensor(object, position, value.tensor)) read_other_argument(object, position, value, exported);
}

PythonArguments::PythonArguments(PyObject *sequence)
    : items_(as_items(sequence)), count_(item_count(items_)), references_(count_), values_(count_) {
  const std::span<PyObject *> references = references_.span();
  const std::span<ArgumentValue> values = values_.span();
  try {
    // References first: reading an item may run Python code, which may change the list.
    for (; held_ < count_; ++held_) {
      references[held_] = new_item(items_, held_);
      if (references[held_] == nullptr) throw nb::python_error();
    }
    for (std::size_t i = 0; i < count_; ++i) read_argument(references[i], i, values[i], exported_);
  } catch (...) {
    release();
    throw;
  }
}

PythonArguments::~PythonArguments() {
  release();
}

void PythonArguments::release() {
  std::span<PyObject *> references = references_.span();
  while (held_ > 0) Py_DECREF(references[--held_]);
  Py_DECREF(items_);
}

std::optional<DeviceKind> PythonArguments::device() {
  std::optional<std::size_t> first;
  std::span<const ArgumentValue> all = values();
  for (std::size_t i = 0; i < count_; ++i) {
    if (all[i].kind != ArgumentValue::Kind::tensor) continue;
    if (!first) {
      first = i;
    } else if (all[i].tensor.device != all[*first].tensor.device) {
      throw ArgumentError("the tensors of a launch must be on one device, but argument " + std::to_string(*first) +
                          " is on " + device_name(all[*first].tensor.device) + " and argument " + std::to_string(i) +
                          " is on " + device_name(all[i].tensor.device));
    }
  }
  if (!first) return std::nullopt;
  return all[*first].tensor.device;
}

}  // namespace helion_msl
