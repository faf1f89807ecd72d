// Everything of <metal_stdlib>, or as much of it as a source can use.
//
// Reading the whole library takes longer than compiling a small kernel. Where the engine knows the words of a source,
// it defines HELION_MSL_SELECTS, and HELION_MSL_USES_<word> for each, and the parts without a word in the source stay
// out. A part that needs another one includes it.
#pragma once

#include "base.h"
#include "synchronization.h"

// Operators that the scanner has rewritten.
#if defined(HELION_MSL_USES_metal_rules)
#include "integer_operators.h"
#endif

// Functions that mathematics and integers share.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_abs) || defined(HELION_MSL_USES_clamp) ||            \
    defined(HELION_MSL_USES_max) || defined(HELION_MSL_USES_max3) || defined(HELION_MSL_USES_median3) ||         \
    defined(HELION_MSL_USES_min) || defined(HELION_MSL_USES_min3) || defined(HELION_MSL_USES_mix) ||             \
    defined(HELION_MSL_USES_saturate) || defined(HELION_MSL_USES_sign) || defined(HELION_MSL_USES_smoothstep) || \
    defined(HELION_MSL_USES_step)
#include "common.h"
#endif

// Mathematics, also by the names metal::fast and metal::precise.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_fast) || defined(HELION_MSL_USES_precise) ||    \
    defined(HELION_MSL_USES_acos) || defined(HELION_MSL_USES_acosh) || defined(HELION_MSL_USES_asin) ||     \
    defined(HELION_MSL_USES_asinh) || defined(HELION_MSL_USES_atan) || defined(HELION_MSL_USES_atan2) ||    \
    defined(HELION_MSL_USES_atanh) || defined(HELION_MSL_USES_ceil) || defined(HELION_MSL_USES_copysign) || \
    defined(HELION_MSL_USES_cos) || defined(HELION_MSL_USES_cosh) || defined(HELION_MSL_USES_cospi) ||      \
    defined(HELION_MSL_USES_divide) || defined(HELION_MSL_USES_exp) || defined(HELION_MSL_USES_exp10) ||    \
    defined(HELION_MSL_USES_exp2) || defined(HELION_MSL_USES_fabs) || defined(HELION_MSL_USES_fdim) ||      \
    defined(HELION_MSL_USES_floor) || defined(HELION_MSL_USES_fma) || defined(HELION_MSL_USES_fmax) ||      \
    defined(HELION_MSL_USES_fmax3) || defined(HELION_MSL_USES_fmedian3) || defined(HELION_MSL_USES_fmin) || \
    defined(HELION_MSL_USES_fmin3) || defined(HELION_MSL_USES_fmod) || defined(HELION_MSL_USES_fract) ||    \
    defined(HELION_MSL_USES_frexp) || defined(HELION_MSL_USES_ilogb) || defined(HELION_MSL_USES_ldexp) ||   \
    defined(HELION_MSL_USES_log) || defined(HELION_MSL_USES_log10) || defined(HELION_MSL_USES_log2) ||      \
    defined(HELION_MSL_USES_modf) || defined(HELION_MSL_USES_nextafter) || defined(HELION_MSL_USES_pow) ||  \
    defined(HELION_MSL_USES_powr) || defined(HELION_MSL_USES_rint) || defined(HELION_MSL_USES_round) ||     \
    defined(HELION_MSL_USES_rsqrt) || defined(HELION_MSL_USES_sin) || defined(HELION_MSL_USES_sincos) ||    \
    defined(HELION_MSL_USES_sinh) || defined(HELION_MSL_USES_sinpi) || defined(HELION_MSL_USES_sqrt) ||     \
    defined(HELION_MSL_USES_tan) || defined(HELION_MSL_USES_tanh) || defined(HELION_MSL_USES_tanpi) ||      \
    defined(HELION_MSL_USES_trunc)
#include "math.h"
#endif

// Geometry.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_cross) || defined(HELION_MSL_USES_distance) || \
    defined(HELION_MSL_USES_distance_squared) || defined(HELION_MSL_USES_dot) ||                           \
    defined(HELION_MSL_USES_faceforward) || defined(HELION_MSL_USES_length) ||                             \
    defined(HELION_MSL_USES_length_squared) || defined(HELION_MSL_USES_normalize) ||                       \
    defined(HELION_MSL_USES_reflect) || defined(HELION_MSL_USES_refract)
