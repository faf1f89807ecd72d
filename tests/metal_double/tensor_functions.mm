// libtorch's stable C functions that describe a tensor: torch's own, but for the CPU tensors that play MPS tensors.
// Those have the address of a Metal buffer plus the offset of their first element, as the MPS tensors of torch 2.10
// to 2.15 do: their functions were read in libtorch_cpu.dylib.
#define Py_LIMITED_API 0x030a0000
#include <Python.h>
#include <dlfcn.h>

#include <cstdint>

#include "double_state.h"
#import "played_tensors.h"

using namespace metal_double;

namespace {

// at::Tensor, to the functions.
struct Handle;

template <class Function>
Function torchs(const char *name) {
  static void *const image = dlopen("libtorch_cpu.so", RTLD_NOLOAD | RTLD_LAZY);
  return reinterpret_cast<Function>(dlsym(image, name));
}

// In torch 2.13, which the tests run with, an at::Tensor follows the head of its Python object.
PyObject *object_of(Handle *tensor) {
  return reinterpret_cast<PyObject *>(reinterpret_cast<char *>(tensor) - sizeof(PyObject));
}

// Whether the data pointer of an MPS tensor is that of its buffer. torch has weighed to tell where its memory is.
bool are_buffers = true;

constexpr std::int32_t success = 0;
constexpr std::int32_t failure = 1;

// 1 or 0, or -1: the exchange table will find the same, and say it.
int is_played_or_cleared(Handle *tensor) {
  const int is_mps = is_played(object_of(tensor));
  if (is_mps < 0) PyErr_Clear();
  return is_mps;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

#define FORWARD_CONSTANT(name) \
  EXPORT std::int32_t name() { return torchs<std::int32_t (*)()>(#name)(); }
FORWARD_CONSTANT(aoti_torch_device_type_cpu)
FORWARD_CONSTANT(aoti_torch_device_type_mps)
FORWARD_CONSTANT(aoti_torch_dtype_bool)
FORWARD_CONSTANT(aoti_torch_dtype_uint8)
FORWARD_CONSTANT(aoti_torch_dtype_uint16)
FORWARD_CONSTANT(aoti_torch_dtype_uint32)
FORWARD_CONSTANT(aoti_torch_dtype_uint64)
FORWARD_CONSTANT(aoti_torch_dtype_int8)
FORWARD_CONSTANT(aoti_torch_dtype_int16)
FORWARD_CONSTANT(aoti_torch_dtype_int32)
FORWARD_CONSTANT(aoti_torch_dtype_int64)
FORWARD_CONSTANT(aoti_torch_dtype_float16)
FORWARD_CONSTANT(aoti_torch_dtype_bfloat16)
FORWARD_CONSTANT(aoti_torch_dtype_float32)
FORWARD_CONSTANT(aoti_torch_dtype_float64)
FORWARD_CONSTANT(aoti_torch_dtype_complex32)
FORWARD_CONSTANT(aoti_torch_dtype_complex64)
FORWARD_CONSTANT(aoti_torch_dtype_complex128)

#define FORWARD(name, type)                                                   \
  EXPORT std::int32_t name(Handle *tensor, type *result) {                    \
    return torchs<std::int32_t (*)(Handle *, type *)>(#name)(tensor, result); \
  }
FORWARD(aoti_torch_get_dtype, std::int32_t)
FORWARD(aoti_torch_get_dim, std::int64_t)
FORWARD(aoti_torch_get_numel, std::int64_t)
FORWARD(aoti_torch_get_sizes, std::int64_t *)
FORWARD(aoti_torch_get_strides, std::int64_t *)
FORWARD(aoti_torch_get_storage_offset, std::int64_t)

EXPORT std::int32_t aoti_torch_get_device_type(Handle *tensor, std::int32_t *result) {
  const InDouble inside;
  using Function = std::int32_t (*)(Handle *, std::int32_t *);
  if (torchs<Function>("aoti_torch_get_device_type")(tensor, result) != success) return failure;
  if (*result != aoti_torch_device_type_cpu()) return success;
  const int is_mps = is_played_or_cleared(tensor);
  if (is_mps > 0) *result = aoti_torch_device_type_mps();
  return is_mps < 0 ? failure : success;
}

EXPORT std::int32_t aoti_torch_get_data_ptr(Handle *tensor, void **result) {
  const InDouble inside;
  const int is_mps = is_played_or_cleared(tensor);
  std::int64_t count = 0;
  if (is_mps < 0 || aoti_torch_get_numel(tensor, &count) != success) return failure;
  if (is_mps == 0 || !are_buffers)
    return torchs<std::int32_t (*)(Handle *, void **)>("aoti_torch_get_data_ptr")(tensor, result);
  *result = nullptr;  // torch has no address for a tensor without elements
  if (count == 0) return success;
  std::uint64_t offset = 0;
  DoubleBuffer *buffer = buffer_of_tensor(object_of(tensor), offset);
  if (buffer == nil) {
    PyErr_Clear();
    return failure;
  }
  *result = reinterpret_cast<char *>(buffer) + offset;
  return success;
}

EXPORT void metal_double_set_tensor_addresses(int given_are_buffers) { are_buffers = given_are_buffers != 0; }
