#include "launch_graph.h"

#include <algorithm>
#include <utility>

#include "argument_binding.h"
#include "errors.h"
#include "scalar_encoding.h"
#include "tensor_layout.h"

namespace helion_msl {
namespace {

// A graph of more launches than this takes longer than giving up the GIL, whatever they do.
constexpr std::size_t launches_with_the_gil = 8;

std::string tuple_text(const std::int64_t *numbers, std::size_t count) {
  std::string text = "(";
  for (std::size_t i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + std::to_string(numbers[i]);
  return text + (count == 1 ? ",)" : ")");
}

std::vector<std::int64_t> strides_of(const TensorView &tensor) {
  const auto rank = static_cast<std::size_t>(tensor.dimension_count);
  if (tensor.strides != nullptr) return {tensor.strides, tensor.strides + rank};
  std::vector<std::int64_t> strides(rank);
  std::int64_t stride = 1;
  for (std::size_t i = rank; i-- > 0;) {
    strides[i] = stride;
    stride *= tensor.shape[i];
  }
  return strides;
}

// "a float32 tensor of shape (4,) and strides (1,) on cpu"
std::string describe(const ArgumentValue &value) {
  if (value.kind != ArgumentValue::Kind::tensor) {
    switch (value.kind) {
      case ArgumentValue::Kind::boolean:
        return "a bool";
      case ArgumentValue::Kind::integer:
        return "an int";
      case ArgumentValue::Kind::real:
        return "a float";
      default:
        return "bytes";
    }
  }
  const TensorView &tensor = value.tensor;
  const std::vector<std::int64_t> strides = strides_of(tensor);
  return "a " + data_type_name(tensor.dtype) + " tensor of shape " + tuple_text(tensor.shape, strides.size()) +
         " and strides " + tuple_text(strides.data(), strides.size()) + " on " + device_name(tensor.device);
}

bool is_number(const ArgumentValue &value) {
  return value.kind != ArgumentValue::Kind::tensor && value.kind != ArgumentValue::Kind::bytes;
}

bool has_layout_of(const TensorView &tensor, const GraphParameter &parameter) {
  const TensorView &recorded = parameter.recorded.tensor;
  if (tensor.dtype.code != recorded.dtype.code || tensor.dtype.bits != recorded.dtype.bits ||
      tensor.dtype.lanes != recorded.dtype.lanes || tensor.device != recorded.device ||
      tensor.dimension_count != recorded.dimension_count) {
    return false;
  }
  if (!std::equal(parameter.shape.begin(), parameter.shape.end(), tensor.shape)) return false;
  if (tensor.strides == nullptr) return strides_of(tensor) == parameter.strides;
  return std::equal(parameter.strides.begin(), parameter.strides.end(), tensor.strides);
}

// MemoryRange::begin, without the extent of the tensor.
std::uint64_t beginning_of(const TensorView &tensor) {
  const bool is_address = tensor.device == DeviceKind::cpu;
  return tensor.byte_offset + (is_address ? reinterpret_cast<std::uintptr_t>(tensor.data) : 0);
}

void check_tensor(const GraphContents &contents, const GraphParameter &parameter, const ArgumentValue &value) {
  if (value.kind != ArgumentValue::Kind::tensor || !has_layout_of(value.tensor, parameter)) {
    throw ArgumentError(contents.label(parameter) + " was recorded with " + describe(parameter.recorded) + ", but " +
                        describe(value) +
                        " was given; a graph fits tensors of the same dtype, device, shape and strides, record "
                        "another one for this");
  }
  const TensorView &tensor = value.tensor;
  if (parameter.is_written && (tensor.is_read_only || tensor.is_copy)) {
    throw ArgumentError(contents.label(parameter) + ": a kernel writes there, but the array given is " +
                        (tensor.is_read_only ? "read-only" : "exported as a copy, so that the writes would be lost") +
                        "; pass a writable copy of it");
  }
  // Each use is as far from the first element as it was, where alignments are powers of two.
  const std::uint64_t distance = beginning_of(tensor) - beginning_of(parameter.recorded.tensor);
  if (distance % parameter.alignment != 0 && !is_empty(tensor)) {
    throw ArgumentError(contents.label(parameter, parameter.aligned_use) + ": the tensor given is not aligned to " +
                        std::to_string(parameter.alignment) +
                        " bytes as the recorded one is; pass x.clone() or a slice that starts on such a boundary");
  }
}

void check_number(const GraphContents &contents, const GraphParameter &parameter, const ArgumentValue &value) {
  if (is_number(value)) return;
  throw ArgumentError(contents.label(parameter) + " was recorded with " + describe(parameter.recorded) + ", but " +
                      describe(value) + " was given; pass a number");
}

}  // namespace

MemoryRange memory_of(const TensorView &tensor) {
  MemoryRange range;
  range.begin = beginning_of(tensor);
  if (tensor.device != DeviceKind::cpu) range.buffer = tensor.data;
  range.end = range.begin + byte_span(tensor);
  return range;
}

GraphParameter::GraphParameter(std::string parameter_name, const ArgumentValue &value)
    : name(std::move(parameter_name)), recorded(value) {
  if (value.kind != ArgumentValue::Kind::tensor) return;
  shape.assign(value.tensor.shape, value.tensor.shape + value.tensor.dimension_count);
  strides = strides_of(value.tensor);
  recorded.tensor.shape = shape.data();
  recorded.tensor.strides = strides.data();
}

std::string GraphContents::label(const GraphParameter &parameter, std::size_t use) const {
  std::string text = "parameter '" + parameter.name + "' of the graph";
  if (use >= parameter.uses.size()) return text;
  const GraphParameter::Use &where = parameter.uses[use];
  return text + " (argument " + std::to_string(where.position) + " of launch " + std::to_string(where.launch) +
         ", kernel '" + kernels[where.launch]->info().name + "')";
}

// ---- Replaying ------------------------------------------------------------------------------------------------------

// The arguments of all launches with other tensors and numbers in them.
struct LaunchGraph::Variant {
  explicit Variant(const GraphContents &contents) : arguments(contents.arguments) {
    std::size_t number_uses = 0;
    for (const GraphParameter &parameter : contents.parameters) {
      if (is_number(parameter.recorded)) number_uses += parameter.uses.size();
    }
    numbers.resize(number_uses);
    std::size_t next = 0;
    for (const GraphParameter &parameter : contents.parameters) {
      if (is_number(parameter.recorded)) {
        places.push_back({});
        for (const auto &use : parameter.uses) arguments[use.argument].address = &numbers[next++];
      } else {
        places.push_back(memory_of(parameter.recorded.tensor));
      }
    }
  }

