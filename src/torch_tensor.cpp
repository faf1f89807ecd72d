#include "torch_tensor.h"

#include <dlfcn.h>
#include <nanobind/nanobind.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <string>

#include "loaded_image.h"
#include "tensor_layout.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

struct NamedType {
  const char *constant;
  dlpack::DataType type;
};
constexpr std::uint16_t one_lane = 1;
constexpr NamedType named_types[] = {
    {"aoti_torch_dtype_bool", {dlpack::code_bool, 8, one_lane}},
    {"aoti_torch_dtype_uint8", {dlpack::code_uint, 8, one_lane}},
    {"aoti_torch_dtype_uint16", {dlpack::code_uint, 16, one_lane}},
    {"aoti_torch_dtype_uint32", {dlpack::code_uint, 32, one_lane}},
    {"aoti_torch_dtype_uint64", {dlpack::code_uint, 64, one_lane}},
    {"aoti_torch_dtype_int8", {dlpack::code_int, 8, one_lane}},
    {"aoti_torch_dtype_int16", {dlpack::code_int, 16, one_lane}},
    {"aoti_torch_dtype_int32", {dlpack::code_int, 32, one_lane}},
    {"aoti_torch_dtype_int64", {dlpack::code_int, 64, one_lane}},
    {"aoti_torch_dtype_float16", {dlpack::code_float, 16, one_lane}},
    {"aoti_torch_dtype_bfloat16", {dlpack::code_bfloat, 16, one_lane}},
    {"aoti_torch_dtype_float32", {dlpack::code_float, 32, one_lane}},
    {"aoti_torch_dtype_float64", {dlpack::code_float, 64, one_lane}},
    {"aoti_torch_dtype_complex32", {dlpack::code_complex, 32, one_lane}},
    {"aoti_torch_dtype_complex64", {dlpack::code_complex, 64, one_lane}},
    {"aoti_torch_dtype_complex128", {dlpack::code_complex, 128, one_lane}},
};

template <class Function>
bool find_function(void *image, const char *name, Function &function) {
  function = reinterpret_cast<Function>(dlsym(image, name));
  return function != nullptr;
}

// The interface tells its enumerators through functions, so that their values are no part of it.
bool find_constant(void *image, const char *name, std::int32_t &value) {
  std::int32_t (*function)() = nullptr;
  if (!find_function(image, name, function)) return false;
  value = function();
  return true;
}

// torch.Tensor or torch.nn.Parameter, where torch is imported whole.
bool is_torch_class(PyTypeObject *type) {
  PyObject *modules = PyImport_GetModuleDict();
  PyObject *torch = PyDict_GetItemString(modules, "torch");
  PyObject *parameters = PyDict_GetItemString(modules, "torch.nn.parameter");
  if (torch == nullptr || parameters == nullptr) return false;
  const nb::handle asked = reinterpret_cast<PyObject *>(type);
  return nb::getattr(torch, "Tensor", nb::none()).is(asked) ||
         nb::getattr(parameters, "Parameter", nb::none()).is(asked);
}

bool is_same(const TensorView &view, const dlpack::Tensor &tensor) {
  const auto device = view.device == DeviceKind::cpu ? dlpack::device_cpu : dlpack::device_metal;
  return view.data == tensor.data && view.byte_offset == tensor.byte_offset && tensor.device.type == device &&
         tensor.device.id == 0 && view.dtype.code == tensor.dtype.code && view.dtype.bits == tensor.dtype.bits &&
         view.dtype.lanes == tensor.dtype.lanes && view.dimension_count == tensor.ndim && tensor.strides != nullptr &&
         std::equal(view.shape, view.shape + view.dimension_count, tensor.shape) &&
         std::equal(view.strides, view.strides + view.dimension_count, tensor.strides);
}

}  // namespace

void separate_storage_offset(void *&data, std::uint64_t &byte_offset, std::uint64_t storage_offset) {
  if (byte_offset == storage_offset) return;
  data = static_cast<std::byte *>(data) - storage_offset;
  byte_offset += storage_offset;
}

