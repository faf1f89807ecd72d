// Room for the arguments of one launch.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

#include "argument_binding.h"

namespace helion_msl {

// Room for `count` values: on the stack as far as Metal's table of buffers goes, on the heap beyond it.
template <class T>
class ArgumentArray {
 public:
  explicit ArgumentArray(std::size_t count) : count_(count) {
    if (count > max_buffer_count) heap_ = std::make_unique<T[]>(count);
  }
  std::span<T> span() { return {heap_ ? heap_.get() : reinterpret_cast<T *>(stack_), count_}; }

 private:
  static_assert(std::is_trivially_destructible_v<T>);
  std::size_t count_;
  std::unique_ptr<T[]> heap_;
  alignas(T) std::byte stack_[max_buffer_count * sizeof(T)];
};

}  // namespace helion_msl
