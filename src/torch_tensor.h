// torch's tensors through libtorch's stable C interface, which takes a quarter of the time of the DLPack exchange
// table: small functions that each read one field, exported by every libtorch_cpu from 2.10 on. torch's header
// torch/csrc/inductor/aoti_torch/c/shim.h, "you MUST MAINTAIN ABI compatibility", declares them.
//
// They take the address of the at::Tensor inside the Python object, which is no part of that interface. It is found by
// the address of the implementation that Python's `Tensor._cdata` tells, and nothing is believed before the exchange
// table has described a tensor of that kind of memory in the same words; otherwise the table goes on being asked.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "argument_value.h"

// As in Python.h; headers of this project don't need the rest of it.
typedef struct _object PyObject;
typedef struct _typeobject PyTypeObject;

namespace helion_msl {

// at::Tensor, to the functions.
struct TorchTensorHandle;

// Each returns 0, or another number where torch has thrown.
struct TorchTensorFunctions {
  std::int32_t (*device_type)(TorchTensorHandle *, std::int32_t *) = nullptr;
  std::int32_t (*dtype)(TorchTensorHandle *, std::int32_t *) = nullptr;
  std::int32_t (*dim)(TorchTensorHandle *, std::int64_t *) = nullptr;
  std::int32_t (*sizes)(TorchTensorHandle *, const std::int64_t **) = nullptr;    // declared without const
  std::int32_t (*strides)(TorchTensorHandle *, const std::int64_t **) = nullptr;  // declared without const
  std::int32_t (*data_pointer)(TorchTensorHandle *, void **) = nullptr;
  std::int32_t (*storage_offset)(TorchTensorHandle *, std::int64_t *) = nullptr;
};

// For an MPS tensor, torch 2.10 to 2.13 write the address of the MTLBuffer object plus the storage offset into `data`,
// which is no object's address, and 0 into `byte_offset`; later versions keep the two apart. Puts both right, given the
// storage offset in bytes.
void separate_storage_offset(void *&data, std::uint64_t &byte_offset, std::uint64_t storage_offset);

class TorchTensorReader {
 public:
  // The reader for a tensor whose class is torch.Tensor or torch.nn.Parameter itself; null for objects of other
  // classes, which may have their own ideas, and where torch lacks something that the reader needs. Never fails: no
  // Python exception is left set.
  static TorchTensorReader *find(PyObject *object);

  // Fills in a view, but for its extent, of a tensor of the classes for which find() gave this reader; that of an MPS
  // tensor has the MTLBuffer object and the offset in bytes. False where `table` has to be asked: for memory that was
  // not compared yet and has turned out different, and for every tensor that kernels don't take. No Python exception is
  // left set.
  [[gnu::always_inline]] bool read(PyObject *object, const dlpack::ExchangeApi &table, TensorView &view);

 private:
  enum class Trust : std::uint8_t { unknown, equal, different };
  // Kinds of memory whose addresses may be told in ways of their own.
  enum Memory : std::uint8_t { cpu, metal_buffer, metal_buffer_with_offset, memory_count };

  bool resolve();
  bool locate_handle(PyObject *object);
  [[gnu::always_inline]] bool describe(PyObject *object, TensorView &view, Memory &memory) const;
  bool describe_metal_buffer(TorchTensorHandle *handle, TensorView &view, Memory &memory) const;
  // For memory whose trust is not `equal`.
  bool compare(PyObject *object, const dlpack::ExchangeApi &table, const TensorView &view, Memory memory);

  TorchTensorFunctions functions_;
  std::int32_t cpu_device_ = 0;
  std::int32_t mps_device_ = 0;
  std::array<dlpack::DataType, 64> types_{};  // by torch's number; no bits where kernels take none of that type
  std::size_t handle_offset_ = 0;             // of the at::Tensor in its Python object, in bytes
  std::array<std::atomic<Trust>, memory_count> trust_{};
};

// In this header so that a launch reads a tensor in one function.

inline bool TorchTensorReader::describe(PyObject *object, TensorView &view, Memory &memory) const {
  auto *handle = reinterpret_cast<TorchTensorHandle *>(reinterpret_cast<std::byte *>(object) + handle_offset_);
  std::int32_t device = 0;
  std::int32_t dtype = 0;
  std::int64_t dimensions = 0;
  if ((functions_.device_type(handle, &device) | functions_.dtype(handle, &dtype) |
       functions_.dim(handle, &dimensions)) != 0 ||
      (device != cpu_device_ && device != mps_device_) || static_cast<std::size_t>(dtype) >= types_.size()) {
    return false;
  }
  view.dtype = types_[static_cast<std::size_t>(dtype)];
  if (view.dtype.bits == 0) return false;
  // Sparse and other layouts have no strides to tell.
  if (functions_.sizes(handle, &view.shape) != 0 || functions_.strides(handle, &view.strides) != 0 ||
      functions_.data_pointer(handle, &view.data) != 0) {
    return false;
  }
  view.dimension_count = static_cast<std::int32_t>(dimensions);
  view.is_read_only = view.is_copy = false;
  view.byte_offset = 0;
  view.device = DeviceKind::cpu;
  memory = cpu;
  return device == cpu_device_ || describe_metal_buffer(handle, view, memory);
}

inline bool TorchTensorReader::read(PyObject *object, const dlpack::ExchangeApi &table, TensorView &view) {
  Memory memory = cpu;
  if (!describe(object, view, memory)) return false;
  if (trust_[memory].load(std::memory_order_relaxed) == Trust::equal) [[likely]]
    return true;
  return compare(object, table, view, memory);
}

}  // namespace helion_msl
