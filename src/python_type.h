// Python types written in C: what nanobind's classes cannot do in the stable ABI is to be called by vectorcall (PEP
// 590).
#pragma once

#include <nanobind/nanobind.h>
#include <structmember.h>

#include <cstddef>
#include <new>
#include <utility>

namespace helion_msl {

// An instance whose C++ part is a T.
template <class T>
struct PythonInstance {
  PyObject head;
  vectorcallfunc call;  // null where the type has no Py_tp_call
  T value;
};

template <class T>
T &value_of(PyObject *object) {
  return reinterpret_cast<PythonInstance<T> *>(object)->value;
}

// For Py_tp_members.
template <class T>
inline PyMemberDef vectorcall_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, static_cast<Py_ssize_t>(offsetof(PythonInstance<T>, call)), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

// A new instance of `type`, which is not tracked by the garbage collector.
template <class T, class... Arguments>
PyObject *make_instance(PyTypeObject *type, vectorcallfunc call, Arguments &&...arguments) {
  auto allocate = reinterpret_cast<allocfunc>(PyType_GetSlot(type, Py_tp_alloc));
  PyObject *object = allocate(type, 0);
  if (object == nullptr) throw nanobind::python_error();
  auto *instance = reinterpret_cast<PythonInstance<T> *>(object);
  instance->call = call;
  new (&instance->value) T{std::forward<Arguments>(arguments)...};
  return object;
}

// Py_tp_dealloc of a final type without the garbage collector's support.
template <class T>
void deallocate(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  value_of<T>(object).~T();
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(object);
  Py_DECREF(reinterpret_cast<PyObject *>(type));
}

// Adds a type to the module, and returns it; it lives as long as the process.
PyTypeObject *add_type(PyObject *module, PyType_Spec &spec);

template <class Function>
PyType_Slot slot(int id, Function *function) {
  return {id, reinterpret_cast<void *>(function)};
}

}  // namespace helion_msl
