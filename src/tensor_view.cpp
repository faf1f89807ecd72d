#include "tensor_view.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>

#include "argument_binding.h"
#include "call_arguments.h"
#include "errors.h"
#include "tensor_layout.h"
#include "torch_tensor.h"

namespace nb = nanobind;

namespace helion_msl {
namespace {

std::string type_name(PyObject *object) {
  return nb::cast<std::string>(nb::borrow(reinterpret_cast<PyObject *>(Py_TYPE(object))).attr("__name__"));
}

std::string label(std::size_t position, PyObject *object) {
  return "argument " + std::to_string(position) + " (" + type_name(object) + ")";
}

// The message of a producer's exception, without the C++ backtrace that torch appends. An interrupt is passed on.
std::string refusal_of_producer(nb::python_error &error) {
  if (!error.matches(PyExc_Exception)) throw std::move(error);
  auto text = nb::cast<std::string>(nb::str(error.value()));
  return text.substr(0, text.find("\nException raised from"));
}

std::string foreign_device_name(dlpack::Device device) {
  static constexpr auto names = std::to_array<std::pair<std::int32_t, const char *>>({
      {dlpack::device_cuda, "cuda"},
      {dlpack::device_cuda_host, "pinned memory of cuda"},
      {dlpack::device_opencl, "opencl"},
      {dlpack::device_vulkan, "vulkan"},
      {dlpack::device_rocm, "rocm"},
      {dlpack::device_rocm_host, "pinned memory of rocm"},
      {dlpack::device_cuda_managed, "managed memory of cuda"},
      {dlpack::device_oneapi, "xpu"},
      {dlpack::device_maia, "maia"},
  });
  for (auto [type, name] : names) {
    if (type == device.type) return std::string(name) + ":" + std::to_string(device.id);
  }
  return "DLPack device type " + std::to_string(device.type);
}

DeviceKind device_kind(std::size_t position, PyObject *object, dlpack::Device device) {
  if (device.type == dlpack::device_cpu) return DeviceKind::cpu;
  if (device.type == dlpack::device_metal) return DeviceKind::mps;
  throw ArgumentError(label(position, object) + " is on " + foreign_device_name(device) +
                      "; kernels run on mps and cpu tensors, move it with x.to(\"cpu\") or x.to(\"mps\")");
}

// What the description says, but for the device; borrowed.
void adopt(const dlpack::Tensor &tensor, TensorView &view) {
  view.data = tensor.data;
  view.byte_offset = tensor.byte_offset;
  view.dtype = tensor.dtype;
  view.is_read_only = view.is_copy = false;
  view.dimension_count = tensor.ndim;
  view.shape = tensor.shape;
  view.strides = tensor.strides;
}

void refuse_negative_strides(std::size_t position, PyObject *object, const TensorView &view) {
  if (!has_negative_stride(view)) return;
  throw ArgumentError(label(position, object) + " has a negative stride; pass a contiguous copy of it");
}

[[gnu::noinline]] void refuse_missing_memory(std::size_t position, PyObject *object, const TensorView &view) {
  if (is_empty(view)) return;
  throw ArgumentError(label(position, object) +
                      " has no memory (a fake tensor, or one whose storage was freed); pass a tensor with data");
}

void read_description(std::size_t position, PyObject *object, const dlpack::Tensor &tensor, TensorView &view) {
  adopt(tensor, view);
  view.device = device_kind(position, object, tensor.device);
  refuse_negative_strides(position, object, view);
  if (view.data == nullptr) refuse_missing_memory(position, object, view);
}

// A new reference to what the method returns. `name` is interned, so that neither it nor a bound method is made anew.
nb::object call_method(PyObject *object, PyObject *name) {
  PyObject *result = PyObject_VectorcallMethod(name, &object, 1, nullptr);
  if (result == nullptr) throw nb::python_error();
  return nb::steal(result);
}

// What a tensor's type says about all of its tensors.
struct TensorType {
  PyTypeObject *type = nullptr;
  const dlpack::ExchangeApi *api = nullptr;
  TorchTensorReader *reader = nullptr;  // for torch's own classes
  bool has_lazy_views = false;          // torch's; another library's tensors have no such flags
};

bool is_adjacent(const TensorView &view, std::int32_t dimension) {
  return view.strides[dimension] == 1 && view.shape[dimension] > 1;
}

[[gnu::noinline]] bool has_adjacent_elements(const TensorView &view) {
  std::int32_t dimension = view.dimension_count;
  if (view.strides == nullptr) return layout_of(view).element_count > 1;
  while (dimension > 0 && !is_adjacent(view, dimension - 1)) --dimension;
  return dimension > 0;
}

// torch keeps a conjugation or a negation as a flag on the tensor, and describes the memory as if the flag were not
// there. Only complex tensors can be conjugated. A negated tensor is a view of an imaginary part, whose elements lie
// between the real ones, so a real tensor with adjacent elements need not be asked: in most it is the last dimension's
// that are.
inline bool may_be_lazy_view(const TensorView &view) {
  if (view.dtype.code != dlpack::code_float) return view.dtype.code == dlpack::code_complex;
  const std::int32_t last = view.dimension_count - 1;
  if (last >= 0 && view.strides != nullptr && is_adjacent(view, last)) [[likely]]
    return false;
  return !has_adjacent_elements(view);
}

void refuse_lazy_views(std::size_t position, PyObject *object, dlpack::DataType dtype) {
  static PyObject *const is_conj = interned("is_conj");
  static PyObject *const is_neg = interned("is_neg");
  if (dtype.code == dlpack::code_complex && nb::cast<bool>(call_method(object, is_conj))) {
    throw ArgumentError(label(position, object) +
                        " is a lazily conjugated view, whose memory is not conjugated; pass x.resolve_conj()");
  }
  if (nb::cast<bool>(call_method(object, is_neg))) {
    throw ArgumentError(label(position, object) +
                        " is a lazily negated view, whose memory is not negated; pass x.resolve_neg()");
  }
}

const dlpack::ExchangeApi *find_exchange_api(PyTypeObject *type) {
  nb::object attribute =
      nb::getattr(nb::borrow(reinterpret_cast<PyObject *>(type)), "__dlpack_c_exchange_api__", nb::object());
  if (!attribute.is_valid() || !PyCapsule_IsValid(attribute.ptr(), "dlpack_exchange_api")) return nullptr;
  auto *header =
      static_cast<const dlpack::ExchangeApiHeader *>(PyCapsule_GetPointer(attribute.ptr(), "dlpack_exchange_api"));
  while (header != nullptr && header->version.major != dlpack::major_version) header = header->previous_api;
  auto *api = reinterpret_cast<const dlpack::ExchangeApi *>(header);
  return api != nullptr && api->dltensor_from_py_object_no_sync != nullptr ? api : nullptr;
}

// DLPack lets a consumer keep tables by exact type. The types seen first are kept for good, so that threads may look
// without a lock: an entry, once there, never changes.
constinit std::array<std::atomic<const TensorType *>, 64> kept_types{};

std::size_t home_slot(PyTypeObject *type) {
  return (reinterpret_cast<std::uintptr_t>(type) >> 4) % kept_types.size();
}

// The entry of the type, or null where it has none; `slot` is then the free one where it belongs, if there is one.
[[gnu::noinline]] const TensorType *search_kept_types(PyTypeObject *type, std::size_t &slot) {
  for (std::size_t probe = 0; probe < kept_types.size(); ++probe) {
    slot = (home_slot(type) + probe) % kept_types.size();
    const TensorType *entry = kept_types[slot].load(std::memory_order_acquire);
    if (entry == nullptr || entry->type == type) return entry;
  }
  slot = kept_types.size();
  return nullptr;
}

inline const TensorType *find_kept_type(PyTypeObject *type, std::size_t &slot) {
  const TensorType *first = kept_types[home_slot(type)].load(std::memory_order_acquire);
  if (first != nullptr && first->type == type) [[likely]]
    return first;
  return search_kept_types(type, slot);
}

// Null for a type without a table.
const TensorType *tensor_type(PyObject *tensor, TensorType &unkept) {
  PyTypeObject *type = Py_TYPE(tensor);
  std::size_t slot = 0;
  if (const TensorType *entry = find_kept_type(type, slot)) return entry;
  unkept.type = type;
  unkept.api = find_exchange_api(type);
  if (unkept.api == nullptr) return nullptr;
  unkept.reader = TorchTensorReader::find(tensor);
  PyObject *object = reinterpret_cast<PyObject *>(type);
  unkept.has_lazy_views = PyObject_HasAttrString(object, "resolve_conj") != 0;
  if (slot == kept_types.size()) return &unkept;
  auto entry = std::make_unique<TensorType>(unkept);
  const TensorType *expected = nullptr;
  if (!kept_types[slot].compare_exchange_strong(expected, entry.get(), std::memory_order_release,
                                                std::memory_order_relaxed)) {
    return &unkept;  // another thread came first
  }
  Py_INCREF(object);  // its address is not used again
  return entry.release();
}

void read_managed(std::size_t position, PyObject *object, PyObject *capsule, TensorView &view) {
  if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
    auto *managed = static_cast<dlpack::ManagedTensorVersioned *>(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
    if (managed->version.major != dlpack::major_version) {
      throw ArgumentError(label(position, object) + " exports DLPack version " +
                          std::to_string(managed->version.major) + ", but only version 1 is understood");
    }
    read_description(position, object, managed->tensor, view);
    view.is_read_only = (managed->flags & dlpack::flag_read_only) != 0;
    view.is_copy = (managed->flags & dlpack::flag_is_copied) != 0;
    return;
  }
  if (!PyCapsule_IsValid(capsule, "dltensor")) {
    throw ArgumentError(label(position, object) + ": __dlpack__() returned " + type_name(capsule) +
                        ", not a DLPack capsule");
  }
  auto *managed = static_cast<dlpack::ManagedTensor *>(PyCapsule_GetPointer(capsule, "dltensor"));
  read_description(position, object, managed->tensor, view);
}

// Asks for the versioned form first, as the Python specification says; older producers don't know the keyword.
nb::object export_capsule(PyObject *object) {
  nb::object method = nb::borrow(object).attr("__dlpack__");
  try {
    return method(nb::arg("max_version") = nb::make_tuple(1, 0));
  } catch (nb::python_error &error) {
    if (!error.matches(PyExc_TypeError)) throw;
  }
  return method();
}

}  // namespace

ExportedTensors::~ExportedTensors() {
  // A capsule that nobody has consumed releases its tensor itself.
  for (PyObject *capsule : capsules_) Py_DECREF(capsule);
}

// Versions of torch that add the offset to the buffer's address leave 0 in its field.
static void find_metal_buffer(PyObject *object, TensorView &view) {
  if (view.byte_offset != 0) return;
  static PyObject *const storage_offset = interned("storage_offset");
  PyObject *offset = PyObject_VectorcallMethod(storage_offset, &object, 1, nullptr);
  if (offset == nullptr) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) throw nb::python_error();
    return PyErr_Clear();  // another library's tensor
  }
  separate_storage_offset(view.data, view.byte_offset, nb::cast<std::uint64_t>(nb::steal(offset)) * element_size(view));
}

