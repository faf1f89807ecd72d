// Text between C++ and Foundation.
#pragma once

#include <string>

#import "metal_platform.h"
#include "retained.h"

namespace helion_msl {

inline std::string text_of(NSString *string) {
  const char *bytes = string.UTF8String;
  return bytes == nullptr ? std::string() : std::string(bytes);
}

// Empty where `text` is no UTF-8. Ends at the first zero byte.
inline Retained<NSString *> make_string(const std::string &text) {
  return Retained<NSString *>::retain([NSString stringWithUTF8String:text.c_str()]);
}

// Empty where `path` is no UTF-8, which Apple's file systems have no other names than.
inline Retained<NSURL *> make_file_url(const std::string &path) {
  const Retained<NSString *> text = make_string(path);
  return text ? Retained<NSURL *>::retain([NSURL fileURLWithPath:text.get()]) : Retained<NSURL *>();
}

// What Metal says went wrong, for the end of a message.
inline std::string describe(NSError *error) {
  if (error == nil) return "no reason given";
  return text_of(error.localizedDescription) + " (" + text_of(error.domain) + " " + std::to_string(error.code) + ")";
}

}  // namespace helion_msl
