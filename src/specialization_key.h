// What tells one specialization of a kernel from another, as a row of numbers that is computed and compared without
// allocating: the kinds of its arguments, the values of its constants and the size of its threadgroup.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "argument_value.h"

namespace helion_msl {

// Every entry begins with a word that says how many follow, so that two different rows of entries never give the same
// row of words.
class SpecializationKey {
 public:
  // Enough for twice as many parameters as a kernel has buffers, half of them strided views.
  static constexpr std::size_t capacity = 96;

  // False once more was added than there is room for: such calls are not to be looked up.
  bool is_complete() const { return count_ <= capacity; }
  std::span<const std::uint64_t> words() const { return {words_.data(), count_}; }

  // Kind of a tensor or of a number that travels with the launch: dtype, rank, device, which strides are fixed, and
  // whether its indices need 64 bits; for a number its type, and for an integer whether it fits 32 bits. Returns false
  // for values that say nothing a key could hold.
  bool add_argument(const ArgumentValue &value);
  bool add_tensor(const TensorView &tensor);
  // A value that becomes part of the kernel. 1, 1.0 and True are different, so are 0.0 and -0.0; NaN equals itself.
  bool add_constant(const ArgumentValue &value);
  void add_none() { add(none_tag); }
  // A word of the caller's own, from 16 on where it begins an entry.
  void add_word(std::uint64_t word) { add(word); }
  void add_dimensions(Dimensions size);
  // An object that is told apart by its address; `identities` lists them, for whoever keeps the key to keep them too.
  void add_identity(void *object);
  std::span<void *const> identities() const { return {identities_.data(), identity_count_}; }
  // The start of a tuple with this many entries.
  void add_tuple(std::size_t size) { add(tuple_tag | size << 8); }

 private:
  enum Tag : std::uint64_t { none_tag = 1, tensor_tag, scalar_tag, constant_tag, tuple_tag, identity_tag };

  void add(std::uint64_t word) {
    if (count_ < capacity) words_[count_] = word;
    ++count_;
  }
  bool add_strided_tensor(const TensorView &tensor, std::uint64_t kind);

  std::size_t count_ = 0;
  std::array<std::uint64_t, capacity> words_;  // only `count_` of them are ever written
  std::size_t identity_count_ = 0;
  std::array<void *, 16> identities_;
};

std::uint64_t hash_of(std::span<const std::uint64_t> words);

// Whether two rows of words are the same.
bool are_equal(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b);

}  // namespace helion_msl
