// The arguments of one launch, read from the Python sequence that holds them.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>

#include "argument_binding.h"
#include "argument_value.h"
#include "tensor_view.h"

namespace helion_msl {

// Room for `count` values: on the stack as far as Metal's table of buffers goes, on the heap beyond it.
template <class T>
class ArgumentArray {
 public:
  explicit ArgumentArray(std::size_t count) : count_(count) {
    if (count > max_buffer_count) heap_ = std::make_unique<T[]>(count);
  }
  std::span<T> span() { return {heap_ ? heap_.get() : reinterpret_cast<T *>(stack_), count_}; }

 private:
  static_assert(std::is_trivially_destructible_v<T>);
  std::size_t count_;
  std::unique_ptr<T[]> heap_;
  alignas(T) std::byte stack_[max_buffer_count * sizeof(T)];
};

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

}  // namespace helion_msl