[[noreturn]] static void refuse_producer(std::size_t position, PyObject *object) {
  nb::python_error error;
  throw ArgumentError(label(position, object) + " has no memory that a kernel could use: " +
                      refusal_of_producer(error) + ". Kernels take dense, strided tensors with data");
}

[[gnu::noinline]] static void read_by_table(PyObject *object, std::size_t position, const TensorType &type,
                                            TensorView &view) {
  dlpack::Tensor tensor;
  if (type.api->dltensor_from_py_object_no_sync(object, &tensor) != 0) refuse_producer(position, object);
  read_description(position, object, tensor, view);
  if (view.device == DeviceKind::mps && !is_empty(view)) find_metal_buffer(object, view);
}

// Strides of torch's own tensors are never negative.
[[gnu::always_inline]] static inline void read_natively(PyObject *object, std::size_t position, const TensorType &type,
                                                        TensorView &view) {
  if (type.reader == nullptr || !type.reader->read(object, *type.api, view))
    read_by_table(object, position, type, view);
  if (view.data == nullptr) [[unlikely]]
    refuse_missing_memory(position, object, view);
  if (may_be_lazy_view(view) && type.has_lazy_views) refuse_lazy_views(position, object, view.dtype);
}

bool read_known_tensor(PyObject *object, std::size_t position, TensorView &view) {
  std::size_t slot = 0;
  const TensorType *type = find_kept_type(Py_TYPE(object), slot);
  if (type == nullptr) return false;
  read_natively(object, position, *type, view);
  return true;
}