TorchTensorReader *TorchTensorReader::find(PyObject *object) {
  try {
    if (!is_torch_class(Py_TYPE(object))) return nullptr;
    // No static object's initialization: that holds a lock, and `_cdata` may run Python code of a torch function mode,
    // which lets another thread come here.
    static std::atomic<TorchTensorReader *> found{nullptr};
    if (TorchTensorReader *reader = found.load(std::memory_order_acquire)) return reader;
    auto made = std::make_unique<TorchTensorReader>();
    if (!made->resolve() || !made->locate_handle(object)) return nullptr;
    TorchTensorReader *expected = nullptr;
    return found.compare_exchange_strong(expected, made.get()) ? made.release() : expected;
  } catch (const std::exception &) {  // of Python's, or an answer of another type
    return nullptr;
  }
}

bool TorchTensorReader::resolve() {
  const std::string path = find_loaded_image(torch_image_name);
  void *image = path.empty() ? nullptr : open_loaded_image(path);
  if (image == nullptr) return false;
  for (const NamedType &named : named_types) {
    std::int32_t number = 0;
    if (!find_constant(image, named.constant, number)) return false;
    if (number < 0 || static_cast<std::size_t>(number) >= types_.size()) return false;
    types_[static_cast<std::size_t>(number)] = named.type;
  }
  return find_constant(image, "aoti_torch_device_type_cpu", cpu_device_) &&
         find_constant(image, "aoti_torch_device_type_mps", mps_device_) &&
         find_function(image, "aoti_torch_get_device_type", functions_.device_type) &&
         find_function(image, "aoti_torch_get_dtype", functions_.dtype) &&
         find_function(image, "aoti_torch_get_dim", functions_.dim) &&
         find_function(image, "aoti_torch_get_sizes", functions_.sizes) &&
         find_function(image, "aoti_torch_get_strides", functions_.strides) &&
         find_function(image, "aoti_torch_get_data_ptr", functions_.data_pointer) &&
         find_function(image, "aoti_torch_get_storage_offset", functions_.storage_offset);
}

// An at::Tensor is one pointer, to the implementation whose address `_cdata` is.
bool TorchTensorReader::locate_handle(PyObject *object) {
  const auto implementation = nb::cast<std::uintptr_t>(nb::borrow(object).attr("_cdata"));
  const auto size =
      nb::cast<std::size_t>(nb::handle(reinterpret_cast<PyObject *>(Py_TYPE(object))).attr("__basicsize__"));
  if (implementation == 0) return false;
  std::size_t found = 0;
  for (std::size_t offset = sizeof(PyObject); offset + sizeof(void *) <= size; offset += sizeof(void *)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, reinterpret_cast<const std::byte *>(object) + offset, sizeof(word));
    if (word != implementation) continue;
    handle_offset_ = offset;
    ++found;
  }
  return found == 1;
}

// As of any device, the interface tells the storage's address, which is here an MTLBuffer object's, plus the offset.
bool TorchTensorReader::describe_metal_buffer(TorchTensorHandle *handle, TensorView &view, Memory &memory) const {
  std::int64_t offset = 0;
  if (functions_.storage_offset(handle, &offset) != 0) return false;
  view.device = DeviceKind::mps;
  view.byte_offset = static_cast<std::uint64_t>(offset) * view.dtype.bits / 8;
  if (view.data != nullptr) view.data = static_cast<std::byte *>(view.data) - view.byte_offset;
  memory = offset == 0 ? metal_buffer : metal_buffer_with_offset;
  return true;
}

bool TorchTensorReader::compare(PyObject *object, const dlpack::ExchangeApi &table, const TensorView &view,
                                Memory memory) {
  if (trust_[memory].load(std::memory_order_relaxed) == Trust::different) return false;
  if (view.data == nullptr || is_empty(view)) return false;  // says nothing about where memory is
  dlpack::Tensor wanted;
  if (table.dltensor_from_py_object_no_sync(object, &wanted) != 0) {
    PyErr_Clear();
    return false;
  }
  if (memory != cpu) separate_storage_offset(wanted.data, wanted.byte_offset, view.byte_offset);
  const Trust trust = is_same(view, wanted) ? Trust::equal : Trust::different;
  trust_[memory].store(trust, std::memory_order_relaxed);
  return trust == Trust::equal;
}

}  // namespace helion_msl
