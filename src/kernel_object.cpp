#include "kernel_object.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <array>

#include "argument_binding.h"
#include "call_arguments.h"
#include "launcher.h"
#include "python_errors.h"
#include "python_type.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

PyTypeObject *kernel_type = nullptr;

nb::object argument_table(const BoundKernel &kernel) {
  nb::list table;
  for (const ArgumentInfo &argument : kernel.info().arguments) table.append(argument);
  return nb::tuple(table);
}

nb::object required_threads(const BoundKernel &kernel) {
  const auto &required = kernel.info().required_threads_per_threadgroup;
  if (required[0] == 0) return nb::none();
  return nb::make_tuple(required[0], required[1], required[2]);
}

std::string describe(const BoundKernel &kernel) {
  std::string text = "<helion_msl.Kernel '";
  text += kernel.info().name;
  text += "' on ";
  text += device_name(kernel.engine->device());
  text += " (";
  const char *separator = "";
  for (const ArgumentInfo &argument : kernel.info().arguments) {
    text += separator;
    text += declared_type(argument);
    text += " ";
    text += argument.name;
    separator = ", ";
  }
  return text + ")>";
}

PyObject *call_kernel(PyObject *self, PyObject *const *arguments, std::size_t flagged_count, PyObject *keywords) {
  return guard_python([&] {
    const BoundKernel &kernel = value_of<BoundKernel>(self);
    const auto count = static_cast<std::size_t>(PyVectorcall_NARGS(flagged_count));
    std::array<PyObject *, 3> values{};
    if (count == values.size() && keywords == nullptr) {
      launch_kernel(*kernel.engine, kernel.compiled, arguments[0], arguments[1], arguments[2]);
    } else {
      static const auto parameters = parameter_names({"args", "grid", "block_dims"});
      read_call("Kernel.__call__", parameters, arguments, count, keywords, values);
      launch_kernel(*kernel.engine, kernel.compiled, values[0], values[1], values[2]);
    }
    return Py_NewRef(Py_None);
  });
}

// A property that `get` computes from the kernel.
template <auto get>
PyGetSetDef property(const char *name, const char *documentation) {
  const auto getter = [](PyObject *self, void *) {
    return guard_python([&] { return nb::cast(get(value_of<BoundKernel>(self))).release().ptr(); });
  };
  return {name, getter, nullptr, documentation, nullptr};
}

PyGetSetDef properties[] = {
    property<[](const BoundKernel &k) { return k.info().name; }>("name", "Name of the kernel function."),
    property<[](const BoundKernel &k) { return device_name(k.engine->device()); }>("device",
                                                                                   "``\"mps\"`` or ``\"cpu\"``."),
    property<[](const BoundKernel &k) { return k.source; }>("source", "The MSL that it was compiled from."),
    property<argument_table>(
        "arguments", "What the kernel declares, ascending by buffer index: the order of the arguments of a launch."),
    property<[](const BoundKernel &k) { return k.info().max_total_threads_per_threadgroup; }>(
        "max_total_threads_per_threadgroup", "Most threads that a threadgroup of this kernel can have."),
    property<required_threads>("required_threads_per_threadgroup",
                               "The only ``block_dims`` that the kernel allows, or None."),
    property<[](const BoundKernel &k) { return k.info().thread_execution_width; }>("thread_execution_width",
                                                                                   "Lanes of a simdgroup."),
    property<[](const BoundKernel &k) { return k.info().static_threadgroup_memory; }>(
        "static_threadgroup_memory", "Bytes of threadgroup memory that the kernel declares."),
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyObject *repr_kernel(PyObject *self) {
  return guard_python([&] { return nb::cast(describe(value_of<BoundKernel>(self))).release().ptr(); });
}

constexpr const char *documentation =
    "A compiled kernel, bound to its pipeline: immutable, and callable from several threads.\n\n"
    "Made by :func:`compile`. Calling it with ``args``, ``grid`` and ``block_dims`` launches it without looking\n"
    "anything up; the parameters and errors are those of :func:`launch`.";

}  // namespace

PyObject *make_kernel_object(BoundKernel kernel) {
  return make_instance<BoundKernel>(kernel_type, call_kernel, std::move(kernel));
}

const BoundKernel *kernel_of(PyObject *object) {
  return Py_TYPE(object) == kernel_type ? &value_of<BoundKernel>(object) : nullptr;
}

void bind_kernel(PyObject *module) {
  static PyType_Slot slots[] = {slot(Py_tp_doc, const_cast<char *>(documentation)),
                                slot(Py_tp_call, PyVectorcall_Call),
                                slot(Py_tp_members, vectorcall_members<BoundKernel>),
                                slot(Py_tp_getset, properties),
                                slot(Py_tp_repr, repr_kernel),
                                slot(Py_tp_dealloc, deallocate<BoundKernel>),
                                {0, nullptr}};
  static PyType_Spec spec{
      "helion_msl._C.Kernel", sizeof(PythonInstance<BoundKernel>), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
      slots};
  kernel_type = add_type(module, spec);
}

}  // namespace helion_msl
