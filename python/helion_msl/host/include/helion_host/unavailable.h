// Parts of Metal that belong to its graphics side, or to hardware that the host does not have. The names are declared,
// so that a header may mention them; using one is an error that says so.
#pragma once

namespace metal {

enum class access { sample, read, write, read_write };
enum class coord { normalized, pixel };
enum class filter { nearest, linear, bicubic };
enum class address { clamp_to_zero, clamp_to_edge, repeat, mirrored_repeat, clamp_to_border };

#define HELION_MSL_UNAVAILABLE_TEXTURE(name)                                                             \
  template <class T, access a = access::sample>                                                          \
  struct name {                                                                                          \
    static_assert(sizeof(T) == 0, #name ": textures are not available on the host engine, use buffers"); \
  };
HELION_MSL_UNAVAILABLE_TEXTURE(texture1d)
HELION_MSL_UNAVAILABLE_TEXTURE(texture1d_array)
HELION_MSL_UNAVAILABLE_TEXTURE(texture2d)
HELION_MSL_UNAVAILABLE_TEXTURE(texture2d_array)
HELION_MSL_UNAVAILABLE_TEXTURE(texture2d_ms)
HELION_MSL_UNAVAILABLE_TEXTURE(texture3d)
HELION_MSL_UNAVAILABLE_TEXTURE(texturecube)
HELION_MSL_UNAVAILABLE_TEXTURE(texturecube_array)
HELION_MSL_UNAVAILABLE_TEXTURE(texture_buffer)
HELION_MSL_UNAVAILABLE_TEXTURE(depth2d)
HELION_MSL_UNAVAILABLE_TEXTURE(depth2d_array)
HELION_MSL_UNAVAILABLE_TEXTURE(depthcube)
#undef HELION_MSL_UNAVAILABLE_TEXTURE

struct sampler {
  template <class... A>
  constexpr sampler(A...) {
    static_assert(sizeof...(A) != sizeof...(A), "samplers are not available on the host engine");
  }
};

template <class Signature>
struct visible_function_table {
  static_assert(sizeof(Signature) == 0, "visible function tables are not available on the host engine");
};

}  // namespace metal
