// The instructions of x86-64 processors for SHA-256, which take a tenth of the time of any other way.
#pragma once

#include <array>
#include <cstdint>

namespace helion_msl {

// Whether this processor has them.
bool has_sha256_instructions();
// Takes one block of 64 bytes into the state (FIPS 180-4, 6.2.2). Only where has_sha256_instructions().
void process_by_instructions(std::array<std::uint32_t, 8> &state, const unsigned char *block,
                             const std::array<std::uint32_t, 64> &round_constants);

}  // namespace helion_msl
