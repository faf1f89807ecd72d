// <metal_matrix>: matrices by columns (Metal Shading Language Specification, "Matrix Data Types").
#pragma once

#include "geometric.h"
#include "relational.h"
#include "vector_operators.h"
#include "vector_types.h"

namespace metal {

template <class T, int Cols, int Rows>
struct matrix {
  static_assert(Cols >= 2 && Cols <= 4 && Rows >= 2 && Rows <= 4, "matrix<T, Cols, Rows>: 2 to 4 of each");
  using value_type = T;
  using column_type = vec<T, Rows>;
  column_type columns[Cols];

  constexpr matrix() : columns{} {
    for (int i = 0; i < Cols; ++i) {
      columns[i] = column_type(T(0));
    }
  }
  // A scalar fills the diagonal.
  explicit constexpr matrix(T diagonal) : matrix() {
    for (int i = 0; i < (Cols < Rows ? Cols : Rows); ++i) {
      columns[i][i] = diagonal;
    }
  }
  template <class... C>
    requires(sizeof...(C) == Cols && ((helion_host::vector_size<C> == Rows) && ...))
  constexpr matrix(const C &...c) : columns{column_type(c)...} {}
  // Elements, column after column.
  template <class... S>
    requires(sizeof...(S) == Cols * Rows && (helion_host::number<S> && ...))
  constexpr matrix(S... elements) : columns{} {
    const T flat[] = {static_cast<T>(elements)...};
    for (int i = 0; i < Cols * Rows; ++i) {
      columns[i / Rows][i % Rows] = flat[i];
    }
  }
  template <class U>
    requires(!__is_same(T, U))
  explicit constexpr matrix(const matrix<U, Cols, Rows> &other) : columns{} {
    for (int i = 0; i < Cols; ++i) {
      columns[i] = column_type(other.columns[i]);
    }
  }

  constexpr column_type &operator[](int i) { return columns[i]; }
  constexpr const column_type &operator[](int i) const { return columns[i]; }
};

#define HELION_MSL_MATRIX_OPERATION(op)                                                        \
  template <class T, int C, int R>                                                             \
  constexpr matrix<T, C, R> operator op(const matrix<T, C, R> &a, const matrix<T, C, R> &b) {  \
    matrix<T, C, R> result;                                                                    \
    for (int i = 0; i < C; ++i) {                                                              \
      result.columns[i] = a.columns[i] op b.columns[i];                                        \
    }                                                                                          \
    return result;                                                                             \
  }                                                                                            \
  template <class T, int C, int R>                                                             \
  constexpr matrix<T, C, R> &operator op## = (matrix<T, C, R> & a, const matrix<T, C, R> &b) { \
    return a = a op b;                                                                         \
  }
HELION_MSL_MATRIX_OPERATION(+)
HELION_MSL_MATRIX_OPERATION(-)
#undef HELION_MSL_MATRIX_OPERATION

