#include "engines.h"

#include "errors.h"
#include "null_engine.h"

namespace helion_msl {

Engine &engine_for(DeviceKind device) {
  return engine_or_null(device == DeviceKind::mps ? metal_engine() : host_engine());
}

EngineTools &tools_for(DeviceKind device) {
  return device == DeviceKind::mps ? metal_engine_tools() : host_engine_tools();
}

DeviceKind default_device() {
  // Asked again after a refusal: torch, whose stream the Metal engine runs on, may be imported by then.
  try {
    metal_engine();
    return DeviceKind::mps;
  } catch (const EngineUnavailableError &) {
    return DeviceKind::cpu;
  }
}

}  // namespace helion_msl
