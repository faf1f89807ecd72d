// Which engine serves which device.
#pragma once

#include "engine.h"
#include "engine_tools.h"

namespace helion_msl {

// Throws EngineUnavailableError where this machine cannot have it.
Engine &engine_for(DeviceKind device);
EngineTools &tools_for(DeviceKind device);

// Where kernels without a tensor run: mps where there is Metal, the CPU elsewhere.
DeviceKind default_device();

}  // namespace helion_msl
