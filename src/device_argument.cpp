#include "device_argument.h"

#include <string>
#include <string_view>

#include "engines.h"
#include "errors.h"
#include "launcher.h"

namespace helion_msl {

DeviceKind read_device(nanobind::handle device) {
  if (device.is_none()) return default_device();
  const nanobind::str text(device);  // torch.device prints as its name
  const std::string_view name = text_of(text.ptr(), "device");
  if (name == "cpu") return DeviceKind::cpu;
  if (name == "mps" || name == "mps:0") return DeviceKind::mps;
  throw ArgumentError("device must be \"cpu\" or \"mps\", not \"" + std::string(name) + "\"");
}

}  // namespace helion_msl
