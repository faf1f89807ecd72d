// The Metal engine where there is no Metal.
#include "engine.h"
#include "engine_tools.h"
#include "errors.h"

namespace helion_msl {
namespace {

[[noreturn]] void refuse() {
  throw EngineUnavailableError(
      "this build has no Metal engine: it needs macOS 14 or later on Apple silicon. Pass CPU tensors, or "
      "device=\"cpu\", to run the kernel on this machine's cores");
}

}  // namespace

Engine &metal_engine() {
  refuse();
}

EngineTools &metal_engine_tools() {
  refuse();
}

}  // namespace helion_msl
