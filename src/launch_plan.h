// A kernel for one kind of call, and how the values of that call become the arguments of a launch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "argument_value.h"
#include "engine.h"

namespace helion_msl {

// Where one argument of the launch comes from.
struct LaunchSource {
  enum class Kind : std::uint8_t { value, size, stride };

  Kind kind = Kind::value;
  std::uint32_t parameter = 0;  // position of the value in the call
  std::uint32_t dimension = 0;  // for a size or a stride
};

// Immutable once made.
struct LaunchPlan {
  Engine *engine = nullptr;
  std::shared_ptr<const CompiledKernel> kernel;
  std::vector<LaunchSource> sources;  // one for each argument of the kernel
  bool passes_values_on = false;      // the arguments are the values of the call, all of them, in their order
};

struct ArgumentOwners;

// Checks the values of a call and launches. `owners` has the object of each value. The GIL is held, and is released
// around long launches.
void launch_plan(const LaunchPlan &plan, std::span<const ArgumentValue> values, const ArgumentOwners &owners,
                 Dimensions grid, Dimensions threads);

}  // namespace helion_msl
