// <metal_simdgroup_matrix>: an 8x8 matrix held by a simdgroup.
//
// Only `thread_elements()` shows which lane holds which element. A source without that word keeps each matrix in the
// first lane of its simdgroup, and only that lane works: nobody waits for anybody but in a store. Metal wants all lanes
// at these functions, with equal arguments, so one of them can speak for all.
#pragma once

#include "simd_collective.h"
#include "vector_types.h"

namespace helion_host {

// Which elements a lane holds: (row, column) and (row, column + 1). This is the layout of Apple's GPUs, which
// published kernels rely on when they use thread_elements().
struct matrix_place {
  uint32 row;
  uint32 column;
};
HELION_MSL_FUNC constexpr matrix_place place_of_lane(uint32 lane) {
  const uint32 quad = lane / 4;
  return {(quad & 4) + lane / 2 % 4, (quad & 2) * 2 + lane % 2 * 2};
}
HELION_MSL_FUNC constexpr uint32 lane_of_place(uint32 row, uint32 column) {
  return ((row & 4) + (column & 4) / 2) * 4 + row % 4 * 2 + column % 4 / 2;
}

// Where a matrix lies in memory: `matrix_origin` is (column, row) of the first element; with `is_transposed` the 8x8
// block found there is the transpose of the matrix.
template <class T>
struct matrix_memory {
  T *address;
  uint64 elements_per_row;
  bool is_transposed;

  HELION_MSL_FUNC matrix_memory(T *memory, uint64 row_length, metal::ulong2 origin, bool transposed)
      : address(memory + origin.y * row_length + origin.x), elements_per_row(row_length), is_transposed(transposed) {}
  HELION_MSL_FUNC T &at(uint32 row, uint32 column) const {
    return is_transposed ? address[column * elements_per_row + row] : address[row * elements_per_row + column];
  }
};

// ---- Held by the first lane -----------------------------------------------------------------------------------------

// Every operation asks, so it must not cost a call.
HELION_MSL_FUNC bool is_first_lane() {
  return stack_address() / HELION_HOST_STACK_SIZE % simd_width == 0;
}

// What a simdgroup that lacks lanes does not hold is read as poison, and not written.
template <class T>
HELION_MSL_NOINLINE void load_matrix(T (&elements)[8][8], const matrix_memory<const T> memory) {
  const uint32 lanes = helion_host_simdgroup_lanes();
  for (uint32 row = 0; row < 8; ++row) {
    if (!memory.is_transposed) {
      copy_bytes(elements[row], &memory.at(row, 0), 8 * sizeof(T));
      continue;
    }
    for (uint32 column = 0; column < 8; ++column) elements[row][column] = memory.at(row, column);
  }
  if (lanes == ~0u) return;
  for (uint32 row = 0; row < 8; ++row) {
    for (uint32 column = 0; column < 8; ++column) {
      if ((lanes >> lane_of_place(row, column) & 1u) == 0) elements[row][column] = poison<T>();
    }
  }
}

template <class T>
struct store_operand {
  const T (&elements)[8][8];
  matrix_memory<T> memory;
};
// Every lane has read before this writes, and goes on only when it has written, as on the GPU.
template <class T>
void store_matrix(lanes<store_operand<T>> all) {
  const store_operand<T> &operand = all[static_cast<uint32>(count_trailing_zeros(all.active))];
  for (uint32 row = 0; row < 8; ++row) {
    if (all.active == ~0u && !operand.memory.is_transposed) {
      copy_bytes(&operand.memory.at(row, 0), operand.elements[row], 8 * sizeof(T));
      continue;
    }
    for (uint32 column = 0; column < 8; ++column) {
      if (!all.has(lane_of_place(row, column))) continue;
      operand.memory.at(row, column) = all.has(0) ? operand.elements[row][column] : poison<T>();
    }
  }
}

// D = A * B + C, in float, rounded once to the type of D. A function of its own: a kernel has many of these, and each
// is a hundred instructions.
template <class D, class A, class B, class C>
HELION_MSL_NOINLINE void multiply_matrices(D (&d)[8][8], const A (&a)[8][8], const B (&b)[8][8], const C (&c)[8][8]) {
  float left[8][8];
  float8 sums[8];
  for (uint32 row = 0; row < 8; ++row) {
    for (uint32 column = 0; column < 8; ++column) {
      left[row][column] = static_cast<float>(a[row][column]);
      sums[row][column] = static_cast<float>(c[row][column]);
    }
  }
  for (uint32 k = 0; k < 8; ++k) {
    float8 right;
    for (uint32 column = 0; column < 8; ++column) right[column] = static_cast<float>(b[k][column]);
    for (uint32 row = 0; row < 8; ++row) sums[row] = multiply_add(left[row][k], right, sums[row]);
  }
  for (uint32 row = 0; row < 8; ++row) {
    for (uint32 column = 0; column < 8; ++column) d[row][column] = static_cast<D>(sums[row][column]);
  }
}

template <class T>
struct whole_matrix {
  whole_matrix() = default;
  HELION_MSL_FUNC whole_matrix(T diagonal, T elsewhere) {
    if (!is_first_lane()) return;
    for (uint32 row = 0; row < 8; ++row) {
      for (uint32 column = 0; column < 8; ++column) elements_[row][column] = row == column ? diagonal : elsewhere;
    }
  }
  HELION_MSL_FUNC void load(matrix_memory<const T> memory) {
    if (is_first_lane()) load_matrix(elements_, memory);
  }
  HELION_MSL_FUNC void store(matrix_memory<T> memory) const {
    store_operand<T> operand{elements_, memory};
    collective<store_matrix<T>>(operand);
  }
  template <class A, class B, class C>
  HELION_MSL_FUNC void multiply(const whole_matrix<A> &a, const whole_matrix<B> &b, const whole_matrix<C> &c) {
    if (is_first_lane()) multiply_matrices(elements_, a.elements_, b.elements_, c.elements_);
  }

