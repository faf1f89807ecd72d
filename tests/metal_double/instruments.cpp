// Counts what the extension does besides sending messages: mutexes that it locks and memory that it allocates. The
// linker leads its calls of pthread_mutex_lock here (--wrap); allocations are reported by AddressSanitizer.
#include <pthread.h>

#include <cstddef>

#include "double_state.h"

namespace {

// In the thread's own block from its start: memory for it would be allocated at the first use, inside of the hook.
__attribute__((tls_model("initial-exec"))) thread_local bool is_watched = false;

}  // namespace

extern "C" {

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex) {
  if (is_watched && !metal_double::is_in_double()) ++metal_double::counters().engine_locks;
  return __real_pthread_mutex_lock(mutex);
}

// Of <sanitizer/allocator_interface.h>; absent where the process runs without AddressSanitizer.
__attribute__((weak)) int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void *,
                                                                                        std::size_t),
                                                                    void (*free_hook)(const volatile void *));

// Counts on the calling thread from now on, or no more. False where allocations cannot be counted.
__attribute__((visibility("default"))) int metal_double_watch_thread(int on) {
  is_watched = on != 0;
  if (__sanitizer_install_malloc_and_free_hooks == nullptr) return 0;
  static const int hooks_installed = __sanitizer_install_malloc_and_free_hooks(
      [](const volatile void *, std::size_t) {
        if (is_watched && !metal_double::is_in_double()) ++metal_double::counters().engine_allocations;
      },
      [](const volatile void *) {});
  return hooks_installed != 0;
}

}  // extern "C"
