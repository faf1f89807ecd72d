#include "argument_binding.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "errors.h"
#include "scalar_encoding.h"
#include "tensor_layout.h"

namespace helion_msl {
namespace {

struct ScalarFacts {
  const char *dtype;  // torch's name
  const char *metal;  // MSL's name
  std::uint32_t size;
  dlpack::TypeCode code;
};

// Indexed by ScalarType.
constexpr std::array<ScalarFacts, 13> scalar_facts{{
    {"opaque", "struct", 0, dlpack::code_uint},
    {"bool", "bool", 1, dlpack::code_bool},
    {"int8", "char", 1, dlpack::code_int},
    {"uint8", "uchar", 1, dlpack::code_uint},
    {"int16", "short", 2, dlpack::code_int},
    {"uint16", "ushort", 2, dlpack::code_uint},
    {"int32", "int", 4, dlpack::code_int},
    {"uint32", "uint", 4, dlpack::code_uint},
    {"int64", "long", 8, dlpack::code_int},
    {"uint64", "ulong", 8, dlpack::code_uint},
    {"float16", "half", 2, dlpack::code_float},
    {"bfloat16", "bfloat", 2, dlpack::code_bfloat},
    {"float32", "float", 4, dlpack::code_float},
}};

const ScalarFacts &facts(ScalarType scalar) {
  return scalar_facts[static_cast<std::size_t>(scalar)];
}

std::string label(std::size_t position, const ArgumentInfo &argument) {
  return "argument " + std::to_string(position) + " ('" + argument.name + "', " + declared_type(argument) + " at " +
         (argument.is_threadgroup_memory ? "threadgroup " : "buffer ") + std::to_string(argument.index) + ")";
}

bool is_integer_code(std::uint8_t code) {
  return code == dlpack::code_int || code == dlpack::code_uint;
}

bool is_double_based(dlpack::DataType dtype) {
  return (dtype.code == dlpack::code_float && dtype.bits == 64) ||
         (dtype.code == dlpack::code_complex && dtype.bits == 128);
}

// Whether a kernel that declares `scalar` may read memory of `dtype`: the same type; an integer of the same size and
// the other signedness; one-byte integers as bool and back; a complex number as a vector of its two parts.
bool types_match(dlpack::DataType dtype, const ArgumentInfo &argument) {
  if (argument.scalar == ScalarType::opaque) return !is_double_based(dtype);
  const ScalarFacts &declared = facts(argument.scalar);
  if (dtype.lanes != 1) return false;
  if (dtype.code == dlpack::code_complex) {
    return declared.code == dlpack::code_float && argument.lanes == 2 && dtype.bits == 16u * declared.size;
  }
  if (dtype.bits != 8u * declared.size) return false;
  if (dtype.code == declared.code) return true;
  bool tensor_is_whole = is_integer_code(dtype.code) || dtype.code == dlpack::code_bool;
  bool declared_is_whole = is_integer_code(declared.code) || declared.code == dlpack::code_bool;
  return tensor_is_whole && declared_is_whole;
}

[[noreturn]] void refuse_dtype(std::size_t position, const ArgumentInfo &argument, dlpack::DataType dtype) {
  std::string name = data_type_name(dtype);
  std::string cause = label(position, argument) + ": a " + name + " tensor was given, ";
  if (is_double_based(dtype)) {
    bool is_complex = dtype.code == dlpack::code_complex;
    throw ArgumentError(cause + "but Metal has no " + name + "; pass " +
                        (is_complex ? "x.to(torch.complex64)" : "x.float()") + " instead");
  }
  if (dtype.code >= dlpack::code_float8_e3m4) {
    throw ArgumentError(cause + "but Metal has no " + name +
                        "; declare the parameter as uchar, pass x.view(torch.uint8) and decode it in the kernel");
  }
  if (dtype.code == dlpack::code_complex) {
    throw ArgumentError(cause + "which needs a parameter of " + (dtype.bits == 64 ? "float2" : "half2") +
                        "; declare that, or pass torch.view_as_real(x)");
  }
  throw ArgumentError(cause + "but the kernel declares " + scalar_type_name(argument.scalar) +
                      " there; convert the tensor with x.to(torch." + scalar_type_name(argument.scalar) +
                      "), or change the declaration");
}

bool is_aligned(const ArgumentInfo &argument, const TensorView &tensor) {
  // An MTLBuffer begins on a page, so there only the offset counts.
  std::uint64_t address = tensor.byte_offset;
  if (tensor.device == DeviceKind::cpu) address += reinterpret_cast<std::uintptr_t>(tensor.data);
  const std::uint64_t alignment = argument.alignment;
  return alignment <= 1 || (address & (alignment - 1)) == 0;
}

[[noreturn]] void refuse_address(std::size_t position, const ArgumentInfo &argument) {
  throw ArgumentError(label(position, argument) + ": the tensor's first element is not aligned to " +
                      std::to_string(argument.alignment) + " bytes, as " + declared_type(argument) +
                      " needs; pass x.clone() or a slice that starts on such a boundary");
}

// Bytes that a tensor must have for `argument`. Metal's reflection doesn't tell a reference to a struct from a pointer,
// and Metal wants a whole struct behind either; a tensor without elements is replaced by a buffer of 256 bytes.
std::uint64_t least_bytes(const ArgumentInfo &argument, const TensorView &tensor) {
  constexpr std::uint64_t placeholder_bytes = 256;
  const bool is_replaced = is_empty(tensor) && argument.element_size <= placeholder_bytes;
  const bool is_struct = argument.scalar == ScalarType::opaque;
  return argument.is_reference || (is_struct && !is_replaced) ? argument.element_size : 0;
}

constexpr std::uint32_t word_of(dlpack::DataType dtype) {
  return std::bit_cast<std::uint32_t>(dtype);
}

// The dtype of the same name, by ScalarType; for `opaque` one that no tensor has.
constexpr auto exact_types = [] {
  std::array<std::uint32_t, scalar_facts.size()> types{};
  for (std::size_t i = 0; i < types.size(); ++i) {
    const auto bits = static_cast<std::uint8_t>(8u * scalar_facts[i].size);
    types[i] = word_of({scalar_facts[i].code, bits, 1});
  }
  return types;
}();

// Whether this is a tensor of just the type that a kernel declares for a pointer, with which nothing is wrong: what
// most arguments are. bind_tensor() says what is wrong with others, if anything is.
inline bool is_plain_tensor(const ArgumentInfo &argument, DeviceKind device, const ArgumentValue &value) {
  const TensorView &tensor = value.tensor;
  return value.kind == ArgumentValue::Kind::tensor && !(argument.is_threadgroup_memory | argument.is_reference) &&
         tensor.device == device && word_of(tensor.dtype) == exact_types[static_cast<std::size_t>(argument.scalar)] &&
         !(argument.is_writable & (tensor.is_read_only | tensor.is_copy)) && is_aligned(argument, tensor);
}

BoundArgument bind_tensor(std::size_t position, const ArgumentInfo &argument, DeviceKind device,
                          const TensorView &tensor) {
  if (tensor.device != device) {
    throw ArgumentError(label(position, argument) + " is on " + device_name(tensor.device) +
                        ", but the kernel was compiled for " + device_name(device));
  }
  if (!types_match(tensor.dtype, argument)) {
    refuse_dtype(position, argument, tensor.dtype);
  }
  if (argument.is_writable && (tensor.is_read_only || tensor.is_copy)) {
    throw ArgumentError(label(position, argument) + ": the kernel writes there, but the array given is " +
                        (tensor.is_read_only ? "read-only" : "exported as a copy, so that the writes would be lost") +
                        "; pass a writable copy of it");
  }
  const std::uint64_t bytes = byte_span(tensor);
  if (bytes < least_bytes(argument, tensor)) {
    throw ArgumentError(label(position, argument) + ": the kernel reads " + std::to_string(argument.element_size) +
                        " bytes there, but the tensor holds " + std::to_string(bytes));
  }
  if (bytes > 0 && !is_aligned(argument, tensor)) refuse_address(position, argument);
  return {.address = tensor.data, .offset = tensor.byte_offset, .byte_count = 0};
}

BoundArgument bind_bytes(std::size_t position, const ArgumentInfo &argument, std::span<const std::byte> bytes) {
  std::string size = std::to_string(bytes.size());
  if (argument.is_writable) {
    throw ArgumentError(label(position, argument) + ": the kernel writes there, so it needs a tensor, not bytes");
  }
  if (bytes.empty() || bytes.size() > max_inline_bytes) {
    throw ArgumentError(label(position, argument) + ": " + size + " bytes were given; inline constants have 1 to " +
                        std::to_string(max_inline_bytes) + " bytes, pass a tensor for more");
  }
  if (argument.is_reference && bytes.size() != argument.element_size) {
    throw ArgumentError(label(position, argument) + ": " + size + " bytes were given, but the declared type has " +
                        std::to_string(argument.element_size));
  }
  if (argument.element_size > 0 && bytes.size() % argument.element_size != 0) {
    throw ArgumentError(label(position, argument) + ": " + size + " bytes were given, which is not a multiple of the " +
                        std::to_string(argument.element_size) + " bytes of one element");
  }
  return {.address = const_cast<std::byte *>(bytes.data()),
          .offset = 0,
          .byte_count = static_cast<std::uint32_t>(bytes.size())};
}

const char *kind_name(ArgumentValue::Kind kind) {
  switch (kind) {
    case ArgumentValue::Kind::tensor:
      return "tensor";
    case ArgumentValue::Kind::boolean:
      return "bool";
    case ArgumentValue::Kind::integer:
      return "int";
    case ArgumentValue::Kind::real:
      return "float";
    case ArgumentValue::Kind::bytes:
      return "bytes";
  }
  return "value";
}

BoundArgument bind_scalar(std::size_t position, const ArgumentInfo &argument, const ArgumentValue &value,
                          std::uint64_t &storage) {
  std::string_view kind = kind_name(value.kind);
  if (argument.is_writable) {
    throw ArgumentError(label(position, argument) + ": the kernel writes there, so it needs a tensor, not a Python " +
                        std::string(kind));
  }
  if (argument.scalar == ScalarType::opaque || argument.lanes != 1) {
    throw ArgumentError(label(position, argument) + ": a Python " + std::string(kind) + " cannot become a " +
                        declared_type(argument) + "; pass a tensor, or bytes that hold the whole value");
  }
  std::string refusal = encode_scalar(argument.scalar, value, storage);
  if (!refusal.empty()) throw ArgumentError(label(position, argument) + ": " + refusal);
  return {.address = &storage, .offset = 0, .byte_count = facts(argument.scalar).size};
}

// Adds the size to `total`, which holds the threadgroup memory used before.
BoundArgument bind_threadgroup_memory(std::size_t position, const KernelInfo &kernel, const ArgumentValue &value,
                                      std::uint64_t &total) {
  const ArgumentInfo &argument = kernel.arguments[position];
  const std::string takes = ": threadgroup memory takes its size in bytes, an int of at least 1; ";
  if (value.kind != ArgumentValue::Kind::integer) {
    throw ArgumentError(label(position, argument) + takes + "a " + kind_name(value.kind) + " was given");
  }
  const IntegerValue &size = value.integer;
  if (size.is_negative || size.exceeds_64_bits || size.magnitude == 0) {
    throw ArgumentError(label(position, argument) + takes + "the number given is out of range");
  }
  if (argument.is_reference && size.magnitude < argument.element_size) {
    throw ArgumentError(label(position, argument) + takes + std::to_string(size.magnitude) +
                        " were given, but the declared type has " + std::to_string(argument.element_size));
  }
  // Metal sets aside multiples of 16 bytes (setThreadgroupMemoryLength:atIndex:).
  const std::uint64_t set_aside = (size.magnitude + 15) / 16 * 16;
  if (size.magnitude > max_threadgroup_memory || total + set_aside > max_threadgroup_memory) {
    throw LaunchError(label(position, argument) + ": " + std::to_string(size.magnitude) +
                      " bytes of threadgroup memory were given, and the kernel has " + std::to_string(total) +
                      " bytes besides; a threadgroup may use " + std::to_string(max_threadgroup_memory));
  }
  total += set_aside;
  return {.address = nullptr, .offset = 0, .byte_count = static_cast<std::uint32_t>(size.magnitude)};
}

[[noreturn]] void refuse_count(const KernelInfo &kernel, std::size_t given) {
  std::string message = "kernel '" + kernel.name + "' takes " + std::to_string(kernel.arguments.size()) +
                        (kernel.arguments.size() == 1 ? " argument" : " arguments");
  const char *separator = ": ";
  for (const ArgumentInfo &argument : kernel.arguments) {
    message += separator + argument.name + " (" + declared_type(argument) +
               (argument.is_threadgroup_memory ? ", threadgroup " : ", buffer ") + std::to_string(argument.index) + ")";
    separator = ", ";
  }
  throw ArgumentError(message + "; got " + std::to_string(given));
}

}  // namespace

void bind_arguments(const KernelInfo &kernel, DeviceKind device, std::span<const ArgumentValue> values,
                    std::span<BoundArgument> bound, std::span<std::uint64_t> scalars) {
  if (values.size() != kernel.arguments.size()) refuse_count(kernel, values.size());
  std::uint64_t threadgroup_memory = kernel.static_threadgroup_memory;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const ArgumentInfo &argument = kernel.arguments[i];
    const ArgumentValue &value = values[i];
    if (is_plain_tensor(argument, device, value)) [[likely]] {
      bound[i] = {.address = value.tensor.data, .offset = value.tensor.byte_offset, .byte_count = 0};
    } else if (argument.is_threadgroup_memory) {
      bound[i] = bind_threadgroup_memory(i, kernel, value, threadgroup_memory);
    } else if (value.kind == ArgumentValue::Kind::tensor) {
      bound[i] = bind_tensor(i, argument, device, value.tensor);
    } else if (value.kind == ArgumentValue::Kind::bytes) {
      bound[i] = bind_bytes(i, argument, value.bytes);
    } else {
      bound[i] = bind_scalar(i, argument, value, scalars[i]);
    }
  }
}

