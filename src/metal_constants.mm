#include "metal_constants.h"

#include <cstdint>
#include <string>
#include <vector>

#include "errors.h"
#include "metal_types.h"
#include "objective_c_text.h"
#include "scalar_encoding.h"

namespace helion_msl {
namespace {

ArgumentValue as_argument(const ConstantValue &constant, ScalarType declared) {
  ArgumentValue value;
  if (const bool *boolean = std::get_if<bool>(&constant)) {
    value.kind = ArgumentValue::Kind::boolean;
    value.boolean = *boolean;
  } else if (const double *real = std::get_if<double>(&constant)) {
    value.kind = ArgumentValue::Kind::real;
    value.real = *real;
  } else {
    const std::int64_t integer = std::get<std::int64_t>(constant);
    // Above the range of int64, an unsigned constant travels as the same 64 bits.
    const bool is_negative = integer < 0 && declared != ScalarType::uint64;
    value.kind = ArgumentValue::Kind::integer;
    value.integer = {};
    value.integer.is_negative = is_negative;
    value.integer.magnitude =
        is_negative ? 0 - static_cast<std::uint64_t>(integer) : static_cast<std::uint64_t>(integer);
  }
  return value;
}

const ConstantValue *find(const Constants &constants, MTLFunctionConstant *declared) {
  auto found = constants.find(text_of(declared.name));
  if (found == constants.end()) found = constants.find(std::to_string(declared.index));
  return found == constants.end() ? nullptr : &found->second;
}

void set_value(MTLFunctionConstantValues *values, MTLFunctionConstant *declared, const ConstantValue &constant) {
  const ElementType type = element_type(declared.type);
  const std::string label = "function constant " + text_of(declared.name);
  if (type.scalar == ScalarType::opaque || type.lanes != 1) {
    throw MetalCompileError(label + " is no scalar, and only scalars can be given a value from Python");
  }
  std::uint64_t storage = 0;
  const std::string refusal = encode_scalar(type.scalar, as_argument(constant, type.scalar), storage);
  if (!refusal.empty()) throw MetalCompileError(label + ": " + refusal);
  [values setConstantValue:&storage type:declared.type atIndex:declared.index];
}

std::string names_of(NSArray *declared) {
  std::string names;
  for (NSUInteger i = 0; i < declared.count; ++i) {
    MTLFunctionConstant *constant = [declared objectAtIndex:i];
    names += (i == 0 ? "" : ", ") + text_of(constant.name) + " [" + std::to_string(constant.index) + "]";
  }
  return names;
}

bool declares(NSArray *declared, const std::string &key) {
  for (NSUInteger i = 0; i < declared.count; ++i) {
    MTLFunctionConstant *constant = [declared objectAtIndex:i];
    if (key == text_of(constant.name) || key == std::to_string(constant.index)) return true;
  }
  return false;
}

// Metal tells of a constant only through the functions that use it.
bool any_function_declares(id<MTLLibrary> library, const std::string &key) {
  NSArray *names = library.functionNames;
  for (NSUInteger i = 0; i < names.count; ++i) {
    const auto function = Retained<id<MTLFunction>>::adopt([library newFunctionWithName:[names objectAtIndex:i]]);
    if (declares(function.get().functionConstantsDictionary.allValues, key)) return true;
  }
  return false;
}

void refuse_unknown(id<MTLLibrary> library, const std::string &kernel, NSArray *declared, const Constants &constants) {
  for (const auto &[key, value] : constants) {
    if (declares(declared, key) || any_function_declares(library, key)) continue;
    throw MetalCompileError("kernel " + kernel + " uses no function constant " + key +
                            (declared.count == 0 ? ", nor any other" : "; it uses: " + names_of(declared)));
  }
}

}  // namespace

Retained<MTLFunctionConstantValues *> make_constant_values(id<MTLLibrary> library, id<MTLFunction> function,
                                                           const Constants &constants) {
  NSArray *declared = function.functionConstantsDictionary.allValues;
  refuse_unknown(library, text_of(function.name), declared, constants);
  if (declared.count == 0) return {};
  auto values = Retained<MTLFunctionConstantValues *>::adopt([[MTLFunctionConstantValues alloc] init]);
  for (NSUInteger i = 0; i < declared.count; ++i) {
    MTLFunctionConstant *constant = [declared objectAtIndex:i];
    if (const ConstantValue *value = find(constants, constant)) {
      set_value(values.get(), constant, *value);
    } else if (constant.required) {
      throw MetalCompileError("kernel " + text_of(function.name) + " needs a value for its function constant " +
                              text_of(constant.name) + ": pass constants={\"" + text_of(constant.name) + "\": ...}");
    }
  }
  return values;
}

}  // namespace helion_msl
