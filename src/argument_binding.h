// Checks the arguments of a launch against what the kernel declares, and turns them into what an engine takes.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "argument_value.h"
#include "engine.h"

namespace helion_msl {

// Most buffers that a kernel can have (Metal Feature Set Tables, "buffer argument table entries").
inline constexpr std::size_t max_buffer_count = 31;

// Most bytes that Metal takes inline for one argument (MTLComputeCommandEncoder setBytes:length:atIndex:).
inline constexpr std::size_t max_inline_bytes = 4096;

// Writes one BoundArgument for each entry of `kernel.arguments`. A scalar's encoded bytes go into the entry of
// `scalars` with the same position. Both spans have at least `kernel.arguments.size()` entries, and `values` and
// `scalars` outlive the launch. Throws ArgumentError, naming the argument, and has then written nothing of use.
void bind_arguments(const KernelInfo &kernel, DeviceKind device, std::span<const ArgumentValue> values,
                    std::span<BoundArgument> bound, std::span<std::uint64_t> scalars);

// "float32", "complex64", "float8_e4m3fn": the name that torch and NumPy use for a DLPack type.
std::string data_type_name(dlpack::DataType dtype);

// "float32", "bool", "opaque": the same names for what a kernel declares.
const char *scalar_type_name(ScalarType scalar);

// The declaration as MSL spells it, without the address space: "const float2*", "uint&".
std::string declared_type(const ArgumentInfo &argument);

const char *device_name(DeviceKind device);

}  // namespace helion_msl
