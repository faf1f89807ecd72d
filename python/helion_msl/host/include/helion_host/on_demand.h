// Parts that only a source with one of their words brings, also where the engine does not select: some declare names
// that a source may use for something else. Read again after precompiled headers, so there is no `#pragma once`.

// Matrices of which a lane shows its elements.
#if defined(HELION_MSL_USES_thread_elements) && !defined(HELION_MSL_SHARES_MATRICES)
#define HELION_MSL_SHARES_MATRICES
#include "simdgroup_matrix.h"
template <class Element>
struct helion_host::matrices<Element *> {
  template <class T>
  using type = shared_matrix<T>;
};
#endif

// Kernels that the scanner has written to run in lockstep.
#if defined(HELION_MSL_USES_lockstep)
#include "lockstep.h"
#endif

// What translated kernels assert and print.
#if defined(HELION_MSL_USES_helion_host)
#include "messages.h"
#endif

// Headers of their own, which <metal_stdlib> brings only to a source whose own #include lines are gone.
#if defined(HELION_MSL_USES_os_log) || defined(HELION_MSL_USES_os_log_default)
#include "logging.h"
#endif

#if defined(HELION_MSL_USES_texture1d) || defined(HELION_MSL_USES_texture1d_array) ||        \
    defined(HELION_MSL_USES_texture2d) || defined(HELION_MSL_USES_texture2d_array) ||        \
    defined(HELION_MSL_USES_texture2d_ms) || defined(HELION_MSL_USES_texture3d) ||           \
    defined(HELION_MSL_USES_texture2d_ms_array) || defined(HELION_MSL_USES_depth2d_ms) ||    \
    defined(HELION_MSL_USES_depth2d_ms_array) || defined(HELION_MSL_USES_depthcube_array) || \
    defined(HELION_MSL_USES_texturecube) || defined(HELION_MSL_USES_texturecube_array) ||    \
    defined(HELION_MSL_USES_texture_buffer) || defined(HELION_MSL_USES_depth2d) ||           \
    defined(HELION_MSL_USES_depth2d_array) || defined(HELION_MSL_USES_depthcube) ||          \
    defined(HELION_MSL_USES_sampler) || defined(HELION_MSL_USES_visible_function_table)
#include "unavailable.h"
#endif

