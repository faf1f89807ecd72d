// <metal_simdgroup_matrix>: an 8x8 matrix held by the 32 lanes of a simdgroup, two elements each.
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

template <class D, class A, class B, class C>
struct multiply_operand {
  metal::vec<A, 2> a;
  metal::vec<B, 2> b;
  metal::vec<C, 2> c;
  metal::vec<D, 2> d;
};

// D = A * B + C, in float, rounded once to the type of D.
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
  for (uint32 row = 0; row < 8; ++row) {
    for (uint32 k = 0; k < 8; ++k) {
      for (uint32 column = 0; column < 8; ++column) {
        d[row][column] += a[row][k] * b[k][column];
      }
    }
  }
  for (uint32 lane = 0; lane < simd_width; ++lane) {
    if (all.has(lane)) {
      const matrix_place place = place_of_lane(lane);
      all[lane].d = {static_cast<D>(d[place.row][place.column]), static_cast<D>(d[place.row][place.column + 1])};
    }
  }
}

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
  HELION_MSL_FUNC explicit simdgroup_matrix(T diagonal) {
    const helion_host::matrix_place place = helion_host::place_of_lane(helion_host::lane_index());
    elements_ = {place.row == place.column ? diagonal : T(0), place.row == place.column + 1 ? diagonal : T(0)};
  }

  // The two elements of this lane.
  vec<T, 2> &thread_elements() { return elements_; }
  const vec<T, 2> &thread_elements() const { return elements_; }

 private:
  vec<T, 2> elements_;
};

template <class T, int Cols, int Rows = Cols>
HELION_MSL_FUNC simdgroup_matrix<T, Cols, Rows> make_filled_simdgroup_matrix(T value) {
  simdgroup_matrix<T, Cols, Rows> result;
  result.thread_elements() = vec<T, 2>(value);
  return result;
}

// `matrix_origin` is (column, row) of the first element in memory; with `transpose_matrix` the 8x8 block found there
// becomes its transpose.
template <class T, int Cols, int Rows>
HELION_MSL_FUNC void simdgroup_load(simdgroup_matrix<T, Cols, Rows> &d, const volatile T *src,
                                    ulong elements_per_row = Cols, ulong2 matrix_origin = 0,
                                    bool transpose_matrix = false) {
  const helion_host::matrix_place place = helion_host::place_of_lane(helion_host::lane_index());
  for (uint i = 0; i < 2; ++i) {
    const ulong row = transpose_matrix ? place.column + i : place.row;
    const ulong column = transpose_matrix ? place.row : place.column + i;
    d.thread_elements()[i] =
        const_cast<const T *>(src)[(matrix_origin.y + row) * elements_per_row + matrix_origin.x + column];
  }
}

template <class T, int Cols, int Rows>
HELION_MSL_FUNC void simdgroup_store(simdgroup_matrix<T, Cols, Rows> a, volatile T *dst, ulong elements_per_row = Cols,
                                     ulong2 matrix_origin = 0, bool transpose_matrix = false) {
  // All lanes have read before any writes here, and have written before any reads again, as on the GPU.
  helion_host::wait_for_active_lanes();
  const helion_host::matrix_place place = helion_host::place_of_lane(helion_host::lane_index());
  for (uint i = 0; i < 2; ++i) {
    const ulong row = transpose_matrix ? place.column + i : place.row;
    const ulong column = transpose_matrix ? place.row : place.column + i;
    const_cast<T *>(dst)[(matrix_origin.y + row) * elements_per_row + matrix_origin.x + column] =
        a.thread_elements()[i];
  }
  helion_host::wait_for_active_lanes();
}

template <class D, class A, class B, class C>
HELION_MSL_FUNC void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8> &d, const simdgroup_matrix<A, 8, 8> &a,
                                                   const simdgroup_matrix<B, 8, 8> &b,
                                                   const simdgroup_matrix<C, 8, 8> &c) {
  helion_host::multiply_operand<D, A, B, C> operand{a.thread_elements(), b.thread_elements(), c.thread_elements(), {}};
  helion_host::collective<helion_host::multiply_lanes<D, A, B, C>>(operand);
  d.thread_elements() = operand.d;
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
