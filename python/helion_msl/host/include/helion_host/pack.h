// <metal_pack>: several small numbers in one integer, the first in the lowest bits.
#pragma once

#include "math.h"
#include "vector_types.h"

namespace helion_host {

// Clamped, scaled and rounded to nearest even.
HELION_MSL_FUNC uint32 to_unorm(float x, uint32 bits) {
  const float scale = static_cast<float>((1u << bits) - 1u);
  return static_cast<uint32>(libm::rint(saturate(x) * scale));
}
HELION_MSL_FUNC uint32 to_snorm(float x, uint32 bits) {
  const float scale = static_cast<float>((1u << (bits - 1)) - 1u);
  const float limited = is_nan(x) ? 0.0f : clamp(x, -1.0f, 1.0f);
  return static_cast<uint32>(static_cast<int32>(libm::rint(limited * scale))) & ((1u << bits) - 1u);
}
HELION_MSL_FUNC float from_unorm(uint32 word, uint32 offset, uint32 bits) {
  const uint32 mask = (1u << bits) - 1u;
  return static_cast<float>(word >> offset & mask) / static_cast<float>(mask);
}
HELION_MSL_FUNC float from_snorm(uint32 word, uint32 offset, uint32 bits) {
  const int32 value = static_cast<int32>(word << (32 - offset - bits)) >> (32 - bits);
  return maximum(static_cast<float>(value) / static_cast<float>((1u << (bits - 1)) - 1u), -1.0f);
}
// The transfer functions of sRGB (IEC 61966-2-1).
HELION_MSL_FUNC float linear_to_srgb(float x) {
  const float c = saturate(x);
  return c < 0.0031308f ? 12.92f * c : 1.055f * libm::pow(c, 1.0f / 2.4f) - 0.055f;
}
HELION_MSL_FUNC float srgb_to_linear(float c) {
  return c <= 0.04045f ? c / 12.92f : libm::pow((c + 0.055f) / 1.055f, 2.4f);
}

}  // namespace helion_host

namespace metal {

// Each function for float and for half, which Metal tells apart by name.
#define HELION_MSL_PACK(suffix, V, ...)                     \
  HELION_MSL_FUNC uint pack_float_to_##suffix(float##V v) { \
    return __VA_ARGS__;                                     \
  }                                                         \
  HELION_MSL_FUNC uint pack_half_to_##suffix(half##V h) {   \
    const float##V v(h);                                    \
    return __VA_ARGS__;                                     \
  }
#define HELION_MSL_UNPACK(suffix, V, ...)                       \
  HELION_MSL_FUNC float##V unpack_##suffix##_to_float(uint x) { \
    return float##V(__VA_ARGS__);                               \
  }                                                             \
  HELION_MSL_FUNC half##V unpack_##suffix##_to_half(uint x) {   \
    return half##V(float##V(__VA_ARGS__));                      \
  }

HELION_MSL_PACK(unorm4x8, 4,
                helion_host::to_unorm(v.x, 8) | helion_host::to_unorm(v.y, 8) << 8 |
                    helion_host::to_unorm(v.z, 8) << 16 | helion_host::to_unorm(v.w, 8) << 24)
HELION_MSL_PACK(snorm4x8, 4,
                helion_host::to_snorm(v.x, 8) | helion_host::to_snorm(v.y, 8) << 8 |
                    helion_host::to_snorm(v.z, 8) << 16 | helion_host::to_snorm(v.w, 8) << 24)
HELION_MSL_PACK(srgb_unorm4x8, 4,
                helion_host::to_unorm(helion_host::linear_to_srgb(v.x), 8) |
                    helion_host::to_unorm(helion_host::linear_to_srgb(v.y), 8) << 8 |
                    helion_host::to_unorm(helion_host::linear_to_srgb(v.z), 8) << 16 |
                    helion_host::to_unorm(v.w, 8) << 24)
HELION_MSL_PACK(unorm2x16, 2, helion_host::to_unorm(v.x, 16) | helion_host::to_unorm(v.y, 16) << 16)
HELION_MSL_PACK(snorm2x16, 2, helion_host::to_snorm(v.x, 16) | helion_host::to_snorm(v.y, 16) << 16)
HELION_MSL_PACK(unorm10a2, 4,
                helion_host::to_unorm(v.x, 10) | helion_host::to_unorm(v.y, 10) << 10 |
                    helion_host::to_unorm(v.z, 10) << 20 | helion_host::to_unorm(v.w, 2) << 30)
HELION_MSL_UNPACK(unorm4x8, 4, helion_host::from_unorm(x, 0, 8), helion_host::from_unorm(x, 8, 8),
                  helion_host::from_unorm(x, 16, 8), helion_host::from_unorm(x, 24, 8))
HELION_MSL_UNPACK(snorm4x8, 4, helion_host::from_snorm(x, 0, 8), helion_host::from_snorm(x, 8, 8),
                  helion_host::from_snorm(x, 16, 8), helion_host::from_snorm(x, 24, 8))
HELION_MSL_UNPACK(srgb_unorm4x8, 4, helion_host::srgb_to_linear(helion_host::from_unorm(x, 0, 8)),
                  helion_host::srgb_to_linear(helion_host::from_unorm(x, 8, 8)),
                  helion_host::srgb_to_linear(helion_host::from_unorm(x, 16, 8)), helion_host::from_unorm(x, 24, 8))
HELION_MSL_UNPACK(unorm2x16, 2, helion_host::from_unorm(x, 0, 16), helion_host::from_unorm(x, 16, 16))
HELION_MSL_UNPACK(snorm2x16, 2, helion_host::from_snorm(x, 0, 16), helion_host::from_snorm(x, 16, 16))
HELION_MSL_UNPACK(unorm10a2, 4, helion_host::from_unorm(x, 0, 10), helion_host::from_unorm(x, 10, 10),
                  helion_host::from_unorm(x, 20, 10), helion_host::from_unorm(x, 30, 2))

#undef HELION_MSL_PACK
#undef HELION_MSL_UNPACK

// 5, 6 and 5 bits, the first component in the upper ones.
HELION_MSL_FUNC ushort pack_float_to_unorm565(float3 v) {
  return static_cast<ushort>(helion_host::to_unorm(v.x, 5) << 11 | helion_host::to_unorm(v.y, 6) << 5 |
                             helion_host::to_unorm(v.z, 5));
}
HELION_MSL_FUNC ushort pack_half_to_unorm565(half3 v) {
  return pack_float_to_unorm565(float3(v));
}
HELION_MSL_FUNC float3 unpack_unorm565_to_float(ushort x) {
  return float3(helion_host::from_unorm(x, 11, 5), helion_host::from_unorm(x, 5, 6), helion_host::from_unorm(x, 0, 5));
}
HELION_MSL_FUNC half3 unpack_unorm565_to_half(ushort x) {
  return half3(unpack_unorm565_to_float(x));
}

}  // namespace metal