#if defined(HELION_MSL_USES_simd) || defined(HELION_MSL_USES_simd_float1) || defined(HELION_MSL_USES_simd_int1) ||     \
    defined(HELION_MSL_USES_simd_uint1) || defined(HELION_MSL_USES_simd_char2) ||                                      \
    defined(HELION_MSL_USES_simd_char3) || defined(HELION_MSL_USES_simd_char4) ||                                      \
    defined(HELION_MSL_USES_simd_uchar2) || defined(HELION_MSL_USES_simd_uchar3) ||                                    \
    defined(HELION_MSL_USES_simd_uchar4) || defined(HELION_MSL_USES_simd_short2) ||                                    \
    defined(HELION_MSL_USES_simd_short3) || defined(HELION_MSL_USES_simd_short4) ||                                    \
    defined(HELION_MSL_USES_simd_ushort2) || defined(HELION_MSL_USES_simd_ushort3) ||                                  \
    defined(HELION_MSL_USES_simd_ushort4) || defined(HELION_MSL_USES_simd_int2) ||                                     \
    defined(HELION_MSL_USES_simd_int3) || defined(HELION_MSL_USES_simd_int4) || defined(HELION_MSL_USES_simd_uint2) || \
    defined(HELION_MSL_USES_simd_uint3) || defined(HELION_MSL_USES_simd_uint4) ||                                      \
    defined(HELION_MSL_USES_simd_half2) || defined(HELION_MSL_USES_simd_half3) ||                                      \
    defined(HELION_MSL_USES_simd_half4) || defined(HELION_MSL_USES_simd_float2) ||                                     \
    defined(HELION_MSL_USES_simd_float3) || defined(HELION_MSL_USES_simd_float4) ||                                    \
    defined(HELION_MSL_USES_vector_char2) || defined(HELION_MSL_USES_vector_char3) ||                                  \
    defined(HELION_MSL_USES_vector_char4) || defined(HELION_MSL_USES_vector_uchar2) ||                                 \
    defined(HELION_MSL_USES_vector_uchar3) || defined(HELION_MSL_USES_vector_uchar4) ||                                \
    defined(HELION_MSL_USES_vector_short2) || defined(HELION_MSL_USES_vector_short3) ||                                \
    defined(HELION_MSL_USES_vector_short4) || defined(HELION_MSL_USES_vector_ushort2) ||                               \
    defined(HELION_MSL_USES_vector_ushort3) || defined(HELION_MSL_USES_vector_ushort4) ||                              \
    defined(HELION_MSL_USES_vector_int2) || defined(HELION_MSL_USES_vector_int3) ||                                    \
    defined(HELION_MSL_USES_vector_int4) || defined(HELION_MSL_USES_vector_uint2) ||                                   \
    defined(HELION_MSL_USES_vector_uint3) || defined(HELION_MSL_USES_vector_uint4) ||                                  \
    defined(HELION_MSL_USES_vector_half2) || defined(HELION_MSL_USES_vector_half3) ||                                  \
    defined(HELION_MSL_USES_vector_half4) || defined(HELION_MSL_USES_vector_float2) ||                                 \
    defined(HELION_MSL_USES_vector_float3) || defined(HELION_MSL_USES_vector_float4) ||                                \
    defined(HELION_MSL_USES_simd_packed_char2) || defined(HELION_MSL_USES_simd_packed_char3) ||                        \
    defined(HELION_MSL_USES_simd_packed_char4) || defined(HELION_MSL_USES_simd_packed_uchar2) ||                       \
    defined(HELION_MSL_USES_simd_packed_uchar3) || defined(HELION_MSL_USES_simd_packed_uchar4) ||                      \
    defined(HELION_MSL_USES_simd_packed_short2) || defined(HELION_MSL_USES_simd_packed_short3) ||                      \
    defined(HELION_MSL_USES_simd_packed_short4) || defined(HELION_MSL_USES_simd_packed_ushort2) ||                     \
    defined(HELION_MSL_USES_simd_packed_ushort3) || defined(HELION_MSL_USES_simd_packed_ushort4) ||                    \
    defined(HELION_MSL_USES_simd_packed_int2) || defined(HELION_MSL_USES_simd_packed_int3) ||                          \
    defined(HELION_MSL_USES_simd_packed_int4) || defined(HELION_MSL_USES_simd_packed_uint2) ||                         \
    defined(HELION_MSL_USES_simd_packed_uint3) || defined(HELION_MSL_USES_simd_packed_uint4) ||                        \
    defined(HELION_MSL_USES_simd_packed_half2) || defined(HELION_MSL_USES_simd_packed_half3) ||                        \
    defined(HELION_MSL_USES_simd_packed_half4) || defined(HELION_MSL_USES_simd_packed_float2) ||                       \
    defined(HELION_MSL_USES_simd_packed_float3) || defined(HELION_MSL_USES_simd_packed_float4) ||                      \
    defined(HELION_MSL_USES_simd_half2x2) || defined(HELION_MSL_USES_simd_half2x3) ||                                  \
    defined(HELION_MSL_USES_simd_half2x4) || defined(HELION_MSL_USES_simd_half3x2) ||                                  \
    defined(HELION_MSL_USES_simd_half3x3) || defined(HELION_MSL_USES_simd_half3x4) ||                                  \
    defined(HELION_MSL_USES_simd_half4x2) || defined(HELION_MSL_USES_simd_half4x3) ||                                  \
    defined(HELION_MSL_USES_simd_half4x4) || defined(HELION_MSL_USES_simd_float2x2) ||                                 \
    defined(HELION_MSL_USES_simd_float2x3) || defined(HELION_MSL_USES_simd_float2x4) ||                                \
    defined(HELION_MSL_USES_simd_float3x2) || defined(HELION_MSL_USES_simd_float3x3) ||                                \
    defined(HELION_MSL_USES_simd_float3x4) || defined(HELION_MSL_USES_simd_float4x2) ||                                \
    defined(HELION_MSL_USES_simd_float4x3) || defined(HELION_MSL_USES_simd_float4x4) ||                                \
    defined(HELION_MSL_USES_matrix_half2x2) || defined(HELION_MSL_USES_matrix_half2x3) ||                              \
    defined(HELION_MSL_USES_matrix_half2x4) || defined(HELION_MSL_USES_matrix_half3x2) ||                              \
    defined(HELION_MSL_USES_matrix_half3x3) || defined(HELION_MSL_USES_matrix_half3x4) ||                              \
    defined(HELION_MSL_USES_matrix_half4x2) || defined(HELION_MSL_USES_matrix_half4x3) ||                              \
    defined(HELION_MSL_USES_matrix_half4x4) || defined(HELION_MSL_USES_matrix_float2x2) ||                             \
    defined(HELION_MSL_USES_matrix_float2x3) || defined(HELION_MSL_USES_matrix_float2x4) ||                            \
    defined(HELION_MSL_USES_matrix_float3x2) || defined(HELION_MSL_USES_matrix_float3x3) ||                            \
    defined(HELION_MSL_USES_matrix_float3x4) || defined(HELION_MSL_USES_matrix_float4x2) ||                            \
    defined(HELION_MSL_USES_matrix_float4x3) || defined(HELION_MSL_USES_matrix_float4x4)
#include "../simd/simd.h"
#endif
