#include "helion_launcher.h"

#include <nanobind/nanobind.h>

#include <array>
#include <span>
#include <string>

#include "call_arguments.h"
#include "dispatch_size.h"
#include "errors.h"
#include "kernel_dispatcher.h"
#include "python_errors.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

// A tensor without elements gives a grid with a 0: there is nothing to do, and Metal refuses an empty grid.
bool is_empty(PyObject *grid) {
  if (!PyTuple_Check(grid)) return false;
  for (Py_ssize_t i = 0; i < PyTuple_Size(grid); ++i) {
    PyObject *size = PyTuple_GetItem(grid, i);
    if (!PyLong_CheckExact(size)) continue;
    int overflow = 0;
    if (PyLong_AsLongLongAndOverflow(size, &overflow) == 0 && overflow == 0) return true;
  }
  return false;
}

// Raises Helion's own exception. Python code, as it is a class of Helion's.
void refuse_options(PyObject *keywords) {
  nb::module_::import_("helion_msl._helion.launcher").attr("refuse_options")(nb::borrow(keywords));
}

// The value of `_block_dims`.
PyObject *read_keywords(PyObject *const *values, PyObject *keywords) {
  static const auto known = parameter_names({"_block_dims", "num_warps", "num_stages"});
  PyObject *block_dims = nullptr;
  const Py_ssize_t count = keywords == nullptr ? 0 : PyTuple_Size(keywords);
  for (Py_ssize_t i = 0; i < count; ++i) {
    const std::size_t position = find_name(known, PyTuple_GetItem(keywords, i));
    if (position == known.size()) refuse_options(keywords);
    if (position == 0) block_dims = values[i];  // the others say nothing to Metal
  }
  if (block_dims == nullptr) throw nb::type_error("the launcher needs _block_dims");
  return block_dims;
}

PyObject *helion_launch(PyObject *, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords) {
  return guard_python([&] {
    if (count < 2) throw nb::type_error("the launcher takes a kernel, a grid and the kernel's arguments");
    if (!is_dispatcher(arguments[0])) throw nb::type_error("the launcher takes kernels made by metal_jit");
    PyObject *block_dims = read_keywords(arguments + count, keywords);
    if (is_empty(arguments[1])) return Py_NewRef(Py_None);
    const GridSource grid{read_dimensions(arguments[1], "grid"), nullptr};
    dispatch(arguments[0], arguments + 2, static_cast<std::size_t>(count) - 2, nullptr, grid,
             read_dimensions(block_dims, "block_dims"));
    return Py_NewRef(Py_None);
  });
}

}  // namespace

void bind_helion_launcher(PyObject *module) {
  static PyMethodDef methods[] = {
      {"_helion_launch", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(helion_launch)),
       METH_FASTCALL | METH_KEYWORDS, nullptr},
      {nullptr, nullptr, 0, nullptr}};
  if (PyModule_AddFunctions(module, methods) != 0) throw nb::python_error();
}

}  // namespace helion_msl
