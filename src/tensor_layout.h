// What a tensor's shape and strides say about its memory. Worked out where somebody asks, as few launches do.
#pragma once

#include <cstddef>
#include <cstdint>

#include "argument_value.h"

namespace helion_msl {

struct TensorLayout {
  std::uint64_t element_count = 1;  // product of the shape
  bool is_contiguous = true;  // each element next to the one before, in the order of the dimensions, or no elements
};

inline TensorLayout layout_of(const TensorView &tensor) {
  std::uint64_t count = 1;
  std::uint64_t gaps = 0;  // other than 0 where a stride is not what contiguous elements have
  for (std::ptrdiff_t i = tensor.dimension_count; i-- > 0;) {
    const auto size = static_cast<std::uint64_t>(tensor.shape[i]);
    const auto stride = tensor.strides != nullptr ? static_cast<std::uint64_t>(tensor.strides[i]) : count;
    // The stride of a dimension with one element means nothing, and may be any number.
    gaps |= size > 1 ? stride ^ count : 0;
    count *= size;
  }
  return {.element_count = count, .is_contiguous = gaps == 0 || count == 0};
}

// Where the last element is, in elements from the first; of no meaning for a tensor without elements.
inline std::uint64_t last_element(const TensorView &tensor) {
  if (tensor.strides == nullptr) return layout_of(tensor).element_count - 1;
  std::uint64_t last = 0;
  for (std::int32_t i = 0; i < tensor.dimension_count; ++i) {
    last += static_cast<std::uint64_t>(tensor.shape[i] - 1) * static_cast<std::uint64_t>(tensor.strides[i]);
  }
  return last;
}

inline bool has_negative_stride(const TensorView &tensor) {
  bool found = false;
  for (std::int32_t i = 0; tensor.strides != nullptr && i < tensor.dimension_count; ++i) {
    found |= tensor.shape[i] > 1 && tensor.strides[i] < 0;
  }
  return found;
}

inline bool is_empty(const TensorView &tensor) {
  return layout_of(tensor).element_count == 0;
}

inline std::uint64_t element_size(const TensorView &tensor) {
  return (std::uint64_t{tensor.dtype.bits} * tensor.dtype.lanes + 7) / 8;
}

// Bytes from the first element to the end of the last one.
inline std::uint64_t byte_span(const TensorView &tensor) {
  return is_empty(tensor) ? 0 : (last_element(tensor) + 1) * element_size(tensor);
}

}  // namespace helion_msl
