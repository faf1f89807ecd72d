// What decides the machine code of a kernel besides its text and the command line: the programs that make it, the
// headers that it includes, and the processor that it is made for.
#pragma once

#include <string>
#include <vector>

namespace helion_msl {

// A program, found as the system finds it: its path, size and time of change. Empty where there is none.
std::string program_fingerprint(const std::string &program);

// Contents of all files below a directory. Empty where they cannot be read.
std::string headers_fingerprint(const std::string &directory);

// The processor's model and everything that it can do: code for `-march=native` runs on no other.
const std::string &processor_fingerprint();

}  // namespace helion_msl