template <class T, int C, int R>
constexpr matrix<T, C, R> operator-(const matrix<T, C, R> &a) {
  matrix<T, C, R> result;
  for (int i = 0; i < C; ++i) {
    result.columns[i] = -a.columns[i];
  }
  return result;
}
template <class T, int C, int R, helion_host::number S>
constexpr matrix<T, C, R> operator*(const matrix<T, C, R> &a, S factor) {
  matrix<T, C, R> result;
  for (int i = 0; i < C; ++i) {
    result.columns[i] = a.columns[i] * static_cast<T>(factor);
  }
  return result;
}
template <class T, int C, int R, helion_host::number S>
constexpr matrix<T, C, R> operator*(S factor, const matrix<T, C, R> &a) {
  return a * factor;
}
template <class T, int C, int R, helion_host::number S>
constexpr matrix<T, C, R> operator/(const matrix<T, C, R> &a, S divisor) {
  matrix<T, C, R> result;
  for (int i = 0; i < C; ++i) {
    result.columns[i] = a.columns[i] / static_cast<T>(divisor);
  }
  return result;
}
template <class T, int C, int R>
constexpr vec<T, R> operator*(const matrix<T, C, R> &a, const type_identity_t<vec<T, C>> &v) {
  vec<T, R> result = a.columns[0] * v[0];
  for (int i = 1; i < C; ++i) {
    result += a.columns[i] * v[i];
  }
  return result;
}
template <class T, int C, int R>
constexpr vec<T, C> operator*(const type_identity_t<vec<T, R>> &v, const matrix<T, C, R> &a) {
  vec<T, C> result;
  for (int i = 0; i < C; ++i) {
    result[i] = dot(v, a.columns[i]);
  }
  return result;
}
template <class T, int C, int R, int K>
constexpr matrix<T, C, R> operator*(const matrix<T, K, R> &a, const matrix<T, C, K> &b) {
  matrix<T, C, R> result;
  for (int i = 0; i < C; ++i) {
    result.columns[i] = a * b.columns[i];
  }
  return result;
}
template <class T, int C, int R, class B>
constexpr matrix<T, C, R> &operator*=(matrix<T, C, R> &a, const B &b) {
  return a = a * b;
}
template <class T, int C, int R, helion_host::number S>
constexpr matrix<T, C, R> &operator/=(matrix<T, C, R> &a, S b) {
  return a = a / b;
}
template <class T, int C, int R>
constexpr bool operator==(const matrix<T, C, R> &a, const matrix<T, C, R> &b) {
  bool equal = true;
  for (int i = 0; i < C; ++i) {
    equal = equal && all(a.columns[i] == b.columns[i]);
  }
  return equal;
}
template <class T, int C, int R>
constexpr bool operator!=(const matrix<T, C, R> &a, const matrix<T, C, R> &b) {
  return !(a == b);
}

template <class T, int C, int R>
constexpr matrix<T, R, C> transpose(const matrix<T, C, R> &a) {
  matrix<T, R, C> result;
  for (int i = 0; i < C; ++i) {
    for (int j = 0; j < R; ++j) {
      result.columns[j][i] = a.columns[i][j];
    }
  }
  return result;
}

template <class T>
constexpr T determinant(const matrix<T, 2, 2> &a) {
  return a[0][0] * a[1][1] - a[1][0] * a[0][1];
}
template <class T>
constexpr T determinant(const matrix<T, 3, 3> &a) {
  return dot(a[0], cross(a[1], a[2]));
}
// By the 2x2 minors of the two upper and the two lower rows.
template <class T>
constexpr T determinant(const matrix<T, 4, 4> &a) {
  const auto upper = [&a](int i, int j) { return a[i][0] * a[j][1] - a[j][0] * a[i][1]; };
  const auto lower = [&a](int i, int j) { return a[i][2] * a[j][3] - a[j][2] * a[i][3]; };
  return upper(0, 1) * lower(2, 3) - upper(0, 2) * lower(1, 3) + upper(0, 3) * lower(1, 2) + upper(1, 2) * lower(0, 3) -
         upper(1, 3) * lower(0, 2) + upper(2, 3) * lower(0, 1);
}

}  // namespace metal

#define HELION_MSL_MATRIX_TYPES_OF(T, C)   \
  using T##C##x2 = metal::matrix<T, C, 2>; \
  using T##C##x3 = metal::matrix<T, C, 3>; \
  using T##C##x4 = metal::matrix<T, C, 4>; \
  namespace metal {                        \
  using ::T##C##x2;                        \
  using ::T##C##x3;                        \
  using ::T##C##x4;                        \
  }
#define HELION_MSL_MATRIX_TYPES(T) \
  HELION_MSL_MATRIX_TYPES_OF(T, 2) \
  HELION_MSL_MATRIX_TYPES_OF(T, 3) \
  HELION_MSL_MATRIX_TYPES_OF(T, 4)
HELION_MSL_MATRIX_TYPES(half)
HELION_MSL_MATRIX_TYPES(bfloat)
HELION_MSL_MATRIX_TYPES(float)
#undef HELION_MSL_MATRIX_TYPES
#undef HELION_MSL_MATRIX_TYPES_OF
