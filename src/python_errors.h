// C++ errors become Python exceptions.
#pragma once

typedef struct _object PyObject;

namespace helion_msl {

// Makes every nanobind function of the module raise the classes of errors.h as those of helion_msl.errors.
void register_error_translator();

// Sets the Python exception for the C++ exception that is being handled.
void set_current_exception() noexcept;

// Runs `body`, which returns a new reference, as the whole of a C function that Python calls.
template <class Body>
PyObject *guard_python(Body &&body) noexcept {
  try {
    return body();
  } catch (...) {
    set_current_exception();
    return nullptr;
  }
}

}  // namespace helion_msl
