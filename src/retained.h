// Ownership of Objective-C objects in C++: the .mm files are built without ARC, because the GNU runtime has none.
#pragma once

#include <utility>

namespace helion_msl {

// Owns one reference to an Objective-C object. `Object` is a pointer type, NSString * or id<MTLDevice>.
template <class Object>
class Retained {
 public:
  Retained() = default;
  // Takes over the reference that a method of the alloc, new, copy or mutableCopy family returned.
  static Retained adopt(Object object) {
    Retained owner;
    owner.object_ = object;
    return owner;
  }
  // Adds a reference to an object that somebody else owns, or that is autoreleased.
  static Retained retain(Object object) { return adopt([object retain]); }

  Retained(const Retained &other) : object_([other.object_ retain]) {}
  Retained(Retained &&other) noexcept : object_(std::exchange(other.object_, nil)) {}
  Retained &operator=(Retained other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Retained() { [object_ release]; }

  Object get() const { return object_; }
  explicit operator bool() const { return object_ != nil; }

 private:
  Object object_ = nil;
};

}  // namespace helion_msl
