// The Metal engine where there is no Metal.
#include "engine.h"
#include "errors.h"

namespace helion_msl {

Engine &metal_engine() {
  throw EngineUnavailableError(
      "this build has no Metal engine: it needs macOS 14 or later on Apple silicon. Pass CPU tensors, or "
      "device=\"cpu\", to run the kernel on this machine's cores");
}

}  // namespace helion_msl