#include "geometric.h"
#endif

// Relations.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_all) || defined(HELION_MSL_USES_any) ||                    \
    defined(HELION_MSL_USES_isfinite) || defined(HELION_MSL_USES_isinf) || defined(HELION_MSL_USES_isnan) ||           \
    defined(HELION_MSL_USES_isnormal) || defined(HELION_MSL_USES_isordered) || defined(HELION_MSL_USES_isunordered) || \
    defined(HELION_MSL_USES_select) || defined(HELION_MSL_USES_signbit)
#include "relational.h"
#endif

// Integers.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_absdiff) || defined(HELION_MSL_USES_addsat) ||          \
    defined(HELION_MSL_USES_clz) || defined(HELION_MSL_USES_ctz) || defined(HELION_MSL_USES_extract_bits) ||        \
    defined(HELION_MSL_USES_hadd) || defined(HELION_MSL_USES_insert_bits) || defined(HELION_MSL_USES_mad24) ||      \
    defined(HELION_MSL_USES_madhi) || defined(HELION_MSL_USES_madsat) || defined(HELION_MSL_USES_mul24) ||          \
    defined(HELION_MSL_USES_mulhi) || defined(HELION_MSL_USES_popcount) || defined(HELION_MSL_USES_reverse_bits) || \
    defined(HELION_MSL_USES_rhadd) || defined(HELION_MSL_USES_rotate) || defined(HELION_MSL_USES_subsat)
#include "integer.h"
#endif

// Limits.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_numeric_limits)
#include "limits.h"
#endif

// Atomics.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_atomic) || defined(HELION_MSL_USES__atomic) ||      \
    defined(HELION_MSL_USES_atomic_bool) || defined(HELION_MSL_USES_atomic_float) ||                            \
    defined(HELION_MSL_USES_atomic_int) || defined(HELION_MSL_USES_atomic_long) ||                              \
    defined(HELION_MSL_USES_atomic_uint) || defined(HELION_MSL_USES_atomic_ulong) ||                            \
    defined(HELION_MSL_USES_atomic_load_explicit) || defined(HELION_MSL_USES_atomic_store_explicit) ||          \
    defined(HELION_MSL_USES_atomic_exchange_explicit) ||                                                        \
    defined(HELION_MSL_USES_atomic_compare_exchange_weak_explicit) ||                                           \
    defined(HELION_MSL_USES_atomic_fetch_add_explicit) || defined(HELION_MSL_USES_atomic_fetch_sub_explicit) || \
    defined(HELION_MSL_USES_atomic_fetch_and_explicit) || defined(HELION_MSL_USES_atomic_fetch_or_explicit) ||  \
    defined(HELION_MSL_USES_atomic_fetch_xor_explicit) || defined(HELION_MSL_USES_atomic_fetch_min_explicit) || \
    defined(HELION_MSL_USES_atomic_fetch_max_explicit) || defined(HELION_MSL_USES_atomic_min_explicit) ||       \
    defined(HELION_MSL_USES_atomic_max_explicit)
#include "atomic.h"
#endif

// Functions of simdgroups.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_simd_sum) || defined(HELION_MSL_USES_simd_product) ||   \
    defined(HELION_MSL_USES_simd_min) || defined(HELION_MSL_USES_simd_max) || defined(HELION_MSL_USES_simd_and) ||  \
    defined(HELION_MSL_USES_simd_or) || defined(HELION_MSL_USES_simd_xor) ||                                        \
    defined(HELION_MSL_USES_simd_prefix_inclusive_sum) || defined(HELION_MSL_USES_simd_prefix_inclusive_product) || \
    defined(HELION_MSL_USES_simd_prefix_exclusive_sum) || defined(HELION_MSL_USES_simd_prefix_exclusive_product) || \
    defined(HELION_MSL_USES_simd_broadcast) || defined(HELION_MSL_USES_simd_broadcast_first) ||                     \
    defined(HELION_MSL_USES_simd_shuffle) || defined(HELION_MSL_USES_simd_shuffle_up) ||                            \
    defined(HELION_MSL_USES_simd_shuffle_down) || defined(HELION_MSL_USES_simd_shuffle_xor) ||                      \
    defined(HELION_MSL_USES_simd_shuffle_rotate_up) || defined(HELION_MSL_USES_simd_shuffle_rotate_down) ||         \
    defined(HELION_MSL_USES_simd_shuffle_and_fill_up) || defined(HELION_MSL_USES_simd_shuffle_and_fill_down) ||     \
    defined(HELION_MSL_USES_simd_vote) || defined(HELION_MSL_USES_simd_ballot) ||                                   \
    defined(HELION_MSL_USES_simd_active_threads_mask) || defined(HELION_MSL_USES_simd_all) ||                       \
    defined(HELION_MSL_USES_simd_any) || defined(HELION_MSL_USES_simd_is_first) ||                                  \
    defined(HELION_MSL_USES_simd_is_helper_thread)
