// half <-> float in integer arithmetic, under the names that clang calls on x86 processors without F16C.
#pragma once

extern "C" {

__attribute__((weak, used, visibility("hidden"))) float __extendhfsf2(_Float16 value) {
  const unsigned bits = __builtin_bit_cast(unsigned short, value);
  const unsigned sign = (bits & 0x8000u) << 16;
  unsigned magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {
    // Infinity, or a NaN made quiet.
    magnitude = 0x7f800000u | (magnitude << 13) | ((magnitude & 0x3ffu) != 0 ? 0x00400000u : 0u);
    return __builtin_bit_cast(float, sign | magnitude);
  }
  if (magnitude >= 0x0400u) {
    return __builtin_bit_cast(float, sign | ((magnitude << 13) + (112u << 23)));
  }
  // Zero and denormals: units of 2^-24, exact in float.
  const float units = static_cast<float>(static_cast<int>(magnitude)) * __builtin_bit_cast(float, 0x33800000u);
  return __builtin_bit_cast(float, sign | __builtin_bit_cast(unsigned, units));
}

__attribute__((weak, used, visibility("hidden"))) _Float16 __truncsfhf2(float value) {
  const unsigned bits = __builtin_bit_cast(unsigned, value);
  const unsigned sign = (bits >> 16) & 0x8000u;
  const unsigned magnitude = bits & 0x7fffffffu;
  unsigned half_bits;
  if (magnitude > 0x7f800000u) {
    half_bits = 0x7e00u | ((magnitude >> 13) & 0x1ffu);
  } else if (magnitude >= 0x47800000u) {
    half_bits = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {
    // Normal: drop 13 bits, to nearest even; a carry runs into the exponent, up to infinity, as it should.
    half_bits = (magnitude - (112u << 23) + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;
  } else {
    // Denormal: adding 0.5 puts the units of 2^-24 into the lowest bits, and the addition rounds to nearest even.
    const float aligned = __builtin_bit_cast(float, magnitude) + 0.5f;
    half_bits = __builtin_bit_cast(unsigned, aligned) - 0x3f000000u;
  }
  return __builtin_bit_cast(_Float16, static_cast<unsigned short>(sign | half_bits));
}

}  // extern "C"