  // Puts a tensor's memory in the place of a parameter's, unless it is there.
  void place(const GraphParameter &parameter, std::size_t index, const MemoryRange &memory) {
    MemoryRange &placed = places[index];
    if (placed.buffer == memory.buffer && placed.begin == memory.begin) return;
    placed = memory;
    const bool is_offset = parameter.recorded.tensor.device != DeviceKind::cpu;
    for (const GraphParameter::Use &use : parameter.uses) {
      const std::uint64_t begin = memory.begin + use.distance;
      BoundArgument &argument = arguments[use.argument];
      argument.address = is_offset ? memory.buffer : reinterpret_cast<void *>(begin);
      argument.offset = is_offset ? begin : 0;
    }
  }

  std::vector<BoundArgument> arguments;
  std::vector<std::uint64_t> numbers;  // encoded, in the order of parameters and uses; never resized
  std::vector<MemoryRange> places;     // by parameter: what `arguments` has there
};

LaunchGraph::Arguments::Arguments(const LaunchGraph &graph, std::unique_ptr<Variant> variant)
    : graph_(&graph), variant_(std::move(variant)) {}

LaunchGraph::Arguments::~Arguments() {
  if (variant_) delete graph_->idle_.exchange(variant_.release(), std::memory_order_acq_rel);
}

std::span<const BoundArgument> LaunchGraph::Arguments::span() const {
  return variant_ ? variant_->arguments : graph_->contents_.arguments;
}

LaunchGraph::LaunchGraph(GraphContents contents) : contents_(std::move(contents)) {}

LaunchGraph::~LaunchGraph() {
  delete idle_.load(std::memory_order_acquire);
}

std::unique_ptr<LaunchGraph::Variant> LaunchGraph::take_variant() const {
  std::unique_ptr<Variant> variant(idle_.exchange(nullptr, std::memory_order_acq_rel));
  return variant ? std::move(variant) : std::make_unique<Variant>(contents_);
}

LaunchGraph::Arguments LaunchGraph::recorded_arguments() const {
  return {*this, nullptr};
}

LaunchGraph::Arguments LaunchGraph::arguments_with(std::span<const ArgumentValue *const> values) const {
  Arguments result(*this, take_variant());
  Variant &variant = *result.variant_;
  std::size_t number = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const GraphParameter &parameter = contents_.parameters[i];
    const ArgumentValue &value = values[i] != nullptr ? *values[i] : parameter.recorded;
    if (!is_number(parameter.recorded)) {
      if (values[i] != nullptr) check_tensor(contents_, parameter, value);
      variant.place(parameter, i, memory_of(value.tensor));
      continue;
    }
    check_number(contents_, parameter, value);
    for (std::size_t use = 0; use < parameter.uses.size(); ++use, ++number) {
      const auto &[launch, position, argument, distance] = parameter.uses[use];
      const ArgumentInfo &declared = contents_.kernels[launch]->info().arguments[position];
      const std::string refusal = encode_scalar(declared.scalar, value, variant.numbers[number]);
      if (!refusal.empty()) throw ArgumentError(contents_.label(parameter, use) + ": " + refusal);
    }
  }
  return result;
}

bool LaunchGraph::is_long() const {
  if (contents_.launches.size() > launches_with_the_gil) return true;
  return std::ranges::any_of(contents_.launches, [&](const PreparedLaunch &launch) {
    return contents_.engine->launch_is_long(*launch.kernel, launch.grid, launch.threads);
  });
}

void LaunchGraph::run(const Arguments &arguments) const {
  if (contents_.engine != nullptr) contents_.engine->launch_all(contents_.launches, arguments.span());
}

}  // namespace helion_msl
