#include "scalar_encoding.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace helion_msl {
namespace {

template <class T>
void store(const T &value, std::uint64_t &storage) {
  static_assert(sizeof(T) <= sizeof(storage));
  storage = 0;
  std::memcpy(&storage, &value, sizeof(T));
}

// A binary floating-point format narrower than double.
struct FloatFormat {
  int exponent_bits;
  int mantissa_bits;
};
constexpr FloatFormat half_format{5, 10};
constexpr FloatFormat bfloat_format{8, 7};

// Rounds once, straight from double: through float first, ties could round twice.
std::uint16_t narrow(double value, FloatFormat format) {
  constexpr int double_mantissa_bits = 52;
  constexpr int double_bias = 1023;
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 63) << 15);
  const std::uint32_t infinity = ((1u << format.exponent_bits) - 1) << format.mantissa_bits;
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | infinity | (1u << (format.mantissa_bits - 1)));
  if (std::isinf(value)) return static_cast<std::uint16_t>(sign | infinity);

  const int double_exponent = static_cast<int>((bits >> double_mantissa_bits) & 0x7ff);
  if (double_exponent == 0) return sign;  // double's subnormals are far below either format's
  const int bias = (1 << (format.exponent_bits - 1)) - 1;
  int exponent = double_exponent - double_bias + bias;
  std::uint64_t significand =
      (bits & ((std::uint64_t{1} << double_mantissa_bits) - 1)) | (std::uint64_t{1} << double_mantissa_bits);
  int shift = double_mantissa_bits - format.mantissa_bits;
  if (exponent <= 0) {  // a subnormal of the narrow format
    shift += 1 - exponent;
    exponent = 0;
    if (shift > double_mantissa_bits + 1) return sign;
  } else {
    significand &= (std::uint64_t{1} << double_mantissa_bits) - 1;
  }
  std::uint64_t kept = significand >> shift;
  const std::uint64_t rest = significand & ((std::uint64_t{1} << shift) - 1);
  const std::uint64_t half = std::uint64_t{1} << (shift - 1);
  if (rest > half || (rest == half && (kept & 1) != 0)) ++kept;
  // A carry out of the mantissa moves into the exponent, which is what rounding up to the next binade means.
  const std::uint64_t result = (static_cast<std::uint64_t>(exponent) << format.mantissa_bits) + kept;
  return static_cast<std::uint16_t>(sign | (result < infinity ? result : infinity));
}

// The double next to an integer from which every narrower format still rounds correctly: the bits that double cannot
// hold are folded into the last one that it can ("round to odd").
double to_double_for_rounding(const IntegerValue &integer) {
  std::uint64_t magnitude = integer.magnitude;
  if (int surplus = 64 - std::countl_zero(magnitude) - std::numeric_limits<double>::digits; surplus > 0) {
    const std::uint64_t dropped = magnitude & ((std::uint64_t{1} << surplus) - 1);
    magnitude = ((magnitude >> surplus) | (dropped != 0 ? 1 : 0)) << surplus;
  }
  const auto value = static_cast<double>(magnitude);
  return integer.is_negative ? -value : value;
}

// Writes `value` as `scalar`; whether it stayed finite.
bool store_real(ScalarType scalar, double value, std::uint64_t &storage) {
  if (scalar == ScalarType::float32) {
    const auto narrowed = static_cast<float>(value);
    store(narrowed, storage);
    return std::isfinite(narrowed);
  }
  const FloatFormat format = scalar == ScalarType::float16 ? half_format : bfloat_format;
  const std::uint16_t narrowed = narrow(value, format);
  store(narrowed, storage);
  const std::uint32_t infinity = ((1u << format.exponent_bits) - 1) << format.mantissa_bits;
  return (narrowed & 0x7fffu) < infinity;
}

bool is_real(ScalarType scalar) {
  return scalar == ScalarType::float16 || scalar == ScalarType::bfloat16 || scalar == ScalarType::float32;
}

std::string decimal(const IntegerValue &integer) {
  if (integer.exceeds_64_bits) return integer.is_negative ? "an integer below -2^63" : "an integer above 2^64-1";
  return (integer.is_negative ? "-" : "") + std::to_string(integer.magnitude);
}

template <class T>
std::string store_integer(const IntegerValue &integer, std::uint64_t &storage) {
  using Limits = std::numeric_limits<T>;
  const std::uint64_t largest = static_cast<std::uint64_t>(Limits::max());
  const std::uint64_t smallest = std::is_signed_v<T> ? largest + 1 : 0;  // its magnitude
  if (integer.exceeds_64_bits || integer.magnitude > (integer.is_negative ? smallest : largest)) {
    return decimal(integer) + " is out of range, which is " + std::to_string(+Limits::min()) + " to " +
           std::to_string(+Limits::max());
  }
  // Two's complement: the low bits of the negated magnitude are those of the narrower type too.
  store(static_cast<T>(integer.is_negative ? 0 - integer.magnitude : integer.magnitude), storage);
  return {};
}

std::string encode_integer(ScalarType scalar, const IntegerValue &integer, std::uint64_t &storage) {
  switch (scalar) {
    case ScalarType::boolean:
      return store_integer<bool>(integer, storage);
    case ScalarType::int8:
      return store_integer<std::int8_t>(integer, storage);
    case ScalarType::uint8:
      return store_integer<std::uint8_t>(integer, storage);
    case ScalarType::int16:
      return store_integer<std::int16_t>(integer, storage);
    case ScalarType::uint16:
      return store_integer<std::uint16_t>(integer, storage);
    case ScalarType::int32:
      return store_integer<std::int32_t>(integer, storage);
    case ScalarType::uint32:
      return store_integer<std::uint32_t>(integer, storage);
    case ScalarType::int64:
      return store_integer<std::int64_t>(integer, storage);
    case ScalarType::uint64:
      return store_integer<std::uint64_t>(integer, storage);
    default:
      break;
  }
  const double value = integer.exceeds_64_bits ? integer.approximation : to_double_for_rounding(integer);
  if (!store_real(scalar, value, storage)) return decimal(integer) + " is too large for the declared type";
  return {};
}

}  // namespace

std::string encode_scalar(ScalarType scalar, const ArgumentValue &value, std::uint64_t &storage) {
  switch (value.kind) {
    case ArgumentValue::Kind::boolean:
      return encode_integer(scalar, {.magnitude = value.boolean ? 1u : 0u}, storage);
    case ArgumentValue::Kind::integer:
      return encode_integer(scalar, value.integer, storage);
    case ArgumentValue::Kind::real:
      if (!is_real(scalar)) return "a Python float was given for an integer; pass int(value)";
      store_real(scalar, value.real, storage);
      return {};
    default:
      return "not a number";
  }
}

}  // namespace helion_msl
