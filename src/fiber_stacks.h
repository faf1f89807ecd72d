// The memory of the stacks that fibers run on.
#pragma once

#include <cstddef>
#include <vector>

#include "helion_host/abi.h"

namespace helion_msl {

// Stacks for the threads of one threadgroup at a time, with a page below each that faults instead of letting an
// overflow reach the next stack. Memory is reserved a simdgroup at a time and comes into being where it is touched; a
// stack's place in it tells the lane (HELION_HOST_STACK_SIZE).
class FiberStacks {
 public:
  static constexpr std::size_t stack_size = HELION_HOST_STACK_SIZE;
  // What a kernel may put on it; the rest is for the functions that it calls. Refused when the kernel is compiled.
  static constexpr std::size_t max_frame_size = stack_size / 4 * 3;
  static constexpr std::size_t stacks_per_block = HELION_HOST_SIMD_WIDTH;

  FiberStacks() = default;
  FiberStacks(const FiberStacks &) = delete;
  FiberStacks &operator=(const FiberStacks &) = delete;
  ~FiberStacks();

  std::size_t count() const { return blocks_.size() * stacks_per_block; }
  // Makes count() at least `count`. Throws LaunchError where the system has no address space left.
  void reserve(std::size_t count);
  // The end of the bytes that stack `index` may use.
  std::byte *top(std::size_t index) const;
  // The bytes below top(index).
  std::size_t size(std::size_t index) const;
  // Gives memory back to the system where a kernel with large frames has left much of it behind.
  void trim();

 private:
  std::vector<std::byte *> blocks_;
};

}  // namespace helion_msl
