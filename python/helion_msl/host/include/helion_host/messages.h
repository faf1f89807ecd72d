// Text with numbers in it, for what a translated kernel asserts and prints.
//
// A format is printf's, with one difference: a bare %g prints a float as Python does, with the fewest digits that read
// back as the same number, and ".0" behind a whole one.
#pragma once

#include "platform.h"
#include "scalar.h"

extern "C" {
long write(int file, const void *bytes, unsigned long count);
float strtof(const char *text, char **end);
long strtol(const char *text, char **end, int base);
}

namespace helion_host {

class message_text {
 public:
  template <class... A>
  explicit message_text(const char *format, A... values) : rest_(format) {
    (insert(values), ...);
    copy_literal();
    text_[size_] = 0;
  }
  const char *text() const { return text_; }
  // Ends the line, also that of a text that was too long.
  void print() {
    text_[size_] = '\n';
    unsigned long done = 0;
    while (done <= size_) {
      const long count = write(1, text_ + done, size_ + 1 - done);
      if (count <= 0) return;
      done += static_cast<unsigned long>(count);
    }
  }

 private:
  static constexpr unsigned long capacity = 1024;

  void put(char character) {
    if (size_ < capacity) text_[size_++] = character;
  }
  void copy_literal() {
    for (; *rest_ != 0; ++rest_) {
      if (*rest_ == '%' && rest_[1] != '%') return;
      if (*rest_ == '%') ++rest_;
      put(*rest_);
    }
  }
  template <class T>
  void insert(T value) {
    copy_literal();
    char specification[32];
    unsigned long length = 0;
    while (*rest_ != 0 && length + 1 < sizeof specification) {
      const char character = *rest_++;
      specification[length++] = character;
      if (character >= 'a' && character <= 'z' && character != 'l') break;
    }
    specification[length] = 0;
    char digits[128];
    if constexpr (__is_floating_point(T)) {
      if (length == 2 && specification[1] == 'g') return put_number(static_cast<float>(value));
      __builtin_snprintf(digits, sizeof digits, specification, static_cast<double>(value));
    } else {
      __builtin_snprintf(digits, sizeof digits, specification, value);
    }
    for (const char *digit = digits; *digit != 0; ++digit) put(*digit);
  }
  // As Python's repr: the fewest digits that read back as the value, plain from 1e-4 to below 1e16.
  void put_number(float value) {
    char digits[32];
    for (int precision = 0; precision <= 8; ++precision) {
      __builtin_snprintf(digits, sizeof digits, "%.*e", precision, static_cast<double>(value));
      if (strtof(digits, nullptr) == value) break;
    }
    const char *at = digits;
    if (*at == '-') put(*at++);
    if (*at < '0' || *at > '9') {  // inf and nan
      while (*at != 0) put(*at++);
      return;
    }
    char significant[16];
    int count = 0;
    for (; *at != 'e'; ++at) {
      if (*at != '.') significant[count++] = *at;
    }
    const int exponent = static_cast<int>(strtol(at + 1, nullptr, 10));
    if (exponent < -4 || exponent >= 16) {
      put_digits(significant, 0, 1, count);
      if (count > 1) put('.');
      put_digits(significant, 1, count, count);
      char power[16];
      __builtin_snprintf(power, sizeof power, "e%c%02d", exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
      for (const char *character = power; *character != 0; ++character) put(*character);
      return;
    }
    put_digits(significant, exponent < 0 ? exponent : 0, exponent + 1, count);
    put('.');
    put_digits(significant, exponent + 1, count > exponent + 1 ? count : exponent + 2, count);
  }
  // The digits from `begin` to `end`, zeros outside of those there are; at least one for an empty whole part.
  void put_digits(const char *significant, int begin, int end, int count) {
    if (begin < 0 && end <= 0) {
      put('0');
      return;
    }
    for (int place = begin; place < end; ++place) put(place >= 0 && place < count ? significant[place] : '0');
  }

  const char *rest_;
  unsigned long size_ = 0;
  char text_[capacity + 1];
};

template <class... A>
void print(const char *format, A... values) {
  message_text(format, values...).print();
}

template <class... A>
[[noreturn]] void fail(const char *format, A... values) {
  helion_host_fail(message_text(format, values...).text());
}

}  // namespace helion_host
