// Where a thread is in its launch.
#pragma once

#include "platform.h"

namespace helion_host {

struct triple {
  uint32 x, y, z;
  HELION_MSL_FUNC constexpr uint32 product() const { return x * y * z; }
};
HELION_MSL_FUNC constexpr triple operator*(triple a, triple b) {
  return {a.x * b.x, a.y * b.y, a.z * b.z};
}
HELION_MSL_FUNC constexpr triple operator+(triple a, triple b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z};
}

// The place of one thread, in scalars that clang keeps in registers.
struct place {
  triple threadgroups;  // in the grid
  triple threads;       // in a threadgroup
  triple group;         // position in the grid
  triple local;         // position in the threadgroup
  triple global;        // position in the grid
  uint32 index;         // of the thread in the threadgroup
  unsigned char *threadgroup_memory = nullptr;
};

HELION_MSL_FUNC constexpr uint32 divide_up(uint32 a, uint32 b) {
  return (a + b - 1) / b;
}

}  // namespace helion_host
