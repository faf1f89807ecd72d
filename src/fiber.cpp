#include "fiber.h"

#include <pthread.h>

#include <array>
#include <cstdint>
#include <cstring>

#if HELION_MSL_ASAN
#include <sanitizer/asan_interface.h>
#endif

// POSIX contexts serve where the switch has not been written in assembly, some fifty times as slowly. Defining the
// macro chooses them anywhere.
#if !defined(HELION_MSL_UCONTEXT)
#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(__ILP32__) && (defined(__linux__) || defined(__APPLE__))
#define HELION_MSL_UCONTEXT 0
#else
#define HELION_MSL_UCONTEXT 1
#endif
#endif

#if HELION_MSL_UCONTEXT
#include <ucontext.h>
#endif

// clang-format off
#if defined(__APPLE__)
#define FIBER_FUNCTION(name) ".private_extern _" name "\n.globl _" name "\n.p2align 4\n_" name ":\n"
#else
#define FIBER_FUNCTION(name) ".hidden " name "\n.globl " name "\n.type " name ", %function\n.p2align 4\n" name ":\n"
#endif
// clang-format on

#if HELION_MSL_UCONTEXT

extern "C" void helion_fiber_switch(void **save, void *const *resume) {
  ucontext_t suspended;
  *save = &suspended;
  swapcontext(&suspended, static_cast<ucontext_t *>(*resume));
}

#elif defined(__x86_64__)

// System V AMD64 ABI, 3.2.1: a call preserves rbx, rbp, r12 to r15 (and the control words, see fiber.h). The entry of a
// new fiber finds its function in r12 and the argument in r13, put there by start_fiber.
//
// The way back is a jump: processors foretell where a `ret` goes from the last `call`, which was the other fiber's.
// Where fibers wait at two barriers in turn that is always wrong, and costs more than all the rest of the switch.
asm(".text\n"
    FIBER_FUNCTION("helion_fiber_switch")
    "  pushq %rbp\n"
    "  pushq %rbx\n"
    "  pushq %r12\n"
    "  pushq %r13\n"
    "  pushq %r14\n"
    "  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq (%rsi), %rsp\n"
    "  popq %r15\n"
    "  popq %r14\n"
    "  popq %r13\n"
    "  popq %r12\n"
    "  popq %rbx\n"
    "  popq %rbp\n"
    "  popq %rcx\n"
    "  jmpq *%rcx\n"
    FIBER_FUNCTION("helion_fiber_entry")
    ".cfi_startproc\n"
    ".cfi_undefined %rip\n"
    "  movq %r13, %rdi\n"
    "  callq *%r12\n"
    "  ud2\n"
    ".cfi_endproc\n");

#elif defined(__aarch64__)

// AAPCS64, 6.1: a call preserves x19 to x28, the frame record x29/x30, and the low halves of v8 to v15. The entry of a
// new fiber finds its function in x19 and the argument in x20.
asm(".text\n"
    FIBER_FUNCTION("helion_fiber_switch")
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp, #0]\n"
    "  stp x21, x22, [sp, #16]\n"
    "  stp x23, x24, [sp, #32]\n"
    "  stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]\n"
    "  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n"
    "  stp d10, d11, [sp, #112]\n"
    "  stp d12, d13, [sp, #128]\n"
    "  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n"
    "  str x9, [x0]\n"
    "  ldr x9, [x1]\n"
    "  mov sp, x9\n"
    "  ldp x19, x20, [sp, #0]\n"
    "  ldp x21, x22, [sp, #16]\n"
    "  ldp x23, x24, [sp, #32]\n"
    "  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]\n"
    "  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n"
    "  ldp d10, d11, [sp, #112]\n"
    "  ldp d12, d13, [sp, #128]\n"
    "  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n"
    "  ret\n"
    FIBER_FUNCTION("helion_fiber_entry")
    ".cfi_startproc\n"
    ".cfi_undefined x30\n"
    "  mov x0, x20\n"
    "  blr x19\n"
    "  brk #1\n"
    ".cfi_endproc\n");