#include "simdgroup.h"
#endif

// Functions of quadgroups.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_quad_sum) || defined(HELION_MSL_USES_quad_product) ||   \
    defined(HELION_MSL_USES_quad_min) || defined(HELION_MSL_USES_quad_max) || defined(HELION_MSL_USES_quad_and) ||  \
    defined(HELION_MSL_USES_quad_or) || defined(HELION_MSL_USES_quad_xor) ||                                        \
    defined(HELION_MSL_USES_quad_prefix_inclusive_sum) || defined(HELION_MSL_USES_quad_prefix_inclusive_product) || \
    defined(HELION_MSL_USES_quad_prefix_exclusive_sum) || defined(HELION_MSL_USES_quad_prefix_exclusive_product) || \
    defined(HELION_MSL_USES_quad_broadcast) || defined(HELION_MSL_USES_quad_broadcast_first) ||                     \
    defined(HELION_MSL_USES_quad_shuffle) || defined(HELION_MSL_USES_quad_shuffle_up) ||                            \
    defined(HELION_MSL_USES_quad_shuffle_down) || defined(HELION_MSL_USES_quad_shuffle_xor) ||                      \
    defined(HELION_MSL_USES_quad_shuffle_rotate_up) || defined(HELION_MSL_USES_quad_shuffle_rotate_down) ||         \
    defined(HELION_MSL_USES_quad_shuffle_and_fill_up) || defined(HELION_MSL_USES_quad_shuffle_and_fill_down) ||     \
    defined(HELION_MSL_USES_quad_vote) || defined(HELION_MSL_USES_quad_ballot) ||                                   \
    defined(HELION_MSL_USES_quad_active_threads_mask) || defined(HELION_MSL_USES_quad_all) ||                       \
    defined(HELION_MSL_USES_quad_any) || defined(HELION_MSL_USES_quad_is_first) ||                                  \
    defined(HELION_MSL_USES_quad_is_helper_thread)
#include "quadgroup.h"
#endif

// Matrices of simdgroups.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_simdgroup_matrix) ||                  \
    defined(HELION_MSL_USES_simdgroup_half8x8) || defined(HELION_MSL_USES_simdgroup_bfloat8x8) || \
    defined(HELION_MSL_USES_simdgroup_float8x8) || defined(HELION_MSL_USES_simdgroup_load) ||     \
    defined(HELION_MSL_USES_simdgroup_store) || defined(HELION_MSL_USES_simdgroup_multiply) ||    \
    defined(HELION_MSL_USES_simdgroup_multiply_accumulate) || defined(HELION_MSL_USES_make_filled_simdgroup_matrix)
#include "simdgroup_matrix.h"
#endif

// Matrices.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_matrix) || defined(HELION_MSL_USES_transpose) ||          \
    defined(HELION_MSL_USES_determinant) || defined(HELION_MSL_USES_half2x2) || defined(HELION_MSL_USES_half2x3) ||   \
    defined(HELION_MSL_USES_half2x4) || defined(HELION_MSL_USES_half3x2) || defined(HELION_MSL_USES_half3x3) ||       \
    defined(HELION_MSL_USES_half3x4) || defined(HELION_MSL_USES_half4x2) || defined(HELION_MSL_USES_half4x3) ||       \
    defined(HELION_MSL_USES_half4x4) || defined(HELION_MSL_USES_bfloat2x2) || defined(HELION_MSL_USES_bfloat2x3) ||   \
    defined(HELION_MSL_USES_bfloat2x4) || defined(HELION_MSL_USES_bfloat3x2) || defined(HELION_MSL_USES_bfloat3x3) || \
    defined(HELION_MSL_USES_bfloat3x4) || defined(HELION_MSL_USES_bfloat4x2) || defined(HELION_MSL_USES_bfloat4x3) || \
    defined(HELION_MSL_USES_bfloat4x4) || defined(HELION_MSL_USES_float2x2) || defined(HELION_MSL_USES_float2x3) ||   \
    defined(HELION_MSL_USES_float2x4) || defined(HELION_MSL_USES_float3x2) || defined(HELION_MSL_USES_float3x3) ||    \
    defined(HELION_MSL_USES_float3x4) || defined(HELION_MSL_USES_float4x2) || defined(HELION_MSL_USES_float4x3) ||    \
    defined(HELION_MSL_USES_float4x4)
