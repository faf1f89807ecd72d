// What Apple's compiler defines before the first line of a source.
#pragma once

#ifndef __METAL__
#define __METAL__ 1
#endif
#ifndef __METAL_VERSION__
#define __METAL_VERSION__ 310
#endif
#ifndef __METAL_MACOS__
#define __METAL_MACOS__ 1
#endif
#ifndef __HAVE_BFLOAT__
#define __HAVE_BFLOAT__ 1
#endif
// Tells a source that it runs on the CPU; Apple's compiler has nothing like it.
#define __HELION_MSL_HOST__ 1
#define __HAVE_SIMDGROUP_MATRIX__ 1
#define __HAVE_SIMDGROUP_REDUCTION__ 1
#define __HAVE_SIMDGROUP_FILL__ 1