 private:
  template <class>
  friend struct whole_matrix;
  T elements_[8][8];
};

// ---- Held by all lanes, two elements each ---------------------------------------------------------------------------

template <class D, class A, class B, class C>
struct multiply_operand {
  metal::vec<A, 2> a;
  metal::vec<B, 2> b;
  metal::vec<C, 2> c;
  metal::vec<D, 2> d;
};
template <class D, class A, class B, class C>
void multiply_lanes(lanes<multiply_operand<D, A, B, C>> all) {
  float a[8][8], b[8][8], d[8][8];
  for (uint32 lane = 0; lane < simd_width; ++lane) {
    const matrix_place place = place_of_lane(lane);
    const bool present = all.has(lane);
    for (uint32 i = 0; i < 2; ++i) {
      a[place.row][place.column + i] = present ? static_cast<float>(all[lane].a[i]) : poison<float>();
      b[place.row][place.column + i] = present ? static_cast<float>(all[lane].b[i]) : poison<float>();
      d[place.row][place.column + i] = present ? static_cast<float>(all[lane].c[i]) : poison<float>();
    }
  }
  multiply_matrices(d, a, b, d);
  for (uint32 lane = 0; lane < simd_width; ++lane) {
    if (all.has(lane)) {
      const matrix_place place = place_of_lane(lane);
      all[lane].d = {static_cast<D>(d[place.row][place.column]), static_cast<D>(d[place.row][place.column + 1])};
    }
  }
}

template <class T>
struct shared_matrix {
  shared_matrix() = default;
  HELION_MSL_FUNC shared_matrix(T diagonal, T elsewhere) {
    const matrix_place place = place_of_lane(lane_index());
    elements_ = {place.row == place.column ? diagonal : elsewhere,
                 place.row == place.column + 1 ? diagonal : elsewhere};
  }
  HELION_MSL_FUNC void load(matrix_memory<const T> memory) {
    const matrix_place place = place_of_lane(lane_index());
    for (uint32 i = 0; i < 2; ++i) elements_[i] = memory.at(place.row, place.column + i);
  }
  HELION_MSL_FUNC void store(matrix_memory<T> memory) const {
    // All lanes have read before any writes here, and have written before any reads again, as on the GPU.
    wait_for_active_lanes();
    const matrix_place place = place_of_lane(lane_index());
    for (uint32 i = 0; i < 2; ++i) memory.at(place.row, place.column + i) = elements_[i];
    wait_for_active_lanes();
  }
  template <class A, class B, class C>
  HELION_MSL_FUNC void multiply(const shared_matrix<A> &a, const shared_matrix<B> &b, const shared_matrix<C> &c) {
    multiply_operand<T, A, B, C> operand{a.elements_, b.elements_, c.elements_, {}};
    collective<multiply_lanes<T, A, B, C>>(operand);
    elements_ = operand.d;
  }

