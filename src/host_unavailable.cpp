#include "engine.h"
#include "errors.h"

namespace helion_msl {

Engine &host_engine() {
  throw EngineUnavailableError("this build has no host engine");
}

}  // namespace helion_msl
