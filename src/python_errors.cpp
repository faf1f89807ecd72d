#include "python_errors.h"

#include <nanobind/nanobind.h>

#include <exception>
#include <new>

#include "errors.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

// Imported when an error is raised, and not before: `_C` alone, without its package, is what the stub generator loads.
void set_error(const char *class_name, const char *message) {
  try {
    const nb::object type = nb::module_::import_("helion_msl.errors").attr(class_name);
    PyErr_SetObject(
        type.ptr(),
        nb::steal(PyUnicode_DecodeUTF8(message, static_cast<Py_ssize_t>(strlen(message)), "replace")).ptr());
  } catch (nb::python_error &error) {
    error.restore();
  }
}

// Rethrows what is no error of this package.
void translate(const std::exception_ptr &exception, void *) {
  try {
    std::rethrow_exception(exception);
  } catch (const MetalCompileError &error) {
    set_error("MetalCompileError", error.what());
  } catch (const UnknownKernelError &error) {
    set_error("UnknownKernelError", error.what());
  } catch (const ArgumentError &error) {
    set_error("ArgumentError", error.what());
  } catch (const LaunchError &error) {
    set_error("LaunchError", error.what());
  } catch (const KernelError &error) {
    set_error("KernelError", error.what());
  } catch (const EngineUnavailableError &error) {
    set_error("EngineUnavailableError", error.what());
  } catch (const Error &error) {
    set_error("HelionMslError", error.what());
  }
}

}  // namespace

void register_error_translator() {
  nb::register_exception_translator(translate);
}

void set_current_exception() noexcept {
  try {
    translate(std::current_exception(), nullptr);
  } catch (nb::python_error &error) {
    error.restore();
  } catch (const nb::builtin_exception &error) {
    const bool is_type_error = error.type() == nb::exception_type::type_error;
    PyErr_SetString(is_type_error ? PyExc_TypeError : PyExc_ValueError, error.what());
  } catch (const std::bad_alloc &) {
    PyErr_NoMemory();
  } catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  } catch (...) {
    PyErr_SetString(PyExc_SystemError, "an exception of an unknown C++ type");
  }
}

}  // namespace helion_msl
