// An autorelease pool that C++ exceptions drain too: they leave @autoreleasepool { } without draining it, which leaks
// what was autoreleased until the thread ends.
#pragma once

#include "metal_platform.h"

#ifndef GNUSTEP
// What @autoreleasepool compiles to (clang, "Objective-C Automatic Reference Counting", runtime support).
extern "C" void *objc_autoreleasePoolPush(void);
extern "C" void objc_autoreleasePoolPop(void *pool);
#endif

namespace helion_msl {

class AutoreleasePool {
 public:
  AutoreleasePool() = default;
  AutoreleasePool(const AutoreleasePool &) = delete;
  AutoreleasePool &operator=(const AutoreleasePool &) = delete;
#ifdef GNUSTEP
  ~AutoreleasePool() { [pool_ drain]; }

 private:
  NSAutoreleasePool *pool_ = [[NSAutoreleasePool alloc] init];
#else
  ~AutoreleasePool() { objc_autoreleasePoolPop(pool_); }

 private:
  void *pool_ = objc_autoreleasePoolPush();
#endif
};

}  // namespace helion_msl
