// What the engine has clang precompile: the whole library, for sources without swizzles. The parts in on_demand.h are
// for the source to bring.
#define HELION_MSL_SWIZZLES_2(S)
#define HELION_MSL_SWIZZLES_3(S)
#define HELION_MSL_SWIZZLES_4(S)
#define HELION_MSL_USES_metal_rules
#include <metal_stdlib>

#include "kernel_entry.h"
#include "lockstep.h"
