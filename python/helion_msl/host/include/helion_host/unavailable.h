// Parts of Metal that belong to its graphics side. A kernel that takes a texture is refused; the names are declared so
// that the other kernels of its source compile, also where a function or a structure that they do not use has textures.
// Code that gets to a texture all the same, through a structure in a buffer, ends the launch with an error.
#pragma once

#include "vector.h"

namespace metal {

enum class access { sample, read, write, read_write };
enum class coord { normalized, pixel };
enum class filter { nearest, linear, bicubic };
enum class min_filter { nearest, linear, bicubic };
enum class mag_filter { nearest, linear, bicubic };
enum class mip_filter { none, nearest, linear };
enum class address { clamp_to_zero, clamp_to_edge, repeat, mirrored_repeat, clamp_to_border };
enum class s_address { clamp_to_zero, clamp_to_edge, repeat, mirrored_repeat, clamp_to_border };
enum class t_address { clamp_to_zero, clamp_to_edge, repeat, mirrored_repeat, clamp_to_border };
enum class r_address { clamp_to_zero, clamp_to_edge, repeat, mirrored_repeat, clamp_to_border };
enum class border_color { transparent_black, opaque_black, opaque_white };
enum class compare_func { never, less, less_equal, greater, greater_equal, equal, not_equal, always };
enum class component { x, y, z, w };

// What a call of a texture may be given besides coordinates.
struct texture_option {
  template <class... A>
  constexpr texture_option(A...) {}
};
using level = texture_option;
using bias = texture_option;
using gradient2d = texture_option;
using gradient3d = texture_option;
using gradientcube = texture_option;
using min_lod_clamp = texture_option;
using lod_clamp = texture_option;
using max_anisotropy = texture_option;

struct sampler {
  template <class... A>
  constexpr sampler(A...) {}
};

}  // namespace metal

namespace helion_host {

template <class R>
[[noreturn]] HELION_MSL_FUNC R no_texture() {
  helion_host_fail("textures are not available on the host engine; pass the data in a buffer");
}

// The functions of every kind of texture; R is what it is read as.
template <class R, class T>
struct texture {
  template <class... A>
  R sample(A...) const {
    return no_texture<R>();
  }
  template <class... A>
  R read(A...) const {
    return no_texture<R>();
  }
  template <class... A>
  metal::vec<T, 4> gather(A...) const {
    return no_texture<metal::vec<T, 4>>();
  }
  template <class... A>
  T sample_compare(A...) const {
    return no_texture<T>();
  }
  template <class... A>
  metal::vec<T, 4> gather_compare(A...) const {
    return no_texture<metal::vec<T, 4>>();
  }
  template <class... A>
  void write(A...) const {
    no_texture<void>();
  }
#define HELION_MSL_TEXTURE_SIZE(name) \
  uint name(uint = 0) const {         \
    return no_texture<uint>();        \
  }
  HELION_MSL_TEXTURE_SIZE(get_width)
  HELION_MSL_TEXTURE_SIZE(get_height)
  HELION_MSL_TEXTURE_SIZE(get_depth)
  HELION_MSL_TEXTURE_SIZE(get_array_size)
  HELION_MSL_TEXTURE_SIZE(get_num_mip_levels)
  HELION_MSL_TEXTURE_SIZE(get_num_samples)
#undef HELION_MSL_TEXTURE_SIZE
#define HELION_MSL_TEXTURE_ATOMIC(name)    \
  template <class... A>                    \
  metal::vec<T, 4> name(A...) const {      \
    return no_texture<metal::vec<T, 4>>(); \
  }
  HELION_MSL_TEXTURE_ATOMIC(atomic_load)
  HELION_MSL_TEXTURE_ATOMIC(atomic_exchange)
  HELION_MSL_TEXTURE_ATOMIC(atomic_fetch_add)
  HELION_MSL_TEXTURE_ATOMIC(atomic_fetch_sub)
  HELION_MSL_TEXTURE_ATOMIC(atomic_fetch_and)
  HELION_MSL_TEXTURE_ATOMIC(atomic_fetch_or)
  HELION_MSL_TEXTURE_ATOMIC(atomic_fetch_xor)
  HELION_MSL_TEXTURE_ATOMIC(atomic_fetch_min)
  HELION_MSL_TEXTURE_ATOMIC(atomic_fetch_max)
#undef HELION_MSL_TEXTURE_ATOMIC
  template <class... A>
  void atomic_store(A...) const {
    no_texture<void>();
  }
  template <class... A>
  bool atomic_compare_exchange_weak(A...) const {
    return no_texture<bool>();
  }
  void fence() const { no_texture<void>(); }
};

}  // namespace helion_host

namespace metal {

#define HELION_MSL_TEXTURE(name)                                \
  template <class T, access a = access::sample>                 \
  struct name : helion_host::texture<vec<T, 4>, T> {            \
    unsigned long helion_resource; /* of 8 bytes in a buffer */ \
  };
HELION_MSL_TEXTURE(texture1d)
HELION_MSL_TEXTURE(texture1d_array)
HELION_MSL_TEXTURE(texture2d)
HELION_MSL_TEXTURE(texture2d_array)
HELION_MSL_TEXTURE(texture2d_ms)
HELION_MSL_TEXTURE(texture2d_ms_array)
HELION_MSL_TEXTURE(texture3d)
HELION_MSL_TEXTURE(texturecube)
HELION_MSL_TEXTURE(texturecube_array)
HELION_MSL_TEXTURE(texture_buffer)
#undef HELION_MSL_TEXTURE

// Depth textures are read as one number.
#define HELION_MSL_DEPTH_TEXTURE(name)          \
  template <class T, access a = access::sample> \
  struct name : helion_host::texture<T, T> {    \
    unsigned long helion_resource;              \
  };
HELION_MSL_DEPTH_TEXTURE(depth2d)
HELION_MSL_DEPTH_TEXTURE(depth2d_array)
HELION_MSL_DEPTH_TEXTURE(depth2d_ms)
HELION_MSL_DEPTH_TEXTURE(depth2d_ms_array)
HELION_MSL_DEPTH_TEXTURE(depthcube)
HELION_MSL_DEPTH_TEXTURE(depthcube_array)
#undef HELION_MSL_DEPTH_TEXTURE

template <class T>
HELION_MSL_FUNC bool is_null_texture(T) {
  return true;
}

template <class Signature>
struct visible_function_table {
  static_assert(sizeof(Signature) == 0, "visible function tables are not available on the host engine");
};

}  // namespace metal
