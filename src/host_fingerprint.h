// What decides the machine code of a kernel besides its text and the command line: the programs that make it, the
// headers that it includes, and the processor that it is made for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace helion_msl {

// A program, found as the system finds it: its path, size and time of change. Empty where there is none.
std::string program_fingerprint(const std::string &program);

// This extension, as it was when it was loaded. Empty where its file cannot be found.
const std::string &extension_fingerprint();

// The files below a directory: how large they are and when they changed. Empty where they cannot be read.
struct DirectoryState {
  std::string text;
  std::int64_t last_change = 0;  // nanoseconds since 1970
};
DirectoryState state_of_directory(const std::string &directory);
// Checksum of what is in them. Empty where they cannot be read.
std::string contents_of_directory(const std::string &directory);

// The processor's model and everything that it can do: code for `-march=native` runs on no other.
const std::string &processor_fingerprint();

}  // namespace helion_msl