#endif

#if !HELION_MSL_UCONTEXT
extern "C" void helion_fiber_entry();
#endif

namespace helion_msl {

#if HELION_MSL_UCONTEXT

namespace {

// makecontext passes only ints, so the pointers travel as halves.
void enter_fiber(unsigned entry_high, unsigned entry_low, unsigned argument_high, unsigned argument_low) {
  const auto join = [](unsigned high, unsigned low) {
    return static_cast<std::uintptr_t>((static_cast<std::uint64_t>(high) << 32) | low);
  };
  reinterpret_cast<FiberEntry>(join(entry_high, entry_low))(
      reinterpret_cast<void *>(join(argument_high, argument_low)));
}

void *prepare_stack(std::byte *top, std::size_t size, FiberEntry entry, void *argument) {
  constexpr std::size_t reserved = (sizeof(ucontext_t) + 63) / 64 * 64;
  auto *context = reinterpret_cast<ucontext_t *>(top - reserved);
  getcontext(context);
  context->uc_stack.ss_sp = top - size;
  context->uc_stack.ss_size = size - reserved;
  context->uc_link = nullptr;
  const auto function = std::uint64_t{reinterpret_cast<std::uintptr_t>(entry)};
  const auto value = std::uint64_t{reinterpret_cast<std::uintptr_t>(argument)};
  makecontext(context, reinterpret_cast<void (*)()>(&enter_fiber), 4, static_cast<unsigned>(function >> 32),
              static_cast<unsigned>(function), static_cast<unsigned>(value >> 32), static_cast<unsigned>(value));
  return context;
}

}  // namespace

#else

namespace {

// Lays out what helion_fiber_switch pops, so that it "returns" to helion_fiber_entry with an aligned stack.
void *prepare_stack(std::byte *top, std::size_t, FiberEntry entry, void *argument) {
  const auto function = reinterpret_cast<std::uintptr_t>(entry);
  const auto value = reinterpret_cast<std::uintptr_t>(argument);
  const auto start = reinterpret_cast<std::uintptr_t>(&helion_fiber_entry);
#if defined(__x86_64__)
  // r15, r14, r13, r12, rbx, rbp, the return address; two more words keep the stack aligned at the call of the entry.
  const std::array<std::uintptr_t, 9> frame{0, 0, value, function, 0, 0, start, 0, 0};
#else
  std::array<std::uintptr_t, 20> frame{};
  frame[0] = function;  // x19
  frame[1] = value;     // x20
  frame[11] = start;    // x30
#endif
  std::byte *stack_pointer = top - sizeof(frame);
  std::memcpy(stack_pointer, frame.data(), sizeof(frame));
  return stack_pointer;
}

}  // namespace

#endif

void start_fiber(Fiber &fiber, std::byte *top, [[maybe_unused]] std::size_t size, FiberEntry entry, void *argument) {
#if HELION_MSL_ASAN
  // Frames that ran here and were abandoned have left poisoned redzones.
  __asan_unpoison_memory_region(top - size, size);
  fiber.fake_stack = nullptr;
  fiber.stack_bottom = top - size;
  fiber.stack_size = size;
#endif
  fiber.stack_pointer = prepare_stack(top, size, entry, argument);
}

void describe_thread_stack([[maybe_unused]] Fiber &fiber) {
#if HELION_MSL_ASAN
#if defined(__APPLE__)
  fiber.stack_size = pthread_get_stacksize_np(pthread_self());
  fiber.stack_bottom = static_cast<std::byte *>(pthread_get_stackaddr_np(pthread_self())) - fiber.stack_size;
#else
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  void *bottom = nullptr;
  pthread_attr_getstack(&attributes, &bottom, &fiber.stack_size);
  fiber.stack_bottom = bottom;
  pthread_attr_destroy(&attributes);
#endif
#endif
}

}  // namespace helion_msl
