// <simd/simd.h> as a Metal source sees it: the names that C code shares with kernels.
#pragma once
#ifndef HELION_MSL_SCAN
#include "../helion_host/base.h"
#include "../helion_host/matrix.h"

#define HELION_MSL_SIMD_TYPES_OF(T, N)                \
  using simd_##T##N = metal::vec<T, N>;               \
  using vector_##T##N = metal::vec<T, N>;             \
  using simd_packed_##T##N = metal::packed_vec<T, N>; \
  namespace simd {                                    \
  using ::T##N;                                       \
  }
#define HELION_MSL_SIMD_TYPES(T) \
  HELION_MSL_SIMD_TYPES_OF(T, 2) \
  HELION_MSL_SIMD_TYPES_OF(T, 3) \
  HELION_MSL_SIMD_TYPES_OF(T, 4)
HELION_MSL_SIMD_TYPES(char)
HELION_MSL_SIMD_TYPES(uchar)
HELION_MSL_SIMD_TYPES(short)
HELION_MSL_SIMD_TYPES(ushort)
HELION_MSL_SIMD_TYPES(int)
HELION_MSL_SIMD_TYPES(uint)
HELION_MSL_SIMD_TYPES(half)
HELION_MSL_SIMD_TYPES(float)
#undef HELION_MSL_SIMD_TYPES
#undef HELION_MSL_SIMD_TYPES_OF

#define HELION_MSL_SIMD_MATRIX(T, C, R)               \
  using simd_##T##C##x##R = metal::matrix<T, C, R>;   \
  using matrix_##T##C##x##R = metal::matrix<T, C, R>; \
  namespace simd {                                    \
  using ::T##C##x##R;                                 \
  }
#define HELION_MSL_SIMD_MATRICES(T, C) \
  HELION_MSL_SIMD_MATRIX(T, C, 2)      \
  HELION_MSL_SIMD_MATRIX(T, C, 3)      \
  HELION_MSL_SIMD_MATRIX(T, C, 4)
HELION_MSL_SIMD_MATRICES(half, 2)
HELION_MSL_SIMD_MATRICES(half, 3)
HELION_MSL_SIMD_MATRICES(half, 4)
HELION_MSL_SIMD_MATRICES(float, 2)
HELION_MSL_SIMD_MATRICES(float, 3)
HELION_MSL_SIMD_MATRICES(float, 4)
#undef HELION_MSL_SIMD_MATRICES
#undef HELION_MSL_SIMD_MATRIX

using simd_float1 = float;
using simd_int1 = int;
using simd_uint1 = uint;
#endif
