// PyObject -> TensorView: through torch's stable C interface (torch_tensor.h), through the table of C functions that
// the class carries, which calls no Python code either, or, for objects without one, through their `__dlpack__` method.
#pragma once

#include <vector>

#include "argument_value.h"

// As in Python.h; headers of this project don't need the rest of it.
typedef struct _object PyObject;

namespace helion_msl {

// Keeps the capsules of `__dlpack__` alive until a launch has been handed over. The GIL is held wherever one is used.
class ExportedTensors {
 public:
  ExportedTensors() = default;
  ExportedTensors(const ExportedTensors &) = delete;
  ExportedTensors &operator=(const ExportedTensors &) = delete;
  ~ExportedTensors();

  void keep(PyObject *capsule) { capsules_.push_back(capsule); }  // takes the reference over
  const std::vector<PyObject *> &capsules() const { return capsules_; }

 private:
  std::vector<PyObject *> capsules_;
};

// Both return false, with no Python exception set, for an object that is no tensor of their kind. `position` is the
// argument's, for the message. Both throw ArgumentError for tensors that have no memory to offer: sparse, meta, fake
// or quantized ones, views that torch resolves lazily, devices other than the CPU and Apple's GPU.
bool read_exchange_tensor(PyObject *object, std::size_t position, TensorView &view);
bool read_exported_tensor(PyObject *object, std::size_t position, TensorView &view, ExportedTensors &exported);

// read_exchange_tensor() for the types of tensors that have been met before: false, without asking Python, for others.
bool read_known_tensor(PyObject *object, std::size_t position, TensorView &view);

// Type, device, shape and strides of a tensor whose class has the table; the rest of the view is not filled in. False,
// with no Python exception set, where there is no such table, or where the tensor is one that read_exchange_tensor()
// refuses.
bool describe_tensor(PyObject *object, TensorView &view);

// Whether an object that was read is described by torch's stable C interface, for tests and for the curious.
bool is_read_directly(PyObject *object);

}  // namespace helion_msl
