// The border between C++ and Objective-C exceptions.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
#include <exception>
#include <string>
#include <type_traits>
#include <utility>

#include "errors.h"

extern "C" {
#endif

// Calls `body(context)`. Where an Objective-C exception leaves it, returns false and writes the exception's name and
// reason into `message`, cut to `capacity` bytes; of an object that is no NSException, its class.
bool helion_msl_try(void (*body)(void *context), void *context, char *message, size_t capacity);

#ifdef __cplusplus
}

namespace helion_msl {

// Calls `body()`. C++ exceptions pass; an Objective-C exception becomes an `ErrorType` that says what was being done.
// C++ and Objective-C frames are kept apart, so that this holds for both runtimes: Apple's, which knows both kinds of
// exceptions, and GNU's, which does not.
template <class ErrorType, class Body>
void guard_objective_c(const char *doing, Body &&body) {
  struct Call {
    std::remove_reference_t<Body> &body;
    std::exception_ptr error;
  } call{body, nullptr};
  constexpr std::size_t capacity = 1024;
  char message[capacity];
  const bool returned = helion_msl_try(
      [](void *context) {
        auto &running = *static_cast<Call *>(context);
        try {
          running.body();
        } catch (const std::exception &) {
          running.error = std::current_exception();
        }
      },
      &call, message, capacity);
  if (call.error) std::rethrow_exception(std::move(call.error));
  if (!returned) throw ErrorType(std::string(doing) + ": Metal raised " + message);
}

}  // namespace helion_msl
#endif
