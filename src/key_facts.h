// What of a call decides which specialization of a kernel it needs, beside the kinds of its arguments: the values that
// become part of the kernel's text.
#pragma once

#include <nanobind/nanobind.h>

#include <vector>

#include "specialization_key.h"

namespace helion_msl {

// Described when the function has been parsed, and again when a constant turns out to be a function, which reads more.
struct KeyFacts {
  // A value around the function that is part of the kernel.
  struct Captured {
    nanobind::object place;  // a dictionary of globals, or the cell of a captured variable
    nanobind::object name;
    std::vector<nanobind::object> attributes;  // from there to the value
  };

  std::vector<std::uint8_t> is_constant;  // by parameter; std::vector<bool> takes longer to read
  std::vector<Captured> captured;
  std::vector<nanobind::object> identity_types;  // whose values are told apart by their addresses
  const KeyFacts *previous = nullptr;            // which another thread may be reading
};

// From is_constant: tuple[bool, ...], captured: list[tuple[cell | dict, str, tuple[str, ...]]] and identity_types:
// tuple[type, ...].
KeyFacts read_key_facts(nanobind::handle is_constant, nanobind::handle captured, nanobind::handle identity_types);

// Adds a value that becomes part of the kernel. False for one that a key cannot hold.
bool add_constant(PyObject *object, const KeyFacts &facts, SpecializationKey &key);

// Adds the values around the function. One that has gone is as good as None: the translation says what is missing.
// `kept` gets those that an attribute may have made anew: the key knows them by their addresses.
bool add_captured(const KeyFacts &facts, SpecializationKey &key, std::vector<nanobind::object> &kept);

}  // namespace helion_msl
