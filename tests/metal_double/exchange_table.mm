// Makes chosen CPU tensors look like MPS tensors: a DLPack exchange table for torch.Tensor that calls torch's own and
// then says that the memory is a Metal buffer.
#define Py_LIMITED_API 0x030a0000
#include <Python.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "dlpack_abi.h"
#import "double_device.h"
#include "double_state.h"
#import "played_tensors.h"

using namespace metal_double;
using helion_msl::dlpack::ExchangeApi;
using helion_msl::dlpack::Tensor;

namespace {

// How torch fills in `data` and `byte_offset` of an MPS tensor with a storage offset.
enum class Style { address_plus_offset, buffer_and_offset };  // torch 2.10 to 2.13; from 2.14 on
Style style = Style::address_plus_offset;

const ExchangeApi *original = nullptr;
PyObject *plays_mps = nullptr;  // says of a CPU tensor whether it plays an MPS tensor
ExchangeApi table;

// The buffer of a storage: alive while a tensor of it is known, and while the GPU uses it. The storage stays alive as
// long as its buffer, as torch's MPS allocator keeps memory that command buffers still use.
struct StorageBuffer {
  DoubleBuffer *buffer;
  PyObject *owner;  // a weak reference to the tensor, whose callback forgets the buffer
};
std::map<std::pair<void *, std::size_t>, StorageBuffer> buffers;  // guarded by the GIL

// Storages whose buffers went on a thread without the GIL.
std::mutex garbage_mutex;
std::vector<PyObject *> garbage;

void collect_garbage() {
  std::vector<PyObject *> dead;
  {
    const std::lock_guard lock(garbage_mutex);
    dead.swap(garbage);
  }
  for (PyObject *storage : dead) Py_DECREF(storage);
}

void release_storage(void *storage) {
  const std::lock_guard lock(garbage_mutex);
  garbage.push_back(static_cast<PyObject *>(storage));
}

// 0 where a Python exception was raised.
std::uint64_t call_for_number(PyObject *object, const char *method, bool &failed) {
  PyObject *result = PyObject_CallMethod(object, method, nullptr);
  const std::uint64_t number = result == nullptr ? 0 : PyLong_AsUnsignedLongLong(result);
  Py_XDECREF(result);
  failed = failed || PyErr_Occurred() != nullptr;
  return number;
}

PyObject *forget_buffer(PyObject *key, PyObject *) {
  auto *begin = PyLong_AsVoidPtr(PyTuple_GetItem(key, 0));
  const std::size_t size = PyLong_AsSize_t(PyTuple_GetItem(key, 1));
  const auto found = buffers.find({begin, size});
  if (found != buffers.end()) {
    const StorageBuffer forgotten = found->second;
    buffers.erase(found);
    Py_XDECREF(forgotten.owner);
    [forgotten.buffer release];
  }
  collect_garbage();
  Py_RETURN_NONE;
}
PyMethodDef forget_definition = {"forget_buffer", forget_buffer, METH_O, nullptr};

// Borrowed; null with a Python exception set.
DoubleBuffer *buffer_of(PyObject *tensor, void *begin, PyObject *storage, std::size_t size) {
  const auto found = buffers.find({begin, size});
  if (found != buffers.end()) return found->second.buffer;
  PyObject *key = Py_BuildValue("(Nn)", PyLong_FromVoidPtr(begin), static_cast<Py_ssize_t>(size));
  PyObject *callback = key == nullptr ? nullptr : PyCFunction_New(&forget_definition, key);
  Py_XDECREF(key);
  PyObject *owner = callback == nullptr ? nullptr : PyWeakref_NewRef(tensor, callback);
  Py_XDECREF(callback);
  if (owner == nullptr) return nil;
  Py_INCREF(storage);
  DoubleBuffer *buffer = [[DoubleBuffer alloc] initWithBytes:begin
                                                      length:size
                                                    released:release_storage
                                                     context:storage];
  buffers[{begin, size}] = {buffer, owner};
  return buffer;
}

int dltensor_of(void *object, Tensor *out) {
  const InDouble inside;
  auto *tensor = static_cast<PyObject *>(object);
  if (original->dltensor_from_py_object_no_sync(object, out) != 0) return -1;
  if (out->device.type != helion_msl::dlpack::device_cpu) return 0;
  const int is_mps = is_played(tensor);
  if (is_mps <= 0) return is_mps;
  out->device.type = helion_msl::dlpack::device_metal;
  for (std::int32_t i = 0; i < out->ndim; ++i) {
    if (out->shape[i] != 0) continue;
    out->data = nullptr;  // torch has no buffer for a tensor without elements
    return 0;
  }
  std::uint64_t offset = 0;
  DoubleBuffer *buffer = buffer_of_tensor(tensor, offset);
  if (buffer == nil) return -1;
  const bool adds_offset = style == Style::address_plus_offset;
  out->data = reinterpret_cast<char *>(buffer) + (adds_offset ? offset : 0);
  out->byte_offset = adds_offset ? 0 : offset;
  return 0;
}

}  // namespace

int metal_double::is_played(PyObject *tensor) {
  collect_garbage();
  if (plays_mps == nullptr) return 0;
  PyObject *answer = PyObject_CallFunctionObjArgs(plays_mps, tensor, nullptr);
  const int is_mps = answer == nullptr ? -1 : PyObject_IsTrue(answer);
  Py_XDECREF(answer);
  return is_mps;
}

DoubleBuffer *metal_double::buffer_of_tensor(PyObject *tensor, std::uint64_t &offset) {
  bool failed = false;
  offset = call_for_number(tensor, "storage_offset", failed) * call_for_number(tensor, "element_size", failed);
  PyObject *storage = PyObject_CallMethod(tensor, "untyped_storage", nullptr);
  if (storage == nullptr) return nil;
  const std::uint64_t size = call_for_number(storage, "nbytes", failed);
  const std::uint64_t begin = call_for_number(storage, "data_ptr", failed);
  DoubleBuffer *buffer = failed ? nil : buffer_of(tensor, reinterpret_cast<void *>(begin), storage, size);
  Py_DECREF(storage);
  return buffer;
}

#define EXPORT extern "C" __attribute__((visibility("default")))

// A capsule of the table, to be set as torch.Tensor.__dlpack_c_exchange_api__ in place of `capsule`, torch's own.
// `predicate` is asked of each CPU tensor.
EXPORT PyObject *metal_double_exchange_api(PyObject *capsule, PyObject *predicate) {
  Py_INCREF(predicate);
  plays_mps = predicate;
  original = static_cast<const ExchangeApi *>(PyCapsule_GetPointer(capsule, "dlpack_exchange_api"));
  if (original == nullptr) return nullptr;
  table = *original;
  table.header.previous_api = nullptr;
  table.dltensor_from_py_object_no_sync = dltensor_of;
  return PyCapsule_New(&table, "dlpack_exchange_api", nullptr);
}
EXPORT void metal_double_set_exchange_style(int separates_offset) {
  style = separates_offset != 0 ? Style::buffer_and_offset : Style::address_plus_offset;
}
EXPORT void metal_double_collect_storages() { collect_garbage(); }
// Lets go of the buffers of tensors that Python still has, which are made anew when needed: what is left is the
// engine's.
EXPORT void metal_double_forget_tensors() {
  decltype(buffers) forgotten;
  forgotten.swap(buffers);
  for (const auto &[memory, known] : forgotten) {
    Py_XDECREF(known.owner);
    [known.buffer release];
  }
  collect_garbage();
}
