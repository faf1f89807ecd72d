// <metal_utility> and <metal_array>.
#pragma once

#include "scalar.h"

// The class that the compiler makes of a braced list; it looks for the name in std, with a pointer and a length.
namespace std {
template <class T>
class initializer_list {
 public:
  using value_type = T;
  constexpr initializer_list() = default;
  constexpr unsigned long size() const { return size_; }
  // Programs made for Metal keep it in a pointer that is not const.
  T *begin() const { return const_cast<T *>(begin_); }
  T *end() const { return begin() + size_; }

 private:
  const T *begin_ = nullptr;
  unsigned long size_ = 0;
};
}  // namespace std

namespace metal {

using std::initializer_list;

template <class T>
HELION_MSL_FUNC constexpr T &&forward(remove_reference_t<T> &value) noexcept {
  return static_cast<T &&>(value);
}
template <class T>
HELION_MSL_FUNC constexpr T &&forward(remove_reference_t<T> &&value) noexcept {
  return static_cast<T &&>(value);
}
template <class T>
HELION_MSL_FUNC constexpr remove_reference_t<T> &&move(T &&value) noexcept {
  return static_cast<remove_reference_t<T> &&>(value);
}
template <class T>
HELION_MSL_FUNC constexpr void swap(T &a, T &b) {
  T previous = a;
  a = b;
  b = previous;
}

template <class T, T... values>
struct integer_sequence {
  using value_type = T;
  static constexpr size_t size() { return sizeof...(values); }
};
template <class T, T n>
using make_integer_sequence = __make_integer_seq<integer_sequence, T, n>;
template <size_t... indices>
using index_sequence = integer_sequence<size_t, indices...>;
template <size_t n>
using make_index_sequence = make_integer_sequence<size_t, n>;
template <class... T>
using index_sequence_for = make_index_sequence<sizeof...(T)>;

template <class T, size_t N>
struct array {
  using value_type = T;
  using size_type = size_t;
  T elements[N == 0 ? 1 : N];

  constexpr T &operator[](size_t i) { return elements[i]; }
  constexpr const T &operator[](size_t i) const { return elements[i]; }
  constexpr T &at(size_t i) { return elements[i]; }
  constexpr const T &at(size_t i) const { return elements[i]; }
  constexpr T &front() { return elements[0]; }
  constexpr const T &front() const { return elements[0]; }
  constexpr T &back() { return elements[N - 1]; }
  constexpr const T &back() const { return elements[N - 1]; }
  constexpr T *data() { return elements; }
  constexpr const T *data() const { return elements; }
  constexpr T *begin() { return elements; }
  constexpr const T *begin() const { return elements; }
  constexpr T *end() { return elements + N; }
  constexpr const T *end() const { return elements + N; }
  static constexpr size_t size() { return N; }
  static constexpr size_t max_size() { return N; }
  static constexpr bool empty() { return N == 0; }
  constexpr void fill(const T &value) {
    for (size_t i = 0; i < N; ++i) {
      elements[i] = value;
    }
  }
};
template <class T, class... U>
array(T, U...) -> array<T, 1 + sizeof...(U)>;

// A view of an array whose length is known at run time.
template <class T>
struct array_ref {
  constexpr array_ref() = default;
  template <size_t N>
  constexpr array_ref(array<T, N> &elements) : elements_(elements.data()), size_(N) {}
  constexpr array_ref(T *elements, size_t size) : elements_(elements), size_(size) {}
  constexpr T &operator[](size_t i) const { return elements_[i]; }
  constexpr size_t size() const { return size_; }

 private:
  T *elements_ = nullptr;
  size_t size_ = 0;
};

// A value that is the same in all threads of the dispatch; a promise to the GPU's compiler, nothing here.
template <class T>
struct uniform {
  T value;
  uniform() = default;
  constexpr uniform(T same) : value(same) {}
  constexpr operator T() const { return value; }
};
template <class T>
constexpr uniform<T> make_uniform(T value) {
  return {value};
}

}  // namespace metal
