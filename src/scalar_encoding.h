// Encodes a Python number as the scalar type that a kernel declares.
#pragma once

#include <cstdint>
#include <string>

#include "argument_value.h"
#include "engine.h"

namespace helion_msl {

// Writes the value into the first bytes of `storage`, in the layout of `scalar` (never opaque). Returns an empty
// string, or why the value has no place in that type. Reals round to nearest, ties to even, and overflow to infinity
// as they do in torch; integers are never changed by the conversion to another integer type.
std::string encode_scalar(ScalarType scalar, const ArgumentValue &value, std::uint64_t &storage);

}  // namespace helion_msl
