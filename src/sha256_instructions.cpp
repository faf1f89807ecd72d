#include "sha256_instructions.h"

#include <cstddef>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace helion_msl {

#if defined(__x86_64__)

namespace {

bool ask_processor() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned sse41 = 1u << 19, sha = 1u << 29;
  const bool has_sse41 = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & sse41) != 0;
  return has_sse41 && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & sha) != 0;
}

__m128i *vectors(std::uint32_t *words) {
  return reinterpret_cast<__m128i *>(words);
}
const __m128i *vectors(const std::uint32_t *words) {
  return reinterpret_cast<const __m128i *>(words);
}

}  // namespace

bool has_sha256_instructions() {
  static const bool has = ask_processor();
  return has;
}

// The instructions keep the state as two vectors, of a, b, e, f and of c, d, g, h, from the highest element down, and
// make two rounds at a time (Intel 64 and IA-32 Architectures Software Developer's Manual, SHA256RNDS2).
__attribute__((target("sha,sse4.1"))) void process_by_instructions(
    std::array<std::uint32_t, 8> &state, const unsigned char *block,
    const std::array<std::uint32_t, 64> &round_constants) {
  const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(vectors(&state[0])), 0xb1);
  const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(vectors(&state[4])), 0x1b);
  __m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
  __m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
  const __m128i abef_before = abef, cdgh_before = cdgh;

  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  // The last 16 words of the message schedule, of which each four make the next four.
  __m128i words[4];
  for (std::size_t four = 0; four < 16; ++four) {
    __m128i &next = words[four % 4];
    if (four < 4) {
      next = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i *>(block) + four), big_endian);
    } else {
      const __m128i last = words[(four + 3) % 4];
      const __m128i early = _mm_sha256msg1_epu32(next, words[(four + 1) % 4]);
      next = _mm_sha256msg2_epu32(_mm_add_epi32(early, _mm_alignr_epi8(last, words[(four + 2) % 4], 4)), last);
    }
    const __m128i added = _mm_add_epi32(next, _mm_loadu_si128(vectors(&round_constants[4 * four])));
    cdgh = _mm_sha256rnds2_epu32(cdgh, abef, added);
    abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(added, 0x0e));
  }

  const __m128i feba = _mm_shuffle_epi32(_mm_add_epi32(abef, abef_before), 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(_mm_add_epi32(cdgh, cdgh_before), 0xb1);
  _mm_storeu_si128(vectors(&state[0]), _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(vectors(&state[4]), _mm_alignr_epi8(dchg, feba, 8));
}

#else

bool has_sha256_instructions() {
  return false;
}

void process_by_instructions(std::array<std::uint32_t, 8> &, const unsigned char *,
                             const std::array<std::uint32_t, 64> &) {}

#endif

}  // namespace helion_msl
