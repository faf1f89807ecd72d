// The words that Metal adds to C++. Address spaces are erased: on the CPU there is one memory. A `threadgroup` variable
// declared in a kernel is turned into storage of the threadgroup before the source gets here.
#pragma once

#define device
#define thread
#define threadgroup
#define threadgroup_imageblock
#define ray_data
#define object_data
#define constant const
#define kernel

#define METAL_FUNC inline __attribute__((always_inline))
#define METAL_INTERNAL inline __attribute__((always_inline))
#define METAL_CONST const
#define METAL_PURE
#define METAL_ASM(...)
#define METAL_ALIGN(bytes) alignas(bytes)
#define METAL_VALID_ARGS(...)
#define METAL_DEPRECATED(...)
