// The part of DLPack's binary interface that a consumer reads: the tensor description, the two managed forms that
// `__dlpack__` hands out in capsules, and the table of C functions in `type(tensor).__dlpack_c_exchange_api__`.
//
// Layouts and values are those of the DLPack specification 1.3 (https://dmlc.github.io/dlpack/latest/c_api.html) and
// of its Python specification (https://dmlc.github.io/dlpack/latest/python_spec.html).
#pragma once

#include <cstdint>

namespace helion_msl::dlpack {

// Layouts change with the major version only.
inline constexpr std::uint32_t major_version = 1;

struct Version {
  std::uint32_t major;
  std::uint32_t minor;
};

// The device types that have a name in this package's messages.
enum DeviceType : std::int32_t {
  device_cpu = 1,
  device_cuda = 2,
  device_cuda_host = 3,
  device_opencl = 4,
  device_vulkan = 7,
  device_metal = 8,
  device_rocm = 10,
  device_rocm_host = 11,
  device_cuda_managed = 13,
  device_oneapi = 14,
  device_maia = 17,
};

struct Device {
  std::int32_t type;
  std::int32_t id;
};

enum TypeCode : std::uint8_t {
  code_int = 0,
  code_uint = 1,
  code_float = 2,
  code_bfloat = 4,
  code_complex = 5,
  code_bool = 6,
  code_float8_e3m4 = 7,
  code_float8_e4m3 = 8,
  code_float8_e4m3b11fnuz = 9,
  code_float8_e4m3fn = 10,
  code_float8_e4m3fnuz = 11,
  code_float8_e5m2 = 12,
  code_float8_e5m2fnuz = 13,
  code_float8_e8m0fnu = 14,
  code_float6_e2m3fn = 15,
  code_float6_e3m2fn = 16,
  code_float4_e2m1fn = 17,
};

struct DataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct Tensor {
  void *data;
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t *shape;
  std::int64_t *strides;  // in elements; null means contiguous before version 1.2
  std::uint64_t byte_offset;
};

// Capsule "dltensor", the form without a version.
struct ManagedTensor {
  Tensor tensor;
  void *manager_context;
  void (*deleter)(ManagedTensor *self);
};

inline constexpr std::uint64_t flag_read_only = 1u << 0;
inline constexpr std::uint64_t flag_is_copied = 1u << 1;

// Capsule "dltensor_versioned".
struct ManagedTensorVersioned {
  Version version;
  void *manager_context;
  void (*deleter)(ManagedTensorVersioned *self);
  std::uint64_t flags;
  Tensor tensor;
};

struct ExchangeApiHeader {
  Version version;
  ExchangeApiHeader *previous_api;  // an older table, or null
};

// Capsule "dlpack_exchange_api". The functions that this package does not call are kept as untyped addresses.
struct ExchangeApi {
  ExchangeApiHeader header;
  void *managed_tensor_allocator;
  void *managed_tensor_from_py_object_no_sync;
  void *managed_tensor_to_py_object_no_sync;
  // Describes a tensor without owning it: 0, or -1 with a Python exception set. May be null.
  int (*dltensor_from_py_object_no_sync)(void *py_object, Tensor *out);
  void *current_work_stream;
};

}  // namespace helion_msl::dlpack
