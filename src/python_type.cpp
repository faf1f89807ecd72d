#include "python_type.h"

#include <cstring>

namespace nb = nanobind;

namespace helion_msl {

PyTypeObject *add_type(PyObject *module, PyType_Spec &spec) {
  PyObject *type = PyType_FromModuleAndSpec(module, &spec, nullptr);
  if (type == nullptr) throw nb::python_error();
  if (PyModule_AddObjectRef(module, std::strrchr(spec.name, '.') + 1, type) != 0) throw nb::python_error();
  return reinterpret_cast<PyTypeObject *>(type);  // the reference is kept for good
}

}  // namespace helion_msl
