// Objective-C, not Objective-C++: clang gives this file the exception personality that knows @catch on every runtime.
#include "objective_c_try.h"

#import <Foundation/Foundation.h>
#include <objc/runtime.h>
#include <stdio.h>

bool helion_msl_try(void (*body)(void *context), void *context, char *message, size_t capacity) {
  @try {
    body(context);
    return true;
  } @catch (NSException *exception) {
    @autoreleasepool {  // for the bytes of the texts
      const char *name = exception.name.UTF8String;
      const char *reason = exception.reason.UTF8String;
      snprintf(message, capacity, "%s: %s", name != NULL ? name : "an exception",
               reason != NULL ? reason : "no reason given");
    }
    return false;
  } @catch (id thrown) {
    // Any object can be thrown. What it answers to is unknown, so it is asked nothing.
    snprintf(message, capacity, "an object of class %s", object_getClassName(thrown));
    return false;
  }
}
