#include "engines.h"

#include "errors.h"

namespace helion_msl {

Engine &engine_for(DeviceKind device) {
  return device == DeviceKind::mps ? metal_engine() : host_engine();
}

DeviceKind default_device() {
  static const DeviceKind device = [] {
    try {
      metal_engine();
      return DeviceKind::mps;
    } catch (const EngineUnavailableError &) {
      return DeviceKind::cpu;
    }
  }();
  return device;
}

}  // namespace helion_msl
