// The arguments of one launch, read from the Python sequence that holds them.
#pragma once

#include <optional>
#include <span>

#include "argument_array.h"
#include "argument_value.h"
#include "tensor_view.h"

namespace helion_msl {

// Holds a reference to each argument until it is destroyed, so that a launch may release the GIL while another thread
// changes the list. Constructed, used and destroyed with the GIL held.
class PythonArguments {
 public:
  // Throws ArgumentError for anything that is no list, tuple or other sequence, and for an item that no kernel takes.
  explicit PythonArguments(PyObject *sequence);
  PythonArguments(const PythonArguments &) = delete;
  PythonArguments &operator=(const PythonArguments &) = delete;
  ~PythonArguments();

  std::span<const ArgumentValue> values() { return values_.span(); }
  std::span<PyObject *const> objects() { return references_.span(); }
  const ExportedTensors &exported() const { return exported_; }
  // Where the tensors are; none without a tensor. Throws ArgumentError when they are in different places.
  std::optional<DeviceKind> device();

 private:
  void release();

  PyObject *items_;  // a tuple or a list
  std::size_t count_;
  std::size_t held_ = 0;
  ArgumentArray<PyObject *> references_;
  ArgumentArray<ArgumentValue> values_;
  ExportedTensors exported_;
};

// Reads one Python object; `position` is for messages.
void read_argument(PyObject *object, std::size_t position, ArgumentValue &value, ExportedTensors &exported);

// Reads a tensor that needs no export, or a bool, an int or a float; false for any other object.
bool read_plain_argument(PyObject *object, std::size_t position, ArgumentValue &value);

}  // namespace helion_msl