#include "matrix.h"
#endif

// Packing.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_pack_float_to_unorm4x8) ||                               \
    defined(HELION_MSL_USES_pack_half_to_unorm4x8) || defined(HELION_MSL_USES_unpack_unorm4x8_to_float) ||           \
    defined(HELION_MSL_USES_unpack_unorm4x8_to_half) || defined(HELION_MSL_USES_pack_float_to_snorm4x8) ||           \
    defined(HELION_MSL_USES_pack_half_to_snorm4x8) || defined(HELION_MSL_USES_unpack_snorm4x8_to_float) ||           \
    defined(HELION_MSL_USES_unpack_snorm4x8_to_half) || defined(HELION_MSL_USES_pack_float_to_srgb_unorm4x8) ||      \
    defined(HELION_MSL_USES_pack_half_to_srgb_unorm4x8) || defined(HELION_MSL_USES_unpack_srgb_unorm4x8_to_float) || \
    defined(HELION_MSL_USES_unpack_srgb_unorm4x8_to_half) || defined(HELION_MSL_USES_pack_float_to_unorm2x16) ||     \
    defined(HELION_MSL_USES_pack_half_to_unorm2x16) || defined(HELION_MSL_USES_unpack_unorm2x16_to_float) ||         \
    defined(HELION_MSL_USES_unpack_unorm2x16_to_half) || defined(HELION_MSL_USES_pack_float_to_snorm2x16) ||         \
    defined(HELION_MSL_USES_pack_half_to_snorm2x16) || defined(HELION_MSL_USES_unpack_snorm2x16_to_float) ||         \
    defined(HELION_MSL_USES_unpack_snorm2x16_to_half) || defined(HELION_MSL_USES_pack_float_to_unorm10a2) ||         \
    defined(HELION_MSL_USES_pack_half_to_unorm10a2) || defined(HELION_MSL_USES_unpack_unorm10a2_to_float) ||         \
    defined(HELION_MSL_USES_unpack_unorm10a2_to_half) || defined(HELION_MSL_USES_pack_float_to_unorm565) ||          \
    defined(HELION_MSL_USES_pack_half_to_unorm565) || defined(HELION_MSL_USES_unpack_unorm565_to_float) ||           \
    defined(HELION_MSL_USES_unpack_unorm565_to_half)
#include "pack.h"
#endif

// Containers and utilities.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES_forward) || defined(HELION_MSL_USES_move) ||        \
    defined(HELION_MSL_USES_swap) || defined(HELION_MSL_USES_integer_sequence) ||                               \
    defined(HELION_MSL_USES_make_integer_sequence) || defined(HELION_MSL_USES_index_sequence) ||                \
    defined(HELION_MSL_USES_make_index_sequence) || defined(HELION_MSL_USES_index_sequence_for) ||              \
    defined(HELION_MSL_USES_array) || defined(HELION_MSL_USES_array_ref) || defined(HELION_MSL_USES_uniform) || \
    defined(HELION_MSL_USES_make_uniform) || defined(HELION_MSL_USES_initializer_list)
#include "utility.h"
#endif