  // The two elements of this lane.
  metal::vec<T, 2> &thread_elements() { return elements_; }
  const metal::vec<T, 2> &thread_elements() const { return elements_; }

 private:
  template <class>
  friend struct shared_matrix;
  metal::vec<T, 2> elements_;
};

// Which of the two a source gets is known when all of these headers have been read, some of them long before
// (precompiled.h): on_demand.h specializes this for a source that names thread_elements.
template <class>
struct matrices {
  template <class T>
  using type = whole_matrix<T>;
};
// A pointer, so that the specialization can be a partial one, which is chosen where a source first uses a matrix.
template <class T>
using matrix_storage = typename matrices<T *>::template type<T>;

}  // namespace helion_host

namespace metal {

template <class T, int Cols, int Rows>
struct simdgroup_matrix {
  static_assert(Cols == 8 && Rows == 8, "Metal has simdgroup_matrix<T, 8, 8> only");
  static_assert(helion_host::class_of<T> == helion_host::scalar_class::floating,
                "simdgroup_matrix<T, 8, 8>: T must be half, bfloat or float");
  using value_type = T;
  static constexpr int cols = Cols;
  static constexpr int rows = Rows;

  simdgroup_matrix() = default;
  // `diagonal` on the diagonal, zero elsewhere.
  HELION_MSL_FUNC explicit simdgroup_matrix(T diagonal) : storage(diagonal, T(0)) {}

  // The two elements of this lane.
  vec<T, 2> &thread_elements() { return storage.thread_elements(); }
  const vec<T, 2> &thread_elements() const { return storage.thread_elements(); }

  helion_host::matrix_storage<T> storage;
};

template <class T, int Cols, int Rows = Cols>
HELION_MSL_FUNC simdgroup_matrix<T, Cols, Rows> make_filled_simdgroup_matrix(T value) {
  simdgroup_matrix<T, Cols, Rows> result;
  result.storage = helion_host::matrix_storage<T>(value, value);
  return result;
}

template <class T, int Cols, int Rows>
HELION_MSL_FUNC void simdgroup_load(simdgroup_matrix<T, Cols, Rows> &d, const volatile T *src,
                                    ulong elements_per_row = Cols, ulong2 matrix_origin = 0,
                                    bool transpose_matrix = false) {
  d.storage.load({const_cast<const T *>(src), elements_per_row, matrix_origin, transpose_matrix});
}

template <class T, int Cols, int Rows>
HELION_MSL_FUNC void simdgroup_store(const simdgroup_matrix<T, Cols, Rows> &a, volatile T *dst,
                                     ulong elements_per_row = Cols, ulong2 matrix_origin = 0,
                                     bool transpose_matrix = false) {
  a.storage.store({const_cast<T *>(dst), elements_per_row, matrix_origin, transpose_matrix});
}

template <class D, class A, class B, class C>
HELION_MSL_FUNC void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8> &d, const simdgroup_matrix<A, 8, 8> &a,
                                                   const simdgroup_matrix<B, 8, 8> &b,
                                                   const simdgroup_matrix<C, 8, 8> &c) {
  d.storage.multiply(a.storage, b.storage, c.storage);
}
template <class D, class A, class B>
HELION_MSL_FUNC void simdgroup_multiply(simdgroup_matrix<D, 8, 8> &d, const simdgroup_matrix<A, 8, 8> &a,
                                        const simdgroup_matrix<B, 8, 8> &b) {
  simdgroup_multiply_accumulate(d, a, b, make_filled_simdgroup_matrix<D, 8, 8>(D(0)));
}
template <class T>
HELION_MSL_FUNC simdgroup_matrix<T, 8, 8> operator*(const simdgroup_matrix<T, 8, 8> &a,
                                                    const simdgroup_matrix<T, 8, 8> &b) {
  simdgroup_matrix<T, 8, 8> d;
  simdgroup_multiply(d, a, b);
  return d;
}

using simdgroup_half8x8 = simdgroup_matrix<half, 8, 8>;
using simdgroup_bfloat8x8 = simdgroup_matrix<bfloat, 8, 8>;
using simdgroup_float8x8 = simdgroup_matrix<float, 8, 8>;

}  // namespace metal
