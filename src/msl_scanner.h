// MSL -> C++ that clang compiles against python/helion_msl/host/include: what C++ cannot parse is rewritten, and the
// kernels are tabulated for helion_host/abi.h. Lines stay where they are.
#pragma once

#include <string>
#include <vector>

#include "engine.h"
#include "msl_source.h"

namespace helion_msl {

struct ScannedSource {
  std::vector<Edit> edits;                       // of the flat text
  std::string head;                              // goes before the text: #define lines that the headers read
  std::string tail;                              // goes after it: the table of kernels
  std::vector<std::string> undefined_constants;  // function constants without a value that the kernels mention
  bool has_lockstep = false;                     // a kernel is written to run without stacks: see msl_lockstep.h
};

// Sources with more kernels than this are compiled for one kernel at a time.
inline constexpr std::size_t max_kernels_per_library = 8;

// The table has all kernels of the source, or only the one that the request names: where there are very many, and where
// others need function constants that the request has no values for. Throws UnknownKernelError, and SourceError with an
// offset in `source.flat()`.
// Without `may_use_lockstep` all threads that wait have a stack, which is right for every kernel.
ScannedSource scan_msl(const MslSource &source, const CompileRequest &request, bool may_use_lockstep);

// The text that clang compiles for the MSL `text`, without what goes before and after it and without preprocessing:
// what the rewriting does, for tests. Throws MetalCompileError or UnknownKernelError.
std::string rewrite_msl(const std::string &text, bool may_use_lockstep);

// Prefix of the symbol that a function constant without a value stands for in the object file.
inline constexpr std::string_view undefined_constant_symbol = "helion_undefined_function_constant.";

}  // namespace helion_msl
