#include "metal_types.h"

#include <iterator>

namespace helion_msl {
namespace {

struct Family {
  MTLDataType scalar;  // the enumerators of its vectors of 2, 3 and 4 lanes follow it
  ScalarType type;
};

constexpr Family families[] = {
    {MTLDataTypeFloat, ScalarType::float32},   {MTLDataTypeHalf, ScalarType::float16},
    {MTLDataTypeBFloat, ScalarType::bfloat16}, {MTLDataTypeInt, ScalarType::int32},
    {MTLDataTypeUInt, ScalarType::uint32},     {MTLDataTypeShort, ScalarType::int16},
    {MTLDataTypeUShort, ScalarType::uint16},   {MTLDataTypeChar, ScalarType::int8},
    {MTLDataTypeUChar, ScalarType::uint8},     {MTLDataTypeLong, ScalarType::int64},
    {MTLDataTypeULong, ScalarType::uint64},    {MTLDataTypeBool, ScalarType::boolean},
};

static_assert(MTLDataTypeFloat4 == MTLDataTypeFloat + 3 && MTLDataTypeHalf4 == MTLDataTypeHalf + 3 &&
              MTLDataTypeBFloat4 == MTLDataTypeBFloat + 3 && MTLDataTypeInt4 == MTLDataTypeInt + 3 &&
              MTLDataTypeUInt4 == MTLDataTypeUInt + 3 && MTLDataTypeShort4 == MTLDataTypeShort + 3 &&
              MTLDataTypeUShort4 == MTLDataTypeUShort + 3 && MTLDataTypeChar4 == MTLDataTypeChar + 3 &&
              MTLDataTypeUChar4 == MTLDataTypeUChar + 3 && MTLDataTypeLong4 == MTLDataTypeLong + 3 &&
              MTLDataTypeULong4 == MTLDataTypeULong + 3 && MTLDataTypeBool4 == MTLDataTypeBool + 3);

}  // namespace

ElementType element_type(MTLDataType type) {
  for (const Family &family : families) {
    if (type >= family.scalar && type < family.scalar + 4) {
      return {family.type, static_cast<std::uint32_t>(type - family.scalar) + 1};
    }
  }
  return {};
}

}  // namespace helion_msl
