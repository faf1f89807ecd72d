// What the caller passed for one argument of a launch, as read off the Python object, before the kernel is asked what
// it wants there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dlpack_abi.h"
#include "engine.h"

namespace helion_msl {

// A tensor's memory, type and shape, of which tensor_layout.h tells more. Borrows everything from the Python object.
struct TensorView {
  void *data = nullptr;  // cpu: address of the first byte of the allocation or of the tensor; mps: id<MTLBuffer>
  std::uint64_t byte_offset = 0;  // from `data` to the first element
  dlpack::DataType dtype{};
  DeviceKind device = DeviceKind::cpu;
  bool is_read_only = false;  // the producer forbids writing
  bool is_copy = false;       // the producer made a copy for this export: writes would be lost
  std::int32_t dimension_count = 0;
  const std::int64_t *shape = nullptr;
  const std::int64_t *strides = nullptr;  // in elements; null means contiguous
};

// A Python integer of any size.
struct IntegerValue {
  bool is_negative = false;
  bool exceeds_64_bits = false;
  std::uint64_t magnitude = 0;  // where it fits 64 bits
  double approximation = 0;     // where it does not; infinite beyond the range of double
};

struct ArgumentValue {
  enum class Kind : std::uint8_t { tensor, boolean, integer, real, bytes };

  Kind kind = Kind::boolean;
  union {
    TensorView tensor;
    bool boolean = false;
    IntegerValue integer;
    double real;
    std::span<const std::byte> bytes;
  };

  // Deliberately trivial to leave uninitialized in arrays: a launch has room for 31 and fills as many as it is given.
  ArgumentValue() {}
};

}  // namespace helion_msl
