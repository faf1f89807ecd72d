// The arguments of a vectorcall (PEP 590), put into the order of a signature.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

typedef struct _object PyObject;

namespace helion_msl {

// Writes the value of each parameter to `values`, whose entries are null or defaults. `parameters` are
// interned str objects. `count` and `keywords` are as in a vectorcall. Throws a TypeError in Python's words.
void read_call(std::string_view function, std::span<PyObject *const> parameters, PyObject *const *arguments,
               std::size_t count, PyObject *keywords, std::span<PyObject *> values);

// Interned names of parameters, for good. Called with the GIL, once.
template <std::size_t count>
std::array<PyObject *, count> parameter_names(const char *const (&names)[count]);

// An interned str that lives as long as the process.
PyObject *interned(const char *text);

// Position of `name` among `names`, by identity first; names.size() where it is none of them.
std::size_t find_name(std::span<PyObject *const> names, PyObject *name);

template <std::size_t count>
std::array<PyObject *, count> parameter_names(const char *const (&names)[count]) {
  std::array<PyObject *, count> result;
  for (std::size_t i = 0; i < count; ++i) result[i] = interned(names[i]);
  return result;
}

}  // namespace helion_msl
