#include "launch_plan.h"

#include <string>

#include "argument_array.h"
#include "argument_binding.h"
#include "errors.h"
#include "graph_recording.h"
#include "launcher.h"

namespace helion_msl {
namespace {

IntegerValue integer_of(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  return {.is_negative = value < 0, .magnitude = value < 0 ? 0 - bits : bits};
}

std::int64_t contiguous_stride(const TensorView &tensor, std::uint32_t dimension) {
  std::int64_t stride = 1;
  for (auto i = static_cast<std::uint32_t>(tensor.dimension_count); i-- > dimension + 1;) stride *= tensor.shape[i];
  return stride;
}

void read_source(const LaunchSource &source, std::span<const ArgumentValue> values, ArgumentValue &result) {
  const ArgumentValue &value = values[source.parameter];
  if (source.kind == LaunchSource::Kind::value) {
    result = value;
    return;
  }
  const TensorView &tensor = value.tensor;
  if (value.kind != ArgumentValue::Kind::tensor ||
      source.dimension >= static_cast<std::uint32_t>(tensor.dimension_count)) {
    throw ArgumentError("a size or a stride was asked of argument " + std::to_string(source.parameter) +
                        ", which has no dimension " + std::to_string(source.dimension));
  }
  std::int64_t number = 0;
  if (source.kind == LaunchSource::Kind::size) {
    number = tensor.shape[source.dimension];
  } else {
    number = tensor.strides != nullptr ? tensor.strides[source.dimension] : contiguous_stride(tensor, source.dimension);
  }
  result.kind = ArgumentValue::Kind::integer;
  result.integer = integer_of(number);
}

}  // namespace

void launch_plan(const LaunchPlan &plan, std::span<const ArgumentValue> values, const ArgumentOwners &owners,
                 Dimensions grid, Dimensions threads) {
  if (plan.passes_values_on && current_recording() == nullptr) {
    return launch_values(*plan.engine, plan.kernel, values, owners, grid, threads);
  }
  ArgumentArray<ArgumentValue> arguments(plan.sources.size());
  for (std::size_t i = 0; i < plan.sources.size(); ++i) read_source(plan.sources[i], values, arguments.span()[i]);
  const GraphRecording *recording = current_recording();
  if (recording == nullptr) [[likely]] {
    return launch_values(*plan.engine, plan.kernel, arguments.span(), owners, grid, threads);
  }
  std::vector<PyObject *> objects;
  for (const LaunchSource &source : plan.sources) objects.push_back(owners.objects[source.parameter]);
  recording->check_constants(owners.objects, objects, *plan.kernel);
  launch_values(*plan.engine, plan.kernel, arguments.span(), {objects, owners.exported}, grid, threads);
}

}  // namespace helion_msl