bool read_exchange_tensor(PyObject *object, std::size_t position, TensorView &view) {
  TensorType unkept;
  const TensorType *type = tensor_type(object, unkept);
  if (type == nullptr) return false;
  read_natively(object, position, *type, view);
  return true;
}

bool describe_tensor(PyObject *object, TensorView &view) {
  TensorType unkept;
  const TensorType *type = tensor_type(object, unkept);
  if (type == nullptr) return false;
  if (type->reader != nullptr && type->reader->read(object, *type->api, view)) return true;
  dlpack::Tensor tensor;
  if (type->api->dltensor_from_py_object_no_sync(object, &tensor) != 0) {
    PyErr_Clear();
    return false;
  }
  const bool is_metal = tensor.device.type == dlpack::device_metal;
  if (!is_metal && tensor.device.type != dlpack::device_cpu) return false;
  adopt(tensor, view);
  view.device = is_metal ? DeviceKind::mps : DeviceKind::cpu;
  return view.strides != nullptr;
}

bool is_read_directly(PyObject *object) {
  std::size_t slot = 0;
  const TensorType *type = find_kept_type(Py_TYPE(object), slot);
  TensorView view;
  return type != nullptr && type->reader != nullptr && type->reader->read(object, *type->api, view);
}

bool read_exported_tensor(PyObject *object, std::size_t position, TensorView &view, ExportedTensors &exported) {
  PyObject *type = reinterpret_cast<PyObject *>(Py_TYPE(object));
  if (!PyObject_HasAttrString(type, "__dlpack__") || !PyObject_HasAttrString(type, "__dlpack_device__")) return false;
  try {
    nb::tuple device(nb::borrow(object).attr("__dlpack_device__")());
    device_kind(position, object, {nb::cast<std::int32_t>(nb::int_(device[0])), nb::cast<std::int32_t>(device[1])});
    nb::object capsule = export_capsule(object);
    read_managed(position, object, capsule.ptr(), view);
    exported.keep(capsule.release().ptr());
  } catch (nb::python_error &error) {
    // For tensors that require a gradient, torch's own message tells to use detach().
    throw ArgumentError(label(position, object) +
                        " cannot be exported with __dlpack__(): " + refusal_of_producer(error));
  }
  return true;
}

}  // namespace helion_msl
