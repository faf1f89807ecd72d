// float2, packed_half3, simd_uint4 and the rest.
#pragma once

#include "vector.h"

#define HELION_MSL_VECTOR_TYPES(T)               \
  using T##2 = metal::vec<T, 2>;                 \
  using T##3 = metal::vec<T, 3>;                 \
  using T##4 = metal::vec<T, 4>;                 \
  using packed_##T##2 = metal::packed_vec<T, 2>; \
  using packed_##T##3 = metal::packed_vec<T, 3>; \
  using packed_##T##4 = metal::packed_vec<T, 4>; \
  namespace metal {                              \
  using ::packed_##T##2;                         \
  using ::packed_##T##3;                         \
  using ::packed_##T##4;                         \
  using ::T##2;                                  \
  using ::T##3;                                  \
  using ::T##4;                                  \
  }

HELION_MSL_VECTOR_TYPES(bool)
HELION_MSL_VECTOR_TYPES(char)
HELION_MSL_VECTOR_TYPES(uchar)
HELION_MSL_VECTOR_TYPES(short)
HELION_MSL_VECTOR_TYPES(ushort)
HELION_MSL_VECTOR_TYPES(int)
HELION_MSL_VECTOR_TYPES(uint)
HELION_MSL_VECTOR_TYPES(long)
HELION_MSL_VECTOR_TYPES(ulong)
HELION_MSL_VECTOR_TYPES(half)
HELION_MSL_VECTOR_TYPES(bfloat)
HELION_MSL_VECTOR_TYPES(float)
#undef HELION_MSL_VECTOR_TYPES