// Apple's internals.
#if !defined(HELION_MSL_SELECTS) || defined(HELION_MSL_USES___METAL_FAST_MATH__) ||                                    \
    defined(HELION_MSL_USES___METAL_PRECISE_MATH__) || defined(HELION_MSL_USES___METAL_MAYBE_FAST_MATH__) ||           \
    defined(HELION_MSL_USES___metal_acos) || defined(HELION_MSL_USES___metal_acosh) ||                                 \
    defined(HELION_MSL_USES___metal_asin) || defined(HELION_MSL_USES___metal_asinh) ||                                 \
    defined(HELION_MSL_USES___metal_atan) || defined(HELION_MSL_USES___metal_atan2) ||                                 \
    defined(HELION_MSL_USES___metal_atanh) || defined(HELION_MSL_USES___metal_ceil) ||                                 \
    defined(HELION_MSL_USES___metal_cos) || defined(HELION_MSL_USES___metal_cosh) ||                                   \
    defined(HELION_MSL_USES___metal_cospi) || defined(HELION_MSL_USES___metal_divide) ||                               \
    defined(HELION_MSL_USES___metal_exp) || defined(HELION_MSL_USES___metal_exp10) ||                                  \
    defined(HELION_MSL_USES___metal_exp2) || defined(HELION_MSL_USES___metal_fabs) ||                                  \
    defined(HELION_MSL_USES___metal_floor) || defined(HELION_MSL_USES___metal_fma) ||                                  \
    defined(HELION_MSL_USES___metal_fmax) || defined(HELION_MSL_USES___metal_fmax3) ||                                 \
    defined(HELION_MSL_USES___metal_fmedian3) || defined(HELION_MSL_USES___metal_fmin) ||                              \
    defined(HELION_MSL_USES___metal_fmin3) || defined(HELION_MSL_USES___metal_fmod) ||                                 \
    defined(HELION_MSL_USES___metal_fract) || defined(HELION_MSL_USES___metal_frexp) ||                                \
    defined(HELION_MSL_USES___metal_get_simdgroup_size) ||                                                             \
    defined(HELION_MSL_USES___metal_get_thread_index_in_simdgroup) || defined(HELION_MSL_USES___metal_ldexp) ||        \
    defined(HELION_MSL_USES___metal_log) || defined(HELION_MSL_USES___metal_log10) ||                                  \
    defined(HELION_MSL_USES___metal_log2) || defined(HELION_MSL_USES___metal_nextafter) ||                             \
    defined(HELION_MSL_USES___metal_pow) || defined(HELION_MSL_USES___metal_powr) ||                                   \
    defined(HELION_MSL_USES___metal_rint) || defined(HELION_MSL_USES___metal_round) ||                                 \
    defined(HELION_MSL_USES___metal_rsqrt) || defined(HELION_MSL_USES___metal_simd_broadcast) ||                       \
    defined(HELION_MSL_USES___metal_simd_max) || defined(HELION_MSL_USES___metal_simd_min) ||                          \
    defined(HELION_MSL_USES___metal_simd_prefix_exclusive_product) ||                                                  \
    defined(HELION_MSL_USES___metal_simd_prefix_exclusive_sum) ||                                                      \
    defined(HELION_MSL_USES___metal_simd_prefix_inclusive_product) ||                                                  \
    defined(HELION_MSL_USES___metal_simd_prefix_inclusive_sum) || defined(HELION_MSL_USES___metal_simd_product) ||     \
    defined(HELION_MSL_USES___metal_simd_shuffle) || defined(HELION_MSL_USES___metal_simd_shuffle_and_fill_down) ||    \
    defined(HELION_MSL_USES___metal_simd_shuffle_and_fill_up) || defined(HELION_MSL_USES___metal_simd_shuffle_down) || \
    defined(HELION_MSL_USES___metal_simd_shuffle_rotate_down) ||                                                       \
    defined(HELION_MSL_USES___metal_simd_shuffle_rotate_up) || defined(HELION_MSL_USES___metal_simd_shuffle_up) ||     \
    defined(HELION_MSL_USES___metal_simd_shuffle_xor) || defined(HELION_MSL_USES___metal_simd_sum) ||                  \
    defined(HELION_MSL_USES___metal_simd_xor) || defined(HELION_MSL_USES___metal_sin) ||                               \
    defined(HELION_MSL_USES___metal_sinh) || defined(HELION_MSL_USES___metal_sinpi) ||                                 \
    defined(HELION_MSL_USES___metal_sqrt) || defined(HELION_MSL_USES___metal_tan) ||                                   \
    defined(HELION_MSL_USES___metal_tanh) || defined(HELION_MSL_USES___metal_tanpi) ||                                 \
    defined(HELION_MSL_USES___metal_trunc)
#include "internals.h"
#endif

#include "on_demand.h"
