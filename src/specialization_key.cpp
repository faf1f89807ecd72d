#include "specialization_key.h"

#include <bit>
#include <cstring>

#include "tensor_layout.h"

namespace helion_msl {
namespace {

constexpr std::uint64_t beyond_32_bits = std::uint64_t{1} << 31;
// From here on indices into a tensor have 64 bits: threads behind the end of a tensor, and the last turn of a loop over
// it, count beyond what it has, and an int must hold that too.
constexpr std::uint64_t large = beyond_32_bits - (std::uint64_t{1} << 24);
constexpr std::int32_t max_ranks_with_strides = 64;  // torch's limit too
// Of the word that describes a tensor.
constexpr std::uint64_t contiguous_bit = std::uint64_t{1} << 8;
constexpr std::uint64_t large_bit = std::uint64_t{1} << 9;

std::uint64_t mix(std::uint64_t value) {
  value ^= value >> 32;
  value *= 0x9fb21c651e98df25u;
  return value ^ value >> 28;
}

}  // namespace

bool SpecializationKey::add_tensor(const TensorView &tensor) {
  const std::uint64_t kind = tensor_tag | static_cast<std::uint64_t>(tensor.device) << 12 |
                             std::uint64_t{static_cast<std::uint32_t>(tensor.dimension_count)} << 16 |
                             std::uint64_t{std::bit_cast<std::uint32_t>(tensor.dtype)} << 32;
  const TensorLayout layout = layout_of(tensor);
  if (!layout.is_contiguous) return add_strided_tensor(tensor, kind);
  add(kind | contiguous_bit | (layout.element_count >= large ? large_bit : 0));
  return true;
}

[[gnu::noinline]] bool SpecializationKey::add_strided_tensor(const TensorView &tensor, std::uint64_t kind) {
  if (tensor.dimension_count > max_ranks_with_strides) return false;
  const bool is_large = layout_of(tensor).element_count >= large || last_element(tensor) >= large;
  add(kind | (is_large ? large_bit : 0));
  // Strides of 1 are fixed in the kernel, others travel with the launch.
  std::uint64_t unit_strides = 0;
  for (std::int32_t i = 0; i < tensor.dimension_count; ++i) {
    if (tensor.strides[i] == 1) unit_strides |= std::uint64_t{1} << i;
  }
  add(unit_strides);
  return true;
}

bool SpecializationKey::add_argument(const ArgumentValue &value) {
  switch (value.kind) {
    case ArgumentValue::Kind::tensor:
      return add_tensor(value.tensor);
    case ArgumentValue::Kind::integer: {
      const IntegerValue &integer = value.integer;
      const std::uint64_t most = integer.is_negative ? beyond_32_bits : beyond_32_bits - 1;
      const bool fits_32_bits = !integer.exceeds_64_bits && integer.magnitude <= most;
      add(scalar_tag | static_cast<std::uint64_t>(value.kind) << 8 | std::uint64_t{fits_32_bits} << 16);
      return true;
    }
    case ArgumentValue::Kind::boolean:
    case ArgumentValue::Kind::real:
      add(scalar_tag | static_cast<std::uint64_t>(value.kind) << 8);
      return true;
    case ArgumentValue::Kind::bytes:
      break;
  }
  return false;
}

bool SpecializationKey::add_constant(const ArgumentValue &value) {
  const std::uint64_t tag = constant_tag | static_cast<std::uint64_t>(value.kind) << 8;
  switch (value.kind) {
    case ArgumentValue::Kind::integer:
      if (value.integer.exceeds_64_bits) return false;
      add(tag | std::uint64_t{value.integer.is_negative} << 16);
      add(value.integer.magnitude);
      return true;
    case ArgumentValue::Kind::boolean:
      add(tag | std::uint64_t{value.boolean} << 16);
      return true;
    case ArgumentValue::Kind::real:
      add(tag);
      add(std::bit_cast<std::uint64_t>(value.real));
      return true;
    default:
      return false;
  }
}

void SpecializationKey::add_dimensions(Dimensions size) {
  add(size.x | std::uint64_t{size.y} << 32);
  add(size.z);
}

void SpecializationKey::add_identity(void *object) {
  if (identity_count_ == identities_.size()) {
    count_ = capacity + 1;
    return;
  }
  identities_[identity_count_++] = object;
  add(identity_tag);
  add(reinterpret_cast<std::uintptr_t>(object));
}

std::uint64_t hash_of(std::span<const std::uint64_t> words) {
  std::uint64_t hash = words.size();
  for (const std::uint64_t word : words) hash = mix(hash ^ word) + word;
  return hash;
}

bool are_equal(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace helion_msl
