// Fibers: a stack of its own for every GPU thread, and the switch from one to another. A switch costs a few
// nanoseconds, because it is a plain function call that returns on another stack.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define HELION_MSL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HELION_MSL_ASAN 1
#endif
#endif
#if !defined(HELION_MSL_ASAN)
#define HELION_MSL_ASAN 0
#endif

#if HELION_MSL_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace helion_msl {

// Where a computation that is not running goes on: the stack pointer below which its registers are saved.
struct Fiber {
  void *stack_pointer = nullptr;
#if HELION_MSL_ASAN
  void *fake_stack = nullptr;
  const void *stack_bottom = nullptr;
  std::size_t stack_size = 0;
#endif
};

using FiberEntry = void (*)(void *argument);

// Makes `fiber` call entry(argument), which never returns, when it is first switched to. `top` is the end of the
// `size` bytes of its stack; what ran on them before is forgotten, without unwinding.
void start_fiber(Fiber &fiber, std::byte *top, std::size_t size, FiberEntry entry, void *argument);

// Fills in what AddressSanitizer must know about the stack that the calling OS thread runs on.
void describe_thread_stack(Fiber &fiber);

// Saves the running computation in *save and continues the one in *resume, which may be the same. The registers that
// a call may change are dead here, so only those that a call preserves are saved. MSL cannot change the floating-point
// control registers, so all fibers of an OS thread share them.
extern "C" void helion_fiber_switch(void **save, void *const *resume);

#if HELION_MSL_ASAN
inline void switch_fiber(Fiber &from, Fiber &to) {
  __sanitizer_start_switch_fiber(&from.fake_stack, to.stack_bottom, to.stack_size);
  helion_fiber_switch(&from.stack_pointer, &to.stack_pointer);
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
}
#else
// Nothing may follow the switch: as a tail call it returns straight into the resumed kernel.
[[gnu::always_inline]] inline void switch_fiber(Fiber &from, Fiber &to) {
  helion_fiber_switch(&from.stack_pointer, &to.stack_pointer);
}
#endif

}  // namespace helion_msl
