// An engine that compiles and does no work, to measure what a launch costs before it reaches an engine.
#pragma once

#include "engine.h"

namespace helion_msl {

// While the count of calls that have not been ended is above zero, engine_for() answers with null engines, and the
// launches of kernels that were compiled meanwhile are dropped. Later launches of those kernels reach their engine.
void begin_null_engine();
void end_null_engine();

// `engine`, or what stands in for it now.
Engine &engine_or_null(Engine &engine);

}  // namespace helion_msl