std::string data_type_name(dlpack::DataType dtype) {
  // Indexed from code_float8_e3m4.
  static constexpr std::array<const char *, 11> small_floats{
      "float8_e3m4",     "float8_e4m3",    "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2",
      "float8_e5m2fnuz", "float8_e8m0fnu", "float6_e2m3fn",      "float6_e3m2fn", "float4_e2m1fn"};
  std::string bits = std::to_string(dtype.bits);
  std::string lanes = dtype.lanes == 1 ? "" : "_x" + std::to_string(dtype.lanes);
  switch (dtype.code) {
    case dlpack::code_int:
      return "int" + bits + lanes;
    case dlpack::code_uint:
      return "uint" + bits + lanes;
    case dlpack::code_float:
      return "float" + bits + lanes;
    case dlpack::code_bfloat:
      return "bfloat" + bits + lanes;
    case dlpack::code_complex:
      return "complex" + bits + lanes;
    case dlpack::code_bool:
      return "bool" + lanes;
    default:
      break;
  }
  std::size_t small = dtype.code - std::size_t{dlpack::code_float8_e3m4};
  if (dtype.code >= dlpack::code_float8_e3m4 && small < small_floats.size()) return small_floats[small] + lanes;
  return "DLPack type " + std::to_string(dtype.code) + " of " + bits + " bits" + lanes;
}

const char *scalar_type_name(ScalarType scalar) {
  return facts(scalar).dtype;
}

std::string declared_type(const ArgumentInfo &argument) {
  std::string type = argument.is_threadgroup_memory ? "threadgroup " : "";
  type += argument.is_writable ? "" : "const ";
  type += facts(argument.scalar).metal;
  if (argument.lanes > 1) type += std::to_string(argument.lanes);
  return type + (argument.is_reference ? "&" : "*");
}

const char *device_name(DeviceKind device) {
  return device == DeviceKind::mps ? "mps" : "cpu";
}

}  // namespace helion_msl
